"""Virtual routing keys: what senders of Events API events show in place of a real key of PagerDuty's."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from relay.config import schema
from relay.config.problems import Problems
from relay.config.secrets import SecretReader
from relay.config.yaml import Path
from relay.rules.quoting import go_quote
from relay.secret import Secret

LENGTH = 32
"""Characters of a routing key; clients check it (developer.pagerduty.com/docs/events-api-v2/trigger-events)."""

_REAL = (
    "is the routing key of a receiver as well: whoever sends with it counts as this source, and holds a key of "
    "PagerDuty's. Better a key that only the relay knows: `openssl rand -hex 16` makes one"
)


@dataclass(frozen=True, slots=True)
class VirtualKey:
    """One key of a source."""

    key: Secret
    source: str


def read_virtual_keys(
    specs: Sequence[schema.Source], problems: Problems, secrets: SecretReader, real: Collection[Secret] = ()
) -> tuple[VirtualKey, ...]:
    """Read every virtual key; what is wrong is reported, one that two sources have, and one that is a receiver's."""
    owners: dict[Secret, str] = {}
    for path, key, source in _given(specs, secrets):
        if fault := key_fault(key.reveal()):
            problems.error(path, fault)
        elif owners.setdefault(key, source) != source:
            message = f"is a routing key of source {go_quote(owners[key])} as well: it could not be told who speaks"
            problems.error(path, message)
        elif key in real:
            problems.warn(path, _REAL)
    return tuple(VirtualKey(key, source) for key, source in owners.items())


def _given(specs: Sequence[schema.Source], secrets: SecretReader) -> Iterator[tuple[Path, Secret, str]]:
    for index, spec in enumerate(specs):
        for number, given in enumerate(spec.routing_keys):
            path: Path = ("sources", index, "routing_keys", number)
            key = secrets.value(given, path)
            if key is not None:
                yield path, key, spec.name
        for number, name in enumerate(spec.routing_key_files):
            path = ("sources", index, "routing_key_files", number)
            key = secrets.file(name, path, "the virtual routing key", key_fault)
            if key is not None:
                yield path, key, spec.name


def key_fault(key: str) -> str:
    """Say what is wrong with a virtual key, without showing it; "" if nothing is."""
    if len(key) == LENGTH and key.isascii() and key.isalnum():
        return ""
    return f"a routing key is {LENGTH} letters and digits, and clients check that: `openssl rand -hex 16` makes one"
