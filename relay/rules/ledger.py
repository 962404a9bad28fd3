"""What the judge is shown of the store, and what it hands back to be written."""

from collections.abc import Mapping
from enum import IntEnum

import msgspec

from relay.alert import Duration, Instant, Sent
from relay.decision import Decision
from relay.event import Action
from relay.page import Lane, Member, Page


class Role(IntEnum):
    """What an alert is to a key."""

    SOURCE = 0
    """It inhibits targets with this key."""
    TWO_SIDED = 1
    """The same, and it is a target of the rule itself: it inhibits only targets that are no sources."""
    WATCHER = 2
    """It must be judged again when something changes about the key: who inhibits, or a silence."""


class Link(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One alert at one key: an inhibit rule with the values of its equal labels, or a silence."""

    key: int
    role: Role
    name: str = ""
    """The source as people know it: `JobDown{job="x"}`; "" for a watcher."""
    absent_at: Instant = 0
    """Since when a source is missing from its group's bodies; 0: it is not."""


class Inhibitor(msgspec.Struct, frozen=True, gc=False):
    """One alert that fires at a key and inhibits."""

    alert: int
    role: Role
    name: str
    absent_at: Instant = 0


class Held(msgspec.Struct, frozen=True, gc=False):
    """One alert as the store holds it: its last accepted statement."""

    id: int
    source: str
    fingerprint: str
    firing: bool
    starts_at: Instant
    """Of the current episode, the earliest that was stated."""
    ends_at: Instant
    digest: bytes
    raw: bytes
    """The alert as one JSON object in Alertmanager's v4 form."""
    groups: tuple[str, ...] = ()
    """Alertmanager's group keys it was heard in, newest last, at most 8."""
    changed_at: Instant = 0
    heard_at: Instant = 0
    verdict: str = ""
    """The last decision's verdict."""
    judge_at: Instant | None = None
    """When it must be judged again because time makes something due: a hold, a silence or a window ends or begins."""
    links: tuple[Link, ...] = ()
    """Its rows in `links`: where it inhibits others, and what it waits for."""
    lasts: Duration = 0
    """How long after it was last heard it counts as resolved unless it is sent again; 0: only a resolve ends it."""
    absent_at: Instant = 0
    """Since when it is missing from the complete bodies of its group; 0: it is not."""
    stale_at: Instant = 0
    """Since when it was not heard of for too long; 0: it was."""
    ours: bool = False
    """The relay itself says it: no rule routes or suppresses it."""
    stale_after: Duration = 0
    """It was paged while the store took no writes, and no body that was accepted has named it: not heard again for so
    long it is stale, whatever its source says. 0: as its source says."""
    sent: Sent | None = None
    """Where it came as an Events API event: such an alert is sent once, and over only when its sender says so."""


class Lookup(msgspec.Struct, frozen=True):
    """The names of what must be remembered before judging."""

    alerts: tuple[int, ...] = ()
    """Alert ids; their memberships and those members' pages come with them."""
    pages: tuple[int, ...] = ()
    """Page ids; their whole chain of successors comes with them."""
    whole: tuple[int, ...] = ()
    """Page ids of which every member is wanted (and the members' other pages are not)."""
    keys: tuple[int, ...] = ()
    """Inhibition keys: who inhibits there comes with them. Of those who are not in `alerts` only the strongest: of each
    role one that is there, and the one that is absent latest."""


class Ledger(msgspec.Struct, frozen=True):
    """What the store remembers of a Lookup."""

    alerts: Mapping[int, Held]
    pages: Mapping[int, Page]
    members: Mapping[int, tuple[Member, ...]]
    """By alert id: every membership of the alerts asked for."""
    whole: Mapping[int, tuple[Member, ...]] = {}
    """By page id: every member of the pages asked for whole."""
    inhibitors: Mapping[int, tuple[Inhibitor, ...]] = {}
    """By inhibition key: who inhibits there."""


class Recorded(msgspec.Struct, frozen=True):
    """One message (or act) as the journal keeps it: counts of everything, decisions of what changed."""

    at: Instant
    source: str
    group_key: str
    receiver: str
    outcomes: Mapping[str, int]
    decisions: tuple[Decision, ...]


class Folded(msgspec.Struct, frozen=True):
    """How much of an integration was folded into its storm page."""

    receiver: str
    """Integration.name."""
    pages: int
    alerts: int
    begins: bool = False
    """Whether the storm begins with them."""


class Changed(msgspec.Struct, frozen=True):
    """One change event that waits to be sent to one integration."""

    integration: str
    at: Instant
    """When it was accepted."""
    event: bytes
    """A JSON object as `/v2/change/enqueue` takes it, without the routing key."""


class Plan(msgspec.Struct, frozen=True):
    """What should be written, all of it or none: the answer of a judgement."""

    alerts: tuple[Held, ...] = ()
    """Rows to write whole."""
    pages: tuple[Page, ...] = ()
    """Rows to write whole."""
    members: tuple[Member, ...] = ()
    """Rows to write whole."""
    cleared: tuple[int, ...] = ()
    """Pages whose members that do not fire are forgotten (a new episode begins), before `members` are written."""
    left: tuple[tuple[int, int], ...] = ()
    """(page, alert) memberships to delete."""
    moved: tuple[tuple[int, int], ...] = ()
    """(from page, to page): every member moves over, and who waits for the one waits for the other. Written first."""
    judge: tuple[int, ...] = ()
    """Other pages the scheduler must look at, from `judge_at` on."""
    judge_at: Instant = 0
    linked: tuple[tuple[int, Link], ...] = ()
    """(alert id, link) rows to write."""
    unlinked: tuple[tuple[int, Link], ...] = ()
    """(alert id, link) rows to delete, before `linked` is written."""
    stirred: tuple[int, ...] = ()
    """Keys whose watchers must be judged again."""
    suppressed: tuple[str, ...] = ()
    """For each member that is kept quiet from now on, by what: a SuppressionKind, the first of several."""
    folded: tuple[Folded, ...] = ()
    """What was folded into storm pages."""
    changes: tuple[Changed, ...] = ()
    """Change events to send."""
    record: Recorded | None = None
    groups: tuple[tuple[str, str], ...] = ()
    """(source, group_key) whose cached answers no longer hold."""
    cacheable: bool = False
    """Whether the same body, sent again, would change nothing and find all its alerts held."""
    heard: tuple[int, ...] = ()
    """Pages that hold a firing alert of the message."""
    decisions: tuple[Decision, ...] = ()
    """Of every alert that was judged, repeats included, in the order of the message."""


class Want(msgspec.Struct, frozen=True):
    """How many due pages of one integration and lane the dispatcher has budget for."""

    integration: str
    lane: Lane
    limit: int


class Attempt(msgspec.Struct, frozen=True):
    """One call to PagerDuty, written down before its first byte is sent."""

    id: int
    """0 until the store has numbered it."""
    page: int
    integration: str
    key_id: str
    lane: Lane
    action: Action
    revision: int
    """The page's revision when it was started."""
    episode: int
    at: Instant
    ended_at: Instant = 0
    outcome: str = ""
    """Empty while in flight; then delivered, retry, rejected, unchanged (equal to what is open) or lost (a crash)."""
    reason: str = ""
    message: str = ""
    dedup_key: str = ""
    content: int = 0
    """Page.content when it was started."""
    event: bytes = b""
    """The rendered event as JSON without the routing key; kept for people, b"" where there is none."""
    rung: str = ""
    """Which rung of the delivery ladder it stood on: "" for the full event to its own receiver, else minimal,
    fallback or fallback minimal."""


class Shown(msgspec.Struct, frozen=True):
    """One member of a claimed page with its alert, for rendering."""

    member: Member
    alert: Held


class Claim(msgspec.Struct, frozen=True):
    """A page in hand: its row as claimed (in flight), the attempt, and the members to show."""

    page: Page
    attempt: Attempt
    members: tuple[Shown, ...]
    """Firing first, worst first, then route order, then longest firing; at most 1,000. Empty for a resolve."""
    firing: int
    resolved: int
    """How many members there are in all, shown or not."""


class Started(msgspec.Struct, frozen=True):
    """What `start` says of a candidate page: the row to write, and the attempt to make (None: not now)."""

    page: Page
    attempt: Attempt | None


class Settled(msgspec.Struct, frozen=True):
    """What `settle` says of a page after an attempt: the row to write, and how the attempt ended."""

    page: Page
    attempt: Attempt
    judge: tuple[int, ...] = ()
    """Other pages to mark for the scheduler (`judge_at` = now)."""
