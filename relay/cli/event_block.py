"""Writes an event out as PagerDuty shows it on an incident: summary, severity, fields, links, details."""

from collections.abc import Iterator, Mapping
from typing import Any

_DETAILS = 60
"""Lines of the details that are shown."""
_FIELDS = ("source", "component", "group", "class", "timestamp")


def block(event: Mapping[str, Any]) -> list[str]:
    """Write a trigger, a change event or a resolve as lines with a bar in front."""
    return [f"  │ {line}".rstrip() for line in _lines(event)]


def _lines(event: Mapping[str, Any]) -> Iterator[str]:
    payload: Mapping[str, Any] = event.get("payload") or {}
    if not payload:
        yield f"{event.get('event_action', 'event')} of dedup key {event.get('dedup_key', '')}, and nothing more"
        return
    yield str(payload.get("summary", ""))
    if severity := payload.get("severity"):
        urgency = "high" if severity in ("critical", "error") else "low"
        yield f"severity   {severity} ({urgency} urgency, where the service goes by severity)"
    for name in _FIELDS:
        if value := payload.get(name):
            yield f"{name:<10} {value}"
    if key := event.get("dedup_key"):
        yield f"dedup key  {key}"
    if event.get("client_url"):
        yield f"View in {event.get('client') or 'Pagerelay'}  {event['client_url']}"
    for link in event.get("links") or ():
        yield f"link       {link.get('text') or 'Link'}  {link['href']}"
    for image in event.get("images") or ():
        yield f"image      {image.get('alt') or 'Image'}  {image['src']}"
    if details := payload.get("custom_details"):
        yield "details"
        yield from _cut(list(_nested(details, "  ")))


def _cut(lines: list[str]) -> list[str]:
    if len(lines) <= _DETAILS:
        return lines
    return [*lines[:_DETAILS], f"  ... and {len(lines) - _DETAILS} more lines: --json prints all of them"]


def _nested(value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, one in value.items():
            if isinstance(one, Mapping | list) and one:
                yield f"{indent}{name}:"
                yield from _nested(one, f"{indent}  ")
            else:
                yield from _text(f"{indent}{name}: ", one, f"{indent}  ")
    elif isinstance(value, list):
        for one in value:
            if isinstance(one, Mapping | list):
                first, *others = list(_nested(one, f"{indent}  ")) or [""]
                yield f"{indent}- {first.strip()}"
                yield from others
            else:
                yield from _text(f"{indent}- ", one, f"{indent}  ")
    else:
        yield from _text(indent, value, indent)


def _text(head: str, value: Any, indent: str) -> Iterator[str]:
    first, *others = (str(value) if value is not None else "").splitlines() or [""]
    yield head + first
    yield from (indent + line for line in others)
