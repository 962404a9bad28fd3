"""Whether a page is awaited to be confirmed, as a table; and which incident is its own."""

import pytest
from msgspec.structs import replace

from relay.alert import HOUR, MINUTE, SECOND
from relay.page import Lane, Line, Page, State, Wanted
from relay.rules.confirming import Incident, Proof, confirm, confirmation, doubt, incident_of, planned, unconfirmed
from relay.rules.ledger import Ledger
from relay.rules.ruleset import Account

NOW = 100 * HOUR
WEBHOOKS = Account(webhooks=True)


def page(state: State = State.OPEN, **fields: object) -> Page:
    """A page that PagerDuty took ten minutes ago."""
    line = Line(key_id="k", url="http://pagerduty", state=state)
    known = Page(id=1, integration="i", dedup_key="d", source="", group_key="", receiver="a", lines=(line,))
    return replace(known, **{"triggered_at": NOW - 10 * MINUTE, **fields})


@pytest.mark.parametrize(
    ("known", "since"),
    [
        (page(), NOW - 10 * MINUTE),
        (page(confirmed_at=NOW), None),
        (page(doubted_at=NOW), -(NOW - 10 * MINUTE)),
        (page(doubted_at=NOW, confirmed_at=NOW), None),
        (page(State.UNKNOWN_TRIGGER, triggered_at=0), 0),
        (page(State.NEVER, triggered_at=0), None),
        (page(State.CLOSED), NOW - 10 * MINUTE),
        (replace(page(), lines=()), None),
    ],
)
def test_what_is_awaited(known: Page, since: int | None) -> None:
    assert unconfirmed(known) == since


@pytest.mark.parametrize(
    ("account", "proof", "since", "because"),
    [
        (Account(), None, None, "off: nothing says"),
        (Account(), Proof(1, 2), None, "off: nothing says"),
        (WEBHOOKS, None, None, "off: no webhook has named"),
        (WEBHOOKS, Proof(7, 9), 7, "on: PagerDuty's webhooks"),
        (Account(api=True), None, 0, "on: PagerDuty's REST API"),
        (Account(webhooks=True, api=True, confirm_within=0), Proof(1, 2), None, "off: pagerduty.confirm_within is 0"),
    ],
)
def test_whether_an_integration_is_looked_after(
    account: Account, proof: Proof | None, since: int | None, because: str
) -> None:
    found = confirmation(account, proof)

    assert found.since == since
    assert found.because.startswith(because)


def test_a_file_says_what_it_comes_to() -> None:
    assert planned(WEBHOOKS).startswith("on for each integration of which a webhook has named a page.")
    assert planned(Account()).startswith("off: nothing says")
    assert planned(Account(api=True)).startswith("on: PagerDuty's REST API")


@pytest.mark.parametrize(
    ("known", "resend", "proven", "state"),
    [
        (page(), True, True, State.UNKNOWN_TRIGGER),
        (page(), True, False, State.OPEN),
        (page(), False, True, State.OPEN),
        (page(wanted=Wanted.QUIET), True, True, State.OPEN),
        (page(wanted=Wanted.CLOSED), True, True, State.OPEN),
        (page(in_flight=True), True, True, State.OPEN),
        (page(handed_over=True), True, True, State.OPEN),
        (page(State.CLOSED, wanted=Wanted.CLOSED), True, True, State.CLOSED),
    ],
)
def test_a_doubted_page_is_sent_again_where_that_is_wanted_and_works(
    known: Page, resend: bool, proven: bool, state: State
) -> None:
    account = Account(webhooks=True, resend_unconfirmed=resend)

    (doubted,) = doubt([1], Ledger({}, {1: known}, {}), NOW, account, lambda integration: proven).pages

    assert doubted.doubted_at == NOW
    assert doubted.delivered is state
    assert (doubted.lane is Lane.ERROR) == (state is State.UNKNOWN_TRIGGER)


@pytest.mark.parametrize(
    "known", [page(confirmed_at=1), page(doubted_at=1), page(triggered_at=NOW - 4 * MINUTE), page(triggered_at=0)]
)
def test_what_became_known_meanwhile_is_not_doubted(known: Page) -> None:
    assert doubt([1, 2], Ledger({}, {1: known}, {}), NOW, WEBHOOKS, lambda _: True).pages == ()


def test_its_incident_is_the_open_one_or_one_that_was_made_since_it_began() -> None:
    known = page(opened_at=NOW - 10 * MINUTE)
    old = Incident("OLD", 1, "", NOW - 20 * MINUTE, open=False)
    kept = Incident("KEPT", 2, "", NOW - 20 * MINUTE, open=True)
    over = Incident("OVER", 3, "", NOW - 10 * MINUTE - 5 * SECOND, open=False)

    assert incident_of(known, [old]) is None
    assert incident_of(known, [old, over]) == over
    assert incident_of(known, [kept, over]) == kept
    assert incident_of(known, []) is None


def test_an_incident_that_was_found_is_noted_once() -> None:
    found = {1: Incident("P1", 7, "http://pd/P1", NOW, open=True), 2: Incident("P2", 8, "", NOW, open=True)}

    (noted,) = confirm(found, Ledger({}, {1: page(doubted_at=5)}, {}), NOW).pages
    again = confirm(found, Ledger({}, {1: noted}, {}), NOW + 1).pages

    assert (noted.confirmed_at, noted.incident, noted.incident_number) == (NOW, "P1", 7)
    assert again == ()
