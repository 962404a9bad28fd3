"""Reads PagerDuty's own Events API v2: what clients post to /v2/enqueue, refused in PagerDuty's words where it must be.

Fields, limits and which are required: developer.pagerduty.com/docs/events-api-v2. Texts that people have seen are kept
letter for letter, PagerDuty's typing error included. It is laxer where clients in use are: an acknowledge or resolve
needs no payload and may bring a blank one, links and images that cannot be shown are left out, numbers may stand for
texts. What only decorates a page never keeps it from being one.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from math import isfinite
from typing import Any

import msgspec

from relay.alert import Alert, Instant, Sent, Status, WebhookMessage, instant
from relay.decision import Step
from relay.errors import BadBody
from relay.event import Action, Severity
from relay.ingress import salvage
from relay.ingress.reading import digest_of, malformed, refuse_foreign, without_mark
from relay.ingress.salvage import YEAR_ONE, note, written
from relay.rules.sent import fingerprint_of_event
from relay.secret import Secret

KEY_LENGTH = 32
LONGEST_SUMMARY = 1024
LONGEST_DEDUP_KEY = 255
LARGEST = 512 * 1024
"""Bytes of one event as it comes in; PagerDuty says 512 KB."""

_DEEPEST = 200
_LABELS = {"severity": "severity", "component": "component", "group": "group", "class": "class"}
_REMEDY = "send one JSON object with routing_key, event_action and, for a trigger, payload"
# PagerDuty's own example is 2015-07-17T08:42:58.315+0000: ISO 8601, padded, not quite RFC 3339.
_TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(:\d\d(?:\.\d+)?)?(Z|[+-]\d\d(?::?\d\d)?)", re.ASCII | re.IGNORECASE
)


class InvalidEvent(BadBody):
    """An event that PagerDuty would refuse: everything that is wrong with it, in its words."""

    def __init__(self, *errors: str, reason: str = "invalid_event") -> None:
        super().__init__("; ".join(errors), reason)
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Incoming:
    """One event as its sender meant it."""

    routing_key: Secret
    action: Action
    dedup_key: str
    """ "" where its sender left it to us to make one: of a trigger alone."""
    event: Mapping[str, Any]
    """All of it that can be passed on: payload, links, images, client and client_url, where they are there."""
    digest: bytes
    """16 bytes that name what it says, whatever key it came with."""
    said: int
    """The same without its timestamp, with 63 bits."""
    starts_at: Instant = 0
    """Its payload's timestamp; 0: it has none."""
    notes: tuple[Step, ...] = ()
    """What was left out of it."""


def parse(body: bytes, source: str, receiver: str = "", now: Instant = 0, minted: str = "") -> WebhookMessage:
    """Read a trigger or a resolve as a message of one alert. Raises BadBody, and nothing else."""
    incoming = read(body)
    if incoming.action is Action.ACKNOWLEDGE:
        raise BadBody("an acknowledge states no alert: it is about the page that has its dedup_key", "invalid_event")
    return message(incoming, source, receiver, incoming.dedup_key or minted, now)


def is_event(body: bytes) -> bool:
    """Guess whether a body is an event rather than a webhook's."""
    return b'"event_action"' in body and b'"alerts"' not in body


def read(body: bytes) -> Incoming:
    """Read one event. Raises InvalidEvent, and nothing else, for one that can never work."""
    notes: list[Step] = []
    event = object_of(body, notes)
    asked = event.get("event_action")
    key, faults = _dedup_key(event, needed=asked in (Action.ACKNOWLEDGE, Action.RESOLVE))
    errors = [*key_faults(event), *_action(event), *faults]
    if asked == Action.TRIGGER:
        errors += _payload_faults(event)
    if errors:
        raise InvalidEvent(*errors)
    action = Action(event["event_action"])
    passed_on = _passed_on(event, notes)
    payload = {name: one for name, one in passed_on.get("payload", {}).items() if name != "timestamp"}
    digest = digest_of(msgspec.json.encode((action, passed_on)))
    said = int.from_bytes(digest_of(msgspec.json.encode({**passed_on, "payload": payload}))[:8], "big") >> 1
    starts_at = _moment(passed_on.get("payload", {}).get("timestamp"))
    return Incoming(Secret(event["routing_key"]), action, key, passed_on, digest, said, starts_at, tuple(notes))


def message(incoming: Incoming, source: str, receiver: str, dedup_key: str, now: Instant) -> WebhookMessage:
    """Make a message of one alert of a trigger (it fires) or a resolve.

    Its identity is (source, receiver, dedup key), whatever its labels say.
    """
    fires = incoming.action is Action.TRIGGER
    payload = incoming.event.get("payload", {})
    fingerprint = fingerprint_of_event(receiver, dedup_key)
    labels, annotations = _labels(payload, named=fires), _annotations(payload)
    client_url = incoming.event.get("client_url", "")
    alert = Alert(
        source=source,
        fingerprint=fingerprint,
        status=Status.FIRING if fires else Status.RESOLVED,
        labels=labels,
        annotations=annotations,
        starts_at=(incoming.starts_at or now) if fires else 0,
        ends_at=YEAR_ONE if fires else now,
        generator_url=client_url,
        digest=incoming.digest,
        raw=b"",
        notes=incoming.notes,
        sent=Sent(dedup_key, receiver, incoming.said),
    )
    if fires:  # a resolve says nothing that its page should show instead
        alert = msgspec.structs.replace(alert, raw=_raw(alert, incoming))
    return WebhookMessage(source, "", receiver, alert.status.value, (alert,), incoming.digest)


def about(incoming: Incoming, source: str) -> Incoming:
    """Say of an event that it is about what another sender triggered."""
    whose = f"source {source}" if source else "a receiver's own key"
    words = f"its sender has nothing open under this dedup key: it is about what came with {whose}"
    return replace(incoming, notes=(*incoming.notes, Step("page", words)))


def _raw(alert: Alert, incoming: Incoming) -> bytes:
    """Write the alert in Alertmanager's v4 form, with the event it came as beside it."""
    stated: dict[str, Any] = {
        "status": alert.status,
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": written(alert.starts_at),
        "endsAt": written(alert.ends_at),
        "generatorURL": alert.generator_url,
        "fingerprint": alert.fingerprint,
        "event": incoming.event,
    }
    return msgspec.json.encode(stated)


# What it says


def _labels(payload: Mapping[str, Any], *, named: bool) -> dict[str, str]:
    """Say what an event is routed by; a resolve without a payload has nothing, its alert is known by its key."""
    if not named and not payload:
        return {}
    labels = {label: payload[name] for name, label in _LABELS.items() if payload.get(name)}
    if payload.get("source"):
        labels["event_source"] = payload["source"]
    return {"alertname": payload.get("class") or "event", **labels}


def _annotations(payload: Mapping[str, Any]) -> dict[str, str]:
    details = payload.get("custom_details", {})
    told = {name: one if isinstance(one, str) else msgspec.json.encode(one).decode() for name, one in details.items()}
    return {**told, **({"summary": payload["summary"]} if payload.get("summary") else {})}


def _passed_on(event: Mapping[str, Any], notes: list[Step]) -> dict[str, Any]:
    """Take of an event what can be passed on; `notes` say what was left out."""
    said: dict[str, Any] = {}
    payload = event.get("payload")
    if isinstance(payload, dict) and payload:
        said["payload"] = dict(_payload(payload, notes))
    for name, needed in (("links", "href"), ("images", "src")):
        items = list(shown_items(event.get(name), name, needed, notes))
        if items:
            said[name] = items
    for name in ("client", "client_url"):
        text = text_of(event.get(name), name, notes)
        if text:
            said[name] = text
    return said


def _payload(payload: Mapping[str, Any], notes: list[Step]) -> Iterator[tuple[str, Any]]:
    for name, value in payload.items():
        if name == "custom_details":
            if isinstance(value, dict):
                yield name, value
        elif name in ("summary", "source", "severity", "component", "group", "class", "timestamp"):
            text = text_of(value, f"payload.{name}", notes)
            if text:
                yield name, text


def shown_items(items: object, name: str, needed: str, notes: list[Step]) -> Iterator[dict[str, str]]:
    """Go over links or images; what has no address is left out, as is what else is in them."""
    if items is None:
        return
    if not isinstance(items, list):
        notes.append(note(f"its `{name}` are no list and were left out"))
        return
    for index, item in enumerate(items):
        found = item if isinstance(item, dict) else {}
        texts = {key: text_of(one, f"{name}[{index}].{key}", notes) for key, one in found.items() if key in _ITEM}
        if texts.get(needed, "").strip():
            yield {key: text for key, text in texts.items() if text}
        else:
            notes.append(note(f"`{name}[{index}]` has no `{needed}` and was left out"))


_ITEM = ("href", "src", "text", "alt")


def text_of(value: object, name: str, notes: list[Step]) -> str:
    """Read a text, or a number or a truth that stands for one; "" where there is none."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return msgspec.json.encode(value).decode()
    if value is not None:
        notes.append(note(f"its `{name}` is no text and was left out"))
    return ""


# What is wrong with it


LARGEST_NUMBER = 2**63 - 1
"""What everything between here and PagerDuty can hold."""


def object_of(body: bytes, notes: list[Step], largest: int = LARGEST_NUMBER) -> Mapping[str, Any]:
    """Read an event as it stands, mended where that is possible; whole numbers beyond `largest` stay as texts.

    Raises InvalidEvent.
    """
    body = without_mark(body)
    try:
        refuse_foreign(body, _REMEDY)
        event = _decoded(body, notes, largest)
    except BadBody as error:
        raise InvalidEvent(f"JSON parse error: {error}", reason=error.reason) from None
    if not isinstance(event, dict):
        raise InvalidEvent(f"Event object is not an object: {_REMEDY}", reason="malformed")
    if _too_deep(event):
        raise InvalidEvent(f"JSON parse error: the body is nested too deeply; {_REMEDY}", reason="malformed")
    return event


def _decoded(body: bytes, notes: list[Step], largest: int) -> object:
    if _LARGE_NUMBER.search(body):
        return _with_large_numbers(body, notes, largest)
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        mended = body if isinstance(error, RecursionError) else salvage.mend(body)
        if mended == body:
            raise malformed(body, error, _REMEDY) from None
    try:
        event = msgspec.json.decode(mended)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(mended, error, _REMEDY) from None
    notes.append(_MENDED)
    return event


_MENDED = note("characters that are not UTF-8, or may not stand in JSON, were replaced")


_LARGE_NUMBER = re.compile(rb"[0-9]{19}|[0-9][eE]\+?[0-9]{3}")
"""What may be a number that only a text can hold; or it stands in a text itself, and nothing comes of it."""
_MOST_DIGITS = 4_000
"""Python reads no more."""


def _with_large_numbers(body: bytes, notes: list[Step], largest: int) -> object:
    """Decode what may have numbers that are too large: they stay as texts."""
    large: list[str] = []

    def whole(text: str) -> int | str:
        if len(text) > _MOST_DIGITS or abs(int(text)) > largest:
            large.append(text)
            return text
        return int(text)

    def fraction(text: str) -> float | str:
        number = float(text)
        if not isfinite(number):
            large.append(text)
            return text
        return number

    mended = salvage.mend(body)
    try:
        event = json.loads(mended, parse_int=whole, parse_float=fraction, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _unreadable(mended, error) from None
    if mended != body:
        notes.append(_MENDED)
    if large:
        notes.append(note("numbers too large for most programs were written as text"))
    return event


def _unreadable(body: bytes, error: Exception) -> BadBody:
    """Say where a body stops being JSON, in the words that are used of any other."""
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as found:
        if not isinstance(found, msgspec.ValidationError):
            return malformed(body, found, _REMEDY)
    return BadBody(f"not JSON: {error}; {_REMEDY}", "malformed")


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number in JSON")


def _too_deep(value: object) -> bool:
    """Say whether it nests so deep that it could be read but not written again."""
    level: list[object] = [value]
    for _ in range(_DEEPEST):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return True


def _inside(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def key_faults(event: Mapping[str, Any]) -> Iterator[str]:
    """Say what is wrong with the routing key, whoever has it."""
    key = event.get("routing_key")
    if is_blank(key):
        yield "'routing_key' is missing or blank"
    elif not isinstance(key, str):
        yield "'routing_key' must be a string"
    else:
        if len(key) != KEY_LENGTH:
            yield f"Length of 'routing_key' is incorrect (should be {KEY_LENGTH} characters)"
        if not (key.isascii() and key.isalnum()):
            yield "'routing_key' cannot contain non-alphanumeric characters."


def _action(event: Mapping[str, Any]) -> Iterator[str]:
    action = event.get("event_action")
    if is_blank(action):
        yield "'event_action' is missing or blank"
    elif action not in tuple(Action):
        yield "'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')"


def _dedup_key(event: Mapping[str, Any], *, needed: bool) -> tuple[str, list[str]]:
    """Return the dedup key as it stands ("": there is none), and what is wrong with it."""
    key = event.get("dedup_key")
    if isinstance(key, int | float) and not isinstance(key, bool):
        key = msgspec.json.encode(key).decode()
    if is_blank(key):
        return "", ["'dedup_key' is missing or blank"] if needed else []
    if not isinstance(key, str):
        return "", ["'dedup_key' must be a string"]
    if len(key) > LONGEST_DEDUP_KEY:
        return "", [f"'dedup_key' is too long (maximum is {LONGEST_DEDUP_KEY} characters)"]
    return key, []


def _payload_faults(event: Mapping[str, Any]) -> Iterator[str]:
    payload = event.get("payload")
    if not isinstance(payload, dict):
        yield "'payload' is missing or blank" if is_blank(payload) else "'payload' must be an object"
        return
    yield from summary_faults(payload)
    yield from _needed(payload, "source")
    severity = payload.get("severity")
    if is_blank(severity):
        yield "'payload.severity' is missing or blank"
    elif severity not in tuple(Severity):
        yield "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')"
    yield from detail_faults(payload)


def summary_faults(payload: Mapping[str, Any]) -> Iterator[str]:
    """Say what is wrong with the summary, which every event must have."""
    yield from _needed(payload, "summary")
    summary = payload.get("summary")
    if isinstance(summary, str) and len(summary) > LONGEST_SUMMARY:
        yield f"'summary' is too long (maiximum is {LONGEST_SUMMARY} characters)"  # codespell:ignore


def detail_faults(payload: Mapping[str, Any]) -> Iterator[str]:
    """Say what is wrong with the timestamp and the custom details, where they are there."""
    stamp = payload.get("timestamp")
    if not is_blank(stamp) and not _moment(stamp):
        yield "'payload.timestamp' is invalid (must be an ISO 8601 date and time)"
    details = payload.get("custom_details")
    if details is not None and not isinstance(details, dict):
        yield "'payload.custom_details' must be an object"


def _needed(payload: Mapping[str, Any], name: str) -> Iterator[str]:
    if is_blank(payload.get(name)):
        yield f"'payload.{name}' is missing or blank"
    elif isinstance(payload[name], dict | list):
        yield f"'payload.{name}' must be a string"


def is_blank(value: object) -> bool:
    """Say whether nothing is said."""
    return value is None or (isinstance(value, str) and not value.strip())


def _moment(stamp: object) -> Instant:
    """Read a timestamp; 0 where it is none."""
    found = _TIMESTAMP.fullmatch(stamp) if isinstance(stamp, str) else None
    if found is None:
        return 0
    day, minute, second, zone = found[1], found[2], (found[3] or ":00"), found[4].upper()
    zone = zone if zone == "Z" or ":" in zone else f"{zone[:3]}:{zone[3:] or '00'}"
    try:
        return instant(msgspec.convert(f"{day}T{minute}{second}{zone}", datetime))
    except (msgspec.ValidationError, OverflowError):
        return 0
