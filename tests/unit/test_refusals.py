"""What is remembered of refused keys, and for how long."""

from relay.alert import MINUTE, SECOND, Instant
from relay.dispatcher.refusals import FORGOTTEN, Refusals
from relay.event import Action, Delivered, Retry
from relay.page import Lane
from relay.rules.ladder import FALLBACK_AFTER
from relay.rules.ledger import Attempt

REFUSED = Retry("authError", "HTTP 403", ambiguous=False, configuration=True)


def attempt(key_id: str = "k1") -> Attempt:
    return Attempt(1, 1, "home", key_id, Lane.CRITICAL, Action.TRIGGER, 1, 1, 0)


def current(_: str) -> tuple[str, str]:
    return "k1", "https://events.pagerduty.com"


def told(*at: Instant) -> Refusals:
    refusals = Refusals()
    for now in at:
        refusals.note(attempt(), REFUSED, now)
    return refusals


def test_a_key_is_refused_since_the_first_of_its_refusals() -> None:
    refusals = told(MINUTE, 2 * MINUTE, 4 * MINUTE)

    assert refusals.since("home", "k1", 5 * MINUTE) == MINUTE
    assert refusals.overdue(current, MINUTE + FALLBACK_AFTER) == {"home": MINUTE}
    assert refusals.next_turn(current, MINUTE) == MINUTE + FALLBACK_AFTER


def test_an_answer_that_is_no_refusal_ends_it() -> None:
    refusals = told(MINUTE)
    refusals.note(attempt(), Delivered(), 2 * MINUTE)

    assert refusals.since("home", "k1", 2 * MINUTE) == 0
    assert list(refusals.refused(current, 2 * MINUTE)) == []


def test_a_refusal_of_long_ago_says_nothing_of_now() -> None:
    late = MINUTE + FORGOTTEN
    refusals = told(MINUTE)
    assert refusals.since("home", "k1", late - SECOND) == MINUTE
    assert refusals.since("home", "k1", late) == 0

    refusals.note(attempt(), REFUSED, late)
    assert refusals.since("home", "k1", late) == late
    assert refusals.overdue(current, late + SECOND) == {}


def test_another_key_is_not_refused_for_what_the_one_before_was() -> None:
    assert told(MINUTE).since("home", "k2", MINUTE) == 0
