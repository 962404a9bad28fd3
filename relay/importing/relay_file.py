"""Write the relay's routing file: Alertmanager's tree, rules and intervals as they stand, receivers made anew."""

import copy
from collections.abc import Mapping
from typing import Any

from relay.config import yaml
from relay.config.yaml import Path
from relay.importing.entries import Entries
from relay.importing.layout import Layout, layout, says, without_secrets
from relay.importing.reading import Native
from relay.importing.severities import Mapped
from relay.importing.writing import lines, pair, scalar

_COPIED = ("route", "inhibit_rules", "time_intervals", "mute_time_intervals")
_STANDARD = Mapped(
    "severity", {"critical": "critical", "error": "error", "warning": "warning", "info": "info", "default": "error"}
)
_V1 = "generic/2010-04-15"

Additions = Mapping[Path, dict[str, Any]]
"""By route: what it has to say besides what it says in alertmanager.yml."""


def relay_file(native: Native, entries: Entries, made_by: str) -> str:
    """Write the whole file; what a person should know goes into `entries.notes`."""
    cut, added = layout(native.text, native.root), _additions(native, entries)
    blocks = [[f"# {made_by}"]]
    for key in native.data:
        if key in _COPIED and native.data[key] is not None:
            blocks.append(_copied(native, key, cut, added if key == "route" else {}))
        elif key == "global":
            blocks.append(_global(native, entries))
        elif key == "receivers":
            blocks.append(_receivers(native, entries))
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _additions(native: Native, entries: Entries) -> Additions:
    forms = {receiver["name"]: entries.form(receiver) for receiver in native.data.get("receivers") or ()}
    found: dict[Path, dict[str, Any]] = {}
    root = native.data["route"]
    if root.get("group_by") is None:
        found["route",] = {"group_by": []}

    def walk(route: dict[str, Any], path: Path, inherited: Mapped) -> None:
        # Children inherit receiver and map together; a map is said where the receiver is.
        mine = forms.get(route.get("receiver") or "") or inherited
        if mine != inherited:
            label = {"severity_label": mine.label} if mine.label != inherited.label else {}
            found[path] = {**found.get(path, {}), **label, "severity": dict(mine.words)}
        for index, child in enumerate(route.get("routes") or ()):
            walk(child or {}, (*path, "routes", index), mine)

    walk(root, ("route",), _STANDARD)
    return found


def _copied(native: Native, key: str, cut: Layout, added: Additions) -> list[str]:
    """Copy a section, comments and all, where that comes to what is meant; else write it anew."""
    meant = _with(native.data[key], added)
    section = cut.section(key)
    if section is not None:
        behind = dict(_behind(native, path, more) for path, more in added.items())
        text = [line for number, old in without_secrets(section) for line in (old, *behind.get(number, ()))]
        if says(text, key, meant):
            return text
    return pair(key, meant, 0)


def _with(value: Any, added: Additions) -> Any:
    found = copy.deepcopy(value)
    for path, more in added.items():
        place = found
        for part in path[1:]:
            place = place[part]
        for name, item in more.items():
            place.pop(name, None)
            place[name] = item
    return found


def _behind(native: Native, path: Path, more: dict[str, Any]) -> tuple[int, list[str]]:
    """Say what comes behind which line: that of the route's `receiver:`, at its column."""
    line, column = yaml.place(native.root, (*path, "receiver"), key=True)
    new = [text for name, item in more.items() for text in pair(name, item, column - 1)]
    if "group_by" in more:
        new.insert(
            0,
            f"{' ' * (column - 1)}# One page for all alerts of a route, as Alertmanager groups where nothing is said.",
        )
    return line, new


def _global(native: Native, entries: Entries) -> list[str]:
    given = native.data["global"] or {}
    found: dict[str, Any] = {}
    if _V1 in (given.get("pagerduty_url") or ""):
        entries.note(("global", "pagerduty_url"), "is that of PagerDuty's Events API v1 and was left out")
    elif given.get("pagerduty_url"):
        found["pagerduty_url"] = given["pagerduty_url"]
    if given.get("resolve_timeout"):
        found["resolve_timeout"] = given["resolve_timeout"]
    if http := entries.http(given.get("http_config"), ("global", "http_config")):
        found["http_config"] = http
    return ["global:", *lines(found, 2)] if found else []


def _receivers(native: Native, entries: Entries) -> list[str]:
    written = ["receivers:"]
    for index, receiver in enumerate(native.data["receivers"] or ()):
        others = other_kinds(receiver)
        name = f"  - name: {scalar(receiver['name'])}"
        entry = entries.lines(receiver, ("receivers", index), 6)
        if entry:
            beside = [f"    # Its {_listed(others)} stay with Alertmanager."] if others else []
            written += [name, *beside, "    pagerduty_configs:", *entry]
        else:
            written.append(f"{name}  # its {_listed(others)} stay with Alertmanager" if others else name)
        if receiver.get("labels"):
            written += pair("labels", receiver["labels"], 4)
    return written if len(written) > 1 else ["receivers: []"]


def other_kinds(receiver: Mapping[str, Any]) -> list[str]:
    """Name the integrations of a receiver that are not PagerDuty's."""
    return [kind for kind in receiver if kind.endswith("_configs") and kind != "pagerduty_configs" and receiver[kind]]


def _listed(kinds: list[str]) -> str:
    return ", ".join(kinds)
