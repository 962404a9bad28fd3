"""The storm's arithmetic: who found a place free, when criticals waited, who was overtaken, what became of alerts."""

from collections import Counter

import pytest
from msgspec.structs import replace

from bench.figures import Row, Target
from bench.native import first_pages
from bench.sandbox import Call
from bench.storm import Size, beside, hidden, missed, outcome, pace
from bench.waits import Stretch, Wait, found_free, overtaken, percentile, stretches
from relay.page import Line, Page, State


def waits(*times: tuple[float, float]) -> list[Wait]:
    """Criticals that were accepted and sent at these times, each posted a tenth of a second before."""
    return [Wait(since - 0.1, since, sent) for since, sent in times]


def test_a_place_is_free_while_fewer_criticals_than_the_reserve_left_or_wait() -> None:
    first, second, third, late = found = waits((0, 0.1), (1, 1.1), (2, 2.1), (8, 8.1))

    assert found_free(found, reserve=2, within=6) == [first, second, late]
    assert found_free(found, reserve=3, within=6) == [first, second, third, late]


def test_of_those_that_come_together_only_as_many_find_a_place_as_the_reserve_has() -> None:
    found = waits(*[(1.0, 1.0 + place) for place in range(1, 6)])

    assert found_free(found, reserve=2, within=6) == found[:2]


def test_criticals_that_wait_one_after_the_other_are_one_stretch_with_what_went_beside_them() -> None:
    found = waits((1, 2), (1.5, 3), (3.05, 4), (9, 9.5))

    assert stretches(found, [0.9, 1.2, 3.9, 4.0, 9.1], gap=0.1) == [Stretch(1, 4, 3, 2), Stretch(9, 9.5, 1, 1)]


def test_pace_and_share_are_over_all_stretches_together() -> None:
    found = [Stretch(0, 2, 30, 1), Stretch(5, 7, 30, 2)]

    assert pace(found) == pytest.approx(60 / 4 / 20)
    assert beside(found) == pytest.approx(3 / 63)


def test_what_was_not_seen_is_a_miss() -> None:
    assert missed(Row("storm", "pace", (pace([]),), Target(0.7, at_least=True)))
    assert missed(Row("storm", "share", (beside([]),), Target(0.05)))


def test_one_is_overtaken_by_what_was_posted_after_it_was_accepted_and_leaves_before_it() -> None:
    assert overtaken(waits((1, 5), (1.05, 2))) == 0  # posted before the first was accepted
    assert overtaken(waits((1, 5), (3, 4.5))) == pytest.approx(0.5)
    assert overtaken(waits((1, 2), (3, 4))) == 0


def test_a_percentile_is_one_of_the_figures() -> None:
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile(list(range(1, 101)), 0.99) == 99
    assert percentile([7], 0.99) == 7


def test_half_of_the_criticals_are_in_one_webhook_and_none_is_counted_twice() -> None:
    places = hidden(Size(webhooks=50, alerts=1_000, criticals=100), seed=7)

    assert len(places) == 100
    assert max(Counter(webhook for webhook, _ in places).values()) >= 50
    assert places == hidden(Size(webhooks=50, alerts=1_000, criticals=100), seed=7)


def told(state: State, *, storm: bool = False, dead: str = "") -> Page:
    page = Page(id=1, integration="pd", dedup_key="a", source="", group_key="g", receiver="r", storm=storm, dead=dead)
    return replace(page, lines=(Line("k", "http://127.0.0.1", state),))


@pytest.mark.parametrize(
    ("homes", "still_open", "expected"),
    [
        ([told(State.OPEN)], True, "paged"),
        ([told(State.OPEN)], False, "lost"),
        ([told(State.UNKNOWN_TRIGGER)], True, "lost"),
        ([told(State.OPEN, storm=True)], True, "folded"),
        ([told(State.NEVER, dead="invalidEvent")], False, "dead letter"),
        ([], False, "lost"),
    ],
)
def test_an_alert_is_accounted_for_by_the_ledger_and_by_pagerduty_together(
    homes: list[Page], still_open: bool, expected: str
) -> None:
    keys = {page.dedup_key for page in homes} if still_open else set()

    assert outcome(homes, keys) == expected


def test_the_first_page_counts_and_no_refusal() -> None:
    calls = [
        Call(1.0, 429, "throttled", "trigger", "a", "critical"),
        Call(2.0, 202, "triggered", "trigger", "a", "critical", 1),
        Call(3.0, 202, "resolved", "resolve", "a", "", 1),
        Call(4.0, 202, "triggered", "trigger", "a", "critical", 2),
    ]

    assert first_pages(calls) == {"a": 2.0}
