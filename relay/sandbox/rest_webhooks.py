"""The REST API's doors for webhook subscriptions; a secret is shown once, when it is made."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from relay.sandbox import outbound
from relay.sandbox.rest import Call, invalid, not_found
from relay.sandbox.shapes import Shape
from relay.sandbox.subscriptions import Subscription

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t -~]*")
_FILTERS = ("account_reference", "service_reference", "team_reference")


def list_subscriptions(call: Call) -> Shape:
    """List webhook subscriptions."""
    return call.page("webhook_subscriptions", tuple(call.sandbox.subscriptions), lambda each: _shape(call, each))


def show_subscription(call: Call) -> Shape:
    """Show one webhook subscription, without its secret."""
    return {"webhook_subscription": _shape(call, _subscription(call))}


def add_subscription(call: Call) -> Shape:
    """Subscribe an address; this answer alone shows the secret that was made for it."""
    asked = call.asked("webhook_subscription")
    method = asked.get("delivery_method")
    if not isinstance(method, dict) or method.get("type") != "http_delivery_method":
        raise invalid("Delivery method must be an http_delivery_method")
    url = method.get("url")
    if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https"):
        raise invalid("Url must be an http or https URL")
    events = asked.get("events")
    if not isinstance(events, list) or not events:
        raise invalid("Events cannot be empty")
    unknown = [str(event) for event in events if event not in outbound.EVENT_TYPES]
    if unknown:
        raise invalid(f"Events are not known: {', '.join(unknown)}")
    made = call.sandbox.subscriptions.add(
        url,
        events=frozenset(events),
        filter_=_filter(call, asked.get("filter")),
        description=str(asked.get("description") or ""),
        headers=_headers(method.get("custom_headers")),
    )
    shown = _shape(call, made)
    shown["delivery_method"]["secret"] = made.secrets[0]
    return {"webhook_subscription": shown}


def remove_subscription(call: Call) -> None:
    """End a subscription."""
    if not call.sandbox.subscriptions.remove(call.word("id")):
        raise not_found()


def enable_subscription(call: Call) -> Shape:
    """Begin again after three webhooks in a row were dropped."""
    subscription = _subscription(call)
    subscription.enable()
    return {"webhook_subscription": _shape(call, subscription)}


def ping_subscription(send: Callable[[Subscription, Shape], None]) -> Callable[[Call], None]:
    """Make the door that has an event of the kind pagey.ping sent."""

    def ping(call: Call) -> None:
        subscription = _subscription(call)
        user = call.owner or call.sandbox.account.users[0]
        send(subscription, outbound.ping(user, call.sandbox.now(), call.shapes))

    return ping


def _subscription(call: Call) -> Subscription:
    found = call.sandbox.subscriptions.find(call.word("id"))
    if found is None:
        raise not_found()
    return found


def _filter(call: Call, asked: object) -> tuple[str, str]:
    kind = asked.get("type") if isinstance(asked, dict) else None
    if not isinstance(asked, dict) or kind not in _FILTERS:
        raise invalid(f"Filter type must be one of {', '.join(_FILTERS)}")
    id_ = str(asked.get("id") or "")
    if kind == "service_reference" and id_ not in call.sandbox.account.services:
        raise invalid("Filter is not a service of this account")
    if kind == "team_reference":
        raise invalid("Filter is not a team of this account")
    return str(kind), id_


def _headers(given: object) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise invalid("Custom headers must be an array of names and values")
    headers = {str(each.get("name")): str(each.get("value")) for each in given}
    if len(headers) < len(given) or not all(_HEADER.fullmatch(f"{name}: {value}") for name, value in headers.items()):
        raise invalid("Custom headers must have names of their own, and values of one line")
    return headers


def _shape(call: Call, subscription: Subscription) -> dict[str, Any]:
    disabled = not subscription.enabled(call.sandbox.now())
    whom = {"type": subscription.filter_type} | ({"id": subscription.filter_id} if subscription.filter_id else {})
    return {
        "id": subscription.id,
        "type": "webhook_subscription",
        "active": subscription.active and not disabled,
        "description": subscription.description,
        "delivery_method": {
            "type": "http_delivery_method",
            "url": subscription.url,
            "temporarily_disabled": disabled,
            "custom_headers": [{"name": name, "value": "<redacted>"} for name in subscription.headers],
        },
        "events": sorted(subscription.events) or list(outbound.EVENT_TYPES),
        "filter": whom,
    }
