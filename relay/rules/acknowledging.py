"""Acknowledgements that a sender of events asks for: kept on the page, sent once PagerDuty has taken its trigger."""

from msgspec.structs import replace

from relay.alert import Alert, Instant
from relay.decision import Decision, Step, Verdict
from relay.page import Page, State, short_id
from relay.rules.desk import Desk
from relay.rules.ending import groups_of
from relay.rules.ledger import Ledger, Plan, Recorded
from relay.rules.rulebook import Rulebook
from relay.rules.view import read

_NOTHING = Step("page", "nothing open here to acknowledge: the relay does not hold it as firing")


def asked(alert: Alert, ledger: Ledger, now: Instant, book: Rulebook) -> Plan:
    """Say what follows when the sender of an event has it acknowledged: it is to be sent for each page it fires in."""
    desk = Desk(ledger, book, now)
    pages = [desk.pages[member.page] for member in desk.memberships(alert.id) if member.firing]
    for page in pages:
        if _can_be(page):
            desk.write(replace(page, ack_asked_at=now))
    desk.transition()
    steps = tuple(_says(page) for page in pages) or (_NOTHING,)
    verdict = Verdict.ACKNOWLEDGES if any(_can_be(page) for page in pages) else Verdict.NOTHING_OPEN
    held = ledger.alerts.get(alert.id)
    name = read(held.raw).labels.get("alertname", "") if held is not None else ""
    shown = tuple(short_id(page.id) for page in pages)
    told = Decision(alert.source, alert.fingerprint, name, "acknowledge", verdict, shown, (*alert.notes, *steps))
    record = Recorded(now, alert.source, "", "", {verdict.value: 1}, (told,))
    return replace(desk.plan(), record=record, decisions=(told,), groups=groups_of([held]))


def _can_be(page: Page) -> bool:
    return not page.storm and page.delivered is not State.ELSEWHERE


def _says(page: Page) -> Step:
    if page.storm:
        words = f"it stands in storm page {short_id(page.id)}, which is not acknowledged for one of its alerts"
    elif page.delivered is State.ELSEWHERE:
        words = "its incident was closed at PagerDuty: there is nothing to acknowledge until it opens again"
    elif page.ack_sent_at:
        words = "its page was acknowledged at PagerDuty before"
    elif page.delivered is State.OPEN:
        words = "its page is open at PagerDuty: the acknowledgement is sent"
    else:
        words = "the acknowledgement waits until PagerDuty has taken the trigger of its page"
    return Step("page", words)
