"""What an attempt does to a page: when it is started, and when its outcome is known."""

from msgspec.structs import replace

from relay.alert import SECOND, Duration, Instant
from relay.event import Action, Delivered, Outcome, Rejected, Retry
from relay.page import Do, Lane, Line, Page, State, Wanted
from relay.rules.acts import opening, taken_by
from relay.rules.ladder import configured, key_refused, refused, rung, stepped_aside
from relay.rules.ledger import Attempt, Settled, Started
from relay.rules.pages import (
    CARRIES,
    LIVE,
    SPACING,
    earliest,
    in_step,
    line_for,
    next_step,
    outgrown,
    plan,
    reached,
)
from relay.rules.rulebook import Rulebook

BACKOFF_CAP: Duration = 60 * SECOND
CONFIGURATION_FIRST: Duration = 30 * SECOND
CONFIGURATION_CAP: Duration = 300 * SECOND

UNCHANGED = "unchanged"
"""Outcome of an update that would have rendered equal to what is open: nothing was sent."""


def start(page: Page, now: Instant, book: Rulebook, timeout: Duration) -> Started:
    """Take a due page in hand: say which action goes to which line, and write it down as unknown before it is sent.

    `timeout` is the total timeout of one attempt. Returns no attempt where nothing is to be done any more.
    """
    page = stepped_aside(page, now, book)
    action = _action(page)
    line = _line(page, action, book) if action else None
    if action is None or line is None or earliest(page, next_step(page), now) > now:
        return Started(_idle(page, now), None)
    if line.integration != page.via:
        return Started(replace(page, via=line.integration), None)  # it is claimed again there, if that has budget
    lines = _put(page.lines, _begun(line, action, now, timeout))
    opened, shown = page.sent_severity, page.shown_severity
    firing, acknowledged = page.sent_firing, page.acknowledged or page.acknowledging
    if action is Action.TRIGGER and (opened is None or page.delivered not in (State.OPEN, State.UNKNOWN_TRIGGER)):
        opened, shown, firing, acknowledged = page.severity, None, page.firing, False
        if page.ack_sent_at or page.delivered is State.ELSEWHERE:  # that was another incident
            page = replace(page, ack_asked_at=0, ack_sent_at=0)
        page = opening(page, now)  # PagerDuty may confirm it before it answers
    started = replace(
        page,
        lines=lines,
        in_flight=True,
        sent_severity=opened,
        shown_severity=shown,
        sent_firing=firing,
        acknowledged=acknowledged,
        acknowledging=action is Action.ACKNOWLEDGE and next_step(page) is Do.MUTE,
        dead_by=configured(page, book) if action is Action.TRIGGER else page.dead_by,
    )
    attempt = Attempt(
        id=0,
        page=page.id,
        integration=page.carrier,
        key_id=line.key_id,
        lane=page.lane if page.lane is not None else Lane.UPDATE,
        action=action,
        revision=page.revision,
        episode=page.episode,
        at=now,
        dedup_key=page.dedup_key,
        content=page.content,
        rung=rung(page, elsewhere=bool(line.integration), content=action is Action.TRIGGER),
    )
    return Started(started, attempt)


def _action(page: Page) -> Action | None:
    do = next_step(page)
    if do in (Do.NOTHING, Do.SUPERSEDE) or (page.dead and do in CARRIES):
        return None
    if do is Do.RESOLVE:
        return Action.RESOLVE
    if do is Do.ACKNOWLEDGE:
        return Action.ACKNOWLEDGE
    if do is Do.MUTE:
        return Action.RESOLVE if page.on_mute == "resolve" else Action.ACKNOWLEDGE
    if do is Do.UPDATE and in_step(page) and not _refreshes(page):
        return None
    return Action.TRIGGER


def _refreshes(page: Page) -> bool:
    return page.lane is Lane.REFRESH and page.heard_at > page.last_sent_at


def _line(page: Page, action: Action, book: Rulebook) -> Line | None:
    """Choose where it goes: content to the line that is open, else to the current key; a resolve to each open line."""
    do = next_step(page)
    open_ = line_for(page, do, [line for line in page.lines if line.key_id in book.keys])
    current = book.current_key(page.fallback_to or page.integration) if action is Action.TRIGGER else None
    if current is None or (open_ is not None and not open_.refused):
        return open_
    key_id, url = current
    known = next((line for line in page.lines if line.key_id == key_id), None)
    fresh = Line(key_id=key_id, url=url, state=State.NEVER, integration=page.fallback_to)
    return fresh if known is None else replace(known, integration=page.fallback_to)


def _begun(line: Line, action: Action, now: Instant, timeout: Duration) -> Line:
    unknown = State.UNKNOWN_RESOLVE if action is Action.RESOLVE else State.UNKNOWN_TRIGGER
    state = line.state if action is Action.ACKNOWLEDGE else unknown
    return replace(line, state=state, prior=line.state, at=now, until=now + timeout, gone=False)


def _put(lines: tuple[Line, ...], line: Line) -> tuple[Line, ...]:
    return (*(other for other in lines if other.key_id != line.key_id), line)


def _idle(page: Page, now: Instant) -> Page:
    """Put a page that has nothing to send out of its lane."""
    if page.lane is Lane.REFRESH:
        page = replace(page, lane=None)
    planned = plan(page, now)
    return replace(planned, lane=None) if planned.lane is not None and planned.due_at <= now else planned


def settle(
    page: Page,
    attempt: Attempt,
    outcome: Outcome | None,
    now: Instant,
    *,
    jitter: float,
    digest: str,
    book: Rulebook,
    refused_since: Instant = 0,
) -> Settled:
    """Say what becomes of a page after one attempt.

    `outcome` None: an update rendered equal to what is open and was not sent. `jitter` is in [0, 1). `digest` names the
    rendered event. `page` is the row as it is now: what is wanted may have changed while the attempt was in flight.
    `refused_since`: since when the attempt's integration refuses its key, where it refused it to others before.
    """
    page = replace(page, in_flight=False)
    line = next((line for line in page.lines if line.key_id == attempt.key_id), None)
    match outcome:
        case None:
            page = _unchanged(page, attempt, line)
            ended = replace(attempt, outcome=UNCHANGED)
        case Delivered():
            page = _delivered(page, attempt, line, now, digest)
            ended = replace(attempt, outcome="delivered")
        case Retry(reason, message):
            page = _retry(page, line, outcome, now, jitter)
            if outcome.configuration:
                page = _key_refused(page, attempt, refused_since or now, now, book)
            page = _acknowledged(page, attempt, taken=outcome.ambiguous)
            ended = replace(attempt, outcome="retry", reason=reason, message=message)
        case Rejected(reason, message):
            page = _rejected(page, attempt, line, outcome, now, book)
            ended = replace(attempt, outcome="rejected", reason=reason, message=message)
    if outgrown(page):
        page = replace(page, judge_at=now)
    judge = (page.predecessor,) if page.predecessor is not None and reached(page) else ()
    return Settled(_replan(page, now, outcome), replace(ended, ended_at=now), judge)


def _replan(page: Page, now: Instant, outcome: Outcome | None) -> Page:
    failed = isinstance(outcome, Retry | Rejected)
    due, delay = page.due_at, page.delay
    page = plan(replace(page, lane=None), now)
    if failed and page.lane is not None:
        later = max(due, page.due_at)
        return replace(page, due_at=later, delay=max(delay, later - now))
    return page


def _unchanged(page: Page, attempt: Attempt, line: Line | None) -> Page:
    current = attempt.revision == page.revision
    shown = page.severity if current else page.shown_severity
    return replace(
        _fall_back(page, line), sent_revision=attempt.revision, sent_content=attempt.content, shown_severity=shown
    )


def _delivered(page: Page, attempt: Attempt, line: Line | None, now: Instant, digest: str) -> Page:
    if attempt.action is Action.TRIGGER:
        page = taken_by(page, attempt.at)
    if line is not None:
        state = State.ELSEWHERE if page.elsewhere_at else State.OPEN
        state = State.CLOSED if attempt.action is Action.RESOLVE else state
        page = replace(page, lines=_put(page.lines, replace(line, state=state, prior=None, refused=False)))
    page = replace(page, last_sent_at=now, failures=0, last_error="", refused_at=0)
    if attempt.action is Action.RESOLVE:
        if attempt.episode != page.episode:
            page = replace(page, sent_severity=None, shown_severity=None)
        shut = page.wanted is Wanted.CLOSED and page.delivered is State.CLOSED
        return replace(
            page,
            closed_at=now if shut else page.closed_at,
            muted=page.wanted is Wanted.QUIET and page.delivered not in LIVE,
            sent_revision=attempt.revision if attempt.episode == page.episode else page.sent_revision,
        )
    if attempt.action is Action.ACKNOWLEDGE:
        if not page.acknowledging:
            return replace(page, ack_sent_at=now) if attempt.episode == page.episode else page
        return replace(_acknowledged(page, attempt, taken=True), muted=True)
    current = attempt.revision == page.revision
    return replace(
        page,
        triggered_at=now if page.shown_severity is None else page.triggered_at,  # nothing was taken of it before
        sent_revision=attempt.revision,
        sent_content=attempt.content,
        shown_severity=page.severity if current else page.shown_severity or page.sent_severity,
        sent_digest=digest,
        changed_at=0 if current else page.changed_at,
    )


def _retry(page: Page, line: Line | None, outcome: Retry, now: Instant, jitter: float) -> Page:
    if not outcome.ambiguous:
        page = _fall_back(page, line)
    failures = page.failures + 1
    if outcome.configuration:
        wait = min(CONFIGURATION_CAP, CONFIGURATION_FIRST << min(failures - 1, 8))
    else:
        wait = int(min(BACKOFF_CAP, SECOND << min(failures - 1, 8)) * jitter)
    wait = max(wait, outcome.after or 0)
    return replace(page, failures=failures, last_error=_said(outcome), due_at=now + wait, delay=wait)


def _key_refused(page: Page, attempt: Attempt, since: Instant, now: Instant, book: Rulebook) -> Page:
    """Note which line's key is refused, and whose turn it is: another line's, or the fallback's."""
    page = replace(page, lines=tuple(_marked(line, attempt.key_id) for line in page.lines))
    if attempt.action is Action.TRIGGER:
        current = book.current_key(page.fallback_to or page.integration)
        if current is None or current[0] == attempt.key_id or _is_refused(page, current[0]):
            return key_refused(page, attempt, since, book)
        return replace(page, due_at=now + SPACING, delay=SPACING)  # that key counts no more: it is the turn of another
    another = line_for(page, next_step(page), [line for line in page.lines if line.key_id in book.keys])
    return page if another is None or another.refused else replace(page, due_at=now + SPACING, delay=SPACING)


def _is_refused(page: Page, key_id: str) -> bool:
    return any(line.refused and line.key_id == key_id for line in page.lines)


def _marked(line: Line, key_id: str) -> Line:
    return replace(line, refused=True) if line.key_id == key_id else line


def _rejected(page: Page, attempt: Attempt, line: Line | None, outcome: Rejected, now: Instant, book: Rulebook) -> Page:
    """PagerDuty did not take it and never will: content goes down the ladder. A resolve says nothing that could be put
    otherwise, and no dead letter may hold it back: it is tried again, slowly, for ever."""
    page = _fall_back(page, line)
    if attempt.action is Action.TRIGGER:
        return refused(page, attempt, _said(outcome), book, now)
    if attempt.action is Action.ACKNOWLEDGE and not page.acknowledging:  # it must not hold back what the page says
        return replace(page, ack_asked_at=0, last_error=_said(outcome))
    slowly = Retry(outcome.reason, outcome.message, ambiguous=False, configuration=True)
    return _acknowledged(_retry(page, line, slowly, now, 0.0), attempt, taken=False)


def _said(outcome: Retry | Rejected) -> str:
    return f"{outcome.reason}: {outcome.message}" if outcome.message else outcome.reason


def _acknowledged(page: Page, attempt: Attempt, *, taken: bool) -> Page:
    """Note whether PagerDuty may have taken an acknowledgement: an earlier one counts all the same."""
    if attempt.action is not Action.ACKNOWLEDGE:
        return page
    return replace(page, acknowledged=page.acknowledged or (taken and page.acknowledging), acknowledging=False)


def _fall_back(page: Page, line: Line | None) -> Page:
    """PagerDuty certainly did not take it: the line is what it was before."""
    if line is None or line.prior is None:
        return page
    return replace(page, lines=_put(page.lines, replace(line, state=line.prior, prior=None)))
