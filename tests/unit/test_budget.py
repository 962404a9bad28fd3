"""The sliding window, the lanes' shares, and what a 429 closes; time is moved by hand."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.alert import SECOND
from relay.dispatcher.budget import SHARES, Window
from relay.page import Lane
from relay.rules.ruleset import Budget

START = 1_700_000_000 * SECOND
LANES = list(Lane)


def call(window: Window, lane: Lane, now: int, waiting: set[Lane]) -> None:
    """Make a call that is answered at once."""
    window.spend(lane, now, waiting)
    window.landed(lane, now)


def drive(window: Window, backlog: dict[Lane, int], seconds: float, step: float = 0.1) -> list[tuple[int, Lane]]:
    """Send whatever the window allots, every `step` seconds; return (when, lane) of each call."""
    sent = []
    left = Counter(backlog)
    for tick in range(int(seconds / step)):
        now = START + int(tick * step * SECOND)
        waiting = {lane for lane, count in left.items() if count > 0}
        for lane, count in window.allot(waiting, now, 1_000).items():
            for _ in range(min(count, left[lane])):
                call(window, lane, now, waiting)
                left[lane] -= 1
                sent.append((now, lane))
    return sent


def test_criticals_may_use_the_whole_window_at_once() -> None:
    sent = drive(Window(Budget()), {Lane.CRITICAL: 500}, 1)

    assert len(sent) == 120


def test_the_other_lanes_are_paced_after_a_burst_and_keep_to_three_quarters() -> None:
    sent = drive(Window(Budget()), {Lane.WARNING: 500}, 60)

    assert sum(1 for at, _ in sent if at == START) == 10
    assert len(sent) == 90
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(sent[10:])]
    assert max(gaps) <= 1 * SECOND


def test_a_fresh_critical_finds_room_whenever_it_comes_in_a_storm_of_warnings() -> None:
    window = Window(Budget())
    sent = drive(window, {Lane.WARNING: 5_000}, 300)
    now = sent[-1][0] + SECOND // 10

    allotted = window.allot({Lane.WARNING, Lane.CRITICAL}, now, 100)

    assert allotted[Lane.CRITICAL] >= 25


def test_lanes_share_eight_four_two_one_one() -> None:
    backlog = dict.fromkeys(SHARES, 1_000)

    counts = Counter(lane for _, lane in drive(Window(Budget()), backlog, 640))

    total = sum(counts.values())
    assert {lane: round(16 * counts[lane] / total) for lane in SHARES} == SHARES


def test_unused_shares_pass_on() -> None:
    sent = drive(Window(Budget()), {Lane.REFRESH: 500}, 60)

    assert len(sent) == 90


def test_while_criticals_wait_the_others_keep_five_per_cent() -> None:
    sent = drive(Window(Budget()), {Lane.CRITICAL: 5_000, Lane.RESOLVE: 5_000}, 600)
    others = sum(1 for _, lane in sent if lane is not Lane.CRITICAL)

    assert 0.04 <= others / len(sent) <= 0.06


@pytest.mark.parametrize("lane", list(SHARES))
def test_rows_of_a_lane_are_gone_within_their_share_of_five_per_cent_whatever_else_waits(lane: Lane) -> None:
    rows, rate = 8, 120 / 60
    share = SHARES[lane] / sum(SHARES.values())
    bound = rows / (0.05 * share * rate)
    backlog = {**dict.fromkeys(LANES, 100_000), lane: rows}

    sent = drive(Window(Budget()), backlog, bound, step=0.5)

    assert sum(1 for _, one in sent if one is lane) == rows


@pytest.mark.parametrize("events", [2, 120, 640, 1_200, 100_000])
@pytest.mark.parametrize("most", [1, 8, 32])
def test_criticals_go_first_whatever_the_budget_and_however_few_calls_fit_at_once(events: int, most: int) -> None:
    allotted = Window(Budget(events=events)).allot({Lane.CRITICAL, Lane.WARNING, Lane.UPDATE}, START, most)

    assert allotted.get(Lane.CRITICAL, 0) >= min(events, most) - 1
    assert sum(allotted.values()) <= min(events, most)


@settings(max_examples=200, deadline=None)
@given(
    events=st.integers(1, 30),
    arrivals=st.lists(st.tuples(st.integers(0, 300), st.sampled_from(LANES), st.integers(1, 20)), max_size=40),
)
def test_no_window_of_sixty_seconds_ever_holds_more_than_the_budget(
    events: int, arrivals: list[tuple[int, Lane, int]]
) -> None:
    window = Window(Budget(events=events))
    left: Counter[Lane] = Counter()
    sent: list[int] = []
    for second in range(400):
        now = START + second * SECOND
        for at, lane, count in arrivals:
            left[lane] += count if at == second else 0
        waiting = {lane for lane, count in left.items() if count > 0}
        for lane, count in window.allot(waiting, now, 1_000).items():
            for _ in range(min(count, left[lane])):
                call(window, lane, now, waiting)
                left[lane] -= 1
                sent.append(now)
        assert sum(1 for at in sent if at > now - 60 * SECOND) <= events


@settings(max_examples=100, deadline=None)
@given(waiting=st.sets(st.sampled_from(LANES), min_size=1), most=st.integers(0, 40), spent=st.integers(0, 130))
def test_an_allotment_never_exceeds_the_room(waiting: set[Lane], most: int, spent: int) -> None:
    window = Window(Budget())
    for _ in range(min(spent, 120)):
        call(window, Lane.CRITICAL, START, set())

    allotted = window.allot(waiting, START, most)

    assert sum(allotted.values()) <= min(most, max(0, 120 - spent))
    assert set(allotted) <= waiting


def test_a_429_closes_for_one_second_doubling_to_thirty_and_a_success_opens() -> None:
    window = Window(Budget())
    waits = []
    now = START
    for _ in range(7):
        window.close(now, None)
        waits.append((window.next_chance({Lane.WARNING}, now) or 0) - now)
        now += 40 * SECOND
    window.open()

    assert [wait // SECOND for wait in waits] == [1, 2, 4, 8, 16, 30, 30]
    assert window.allot({Lane.WARNING}, now, 5)


def test_retry_after_is_kept_to() -> None:
    window = Window(Budget())
    window.close(START, 120 * SECOND)

    assert window.allot({Lane.WARNING}, START + 119 * SECOND, 5) == {}
    assert window.allot({Lane.WARNING}, START + 120 * SECOND, 5)


def test_a_critical_probes_a_closed_integration_but_not_at_once() -> None:
    window = Window(Budget())
    window.close(START, 60 * SECOND)

    assert window.allot({Lane.CRITICAL}, START, 5) == {}
    assert window.allot({Lane.CRITICAL, Lane.WARNING}, START + 2 * SECOND, 5) == {Lane.CRITICAL: 1}
    call(window, Lane.CRITICAL, START + 2 * SECOND, {Lane.CRITICAL})
    assert window.allot({Lane.CRITICAL}, START + 2 * SECOND, 5) == {}
    assert window.allot({Lane.CRITICAL}, START + 7 * SECOND, 5) == {Lane.CRITICAL: 1}


def test_configuration_trouble_closes_for_thirty_seconds_up_to_five_minutes() -> None:
    window = Window(Budget())
    waits = []
    now = START
    for _ in range(6):
        window.close(now, None, configuration=True)
        waits.append((window.next_chance({Lane.WARNING}, now) or 0) - now)
        now += 400 * SECOND

    assert [wait // SECOND for wait in waits] == [30, 60, 120, 240, 300, 300]


def test_calls_of_an_earlier_process_count() -> None:
    window = Window(Budget(events=3))
    for _ in range(3):
        window.seed(START - 30 * SECOND, Lane.CRITICAL)

    assert window.allot({Lane.CRITICAL}, START, 5) == {}
    assert window.allot({Lane.CRITICAL}, START + 31 * SECOND, 5) == {Lane.CRITICAL: 3}


@pytest.mark.parametrize("lane", list(Lane))
def test_a_budget_of_one_still_lets_every_lane_through(lane: Lane) -> None:
    assert Window(Budget(events=1)).allot({lane}, START, 5) == {lane: 1}


def test_a_call_holds_its_place_until_it_is_answered_and_a_window_longer() -> None:
    window = Window(Budget(events=1))
    window.spend(Lane.CRITICAL, START, {Lane.CRITICAL})

    assert window.allot({Lane.CRITICAL}, START + 300 * SECOND, 5) == {}
    window.landed(Lane.CRITICAL, START + 300 * SECOND)
    assert window.allot({Lane.CRITICAL}, START + 359 * SECOND, 5) == {}
    assert window.allot({Lane.CRITICAL}, START + 360 * SECOND, 5) == {Lane.CRITICAL: 1}


def test_a_call_that_was_never_made_gives_its_place_back() -> None:
    window = Window(Budget(events=1))
    window.spend(Lane.UPDATE, START, {Lane.UPDATE})
    window.landed(Lane.UPDATE, START, sent=False)

    assert window.tokens(START) == 1


def test_several_429s_at_once_close_it_once() -> None:
    window = Window(Budget())
    for _ in range(6):
        window.close(START, None)

    assert window.next_chance({Lane.WARNING}, START) == START + 1 * SECOND


def test_change_events_use_a_quarter_of_the_window_evenly_and_leave_pages_their_burst() -> None:
    window, sent = Window(Budget()), 0
    for tick in range(6_000):
        now = START + tick * SECOND // 10
        if window.allots_change(now):
            window.spend_change(now)
            window.landed(Lane.REFRESH, now)
            sent += 1
    end = START + 600 * SECOND

    assert sent == 300
    assert window.tokens(end) in (90, 91)
    assert window.allot({Lane.ERROR}, end, 100)[Lane.ERROR] >= 9


def test_a_change_event_never_goes_where_the_other_lanes_have_no_room_or_the_integration_is_closed() -> None:
    full, closed = Window(Budget()), Window(Budget())
    while full.allot({Lane.ERROR}, START, 100):
        call(full, Lane.ERROR, START, {Lane.ERROR})
    closed.close(START, None)

    assert not full.allots_change(START)
    assert full.tokens(START) > 0
    assert not closed.allots_change(START)
