"""What puts a difference right: always a change of the page's row, after which the table says what is sent."""

from msgspec.structs import replace

from relay.alert import Instant
from relay.decision import Decision, Step, Verdict
from relay.page import Line, Page, State, short_id
from relay.rules.drift import Drift, Repair, minted, stamp
from relay.rules.ledger import Ledger, Plan, Recorded
from relay.rules.news import Returned
from relay.rules.pages import plan

MOST: dict[Repair, int] = {Repair.RESOLVE: 3, Repair.TRIGGER: 1}
"""How often one episode of a page is put right in this way: if PagerDuty goes on losing it, somebody has to look."""

NOTE = "Resolved by pagerelay: nothing of it is open under this routing key any more, and the key is not in use."
"""What is written to an incident that is closed over the REST API."""


def stands(drift: Drift, ledger: Ledger) -> tuple[Page, Line] | None:
    """Find the page and line of a difference; None if anything has happened to it since, or it was never ours."""
    page = ledger.pages.get(drift.page)
    line = next((one for one in page.lines if one.key_id == drift.key_id), None) if page else None
    if page is None or line is None or page.in_flight or not minted(page, line) or stamp(page, line) != drift.stamp:
        return None
    return page, line


def repaired(drift: Drift, ledger: Ledger, now: Instant) -> tuple[Plan, Returned | None]:
    """Put a difference right, unless something happened meanwhile: then the plan is empty.

    What somebody turned out to have done at PagerDuty comes with it, to be shown with the page. `Repair.CLOSE` is
    written down here once PagerDuty has done it.
    """
    found = stands(drift, ledger)
    if found is None or drift.repair is None:
        return Plan(), None
    page, line = found
    act = None
    match drift.repair:
        case Repair.RESOLVE:
            page = _with(page, replace(line, state=State.UNKNOWN_RESOLVE, prior=None))
        case Repair.TRIGGER:
            page = _with(page, replace(line, state=State.UNKNOWN_TRIGGER, prior=None))
            page = replace(page, sent_severity=None, shown_severity=None)  # the next one opens its incident
        case Repair.CLOSE | Repair.CLOSED:
            page = _with(page, replace(line, state=State.CLOSED, prior=None, gone=False))
        case Repair.ELSEWHERE:
            page, act = _closed_elsewhere(_with(page, replace(line, state=State.ELSEWHERE, prior=None)), drift)
    return Plan(pages=(plan(page, now),), record=_record(page, drift, now)), act


def _with(page: Page, line: Line) -> Page:
    return replace(page, lines=tuple(line if one.key_id == line.key_id else one for one in page.lines))


def _closed_elsewhere(page: Page, drift: Drift) -> tuple[Page, Returned]:
    """Note who closed it and when, as a webhook would have had it noted. That nothing of it is open is known here."""
    last = drift.incident
    assert last is not None, "it was an incident that ended"
    noted = replace(
        page,
        incident=last.id,
        incident_number=last.number,
        incident_url=last.url,
        elsewhere_at=last.ended_at,
        elsewhere_by=last.by,
        joined_since=drift.joined_since,
        acknowledged_by="",
        acknowledged_at=0,
        status_at=max(page.status_at, last.ended_at),
    )
    return noted, Returned("resolved", last.ended_at, last.by, last.id, "found by comparing", last.url)


_DONE = {
    Repair.RESOLVE: "its resolve is sent again",
    Repair.TRIGGER: "its trigger is sent again",
    Repair.ELSEWHERE: "it counts as closed elsewhere",
    Repair.CLOSE: "its incident was closed over the REST API",
    Repair.CLOSED: "it counts as closed under that key",
}


def _record(page: Page, drift: Drift, now: Instant) -> Recorded:
    assert drift.repair is not None, "something was put right"
    because = f"{_DONE[drift.repair]}: {'; '.join(drift.evidence)}; seen twice, minutes apart"
    step = Step("reconcile", because)
    told = Decision(page.source, "", "", "", Verdict.RECONCILED, (short_id(page.id),), (step,))
    return Recorded(now, page.source, page.group_key, page.receiver, {Verdict.RECONCILED.value: 1}, (told,))
