"""What people and timers do at PagerDuty: which page it is about, and what it changes there."""

from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from relay.alert import SECOND, Duration, Instant
from relay.page import Line, Page, State
from relay.rules.news import SOMEWHERE, Agent, Judged, News, Returned
from relay.rules.pages import LIVE, plan

GRACE: Duration = 2 * SECOND
"""How far PagerDuty's clock may be behind: news from so long before a trigger may still be about it."""
MILLISECOND: Duration = SECOND // 1_000
"""What PagerDuty writes its times by."""

AUTOMATION = "PagerDuty"
"""Who has a page that a rule or an automation acknowledged."""

KINDS: Mapping[str, str] = {
    "incident.triggered": "triggered",
    "incident.acknowledged": "acknowledged",
    "incident.unacknowledged": "unacknowledged",
    "incident.resolved": "resolved",
    "incident.reopened": "reopened",
    "incident.reassigned": "reassigned",
    "incident.delegated": "delegated",
    "incident.escalated": "escalated",
    "incident.annotated": "annotated",
    "incident.priority_updated": "priority updated",
    "incident.responder.added": "responder added",
    "incident.responder.replied": "responder replied",
    "incident.status_update_published": "status update",
}
"""What is kept with a page, by PagerDuty's word for it; all else is taken and forgotten."""


def about(news: News, pages: Sequence[Page], services: Mapping[str, str]) -> Page | None:
    """Choose among pages of one dedup key the one whose incident this is; None where there is none.

    `services`: by Integration.id, the id of the service that it is known to belong to.
    """
    there = [page for page in pages if services.get(page.integration, news.service) == news.service or not news.service]
    known = [page for page in there if news.service and services.get(page.integration) == news.service]
    fitting = known or there
    return max(fitting, key=lambda page: (page.delivered in LIVE, page.opening_at), default=None)


def judged(news: News, page: Page, now: Instant) -> Judged:
    """Say what a piece of news about a page's incident makes of the page, and what of it is shown.

    A merge is told from a resolve before it is asked who did it, since it bears the name of the person as well.
    """
    kind = "merged" if news.merged_into else KINDS.get(news.type, "")
    at = min(news.at or now, now)  # a time that lies ahead must not keep what is heard from counting as later
    act = Returned(kind, at, news.who, news.incident, _said(kind, news), news.url)
    if ignored := _outdated(kind, news.incident, news.number, at, page):
        ours = news.agent is Agent.OURS
        return Judged(page, None if ours or not kind else replace(act, ignored=ignored))
    found = _bound(page, news, now)
    if news.agent is not Agent.OURS or kind in ("triggered", "merged"):
        found = _CHANGES.get(kind, _as_it_is)(found, news, at)
        found = found if news.assignees is None or at < page.status_at else replace(found, assignees=news.assignees)
    else:
        act = replace(act, kind="")
    found = found if found == page else plan(found, now)
    told = act if act.kind else None
    return Judged(found, told, found.incident if found.incident != page.incident else "")


def _said(kind: str, news: News) -> str:
    if kind == "merged":
        return "" if news.merged_into == SOMEWHERE else f"into incident {news.merged_into}"
    if kind in ("reassigned", "delegated", "escalated") and news.assignees:
        return f"to {', '.join(news.assignees)}"
    return news.words


def opening(page: Page, now: Instant) -> Page:
    """Note that a trigger is started that opens a new incident: what is known of the one before says nothing of it."""
    return replace(_untouched(page), opening_at=now, triggered_at=0, incident="", incident_number=0, incident_url="")


def renewed(page: Page) -> Page:
    """Begin a new episode: what was closed elsewhere is closed, and nobody has it any more."""
    return replace(_past(page), acknowledged_by="", acknowledged_at=0, assignees=(), **_OPEN_AGAIN)


def taken_by(page: Page, at: Instant) -> Page:
    """PagerDuty took a trigger that was started then: say whether that page is open, or was closed since."""
    since = page.elsewhere_at and at <= page.elsewhere_at and at == page.opening_at
    return page if since else replace(_past(page), **_OPEN_AGAIN)


def _past(page: Page) -> Page:
    """Let what was closed elsewhere under any key be closed: another incident counts by now."""
    lines = tuple(replace(one, state=State.CLOSED) if one.state is State.ELSEWHERE else one for one in page.lines)
    return replace(page, lines=lines)


_OPEN_AGAIN: Mapping[str, object] = {"elsewhere_at": 0, "elsewhere_by": "", "joined_since": False}


def _untouched(page: Page) -> Page:
    page = replace(page, confirmed_at=0, doubted_at=0, answered_at=0)
    return replace(page, acknowledged_by="", acknowledged_at=0, assignees=())


def _outdated(kind: str, incident: str, number: int, at: Instant, page: Page) -> str:
    """Say why news says nothing of a page as it is now; "" if it does."""
    if page.delivered is State.NEVER:
        return "the relay had sent nothing of this page"
    if at < page.opening_at - GRACE:
        return "it happened before the page was triggered last"
    if kind == "triggered":
        return "it is an earlier incident of this page" if 0 < number < page.incident_number else ""
    if page.incident not in ("", incident):
        return "it is another incident of this page"
    if kind in _CHANGES and at < page.status_at:
        return "something later was heard before"
    return ""


def _bound(page: Page, news: News, now: Instant) -> Page:
    """Know a page by an incident, which is thereby confirmed; a later one than the one before is open by itself."""
    if page.incident not in ("", news.incident):
        page = replace(_open(_untouched(page)), status_at=0)
    return replace(
        page,
        incident=news.incident,
        incident_number=news.number or (page.incident_number if page.incident == news.incident else 0),
        incident_url=news.url or (page.incident_url if page.incident == news.incident else ""),
        confirmed_at=page.confirmed_at or now,
    )


# What each kind of news changes


def _triggered(page: Page, news: News, at: Instant) -> Page:
    """An incident was opened: where the one before was closed elsewhere, an event of ours had been on its way."""
    if page.in_flight or at < page.elsewhere_at:
        return replace(page, status_at=max(at, page.status_at))
    return replace(page, lines=_open_again(page.lines), status_at=max(at, page.status_at), **_OPEN_AGAIN)


def _acknowledged(page: Page, news: News, at: Instant) -> Page:
    page = replace(page, answered_at=page.answered_at or at)
    by = news.who if news.agent is Agent.PERSON else AUTOMATION
    return replace(_open(page), acknowledged_by=by, acknowledged_at=at, status_at=at)


def _unacknowledged(page: Page, news: News, at: Instant) -> Page:
    return replace(_open(page), acknowledged_by="", acknowledged_at=0, status_at=at)


def _resolved(page: Page, news: News, at: Instant) -> Page:
    """Somebody but us closed it."""
    page = replace(page, acknowledged_by="", acknowledged_at=0, status_at=at)
    line = max((one for one in page.lines if one.state in LIVE), key=lambda one: one.at, default=None)
    if line is None:
        return page
    ended = _ended(line, page, at)
    if ended is line and not page.in_flight:
        return page
    lines = tuple(ended if one is line else one for one in page.lines)
    by = news.who if news.agent is Agent.PERSON else ""
    return replace(page, lines=lines, elsewhere_at=at, elsewhere_by=by, joined_since=page.joined_at >= at)


def _ended(line: Line, page: Page, at: Instant) -> Line:
    """Say what is left of a line when its incident is closed by others; the same line: nobody knows."""
    first = line.at <= page.opening_at
    if page.in_flight and line.prior is not None:
        # If that call opens another incident its answer says so; if PagerDuty does not take it, nothing is open.
        if first or line.prior not in LIVE:
            return line
        told = State.ELSEWHERE if line.state is State.OPEN else line.state  # an acknowledgement opens nothing
        return replace(line, state=told, prior=State.ELSEWHERE)
    if line.state is State.UNKNOWN_RESOLVE:
        return replace(line, state=State.CLOSED)
    after = line.at if line.state is State.OPEN else line.until
    if not first and at + MILLISECOND <= after:
        return line  # the event sent last may have opened another incident since
    return replace(line, state=State.ELSEWHERE, gone=False)


def _reopened(page: Page, news: News, at: Instant) -> Page:
    """Somebody opened again what had been closed elsewhere. What we closed stays closed: nothing fires in it."""
    return replace(_open(page), acknowledged_by="", acknowledged_at=0, status_at=at)


def _open(page: Page) -> Page:
    """Take an incident for open that counted as closed elsewhere: only an open one is acknowledged."""
    lines = _open_again(page.lines)
    return page if lines == page.lines else replace(page, lines=lines, **_OPEN_AGAIN)


def _open_again(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """Let the line that was used last be open if it counted as closed elsewhere: an incident is under one key."""
    last = max(lines, key=lambda one: one.at, default=None)
    if last is None or State.ELSEWHERE not in (last.prior, last.state):
        return lines
    prior = State.OPEN if last.prior is State.ELSEWHERE else last.prior
    state = State.OPEN if last.state is State.ELSEWHERE else last.state
    return tuple(replace(one, state=state, prior=prior) if one is last else one for one in lines)


def _merged(page: Page, news: News, at: Instant) -> Page:
    """Its alerts are another incident's from now on: what happens to that one happens to this page."""
    into = "" if news.merged_into == SOMEWHERE else news.merged_into
    return replace(page, incident=into, incident_number=0, incident_url="", status_at=at)


def _as_it_is(page: Page, news: News, at: Instant) -> Page:
    return page


_CHANGES: Mapping[str, Callable[[Page, News, Instant], Page]] = {
    "triggered": _triggered,
    "acknowledged": _acknowledged,
    "unacknowledged": _unacknowledged,
    "resolved": _resolved,
    "reopened": _reopened,
    "merged": _merged,
}
