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
            if _matches(fault, keys, event) and chance < fault.share:
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


def _matches(fault: Fault, keys: tuple[str, ...], event: Mapping[str, Any]) -> bool:
    return (
        (fault.key is None or fault.key in keys)
        and fault.action in (None, event.get("event_action"))
        and (fault.field is None or _has(event, fault.field))
    )


def _has(event: Mapping[str, Any], field: str) -> bool:
    payload = event.get("payload")
    return field in event or (isinstance(payload, dict) and field in payload)
