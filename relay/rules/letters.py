"""Dead letters: tried again, by hand or because the configuration changed, or let go of; each act in the journal."""

from msgspec.structs import replace

from relay.alert import Instant, moment
from relay.decision import Decision, Step, Verdict
from relay.errors import RelayError
from relay.page import Page, short_id
from relay.rules.ladder import rearmed, revived
from relay.rules.ledger import Ledger, Plan, Recorded
from relay.rules.pages import plan
from relay.rules.rulebook import Rulebook


class NoSuchPage(RelayError):
    """There is no page of that id."""

    status_hint = 404


class NotDead(RelayError):
    """The page is no dead letter: there is nothing to retry, and nothing to let go of."""

    status_hint = 409


def retry(number: int, ledger: Ledger, now: Instant, by: str) -> Plan:
    """Let a dead letter begin at the first rung again. Raises NoSuchPage and NotDead."""
    page = _dead(number, ledger)
    return _written(
        rearmed(page), now, Verdict.RETRIED, f"{by} has it tried again, as the full event; it was {page.dead}"
    )


def discard(number: int, ledger: Ledger, now: Instant, by: str) -> Plan:
    """Let go of a dead letter. Raises NoSuchPage and NotDead."""
    page = _dead(number, ledger)
    if page.discarded:
        raise NotDead(f"page {short_id(number)} was let go of already: {page.discarded}")
    at = moment(now).isoformat(timespec="seconds").replace("+00:00", "Z")
    because = f"{by} let go of it; nothing is sent until something changes in it. It was {page.dead}"
    return _written(replace(page, discarded=f"{by}, {at}"), now, Verdict.DISCARDED, because)


def revive(number: int, ledger: Ledger, now: Instant, book: Rulebook) -> Plan:
    """Try a dead letter again whose keys, texts or fallbacks are others than those it was refused with."""
    page = ledger.pages.get(number)
    if page is None or page.in_flight:
        return Plan()
    again = revived(page, book)
    if again is page:
        return Plan()
    because = f"its receiver's configuration changed, so that it is tried again; it was {page.dead}"
    return _written(again, now, Verdict.RETRIED, because)


def _dead(number: int, ledger: Ledger) -> Page:
    page = ledger.pages.get(number)
    if page is None:
        raise NoSuchPage(f"there is no page {short_id(number)}: `pagerelay page list` shows them")
    if not page.dead:
        raise NotDead(f"page {short_id(number)} is no dead letter: `pagerelay page show` says how it stands")
    return page


def _written(page: Page, now: Instant, verdict: Verdict, because: str) -> Plan:
    step = Step("delivery", because)
    told = Decision(page.source, "", "", "", verdict, (short_id(page.id),), (step,))
    record = Recorded(now, page.source, page.group_key, page.receiver, {verdict.value: 1}, (told,))
    return Plan(pages=(plan(page, now),), record=record)
