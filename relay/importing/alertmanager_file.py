"""Write the new alertmanager.yml: everything goes to the relay, and what is not PagerDuty goes where it went."""

import re
from collections.abc import Iterator
from typing import Any

from relay.config.schema import duration
from relay.importing.layout import Layout, layout, says
from relay.importing.reading import Native
from relay.importing.relay_file import other_kinds
from relay.importing.writing import AsWritten, pair

_TIMERS = ("group_wait", "group_interval", "repeat_interval")
_DEFAULTS = {"group_wait": "30s", "group_interval": "5m", "repeat_interval": "4h"}
"""Alertmanager's (dispatch/route.go DefaultRouteOpts)."""
_ALL = "..."


def alertmanager_file(native: Native, url: str, made_by: str) -> str:
    """Write the whole file; what it holds for integrations other than PagerDuty stays as it is, secrets too."""
    receivers = native.data.get("receivers") or []
    name = _fresh("pagerelay", {receiver["name"] for receiver in receivers})
    relay = {
        "name": name,
        "webhook_configs": [{"url": url, "send_resolved": AsWritten("true"), "max_alerts": AsWritten("0")}],
    }
    to_relay = {"receiver": name, **_grouping(native)}
    if not any(map(other_kinds, receivers)):
        blocks = [_section(native, "global", Layout()), pair("route", to_relay, 0), pair("receivers", [relay], 0)]
        return _put_together(made_by, blocks)
    cut = layout(native.text, native.root)
    written = []
    for key in native.data:
        if key == "route":
            written.append(_route(native, cut, to_relay))
        elif key == "receivers":
            written.append(_receivers(native, cut, relay))
        else:
            written.append(_section(native, key, cut))
    return _put_together(made_by, written)


def _put_together(made_by: str, blocks: list[list[str]]) -> str:
    return "\n\n".join("\n".join(block) for block in [[f"# {made_by}"], *blocks] if block) + "\n"


def _fresh(wish: str, taken: set[str]) -> str:
    name, number = wish, 1
    while name in taken:
        number += 1
        name = f"{wish}-{number}"
    return name


def _grouping(native: Native) -> dict[str, Any]:
    """Group as finely and as soon as any route does that leads to PagerDuty: no page then waits longer than before."""
    pages = {receiver["name"] for receiver in native.data.get("receivers") or () if receiver.get("pagerduty_configs")}
    root = native.data["route"]
    found = [route for route in _effective(root, {"group_by": [], **_DEFAULTS}) if route.get("receiver") in pages]
    labels = {label: None for route in found for label in route["group_by"] or ()}
    timers = {name: min((route[name] for route in found), key=duration, default=_DEFAULTS[name]) for name in _TIMERS}
    said = {name: value for name, value in timers.items() if value != _DEFAULTS[name]}
    grouped = {"group_by": [_ALL] if _ALL in labels else list(labels)} if labels else {}
    return {**grouped, **said}


def _effective(route: dict[str, Any], inherited: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every route with what it inherits."""
    names = ("receiver", "group_by", *_TIMERS)
    mine = {**inherited, **{name: route[name] for name in names if route.get(name) is not None}}
    yield mine
    for child in route.get("routes") or ():
        yield from _effective(child or {}, mine)


def _section(native: Native, key: str, cut: Layout) -> list[str]:
    value = native.data.get(key)
    if not value:
        return []
    section = cut.section(key)
    text = [line for _, line in section or ()]
    return text if text and says(text, key, value) else pair(key, value, 0)


def _route(native: Native, cut: Layout, to_relay: dict[str, Any]) -> list[str]:
    """Put the old tree, which goes on, before the route that takes everything."""
    old = native.data["route"]
    wrapped = {"receiver": old["receiver"], "continue": AsWritten("true"), **old}
    meant = {"receiver": to_relay["receiver"], "routes": [wrapped, to_relay]}
    section = cut.section("route")
    if section is not None:
        text = _wrapped([line for _, line in section], meant)
        if says(text, "route", meant):
            return text
    return pair("route", meant, 0)


def _wrapped(lines: list[str], meant: dict[str, Any]) -> list[str]:
    """Move the lines of a tree two levels in, and make them one route among two."""
    head = next((number for number, line in enumerate(lines) if line.startswith("route:")), 0)
    body = lines[head + 1 :]
    first = next((number for number, line in enumerate(body) if line.strip() and not line.lstrip().startswith("#")), 0)
    shift = 6 - (len(body[first]) - len(body[first].lstrip())) if body else 0
    moved = [_moved(line, shift) for line in body]
    if moved:
        moved.insert(first, "    - continue: true")
    tail = pair("x", [meant["routes"][1]], 2)[1:]
    return [
        *lines[:head],
        "route:",
        *pair("receiver", meant["receiver"], 2),
        "  routes:",
        "    # The tree as it was, for what is not PagerDuty.",
        *moved,
        "    # Everything goes to the relay as well.",
        *tail,
    ]


def _moved(line: str, shift: int) -> str:
    if not line.strip():
        return ""
    blanks = len(line) - len(line.lstrip())
    return " " * max(0, blanks + shift) + line.lstrip()


def _receivers(native: Native, cut: Layout, relay: dict[str, Any]) -> list[str]:
    """Take PagerDuty's entries out, and put the relay in."""
    old = native.data["receivers"] or []
    kept = [{name: value for name, value in receiver.items() if name != "pagerduty_configs"} for receiver in old]
    meant = [*kept, relay]
    section = cut.section("receivers")
    if section is not None:
        text = [line for _, line in section]
        dash = next((re.match(r"( *)- ", line) for line in text if re.match(r" *- ", line)), None)
        indent = len(dash[1]) if dash else 2
        text = [*_without_entries(text), *pair("x", [relay], indent - 2)[1:]] if indent >= 2 else []
        text = text or [*_without_entries([line for _, line in section]), *_flush(relay)]
        if says(text, "receivers", meant):
            return text
    return pair("receivers", meant, 0)


def _flush(relay: dict[str, Any]) -> list[str]:
    """Write the relay's receiver as an item of a list that is not indented."""
    return [line[2:] for line in pair("x", [relay], 0)[1:]]


def _without_entries(lines: list[str]) -> list[str]:
    """Leave out each `pagerduty_configs:` and all that stands deeper below it."""
    kept: list[str] = []
    within: int | None = None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if within is not None and line.strip():
            same_level_item = indent == within and line.lstrip().startswith("- ")
            if indent > within or same_level_item:
                continue
            within = None
        if within is not None:
            continue
        if re.match(r" +pagerduty_configs:", line):
            within = indent
            continue
        kept.append(line)
    return kept
