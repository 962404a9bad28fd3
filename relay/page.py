"""The row the relay keeps in step with PagerDuty, and the one table that says what to do next.

    wanted \\ delivered   never        unknown(trigger)  open      unknown(resolve)  closed   closed elsewhere
    open                  trigger      trigger           update    trigger           trigger  reopen
    quiet                 -            mute              mute      resolve           -        -
    closed                supersede    resolve           resolve   resolve           -        -

`wanted` is what should be true, `delivered` what PagerDuty has been told. Work is any page where the two differ.
"""

import base64
from collections.abc import Mapping
from enum import IntEnum, StrEnum
from functools import lru_cache

import msgspec

from relay.alert import MINUTE, Duration, Instant
from relay.event import Severity


class Wanted(StrEnum):
    """What should be true of a page."""

    OPEN = "open"
    QUIET = "quiet"
    """Something fires, and all of it is suppressed."""
    CLOSED = "closed"


class State(StrEnum):
    """What PagerDuty has been told of a page."""

    NEVER = "never"
    UNKNOWN_TRIGGER = "unknown(trigger)"
    OPEN = "open"
    UNKNOWN_RESOLVE = "unknown(resolve)"
    CLOSED = "closed"
    ELSEWHERE = "closed elsewhere"


class Do(StrEnum):
    """What the table says to do next."""

    TRIGGER = "trigger"
    UPDATE = "update"
    RESOLVE = "resolve"
    REOPEN = "reopen"
    ACKNOWLEDGE = "acknowledge"
    """Its sender asks for that, and PagerDuty has its trigger: no cell of the table, but a step on the way."""
    MUTE = "mute"
    SUPERSEDE = "supersede"
    NOTHING = "nothing"


class Lane(IntEnum):
    """Which queue a page waits in; smaller is more important."""

    CRITICAL = 0
    ERROR = 1
    RESOLVE = 2
    WARNING = 3
    """New warnings and infos."""
    UPDATE = 4
    REFRESH = 5


NEXT: Mapping[tuple[Wanted, State], Do] = {
    (Wanted.OPEN, State.NEVER): Do.TRIGGER,
    (Wanted.OPEN, State.UNKNOWN_TRIGGER): Do.TRIGGER,
    (Wanted.OPEN, State.OPEN): Do.UPDATE,
    (Wanted.OPEN, State.UNKNOWN_RESOLVE): Do.TRIGGER,
    (Wanted.OPEN, State.CLOSED): Do.TRIGGER,
    (Wanted.OPEN, State.ELSEWHERE): Do.REOPEN,
    (Wanted.QUIET, State.NEVER): Do.NOTHING,
    (Wanted.QUIET, State.UNKNOWN_TRIGGER): Do.MUTE,
    (Wanted.QUIET, State.OPEN): Do.MUTE,
    (Wanted.QUIET, State.UNKNOWN_RESOLVE): Do.RESOLVE,
    (Wanted.QUIET, State.CLOSED): Do.NOTHING,
    (Wanted.QUIET, State.ELSEWHERE): Do.NOTHING,
    (Wanted.CLOSED, State.NEVER): Do.SUPERSEDE,
    (Wanted.CLOSED, State.UNKNOWN_TRIGGER): Do.RESOLVE,
    (Wanted.CLOSED, State.OPEN): Do.RESOLVE,
    (Wanted.CLOSED, State.UNKNOWN_RESOLVE): Do.RESOLVE,
    (Wanted.CLOSED, State.CLOSED): Do.NOTHING,
    (Wanted.CLOSED, State.ELSEWHERE): Do.NOTHING,
}


class Line(msgspec.Struct, frozen=True, gc=False):
    """Where an attempt for this page was ever started: one (url, routing key), and what it was told."""

    key_id: str
    url: str
    state: State
    prior: State | None = None
    """While an attempt is in flight: the state to fall back to if PagerDuty certainly did not take it."""
    at: Instant = 0
    """Start of the last attempt."""
    until: Instant = 0
    """When that attempt's total timeout is over."""
    gone: bool = False
    """The routing key is not at hand any more: nothing can be sent here."""
    integration: str = ""
    """Integration.id that it belongs to; "" for the page's own: a fallback receiver's lines are another's."""
    refused: bool = False
    """PagerDuty refused the key at the last attempt: other lines go first."""


class Page(msgspec.Struct, frozen=True, gc=False):
    """One (integration, dedup_key), its wanted state, and what was delivered of it."""

    id: int
    integration: str
    """Integration.id."""
    dedup_key: str
    source: str
    group_key: str
    """Of the message or route group that opened it; for people."""
    receiver: str
    """Receiver whose texts it shows: that of its worst firing member."""
    target: int = 0
    """Index of the receiver's pagerduty_configs entry."""
    seq: int = 1
    """1 for the dedup key itself, 2 for `/2` ..."""
    group_labels: Mapping[str, str] = {}
    """The labels its members were grouped by, where the relay or the message knows them."""
    alertmanager_url: str = ""
    """externalURL of the last message that changed it."""

    wanted: Wanted = Wanted.OPEN
    severity: Severity = Severity.ERROR
    """Worst severity of this episode; never falls while the page is open."""
    tally: Mapping[str, int] = {}
    """Firing, unsuppressed members by `<severity rank> <route order> <route id>`."""
    quiet: int = 0
    """Firing members that are suppressed."""
    waiting: int = 0
    """Those of the quiet ones that only wait: a hold delays them, nothing mutes them."""
    shape: int = 0
    """Names the set of firing, unsuppressed members with their severities."""
    episode: int = 1
    again: int = 0
    """How often it fired again in this episode before its resolve was started."""
    revision: int = 1
    """Grows with each change of what should be shown."""

    lines: tuple[Line, ...] = ()
    sent_revision: int = 0
    """The revision of the last 202."""
    sent_severity: Severity | None = None
    """The severity of this episode's first started trigger: what fixed its urgency at PagerDuty."""
    shown_severity: Severity | None = None
    """The severity of the last 202."""
    sent_digest: str = ""
    """Names the last rendered event that got a 202."""
    sent_content: int = 0
    """`content` as of the last 202."""
    sent_firing: int = 0
    """How many members fired when this episode's first trigger was started."""

    lane: Lane | None = None
    """The lane it waits in; None: nothing to do."""
    due_at: Instant = 0
    delay: Duration = 0
    """The delay `due_at` came from."""
    in_flight: bool = False

    opened_at: Instant = 0
    """When this episode was accepted."""
    changed_at: Instant = 0
    """When the oldest change not yet delivered was accepted."""
    last_sent_at: Instant = 0
    closed_at: Instant = 0
    heard_at: Instant = 0
    """When a firing member was last named by a body."""

    failures: int = 0
    """Attempts in a row that failed."""
    last_error: str = ""
    minimal: bool = False
    """PagerDuty refused its content: it goes out as a minimal event, with nothing in it that could be refused."""
    fallback: str = ""
    """The receiver it goes to in place of its own, until it closes; "" for its own."""
    fallback_to: str = ""
    """Integration.id of that receiver; "" for its own."""
    via: str = ""
    """Integration.id whose budget and circuit its next call uses; "" for its own."""
    refused_at: Instant = 0
    """Since when the key it goes by is refused (401, 403 ..); 0: it is not."""
    dead: str = ""
    """Why it is a dead letter; "" when it is none."""
    dead_by: str = ""
    """Names the configuration (keys, texts, fallbacks) its content was last tried with: another one re-arms it."""
    discarded: str = ""
    """Who let go of the dead letter, and when; "" when nobody did. It counts as none then."""
    storm: bool = False
    """It is the page that an integration's new pages are folded into during a storm."""
    storm_until: Instant = 0
    """Of a storm page: until when its storm lasts, whatever is known of the count; 0: it is over."""
    folded: int | None = None
    """The storm page that its members moved to."""
    successor: int | None = None
    """The next page of its chain: the dedup key with `/2`, `/3` ..."""
    handed_over: bool = False
    """Its members moved to the successor; it is resolved after that one's 202."""
    predecessor: int | None = None
    """The page it took the members of."""
    opened_because: str = ""
    """Why it took them over in this episode: the severity rose, the page grew, it had been acknowledged."""
    judge_at: Instant | None = None
    """When the scheduler must look at it again because something else changed."""
    muted: bool = False
    """`on_mute` was carried out since it became quiet."""
    acknowledged: bool = False
    """The relay may have acknowledged it at PagerDuty (`on_mute: acknowledge`): nobody is notified of it any more."""
    acknowledging: bool = False
    """While such an acknowledgement is on its way: it may count before its answer is known."""
    trigger_after: Instant = 0
    """`group_wait`: its first trigger waits until then."""
    resolve_after: Instant = 0
    """`hold_resolve` or flapping: its resolve waits until then; if it fires again before, nothing is sent."""
    changes: tuple[Instant, ...] = ()
    """When it last changed between firing and resolved, as many as `flap` counts."""
    flapping: bool = False
    left_open: bool = False
    """Closed here, but PagerDuty was not told (`send_resolved: false`)."""

    ack_asked_at: Instant = 0
    """When its sender asked for it to be acknowledged (Events API); 0: nobody did in this episode."""
    ack_sent_at: Instant = 0
    """When PagerDuty took that acknowledgement."""
    opening_at: Instant = 0
    """When the trigger that began its incident was first started: nothing that happened before is about it."""
    triggered_at: Instant = 0
    """When PagerDuty took the trigger that began its incident: an update of an open one does not count."""
    incident: str = ""
    """Id of its incident at PagerDuty, from `incident.triggered` or the REST API; "" if not known."""
    incident_number: int = 0
    incident_url: str = ""
    confirmed_at: Instant = 0
    """When PagerDuty was first known to have an incident for the trigger of `triggered_at`; 0: it is not known."""
    doubted_at: Instant = 0
    """When that had been awaited for too long; 0: it was not."""
    acknowledged_by: str = ""
    """Who has it at PagerDuty; "" when nobody acknowledged it."""
    acknowledged_at: Instant = 0
    answered_at: Instant = 0
    """When somebody first acknowledged its incident, whatever became of that."""
    assignees: tuple[str, ...] = ()
    """To whom PagerDuty assigned it, as last heard."""
    status_at: Instant = 0
    """When that incident last changed between triggered, acknowledged and resolved, as far as was heard."""
    elsewhere_at: Instant = 0
    """When its incident was closed by somebody but us; 0: it was not."""
    elsewhere_by: str = ""
    """The person who did; "" for a timer or an automation."""
    joined_since: bool = False
    """Whether an alert joined since that did not fire then."""
    joined_at: Instant = 0
    """When an alert last began to page in it since it was first sent: that it was closed before may be heard later."""

    group_interval: Duration = MINUTE
    """Of the route of its worst firing member; copied at judgement."""
    repeat_interval: Duration = 0
    on_mute: str = "leave"
    on_pd_resolve: str = "reopen"
    on_acknowledge: str = "leave"
    send_resolved: bool = True
    regroup_urgency: bool = True
    regroup_growth: float = 0.0
    regroup_worse: bool = False
    hold_resolve: Duration = 0
    flap: tuple[int, Duration, Duration] | None = None
    """(changes, within, hold)."""

    @property
    def content(self) -> int:
        """Name everything whose change makes an update due: who fires, the severity, what the page says of itself."""
        number = ((self.shape * 7 + self.severity.rank) * 1_000_003 + self.again) * 2 + self.flapping
        return number & _SIXTY_THREE_BITS

    @property
    def delivered(self) -> State:
        """What PagerDuty has been told, over all lines whose key is at hand."""
        return delivered(self.lines)

    @property
    def carrier(self) -> str:
        """Integration.id whose budget and circuit its next call uses."""
        return self.via or self.integration

    @property
    def firing(self) -> int:
        """How many members fire and are not suppressed."""
        return sum(self.tally.values())


_SIXTY_THREE_BITS = 2**63 - 1

_PRECEDENCE = (State.OPEN, State.UNKNOWN_TRIGGER, State.UNKNOWN_RESOLVE, State.ELSEWHERE, State.CLOSED)


def delivered(lines: tuple[Line, ...]) -> State:
    """Sum the lines up: the most open one speaks for the page; lines without their key say nothing."""
    states = {line.state for line in lines if not line.gone}
    return next((state for state in _PRECEDENCE if state in states), State.NEVER)


class SuppressionKind(StrEnum):
    """What keeps an alert that fires quiet. The words are Alertmanager's where it has one."""

    UNROUTED = "unrouted"
    """A reload routes it to nobody."""
    SILENCE = "silence"
    INHIBITION = "inhibition"
    MUTE_TIME_INTERVAL = "mute_time_interval"
    ACTIVE_TIME_INTERVAL = "active_time_interval"
    HOLD = "hold"
    """`hold_trigger`: it must fire for a while first."""
    INHIBIT_HOLD = "inhibit_hold"
    """The alert that would inhibit it may still be on its way."""

    @property
    def waits(self) -> bool:
        """Whether it only delays a page: nothing is muted, and `on_mute` says nothing of it."""
        return self in (SuppressionKind.HOLD, SuppressionKind.INHIBIT_HOLD)

    @property
    def windowed(self) -> bool:
        """Whether a time interval of the route says so."""
        return self in (SuppressionKind.MUTE_TIME_INTERVAL, SuppressionKind.ACTIVE_TIME_INTERVAL)


class Suppression(msgspec.Struct, frozen=True, gc=False):
    """One reason why an alert that fires is kept quiet in a page."""

    kind: SuppressionKind
    because: str
    """The sentence a person wants to read at 3 a.m.: it names rule and source alert, silence and author, or the window,
    and when that ends."""
    until: Instant | None = None
    """When it ends, where time alone ends it."""


class Member(msgspec.Struct, frozen=True, gc=False):
    """One alert in one page, with the route that brought it."""

    page: int
    alert: int
    home: int
    """The page (seq 1) that routing put it in; where it is may be later in the chain, or older than a reload."""
    firing: bool
    severity: Severity
    route: str
    """Route.id."""
    order: int
    """Route.order."""
    receiver: str
    target: int = 0
    suppressions: tuple[Suppression, ...] = ()
    """Why it is kept quiet: every rule that says so; () when none does."""
    lowered: str = ""
    """Why its severity is milder than its route's map says; "" when it is not."""
    leaving: int | None = None
    """The page it joins after a reload: it leaves this one when that one has its 202."""
    joined_at: Instant = 0
    """When this firing of it was accepted; holds count from here."""
    never_loud: bool = False
    """Whether it was kept quiet ever since it joined."""
    held_until: Instant = 0
    """Until when `hold_trigger` and `inhibit_hold` keep it; decided once, when it joined."""
    said: int = 0
    """Of an event: names what it says (Sent.said). Other alerts say the same by the labels that name them."""

    @property
    def suppressed(self) -> str:
        """Why it is kept quiet, in words; "" when it is not."""
        return "; ".join(one.because for one in self.suppressions)

    @property
    def shape(self) -> int:
        """Its part in Page.shape: equal for equal alerts of equal severity, so that XOR puts a set together."""
        return (self.alert * (2 * self.severity.rank + 3) ^ self.said) & _SIXTY_THREE_BITS

    @property
    def waits(self) -> bool:
        """Whether it is kept quiet by holds alone."""
        return bool(self.suppressions) and all(one.kind.waits for one in self.suppressions)

    @property
    def tally_key(self) -> str:
        """Where Page.tally counts it."""
        return f"{self.severity.rank} {self.order} {self.route}"


@lru_cache(maxsize=1024)
def short_id(page: int) -> str:
    """Show a page's id as people see it: 13 characters, lower case."""
    return base64.b32encode(page.to_bytes(8, "big")).decode().rstrip("=").lower()


def page_number(short: str) -> int | None:
    """Read a short id back; None if it is none."""
    try:
        data = base64.b32decode(short.upper() + "===")
    except ValueError:
        return None
    number = int.from_bytes(data, "big")
    return number if len(data) == 8 and number < 2**63 else None  # ids have 63 bits, as stable_id makes them
