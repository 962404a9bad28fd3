"""The words for a page: its state, and the sentence that says what it is waiting for."""

from datetime import UTC, datetime
from typing import Any

import pytest

from relay.alert import HOUR, MINUTE, SECOND, instant
from relay.answers import show
from relay.answers.words import PageState, clock, span, state, why
from relay.event import Severity
from relay.page import Lane, Line, Page, State, Wanted

NOW = instant(datetime(2026, 11, 23, 12, tzinfo=UTC))


def _page(delivered: State = State.OPEN, *, gone: bool = False, **more: Any) -> Page:
    lines = () if delivered is State.NEVER else (Line("k", "u", delivered, at=NOW, until=NOW, gone=gone),)
    return Page(
        id=1, integration="i", dedup_key="d", source="", group_key="g", receiver="platform", lines=lines, **more
    )


OPEN, QUIET, CLOSED = Wanted.OPEN, Wanted.QUIET, Wanted.CLOSED
STATES = [
    (_page(State.NEVER), PageState.WAITING),
    (_page(State.UNKNOWN_TRIGGER), PageState.WAITING),
    (_page(State.OPEN), PageState.OPEN),
    (_page(State.UNKNOWN_RESOLVE), PageState.WAITING),
    (_page(State.CLOSED), PageState.WAITING),
    (_page(State.ELSEWHERE), PageState.CLOSED_ELSEWHERE),
    (_page(State.NEVER, wanted=QUIET), PageState.MUTED),
    (_page(State.OPEN, wanted=QUIET), PageState.MUTED),
    (_page(State.CLOSED, wanted=QUIET), PageState.MUTED),
    (_page(State.NEVER, wanted=CLOSED), PageState.SUPERSEDED),
    (_page(State.UNKNOWN_TRIGGER, wanted=CLOSED), PageState.CLOSING),
    (_page(State.OPEN, wanted=CLOSED), PageState.CLOSING),
    (_page(State.UNKNOWN_RESOLVE, wanted=CLOSED), PageState.CLOSING),
    (_page(State.CLOSED, wanted=CLOSED), PageState.CLOSED),
    (_page(State.ELSEWHERE, wanted=CLOSED), PageState.CLOSED),
    (_page(State.OPEN, wanted=CLOSED, left_open=True), PageState.LEFT_OPEN),
    (_page(State.OPEN, handed_over=True), PageState.HANDED_OVER),
    (_page(State.CLOSED, handed_over=True), PageState.CLOSED),
    (_page(State.OPEN, gone=True), PageState.KEY_GONE),
    (_page(State.CLOSED, gone=True, wanted=CLOSED), PageState.CLOSED),
    (_page(State.NEVER, dead="clientError: no summary"), PageState.DEAD),
]


@pytest.mark.parametrize(("page", "word"), STATES)
def test_each_combination_has_its_word(page: Page, word: PageState) -> None:
    assert state(page) is word
    assert why(page, NOW)


WAITS: list[tuple[Page, str]] = [
    (
        _page(State.NEVER, lane=Lane.CRITICAL, due_at=NOW - SECOND),
        "the trigger is due since 2026-11-23T11:59:59.000Z and waits for its turn in lane critical",
    ),
    (
        _page(State.NEVER, lane=Lane.ERROR, due_at=NOW - SECOND, failures=3, last_error="timeout"),
        "the trigger is due since 2026-11-23T11:59:59.000Z and waits for its turn in lane error; "
        "each of the last 3 attempts failed, timeout",
    ),
    (
        _page(State.NEVER, lane=Lane.ERROR, due_at=NOW + 4 * SECOND // 10, failures=1, last_error="dns: no such host"),
        "the trigger is due 0.4 s from now, at 2026-11-23T12:00:00.400Z: the last attempt failed, dns: no such host",
    ),
    (
        _page(State.OPEN, revision=2, last_sent_at=NOW - SECOND, lane=Lane.UPDATE, due_at=NOW + 59 * SECOND),
        "an update is due 59 s from now, at 2026-11-23T12:00:59.000Z: updates wait for group_interval, 60 s",
    ),
    (
        _page(State.OPEN, wanted=CLOSED, last_sent_at=NOW, lane=Lane.RESOLVE, due_at=NOW + SECOND),
        "the resolve is due 1.0 s from now, at 2026-11-23T12:00:01.000Z: two events of one page are at least 1 s apart",
    ),
    (
        _page(State.UNKNOWN_TRIGGER, wanted=CLOSED, lane=Lane.RESOLVE, due_at=NOW + 9 * SECOND),
        "the resolve is due 9.0 s from now, at 2026-11-23T12:00:09.000Z: "
        "PagerDuty never answered the trigger, which may still be on its way",
    ),
    (
        _page(State.OPEN, lane=Lane.REFRESH, due_at=NOW + HOUR, last_sent_at=NOW - HOUR, repeat_interval=2 * HOUR),
        "a refresh is due 1 h from now, at 2026-11-23T13:00:00.000Z: refreshes wait for repeat_interval, 2 h",
    ),
    (
        _page(State.UNKNOWN_TRIGGER, in_flight=True),
        "an event is on its way to PagerDuty, since 2026-11-23T12:00:00.000Z",
    ),
    (
        _page(State.OPEN, gone=True),
        "PagerDuty may hold it open under a routing key that is no longer at hand: "
        "name that key in previous_routing_key_files of receiver platform",
    ),
    (
        _page(State.OPEN, handed_over=True, successor=1),
        "its alerts moved to page aaaaaaaaaaaac; this one is resolved once PagerDuty has accepted that one",
    ),
    (
        _page(State.NEVER, dead="clientError: no summary"),
        "PagerDuty rejected the full event and the minimal one: clientError: no summary. It is tried anew when its "
        "alerts, its receiver's texts or a routing key change, or by `pagerelay page retry aaaaaaaaaaaac`",
    ),
]


@pytest.mark.parametrize(("page", "words"), WAITS)
def test_what_a_page_waits_for_is_a_sentence(page: Page, words: str) -> None:
    assert why(page, NOW) == words


def test_suppressed_alerts_count_as_firing_and_are_told_apart() -> None:
    line = show.line(_page(tally={"0 0 {}": 2}, quiet=3, severity=Severity.CRITICAL), "platform", NOW)

    assert (line.firing, line.suppressed) == (5, 3)


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (0, "0.0 s"),
        (400_000, "0.4 s"),
        (42 * SECOND, "42 s"),
        (119 * SECOND, "119 s"),
        (4 * MINUTE, "4 min"),
        (3 * HOUR + 20 * MINUTE, "3 h 20 min"),
        (5 * HOUR, "5 h"),
    ],
)
def test_a_length_of_time_is_said_as_people_say_it(length: int, words: str) -> None:
    assert span(length) == words


def test_an_instant_is_written_in_utc_with_milliseconds() -> None:
    assert clock(NOW + 1_234) == "2026-11-23T12:00:00.001Z"
    assert clock(instant(datetime(1, 1, 1, tzinfo=UTC))) == "0001-01-01T00:00:00.000Z"
    assert clock(0) is None
