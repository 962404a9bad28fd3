"""Write one event, or change event, as the JSON that PagerDuty's Events API v2 takes."""

from typing import Any

import msgspec

from relay.event import Action, Event
from relay.secret import Secret

LARGEST = 512_000
"""Bytes of one event (PagerDuty says 512 KB; Alertmanager cuts at 512,000, notify/pagerduty/pagerduty.go)."""

_ENCODER = msgspec.json.Encoder(enc_hook=str)


def encode(event: Event, routing_key: Secret | None) -> bytes:
    """Return the body of one call to `/v2/enqueue`, UTF-8; without a routing key: what people may see of it.

    A resolve or acknowledge says what it is about and nothing more: with a blank summary PagerDuty would refuse it for
    ever (prometheus/alertmanager#1890). A trigger leaves out every optional field that is empty.
    Raises ValueError for text that has no UTF-8 form, RecursionError for details that nest without end,
    and TypeError for details whose names are not text.
    """
    body: dict[str, Any] = {} if routing_key is None else {"routing_key": routing_key.reveal()}
    body |= {"event_action": event.event_action, "dedup_key": event.dedup_key}
    if event.event_action is Action.TRIGGER:
        body["payload"] = _payload(event)
        body |= _present(client=event.client, client_url=event.client_url, links=event.links, images=event.images)
    return _ENCODER.encode(body)


def encode_change(event: bytes, routing_key: Secret) -> bytes:
    """Return the body of one call to `/v2/change/enqueue`; `event` is all of it but the routing key, as JSON.

    It goes out as it came in, byte by byte. Raises ValueError for what is no JSON object.
    """
    body: dict[str, Any] = {"routing_key": routing_key.reveal()}
    return _ENCODER.encode(body | msgspec.json.decode(event, type=dict[str, msgspec.Raw]))


def _payload(event: Event) -> dict[str, Any]:
    payload = {"summary": event.summary, "source": event.source, "severity": event.severity}
    optional = _present(
        timestamp=event.timestamp,
        component=event.component,
        group=event.group,
        custom_details=event.custom_details,
        **{"class": event.class_},
    )
    return payload | optional


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}
