"""Faults on demand: what the stand-in does wrong, how often and to whom."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec


class Fault(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One kind of trouble; fields combine. Given as the JSON body of `POST /sandbox/faults`."""

    status: int | None = None
    """Answer this instead. The event is not ingested unless `ingest` says so."""
    ingest: bool | None = None
    """Whether the event counts all the same. Default: not for a `status`, a `forget` or a drop before."""
    body: str | None = None
    """A plain-text body in place of the JSON one."""
    retry_after: str | int | None = None
    """Value of a Retry-After header: seconds or an HTTP date."""
    location: str | None = None
    """Value of a Location header, for redirects."""
    latency: float = 0.0
    """Seconds to wait before answering; the event has been ingested by then."""
    drop: Literal["before", "after"] | None = None
    """Reset the connection without an answer, before or after ingesting."""
    forget: bool = False
    """Answer 202 and lose the event, as PagerDuty did on 2022-05-02."""
    drip: float = 0.0
    """Seconds between two bytes of the answer's body."""
    key: str | None = None
    """Only for this routing key: its name or the key itself."""
    action: str | None = None
    """Only for this event_action."""
    path: str | None = None
    """Only for REST calls whose path begins with this: /incidents. Without it, only for events."""
    method: str | None = None
    """Only for REST calls of this method."""
    field: str | None = None
    """Only for events with this field, of their own or of their payload: links, custom_details ..."""
    share: float = 1.0
    """The part of the matching requests that it befalls, by chance."""
    count: int | None = None
    """How many requests it befalls; none: until cleared."""

    @property
    def ingests(self) -> bool:
        """Whether an event that meets this fault counts."""
        if self.ingest is not None:
            return self.ingest
        return self.status in (None, 202) and not self.forget and self.drop != "before"

    @property
    def words(self) -> str:
        """Say it in a few words, for the ledger."""
        shown = msgspec.to_builtins(self)
        return " ".join(f"{name}={shown[name]}" for name in shown if name not in ("key", "count"))


class WebhookFault(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One kind of trouble on the way out. Given as the JSON body of `POST /sandbox/webhooks/faults`."""

    lose: bool = False
    """Never send it."""
    delay: float = 0.0
    """Seconds to hold it back; others pass it."""
    duplicate: int = 0
    """So many copies more, with the same X-Webhook-Id."""
    reorder: bool = False
    """Let the next webhook of the subscription pass it."""
    event_type: str | None = None
    """Only for this type of event."""
    share: float = 1.0
    """The part of the matching webhooks that it befalls, by chance."""
    count: int | None = None
    """How many webhooks it befalls; none: until cleared."""

    @property
    def words(self) -> str:
        """Say it in a few words, for people."""
        shown = msgspec.to_builtins(self)
        return " ".join(f"{name}={shown[name]}" for name in shown if name != "count")


class Faults:
    """The faults in force, oldest first; the first that matches a request befalls it."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Put a fault in force, after those already there."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Be well again."""
        self._faults.clear()

    def listed(self) -> tuple[Fault, ...]:
        """Return what is in force, with the counts that are left."""
        return tuple(self._faults)

    def next(self, keys: tuple[str, ...], event: Mapping[str, Any], chance: float) -> Fault | None:
        """Take the fault that befalls this request, if any.

        `keys` are the names the routing key goes by, `chance` is a number in [0, 1).
        """
        for index, fault in enumerate(self._faults):
            if fault.path is None and _matches(fault, keys, event) and chance < fault.share:
                self._spend(index, fault)
                return fault
        return None

    def next_call(self, method: str, path: str, chance: float) -> Fault | None:
        """Take the fault that befalls this call of the REST API, if any."""
        for index, fault in enumerate(self._faults):
            asked = fault.path is not None and path.startswith(fault.path) and fault.method in (None, method)
            if asked and chance < fault.share:
                self._spend(index, fault)
                return fault
        return None

    def _spend(self, index: int, fault: Fault) -> None:
        if fault.count is None:
            return
        if fault.count <= 1:
            del self._faults[index]
        else:
            self._faults[index] = msgspec.structs.replace(fault, count=fault.count - 1)


class WebhookFaults:
    """The faults on the way out, oldest first; the first that matches a webhook befalls it."""

    def __init__(self) -> None:
        self._faults: list[WebhookFault] = []

    def add(self, fault: WebhookFault) -> None:
        """Put a fault in force, after those already there."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Be well again."""
        self._faults.clear()

    def listed(self) -> tuple[WebhookFault, ...]:
        """Return what is in force, with the counts that are left."""
        return tuple(self._faults)

    def next(self, event_type: str, chance: float) -> WebhookFault | None:
        """Take the fault that befalls this webhook, if any."""
        for index, fault in enumerate(self._faults):
            if fault.event_type in (None, event_type) and chance < fault.share:
                if fault.count is not None and fault.count <= 1:
                    del self._faults[index]
                elif fault.count is not None:
                    self._faults[index] = msgspec.structs.replace(fault, count=fault.count - 1)
                return fault
        return None


def _matches(fault: Fault, keys: tuple[str, ...], event: Mapping[str, Any]) -> bool:
    return (
        (fault.key is None or fault.key in keys)
        and fault.action in (None, event.get("event_action"))
        and (fault.field is None or _has(event, fault.field))
    )


def _has(event: Mapping[str, Any], field: str) -> bool:
    payload = event.get("payload")
    return field in event or (isinstance(payload, dict) and field in payload)
