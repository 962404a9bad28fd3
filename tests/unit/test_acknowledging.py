"""The acknowledgement that a sender of events asks for, as a wanted state of its page."""

import pytest
from msgspec.structs import replace

from relay.alert import SECOND, Instant
from relay.event import Action, Delivered
from relay.page import Do, Lane, Line, Page, State, Wanted
from relay.rules.delivery import settle, start
from relay.rules.pages import next_step, plan
from relay.rules.rulebook import Rulebook
from tests.unit.configuring import loaded, paging

NOW: Instant = 1_795_420_800 * SECOND
TIMEOUT = 10 * SECOND


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Rulebook:
    found = loaded(tmp_path_factory.mktemp("routing"), paging("routing_key: KEY"))
    return Rulebook(found.rules, found.keys)


def page(
    book: Rulebook, state: State, wanted: Wanted = Wanted.OPEN, *, asked: Instant = NOW, sent: Instant = 0
) -> Page:
    """A page that shows what it should, in one of the states of the table."""
    (integration,) = book.rules.integrations.values()
    lines = () if state is State.NEVER else (Line(integration.key_id, integration.url, state),)
    return Page(
        id=1,
        integration=integration.id,
        dedup_key="k",
        source="ci",
        group_key="k",
        receiver="r",
        wanted=wanted,
        lines=lines,
        tally={"1 0 {}": 1} if wanted is Wanted.OPEN else {},
        quiet=int(wanted is Wanted.QUIET),
        sent_revision=1,
        on_mute="acknowledge",
        ack_asked_at=asked,
        ack_sent_at=sent,
    )


def test_it_is_due_in_one_cell_of_the_table_alone(book: Rulebook) -> None:
    due = {(wanted, state) for wanted in Wanted for state in State if _is_due(page(book, state, wanted))}

    assert due == {(Wanted.OPEN, State.OPEN)}
    assert not _is_due(page(book, State.OPEN, asked=0))
    assert not _is_due(page(book, State.OPEN, sent=NOW))


def _is_due(page: Page) -> bool:
    return next_step(page) is Do.ACKNOWLEDGE


def test_it_is_sent_and_leaves_the_page_to_be_updated_as_before(book: Rulebook) -> None:
    planned = plan(page(book, State.OPEN), NOW)
    assert planned.lane is Lane.RESOLVE

    started = start(planned, NOW, book, TIMEOUT)
    assert started.attempt is not None
    assert started.attempt.action is Action.ACKNOWLEDGE
    settled = settle(started.page, started.attempt, Delivered(), NOW, jitter=0.5, digest="", book=book).page

    assert (settled.ack_sent_at, settled.lane, settled.delivered) == (NOW, None, State.OPEN)
    assert (settled.muted, settled.acknowledged, settled.acknowledging) == (False, False, False)


def test_what_on_mute_acknowledges_is_not_what_its_sender_asked_for(book: Rulebook) -> None:
    quiet = plan(page(book, State.OPEN, Wanted.QUIET), NOW)
    started = start(quiet, NOW, book, TIMEOUT)
    assert started.attempt is not None
    settled = settle(started.page, started.attempt, Delivered(), NOW, jitter=0.5, digest="", book=book).page

    assert (settled.ack_sent_at, settled.muted, settled.acknowledged) == (0, True, True)


@pytest.mark.parametrize("state", [State.CLOSED, State.ELSEWHERE, State.UNKNOWN_RESOLVE])
def test_an_incident_that_was_acknowledged_says_nothing_of_the_next_one(book: Rulebook, state: State) -> None:
    again = page(book, state, sent=NOW - 60 * SECOND)
    started = start(_waiting(again), NOW, book, TIMEOUT)

    assert started.attempt is not None
    assert started.attempt.action is Action.TRIGGER
    assert (started.page.ack_asked_at, started.page.ack_sent_at) == (0, 0)


def test_one_that_was_not_sent_yet_waits_for_the_next_trigger(book: Rulebook) -> None:
    started = start(_waiting(page(book, State.CLOSED)), NOW, book, TIMEOUT)

    assert (started.page.ack_asked_at, started.page.ack_sent_at) == (NOW, 0)


def _waiting(page: Page) -> Page:
    """Put it in the lane of new pages, as an alert that joins does."""
    return plan(replace(page, joined_since=True, changed_at=NOW), NOW)
