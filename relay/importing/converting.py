"""The whole way from an alertmanager.yml to the files that take its place."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from relay.importing.alertmanager_file import alertmanager_file
from relay.importing.entries import Entries
from relay.importing.reading import Note, read_native
from relay.importing.relay_file import other_kinds, relay_file
from relay.secret import Secret

KEY_FOLDER = "keys"


@dataclass(frozen=True, slots=True)
class Imported:
    """What an alertmanager.yml becomes."""

    relay: str
    """The relay's routing file; it holds no key."""
    alertmanager: str = field(repr=False)
    """The new alertmanager.yml; it holds the secrets of integrations that are not PagerDuty's."""
    keys: Mapping[str, Secret]
    """Routing keys by the file that the routing file names for them."""
    notes: tuple[Note, ...]


def convert(
    name: str,
    raw: bytes,
    *,
    templates: Mapping[str, str],
    url: str,
    relocate: Callable[[str], str] = lambda file: file,
) -> Imported:
    """Turn a file into its successors.

    `templates` are the texts of the template files it names, by file name; `url` is where Alertmanager reaches the
    relay; `relocate` says how the new file has to name a file that the old one names. Raises BadConfig with every
    problem.
    """
    native = read_native(name, raw, templates)
    entries = Entries(native, KEY_FOLDER, relocate)
    relay = relay_file(native, entries, f"Made by `pagerelay import` of {name}.")
    alertmanager = alertmanager_file(native, url, f"{name}, with the relay in PagerDuty's place.")
    receivers = native.data.get("receivers") or ()
    if not any(receiver.get("pagerduty_configs") for receiver in receivers):
        entries.note(("receivers",), "no receiver has pagerduty_configs: the relay would page nobody")
    if native.data.get("inhibit_rules") and any(map(other_kinds, receivers)):
        entries.note(
            ("inhibit_rules",),
            "are in the routing file, and stay in alertmanager.yml too for the receivers that are not PagerDuty",
        )
    notes = (*native.notes, *entries.notes)
    return Imported(relay, alertmanager, entries.keys, tuple(sorted(notes, key=lambda note: note.line)))
