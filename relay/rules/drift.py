"""Where Alertmanagers, the relay's pages and PagerDuty differ: what was seen, in sentences, and what may put it right.

What is missing somewhere proves nothing by itself. A difference is put right only where something shows which side is
wrong, where it was seen twice, minutes apart, and where the page did not change in between.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec

from relay.alert import MINUTE, SECOND, Duration, Instant
from relay.page import Lane, Line, Page, State, Wanted
from relay.rules.gone import APART, Poll

SETTLED: Duration = 2 * MINUTE
"""How long nothing must have been sent of a page before it is compared: PagerDuty takes events asynchronously."""
CLOCKS: Duration = 2 * SECOND
"""How far PagerDuty's clock may be behind."""


class Kind(StrEnum):
    """What differs."""

    LOST_RESOLVE = "lost_resolve"
    """Nothing of it fires here, and it is open at PagerDuty."""
    LOST_TRIGGER = "lost_trigger"
    """It fires here and was accepted by PagerDuty, which has no incident for it."""
    CLOSED_ELSEWHERE = "closed_elsewhere"
    """It fires here, and somebody closed it at PagerDuty without our hearing of it."""
    MUTED_OPEN = "muted_open"
    """All of it is kept quiet here, and it is open at PagerDuty."""
    KEY_GONE = "key_gone"
    """It may be open under a routing key that is not at hand any more."""
    MISSED_WEBHOOK = "missed_webhook"
    """It fires at an Alertmanager, and is not held here."""


class Repair(StrEnum):
    """What puts a difference right."""

    RESOLVE = "resolve"
    """Send the resolve again."""
    TRIGGER = "trigger"
    """Send the trigger again."""
    ELSEWHERE = "elsewhere"
    """Count it as closed elsewhere: the table says whether and when it is opened again."""
    CLOSE = "close"
    """Close its incident over the REST API."""
    CLOSED = "closed"
    """Count it as closed under that key."""


class OpenAlert(msgspec.Struct, frozen=True):
    """One alert that is open at PagerDuty."""

    key: str
    """The dedup key."""
    incident: str
    number: int
    url: str
    status: str
    """The incident's: triggered or acknowledged."""
    service: str
    integration: str
    """PagerDuty's id of it."""
    created_at: Instant
    title: str


class Incident(msgspec.Struct, frozen=True):
    """One incident that a dedup key has or had."""

    id: str
    number: int
    url: str
    service: str
    open: bool
    ended_at: Instant
    """When its status last changed."""
    by: str
    """The person who closed it; "" for a timer or an automation."""
    by_us: bool
    """Whether an event through an integration did."""


class Known(msgspec.Struct, frozen=True):
    """Where a routing key leads, as PagerDuty said while the key was at hand."""

    integration: str
    service: str
    status: str = ""
    """The service's, as of now; "" where the key is not at hand."""
    proven: bool = False
    """Whether an alert of ours was ever seen open there."""


class Named(NamedTuple):
    """One alert of a page."""

    source: str
    fingerprint: str
    firing: bool
    stale: bool
    joined_at: Instant
    """When this firing of it was accepted."""


class Look(msgspec.Struct, frozen=True):
    """What was found at one time, on all sides. All of PagerDuty's open alerts are in it, or there is no look."""

    began: Instant
    open: Mapping[str, tuple[OpenAlert, ...]]
    """By dedup key, what is open at PagerDuty."""
    known: Mapping[str, Known]
    """By the relay's id of a routing key."""
    at_hand: frozenset[str]
    """Ids of the routing keys that are at hand."""
    polls: Mapping[str, Poll] = {}
    """By source that names its Alertmanagers, what they said."""
    incidents: Mapping[str, tuple[Incident, ...]] = {}
    """By dedup key, what PagerDuty has or had of it; only those that were asked for by name."""
    members: Mapping[int, tuple[Named, ...]] = {}
    """By page, its alerts; only of pages that were looked up."""


class Suspect(NamedTuple):
    """A line of a page that differs from what PagerDuty has open, before anybody asked why."""

    kind: Kind
    """LOST_TRIGGER stands for CLOSED_ELSEWHERE too: which it is, its incidents say."""
    page: Page
    line: Line
    alerts: tuple[OpenAlert, ...]
    """What is open of it: more than one is in doubt."""


Stamp = tuple[int, int, str, Instant, str, Instant]


class Drift(msgspec.Struct, frozen=True):
    """One difference with its evidence."""

    kind: Kind
    evidence: tuple[str, ...]
    """Sentences."""
    page: int = 0
    """The page; 0 where there is none."""
    key_id: str = ""
    """Of the line of the page."""
    dedup_key: str = ""
    title: str = ""
    incident: Incident | None = None
    incident_url: str = ""
    """Where people look at it."""
    integration: str = ""
    """PagerDuty's id of that of the alert that is open."""
    repair: Repair | None = None
    """What would put it right; None: nothing that is certain."""
    doubt: str = ""
    """Why that is not done by what was seen now; "" if seeing it twice is enough."""
    expected: str = ""
    """The setting that wants it so: then it is none."""
    stamp: Stamp | None = None
    """How the page stood."""
    joined_since: bool = False
    """Of what was closed elsewhere: whether an alert joined that did not fire then."""

    @property
    def mark(self) -> object:
        """Name what must be seen twice: this difference of this page as it stands."""
        return (self.kind, self.page, self.key_id, self.repair, self.incident and self.incident.id, self.stamp)


Marks = Mapping[object, Instant]
"""Differences that were seen, and since when, by the steady clock."""


def ripe(before: Marks, drifts: Iterable[Drift], at: Instant) -> tuple[Marks, tuple[Drift, ...]]:
    """Say since when each certain difference was seen in every look, and which were for long enough to be put right.

    One that a look did not show, or was in doubt of, begins anew.
    """
    certain = {drift.mark: drift for drift in drifts if drift.repair and not drift.doubt and not drift.expected}
    seen = {mark: before.get(mark, at) for mark in certain}
    return seen, tuple(certain[mark] for mark, since in seen.items() if at - since >= APART)


def stamp(page: Page, line: Line) -> Stamp:
    """Name how a page and one of its lines stand: whatever is sent or wanted of it changes this."""
    return (page.episode, page.revision, page.wanted.value, page.last_sent_at, line.state.value, line.at)


def minted(page: Page, line: Line) -> bool:
    """Say whether this store sent PagerDuty this dedup key under this routing key: nothing else is ever touched."""
    return any(one.key_id == line.key_id and one.state is not State.NEVER for one in page.lines)


# Who is suspected


_AT_WORK = frozenset({Lane.CRITICAL, Lane.ERROR, Lane.WARNING, Lane.RESOLVE})
"""Lanes in which a page waits to be put in step anyway."""
_LIVE = frozenset({State.OPEN, State.UNKNOWN_TRIGGER, State.UNKNOWN_RESOLVE})


def suspects(page: Page, look: Look) -> tuple[Suspect, ...]:
    """Say what of a page is not as PagerDuty has it, unless the page is at work, or was a moment ago."""
    moved_on = page.handed_over and page.wanted is not Wanted.CLOSED
    if page.in_flight or page.lane in _AT_WORK or moved_on or last_touched(page) > look.began - SETTLED:
        return ()
    found = (_suspect(page, line, look) for line in page.lines if minted(page, line))
    return tuple(one for one in found if one is not None)


def last_touched(page: Page) -> Instant:
    """Say when anything was last done about a page."""
    return max(page.changed_at, page.last_sent_at, page.opened_at, *(line.at for line in page.lines), 0)


def not_ours(look: Look, pages: Iterable[Page]) -> int:
    """Count what is open in integrations of ours under dedup keys that this store never sent there.

    `pages`: every page that has one of the dedup keys that are open.
    """
    sent = {
        (page.dedup_key, look.known[line.key_id].integration)
        for page in pages
        for line in page.lines
        if line.key_id in look.known and minted(page, line)
    }
    ours = {known.integration for known in look.known.values()}
    there = ((alert.key, alert.integration) for alerts in look.open.values() for alert in alerts)
    return sum(one[1] in ours and one not in sent for one in there)


def _suspect(page: Page, line: Line, look: Look) -> Suspect | None:
    if line.key_id not in look.at_hand:
        return _stranded(page, line, look)
    known = look.known.get(line.key_id)
    if known is None:
        return None  # PagerDuty does not say where that key leads: nothing can be compared
    alerts = _of(page, known, look)
    if not alerts:
        missing = line.state is State.OPEN and page.wanted is not Wanted.CLOSED and not page.dead
        return Suspect(Kind.LOST_TRIGGER, page, line, ()) if missing else None
    if page.wanted is Wanted.QUIET and (line.state not in _LIVE or line.state is State.OPEN):
        return Suspect(Kind.MUTED_OPEN, page, line, alerts)
    over = page.wanted is Wanted.CLOSED and (line.state not in _LIVE or page.left_open)
    return Suspect(Kind.LOST_RESOLVE, page, line, alerts) if over else None


def _stranded(page: Page, line: Line, look: Look) -> Suspect | None:
    known = look.known.get(line.key_id)
    alerts = _of(page, known, look) if known else _by_incident(page, look)
    if page.left_open or (not alerts and line.state not in _LIVE):
        return None
    return Suspect(Kind.KEY_GONE, page, line, alerts)


def _of(page: Page, known: Known, look: Look) -> tuple[OpenAlert, ...]:
    """Find what is open of a page in one integration: another's alert may have the same dedup key."""
    alerts = look.open.get(page.dedup_key, ())
    return tuple(one for one in alerts if known.integration and one.integration == known.integration)


def _by_incident(page: Page, look: Look) -> tuple[OpenAlert, ...]:
    """Find what is open of a page by the incident that PagerDuty told us of."""
    return tuple(one for one in look.open.get(page.dedup_key, ()) if page.incident and one.incident == page.incident)
