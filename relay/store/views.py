"""What a store answers to those who only look; the same for every engine."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from relay.alert import Duration, Instant
from relay.event import Severity
from relay.page import Lane, Page, State, Wanted
from relay.rules.ledger import Recorded, Shown


class Seen(msgspec.Struct, frozen=True):
    """One page with its members."""

    page: Page
    members: tuple[Shown, ...]
    """Firing first, worst first, then route order, then longest firing; at most 1,000."""
    firing: int
    resolved: int
    """How many members there are in all, shown or not."""


class Entry(msgspec.Struct, frozen=True):
    """One line of the journal."""

    id: int
    """Grows with each entry; what `before` takes to read on."""
    record: Recorded


class Stale(NamedTuple):
    """How much fires that was not heard of for too long."""

    alerts: Mapping[str, int]
    """By source; only those that have any."""
    pages: int
    """In which all that fires is stale; those of the first 10,000 alerts are counted."""


class Needed(NamedTuple):
    """Which pages are listed as a person needs them."""

    dead: bool = False
    """Dead letters that nobody let go of."""
    due_by: Instant | None = None
    """What has something to send that is due by then, or has failed."""
    wanted: Wanted | None = None
    delivered: State | None = None
    receiver: str | None = None
    limit: int = 100


class Known(NamedTuple):
    """An integration as the last configuration named it."""

    id: str
    key_id: str
    receiver: str
    position: int


class Kind(NamedTuple):
    """What pages are counted by."""

    integration: str
    """The integration that carries their calls: their own, or the fallback that holds them open."""
    wanted: Wanted
    delivered: State
    severity: Severity


class Counts(msgspec.Struct, frozen=True):
    """How many pages there are; read in constant time."""

    pages: Mapping[Kind, int]
    waiting: Mapping[tuple[str, Lane], int]
    """By (integration that carries the call, lane): pages with something to send, not in flight."""
    in_flight: Mapping[str, int]
    """By the integration that carries the call."""
    dead: Mapping[str, int]
    """Dead letters by integration."""
    oldest: Mapping[Lane, Instant]
    """By lane: when the oldest change that waits was accepted."""


class SelfPage(msgspec.Struct, frozen=True):
    """What PagerDuty was told for one reason, under one routing key."""

    reason: str
    key_id: str
    integration: str
    """Integration.id."""
    state: State
    at: Instant
    """Start of the last call."""
    because: str
    """What that call said."""
    since: Instant
    """When the reason was rung, and `lasts`, for how long it counts from then; None: until it is over."""
    lasts: Duration | None = None


class Pause(NamedTuple):
    """Who paused what, and for how long."""

    id: int
    receiver: str
    """"" for everything."""
    since: Instant
    until: Instant
    by: str
    ended_at: Instant = 0
    """When somebody ended it before its time; 0: nobody did."""
    ended_by: str = ""


class Hook(NamedTuple):
    """Where a routing key was found to lead at PagerDuty."""

    key_id: str
    integration: str
    """PagerDuty's id of it."""
    service: str
    proven_at: Instant = 0
    """When an alert that this store sent there was last seen open; 0: never."""
