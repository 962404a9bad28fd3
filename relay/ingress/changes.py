"""Reads PagerDuty's change events: what pipelines post to /v2/change/enqueue, refused in PagerDuty's words.

Fields and limits: developer.pagerduty.com/docs/events-api-v2, change events. There is no dedup key, no severity and no
action; a source is optional. As with events, what only decorates one and cannot be shown is left out.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from relay.decision import Step
from relay.ingress.pagerduty import (
    InvalidEvent,
    detail_faults,
    is_blank,
    key_faults,
    object_of,
    shown_items,
    summary_faults,
    text_of,
)
from relay.ingress.salvage import note
from relay.rules import cleaning
from relay.secret import Secret

# An address of any scheme, without blanks and in ASCII; others are made of that if they are http or https.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")
_ANY_NUMBER = 10**4_000
"""A change event is passed on as it is written: whole numbers stay numbers, however large."""
_TEXTS = ("summary", "source", "timestamp")


@dataclass(frozen=True, slots=True)
class IncomingChange:
    """One change event as its sender meant it."""

    routing_key: Secret
    payload: Mapping[str, Any]
    event: bytes
    """All of it that is passed on, payload and links and images, as JSON without the routing key."""
    notes: tuple[Step, ...] = ()
    """What was left out of it."""


def read(body: bytes) -> IncomingChange:
    """Read one change event. Raises InvalidEvent, and nothing else, for one that can never work."""
    notes: list[Step] = []
    event = object_of(body, notes, _ANY_NUMBER)
    errors = [*key_faults(event), *_payload_faults(event)]
    if errors:
        raise InvalidEvent(*errors)
    payload = dict(_payload(event["payload"], notes))
    said: dict[str, Any] = {"payload": payload}
    for name, needed in (("links", "href"), ("images", "src")):
        items = [dict(_reachable(item, name, notes)) for item in shown_items(event.get(name), name, needed, notes)]
        if items := [item for item in items if needed in item]:
            said[name] = items
    return IncomingChange(Secret(event["routing_key"]), payload, msgspec.json.encode(said), tuple(notes))


def _payload_faults(event: Mapping[str, Any]) -> Iterator[str]:
    payload = event.get("payload")
    if not isinstance(payload, dict):
        yield "'payload' is missing or blank" if is_blank(payload) else "'payload' must be an object"
        return
    yield from summary_faults(payload)
    if isinstance(payload.get("source"), dict | list):
        yield "'payload.source' must be a string"
    yield from detail_faults(payload)


def _reachable(item: Mapping[str, str], name: str, notes: list[Step]) -> Iterator[tuple[str, str]]:
    """Go over a link or image; an address that PagerDuty would refuse the whole change event for is left out."""
    for field, text in item.items():
        address = text if field in ("text", "alt") or _URI.fullmatch(text) else cleaning.address(text)
        if not address or (field == "src" and not address.startswith("https://")):
            notes.append(note(f"an address in `{name}` is none that PagerDuty takes and was left out"))
        else:
            yield field, address


def _payload(payload: Mapping[str, Any], notes: list[Step]) -> Iterator[tuple[str, Any]]:
    for name, value in payload.items():
        if name == "custom_details" and value is not None:
            yield name, value
        elif name in _TEXTS and (text := text_of(value, f"payload.{name}", notes)):
            yield name, text
