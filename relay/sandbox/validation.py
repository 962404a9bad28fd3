"""Say what PagerDuty would find wrong with an event, in its own words where they are known.

The fields and limits are those of the Events API v2
(developer.pagerduty.com/docs/events-api-v2, trigger events and change events). Texts seen verbatim in the field are
kept letter for letter, PagerDuty's typing error included; the others follow their pattern.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

ACTIONS = ("trigger", "acknowledge", "resolve")
SEVERITIES = ("critical", "warning", "error", "info")
KEY_LENGTH = 32
SUMMARY_LENGTH = 1024
DEDUP_KEY_LENGTH = 255

Fields = Mapping[str, Any]


def alert_event_errors(event: Fields) -> list[str]:
    """Return every complaint about an alert event; empty when it is accepted."""
    return [*_routing_key(event), *_action(event), *_dedup_key(event), *_alert_payload(event), *_around(event)]


def change_event_errors(event: Fields) -> list[str]:
    """Return every complaint about a change event; empty when it is accepted."""
    return [*_routing_key(event), *_change_key(event), *_change_payload(event), *_attached(event)]


def well_formed_key(key: object) -> bool:
    """Whether this could be a routing key at all."""
    return isinstance(key, str) and not list(_routing_key({"routing_key": key}))


def _routing_key(event: Fields) -> Iterator[str]:
    key = event.get("routing_key")
    if _blank(key):
        yield "'routing_key' is missing or blank"
    elif not isinstance(key, str):
        yield "'routing_key' must be a string"
    else:
        if len(key) != KEY_LENGTH:
            yield f"Length of 'routing_key' is incorrect (should be {KEY_LENGTH} characters)"
        if not (key.isascii() and key.isalnum()):
            yield "'routing_key' cannot contain non-alphanumeric characters."


def _change_key(event: Fields) -> Iterator[str]:
    # Keys that start with R belong to orchestrations and rulesets, which take no change events.
    key = event.get("routing_key")
    if isinstance(key, str) and key.startswith("R"):
        yield "'routing_key' belongs to an orchestration, which takes no change events"


def _action(event: Fields) -> Iterator[str]:
    action = event.get("event_action")
    if _blank(action):
        yield "'event_action' is missing or blank"
    elif action not in ACTIONS:
        yield "'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')"


def _dedup_key(event: Fields) -> Iterator[str]:
    key = event.get("dedup_key")
    if "dedup_key" in event or event.get("event_action") != "trigger":
        if _blank(key):
            yield "'dedup_key' is missing or blank"
        elif not isinstance(key, str):
            yield "'dedup_key' must be a string"
        elif len(key) > DEDUP_KEY_LENGTH:
            yield f"'dedup_key' is too long (maximum is {DEDUP_KEY_LENGTH} characters)"


def _alert_payload(event: Fields) -> Iterator[str]:
    if "payload" not in event and event.get("event_action") != "trigger":
        return
    payload = event.get("payload")
    if not isinstance(payload, dict):
        yield "'payload' is missing or blank" if _blank(payload) else "'payload' must be an object"
        return
    yield from _summary(payload)
    yield from _required_text(payload, "payload.", "source")
    yield from _severity(payload)
    yield from _timestamp(payload)
    yield from _details(payload)
    yield from _optional_texts(payload, "payload.", ("component", "group", "class"))


def _change_payload(event: Fields) -> Iterator[str]:
    payload = event.get("payload")
    if not isinstance(payload, dict):
        yield "'payload' is missing or blank" if _blank(payload) else "'payload' must be an object"
        return
    yield from _summary(payload)
    yield from _timestamp(payload)
    yield from _details(payload)
    yield from _optional_texts(payload, "payload.", ("source",))


def _summary(payload: Fields) -> Iterator[str]:
    yield from _required_text(payload, "payload.", "summary")
    summary = payload.get("summary")
    if isinstance(summary, str) and len(summary) > SUMMARY_LENGTH:
        yield f"'summary' is too long (maiximum is {SUMMARY_LENGTH} characters)"  # codespell:ignore


def _severity(payload: Fields) -> Iterator[str]:
    severity = payload.get("severity")
    if _blank(severity):
        yield "'payload.severity' is missing or blank"
    elif severity not in SEVERITIES:
        yield ("'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')")


# PagerDuty's own example is 2015-07-17T08:42:58.315+0000: ISO 8601, padded, not quite RFC 3339.
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)"
)


def _timestamp(payload: Fields) -> Iterator[str]:
    if "timestamp" in payload:
        stamp = payload["timestamp"]
        if not isinstance(stamp, str) or not _TIMESTAMP.fullmatch(stamp):
            yield "'payload.timestamp' is invalid (must be an ISO 8601 date and time)"


def _details(payload: Fields) -> Iterator[str]:
    if "custom_details" in payload and not isinstance(payload["custom_details"], dict):
        yield "'payload.custom_details' must be an object"


def _around(event: Fields) -> Iterator[str]:
    yield from _optional_texts(event, "", ("client",))
    if "client_url" in event and not _is_uri(event["client_url"]):
        yield "'client_url' is not a valid URL"
    yield from _attached(event)


def _attached(event: Fields) -> Iterator[str]:
    yield from _items(event, "links", _link)
    yield from _items(event, "images", _image)


def _items(event: Fields, name: str, check: Callable[[Fields, str], Iterator[str]]) -> Iterator[str]:
    items = event.get(name, [])
    if not isinstance(items, list):
        yield f"'{name}' must be a list"
        return
    for index, item in enumerate(items):
        if isinstance(item, dict):
            yield from check(item, f"{name}[{index}].")
        else:
            yield f"'{name}[{index}]' must be an object"


def _link(link: Fields, at: str) -> Iterator[str]:
    yield from _uri(link, at, "href", required=True)
    yield from _optional_texts(link, at, ("text",))


def _image(image: Fields, at: str) -> Iterator[str]:
    yield from _uri(image, at, "src", required=True)
    source = image.get("src")
    if isinstance(source, str) and not source.startswith("https://"):
        yield f"'{at}src' must be an HTTPS URL"
    yield from _uri(image, at, "href", required=False)
    yield from _optional_texts(image, at, ("alt",))


def _uri(fields: Fields, at: str, name: str, *, required: bool) -> Iterator[str]:
    if name not in fields:
        if required:
            yield f"'{at}{name}' is missing or blank"
    elif not _is_uri(fields[name]):
        yield f"'{at}{name}' is not a valid URL"


def _required_text(fields: Fields, at: str, name: str) -> Iterator[str]:
    if _blank(fields.get(name)):
        yield f"'{at}{name}' is missing or blank"
    elif not isinstance(fields[name], str):
        yield f"'{at}{name}' must be a string"


def _optional_texts(fields: Fields, at: str, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        if name in fields and not isinstance(fields[name], str):
            yield f"'{at}{name}' must be a string"


def _blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


# RFC 3986, appendix A, `URI`: ASCII only, a scheme, and percent signs only before two hex digits.
_CHAR = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})"
_PATH = rf"(?:/{_CHAR}*)*"
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)"
_USER = r"(?:(?:[A-Za-z0-9\-._~!$&'()*+,;=:]|%[0-9A-Fa-f]{2})*@)?"
_URI = re.compile(
    rf"[A-Za-z][A-Za-z0-9+\-.]*:(?://{_USER}{_HOST}(?::[0-9]*)?{_PATH}|/(?:{_CHAR}+{_PATH})?|(?:{_CHAR}+{_PATH})?)"
    rf"(?:\?(?:{_CHAR}|[/?])*)?(?:#(?:{_CHAR}|[/?])*)?"
)


def _is_uri(value: object) -> bool:
    return isinstance(value, str) and _URI.fullmatch(value) is not None
