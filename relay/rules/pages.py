"""The life of one page: what to do next and when, as the table in relay/page.py says."""

from collections.abc import Sequence

from msgspec.structs import replace

from relay.alert import MINUTE, SECOND, Duration, Instant
from relay.event import Severity
from relay.page import NEXT, Do, Lane, Line, Page, State, Wanted

SPACING = 1 * SECOND
"""Least time between two deliveries of one page: PagerDuty takes events asynchronously."""

_NEW_LANE = {
    Severity.CRITICAL: Lane.CRITICAL,
    Severity.ERROR: Lane.ERROR,
    Severity.WARNING: Lane.WARNING,
    Severity.INFO: Lane.WARNING,
}

STORM_AHEAD: Duration = 1 * MINUTE
"""How much earlier a new storm page is due than what is new with it: it says most of all."""

CARRIES = frozenset({Do.TRIGGER, Do.UPDATE, Do.REOPEN})
"""What carries content: what a refused event and a refused key are about. A resolve says only whom it means."""

_TOLD = (State.OPEN, State.UNKNOWN_TRIGGER, State.UNKNOWN_RESOLVE)

LIVE = frozenset(_TOLD)
"""States in which PagerDuty may hold an open incident."""


def next_step(page: Page) -> Do:
    """Read the table for a page, with what switches a cell off."""
    if page.left_open and page.wanted is not Wanted.OPEN:
        return Do.NOTHING
    if page.handed_over and page.wanted is not Wanted.CLOSED:
        return Do.NOTHING  # its members moved on; it waits for the successor's 202
    do = NEXT[page.wanted, page.delivered]
    if do is Do.REOPEN and respected(page):
        return Do.NOTHING
    if do is Do.MUTE and (page.muted or page.on_mute == "leave" or page.waiting >= page.quiet):
        return Do.NOTHING
    if do is Do.UPDATE and page.ack_asked_at and not page.ack_sent_at:
        return Do.ACKNOWLEDGE
    return do


def plan(page: Page, now: Instant) -> Page:
    """Put a page in the lane and at the time its next delivery is due, or in none."""
    if page.in_flight:
        return page  # settling plans it
    do = next_step(page)
    if do is Do.SUPERSEDE or (do is Do.NOTHING and page.wanted is Wanted.CLOSED):
        return replace(page, lane=None, judge_at=None, closed_at=page.closed_at or now)
    if do is Do.NOTHING or (page.dead and do in CARRIES):
        return replace(page, lane=None)
    if do is Do.REOPEN and reopens_at(page) > now:
        return _awaiting(page)
    return _carried(_planned(page, do, now), do)


def _planned(page: Page, do: Do, now: Instant) -> Page:
    if do is Do.UPDATE:
        return _plan_update(page, now)
    after = earliest(page, do, now)
    if do not in (Do.TRIGGER, Do.REOPEN):
        return _queue(page, Lane.RESOLVE, after, now)
    if do is Do.REOPEN and not page.changed_at:
        page = replace(page, changed_at=now)  # it waits from now on
    lane = _NEW_LANE[page.severity]
    if page.storm and lane is not Lane.CRITICAL:  # before the pages that made the storm, which are due at the same time
        return _queue(page, Lane.ERROR, after, now, ahead=STORM_AHEAD)
    return _queue(page, lane, after, now)


def respected(page: Page) -> bool:
    """Say whether a page stays closed that a person closed at PagerDuty while it fires; a timer is no judgement."""
    return page.on_pd_resolve == "respect" and bool(page.elsewhere_by)


NEVER: Instant = 2**63 - 1


def reopens_at(page: Page) -> Instant:
    """Say when a page is opened again that was closed elsewhere: at the next repeat that was heard, or at once when
    an alert joined; NEVER while nothing of that is known."""
    if page.joined_since:
        return 0
    if page.heard_at <= page.elsewhere_at:
        return NEVER
    return max(page.last_sent_at + page.repeat_interval, page.heard_at)


def _awaiting(page: Page) -> Page:
    """Have the scheduler look when a page is to be opened again: it waits in no lane that long."""
    at = reopens_at(page)
    judge_at = page.judge_at if at == NEVER else min(page.judge_at or at, at)
    return replace(page, lane=None, judge_at=judge_at)


def _carried(page: Page, do: Do) -> Page:
    """Note through which integration the next call goes: its budget and its circuit count."""
    if not page.via and not page.fallback_to and not any(line.integration for line in page.lines):
        return page
    line = line_for(page, do, [line for line in page.lines if not line.gone])
    via = line.integration if line is not None else page.fallback_to if do in CARRIES else ""
    return page if via == page.via else replace(page, via=via)


def line_for(page: Page, do: Do, at_hand: Sequence[Line]) -> Line | None:
    """Choose among the lines whose key is at hand: content goes to the one that is open at the receiver it goes to
    (None: there is none yet), a resolve to each that may be open, those of a refused key last."""
    states = _TOLD if do is Do.RESOLVE else _TOLD[:2]
    if do in CARRIES:
        at_hand = [line for line in at_hand if line.integration == page.fallback_to]
    may_be_open = [line for line in at_hand if line.state in states]

    def order(line: Line) -> tuple[bool, Instant, bool, int]:
        turn = line.at if line.refused else 0  # of those that are refused the one that waits longest
        return line.refused, turn, line.integration != page.fallback_to, states.index(line.state)

    return min(may_be_open, key=order, default=None)


def _plan_update(page: Page, now: Instant) -> Page:
    if in_step(page):
        return page if page.lane is Lane.REFRESH else replace(page, lane=None)
    shown = page.shown_severity
    rises = shown is not None and page.severity.rank < shown.rank
    wait = SPACING if rises else max(SPACING, page.group_interval)
    return _queue(page, Lane.UPDATE, _last_sent(page, now) + wait, now)


def in_step(page: Page) -> bool:
    """Say whether an open page shows what it should; what changed and changed back needs no update."""
    return page.revision == page.sent_revision or page.content == page.sent_content


def reached(page: Page) -> bool:
    """Say whether PagerDuty has taken this episode of a page, also while an update is under way."""
    return page.shown_severity is not None and page.delivered in (State.OPEN, State.UNKNOWN_TRIGGER)


def outgrown(page: Page) -> str:
    """Say why a page must be opened anew, since PagerDuty would notify nobody of an update; "" if it need not.

    What opened a page fixed its urgency there, and whom it notified of what.
    """
    opened = page.sent_severity
    live = page.delivered in (State.OPEN, State.UNKNOWN_TRIGGER)
    if page.wanted is not Wanted.OPEN or page.handed_over or opened is None or not live:
        return ""
    if page.acknowledged or page.acknowledging:
        return "it was acknowledged while it was muted: PagerDuty would notify nobody"
    rises = page.severity.rank < opened.rank
    if rises and (page.regroup_worse or (page.regroup_urgency and page.severity.urgent and not opened.urgent)):
        return f"severity rose from {opened} to {page.severity}: PagerDuty notifies nobody of an update"
    if page.regroup_growth > 1 and page.sent_firing and page.firing >= page.regroup_growth * page.sent_firing:
        return f"it grew from {page.sent_firing} to {page.firing} alerts: PagerDuty notifies nobody of an update"
    return ""


def queue_refresh(page: Page, heard_at: Instant) -> Page:
    """Queue an open page of which a firing member was heard since its last delivery for its next refresh; one that
    was closed elsewhere is opened again."""
    if page.delivered is State.ELSEWHERE:
        return plan(replace(page, heard_at=max(heard_at, page.heard_at)), heard_at)
    if not page.repeat_interval or page.handed_over or page.dead or heard_at <= page.last_sent_at:
        return page
    due = max(page.last_sent_at + page.repeat_interval, heard_at)
    return replace(page, lane=Lane.REFRESH, due_at=due, delay=due - heard_at, heard_at=heard_at)


def earliest(page: Page, do: Do, now: Instant) -> Instant:
    """Say before when PagerDuty must not hear of a page again."""
    after = _last_sent(page, now) + SPACING
    if do is Do.RESOLVE or do is Do.MUTE:
        # An unanswered trigger may still be on its way: wait until its total timeout is over.
        unanswered = [line for line in page.lines if line.state is State.UNKNOWN_TRIGGER and not _ahead(line.at, now)]
        after = max([after, *(line.until for line in unanswered)])
    if do is Do.RESOLVE and page.wanted is Wanted.CLOSED:
        after = max(after, page.resolve_after)
    if do is Do.TRIGGER and page.delivered in (State.NEVER, State.CLOSED):
        after = max(after, page.trigger_after)
    return after


def _last_sent(page: Page, now: Instant) -> Instant:
    """Say when a page was last sent; 0 if that lies ahead, or nothing would be sent until the clock is there again."""
    return 0 if _ahead(page.last_sent_at, now) else page.last_sent_at


def _ahead(at: Instant, now: Instant) -> bool:
    """Say whether something that is over lies ahead: the wall clock was set back since."""
    return at > now + SPACING


def _queue(page: Page, lane: Lane, after: Instant, now: Instant, ahead: Duration = 0) -> Page:
    """Queue a page; in the lane it is in already it keeps its place, and its back-off after a failure."""
    due = now - ahead
    if page.lane is lane:
        due = page.due_at if page.failures else min(page.due_at, now)
    due = max(due, after)
    return page if page.lane is lane and due == page.due_at else replace(page, lane=lane, due_at=due, delay=due - now)


def done(page: Page) -> bool:
    """Say whether nothing fires in a page and nothing of it can be open at PagerDuty."""
    return page.wanted is Wanted.CLOSED and page.delivered not in LIVE and not page.left_open and not page.in_flight
