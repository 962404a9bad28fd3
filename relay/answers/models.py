"""The answers themselves: plain frozen values in the words of people; every time is RFC3339 in UTC, or null."""

from collections.abc import Mapping
from typing import Any

import msgspec


class PageLine(msgspec.Struct, frozen=True, kw_only=True):
    """One page as a list shows it."""

    id: str
    """Short id; its address is `/pages/<id>`."""
    title: str = ""
    """What it is about: its alertname; of a storm page the words of its summary."""
    state: str
    """One word for the whole of it: `open`, `waiting`, `closed` ... (relay/answers/words.py lists them)."""
    why: str
    """What the relay has done, or is waiting for, as a sentence."""
    severity: str
    receiver: str
    integration: str
    """Name of the integration, as metrics call it."""
    dedup_key: str
    source: str
    group_key: str
    group_labels: Mapping[str, str]
    wanted: str
    delivered: str
    firing: int
    """Alerts that fire, suppressed ones included."""
    suppressed: int
    """Of those, how many a rule keeps quiet."""
    lane: str | None
    """The queue it waits in; null: nothing to send."""
    due_at: str | None
    """When its next delivery is due."""
    in_flight: bool
    failures: int
    """Attempts in a row that failed."""
    last_error: str
    rung: str = ""
    """How its next event goes out: "" in full to its own receiver, else minimal, fallback or fallback minimal."""
    fallback: str | None = None
    """The receiver it goes to in place of its own."""
    dead: str = ""
    """Why it is a dead letter; "" when it is none."""
    discarded: str = ""
    """Who let go of the dead letter, and when."""
    episode: int
    revision: int
    sent_revision: int
    """The revision PagerDuty accepted last."""
    opened_at: str | None
    changed_at: str | None
    """When the oldest change not yet delivered was accepted."""
    last_sent_at: str | None
    heard_at: str | None
    closed_at: str | None
    successor: str | None = None
    """The linked page that took over."""
    storm: bool = False
    """Whether it is the storm page of its integration, that new pages are folded into when there are too many."""
    folded: str | None = None
    """The storm page that its alerts were folded into."""
    incident: str | None = None
    """Id of its incident at PagerDuty, where that is known."""
    incident_number: int | None = None
    incident_url: str | None = None
    acknowledged_by: str = ""
    """Who has it at PagerDuty; "" for nobody."""
    acknowledged_at: str | None = None
    assignees: tuple[str, ...] = ()
    """To whom PagerDuty assigned it, as last heard."""
    elsewhere_at: str | None = None
    """When its incident was closed at PagerDuty, and not by the relay."""
    elsewhere_by: str = ""
    """Who did that; "" for a timer or an automation."""


class ActAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody did about a page at PagerDuty."""

    at: str | None
    kind: str
    """acknowledged, resolved, merged, reassigned, annotated ... (docs/http-api.md lists them)."""
    who: str
    """"" for nobody that is named: a timer, a rule."""
    incident: str
    url: str
    words: str
    """What was said: a note, to whom it is assigned."""
    ignored: str
    """Why it changed nothing of the page; "" where it counted."""


class MemberAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One alert of a page."""

    alertname: str
    fingerprint: str
    source: str
    status: str
    """firing or resolved."""
    severity: str
    lowered: str = ""
    """Why that is milder than its route's map says; "" when it is not."""
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    route: str
    """Alertmanager's id of the route that brought it."""
    receiver: str
    suppressed: str
    """Why it is kept quiet; "" when it is not."""
    absent_since: str | None = None
    """Since when the complete bodies of its group do not name it: perhaps it is muted in Alertmanager."""
    stale_since: str | None = None
    """Since when it was not heard of for too long."""
    since: str | None
    """startsAt of its current episode."""
    joined_at: str | None
    ended_at: str | None = None


class AttemptAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One call to PagerDuty."""

    at: str | None
    action: str
    rung: str = ""
    """Of the delivery ladder: "" for the full event to its own receiver, else minimal, fallback or fallback minimal."""
    lane: str
    outcome: str
    """delivered, retry, rejected, unchanged (nothing was sent), lost (a crash), or `in flight`."""
    reason: str
    message: str
    """The far end's own words, shortened."""
    revision: int
    took_ms: float | None


class PageAnswer(PageLine, frozen=True, kw_only=True):
    """One page with everything that is known of it."""

    resolved: int
    stale: bool = False
    """Whether all that fires in it was not heard of for too long."""
    members: tuple[MemberAnswer, ...]
    """Firing first, worst first; at most 1,000."""
    attempts: tuple[AttemptAnswer, ...]
    """Newest first; at most 100."""
    event: Mapping[str, Any] | None
    """The event as last sent, without the routing key."""
    confirmed_at: str | None = None
    """When PagerDuty was first known to have an incident for its last trigger."""
    acts: tuple[ActAnswer, ...] = ()
    """What people and timers did about it at PagerDuty, newest last; the last 50."""


class DecisionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one alert in one message, and why."""

    at: str | None
    source: str
    group_key: str
    alertname: str
    fingerprint: str
    status: str
    verdict: str
    pages: tuple[str, ...]
    steps: tuple[str, ...]


class Decisions(msgspec.Struct, frozen=True, kw_only=True):
    """Decisions, newest message first."""

    decisions: tuple[DecisionAnswer, ...]
    next: int | None
    """What `before` takes to read on; null: there is no more."""


class Pages(msgspec.Struct, frozen=True, kw_only=True):
    """Pages in the order of their ids, or as a person needs them."""

    pages: tuple[PageLine, ...]
    next: str | None
    """What `after` takes to read on; null: there is no more, or they are not in the order of their ids."""
    counts: Mapping[str, int] = {}
    """As a person needs them: how many there are of each state, listed or not, the most urgent first."""


class LaneAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One lane of the queue, over all integrations."""

    waiting: int
    oldest_at: str | None
    """When the oldest change that waits was accepted."""
    oldest_age_seconds: float | None


class IntegrationAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One integration and what it has to do."""

    name: str
    waiting: int
    in_flight: int
    dead_letters: int
    open: int
    """Pages that PagerDuty holds open here; one that went to its fallback counts at the fallback."""
    unconfirmed: int = 0
    """Pages that may be open, and for which PagerDuty showed no incident in time."""
    confirmation: str = ""
    """Whether that is looked after: `on` or `off`, and by what or why not; "" where that is not known."""


class SourceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One sender and when it was last heard."""

    source: str
    heard_at: str | None


class StatusAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How the relay is doing."""

    version: str
    started_at: str | None
    uptime_seconds: float
    config: str
    """First 16 hex digits of the sha256 of the configuration file."""
    store: str
    store_bytes: int
    sources: tuple[SourceAnswer, ...]
    queue: Mapping[str, LaneAnswer]
    """By lane, the most urgent first."""
    integrations: tuple[IntegrationAnswer, ...]
    pages: Mapping[str, int]
    """How many pages are wanted `open`, `quiet` and `closed`."""
    in_flight: int
    dead_letters: int
    trouble: Mapping[str, str] = {}
    """What the relay pages about itself now, by reason."""
    paused: tuple[str, ...] = ()
    """What is sent to nobody now, until when, and who said so."""


class PauseAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One pause."""

    receiver: str | None
    """null: everything."""
    since: str | None
    until: str | None
    by: str
    ended_at: str | None = None
    ended_by: str = ""


class PausesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is paused now, and what was, newest first."""

    paused: tuple[PauseAnswer, ...]
    past: tuple[PauseAnswer, ...]
    resumed: tuple[PauseAnswer, ...] = ()
    """Of the answer to a DELETE: what it ended."""
    due: int = 0
    """Of the answer to a DELETE: how many pages those had held back that are due now."""
