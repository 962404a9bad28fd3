"""Alerts that came as Events API events: what names them, and the event that is kept beside them."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from relay.alert import alert_id


def fingerprint_of_event(receiver: str, dedup_key: str) -> str:
    """Name the alert of an event with 16 hex digits: by its dedup key and the receiver whose real key it came with."""
    text = f"event\x00{receiver}\x00{dedup_key}".encode("utf-8", "surrogatepass")
    return blake2b(text, digest_size=8).hexdigest()


def event_id(source: str, receiver: str, dedup_key: str) -> int:
    """Return the store's name for the alert of an event."""
    return alert_id(source, fingerprint_of_event(receiver, dedup_key))


class _Kept(msgspec.Struct):
    event: dict[str, Any] = {}


_DECODER = msgspec.json.Decoder(_Kept)


def event_of(raw: bytes) -> Mapping[str, Any]:
    """Read the event that an alert came as: payload, links, images, client, client_url; {} where it cannot be read."""
    try:
        return _DECODER.decode(raw).event
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return {}
