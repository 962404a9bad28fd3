"""When two polls of a source's Alertmanagers show that a stale alert is over."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from relay.alert import HOUR, MINUTE, Duration, Instant, Sent, alert_id, instant
from relay.decision import Verdict
from relay.rules.gone import APART, UPTIME, Answer, Poll, doubt, end, evidence, gone
from relay.rules.ledger import Held, Ledger, Plan
from relay.rules.reload import place_again
from relay.rules.rulebook import Rulebook
from tests.unit.configuring import loaded, paging

NOON = instant(datetime(2026, 11, 23, 12, tzinfo=UTC))
ONE, TWO = "http://am1:9093", "https://am2.example/prom"


def stale(fingerprint: str = "a", *, since: Instant = NOON - HOUR, **fields: object) -> Held:
    """An alert that fires and is stale since then."""
    plain = Held(alert_id("prod", fingerprint), "prod", fingerprint, True, 1, 0, b"", b"{}", stale_at=since)
    return replace(plain, **fields)


def answer(*known: str, up: Duration = HOUR, at: Instant = NOON, familiar: bool = True) -> Answer:
    """An answer of one that runs for an hour and knows the heartbeat."""
    return Answer(frozenset(known), at - up, familiar)


def poll(after: Duration = 0, **changes: Answer | None) -> Poll:
    """A poll of both that knew nothing of what is asked about; `one` and `two` say otherwise, None: no answer."""
    given = {ONE: changes.get("one", answer()), TWO: changes.get("two", answer())}
    answers = {url: one for url, one in given.items() if one is not None}
    faults = {url: "HTTP 502" for url, one in given.items() if one is None}
    return Poll(NOON + after, (ONE, TWO), answers, faults)


FIRST, SECOND = poll(), poll(5 * MINUTE)


def kept(first: Poll | None, second: Poll, held: Held) -> str:
    """Say why an alert is not gone."""
    found = gone(first, second, [held])
    assert (found.gone, list(found.kept.values())) == ((), [1])
    return next(iter(found.kept))


def test_what_none_of_them_knew_twice_is_gone() -> None:
    held = [stale("a"), stale("b")]

    assert gone(FIRST, SECOND, held) == (tuple(held), {})


def test_the_evidence_names_who_was_asked_and_when() -> None:
    single = [replace(one, asked=(ONE,)) for one in (FIRST, SECOND)]

    assert evidence(FIRST, SECOND) == (
        "gone: none of 2 Alertmanagers at am1:9093, am2.example/prom knew it at 12:00:00 UTC and 12:05:00 UTC"
    )
    assert evidence(single[0], single[1]) == (
        "gone: the Alertmanager at am1:9093 knew it not at 12:00:00 UTC and 12:05:00 UTC"
    )


SINCE_THEN = 5 * MINUTE


@pytest.mark.parametrize(
    ("first", "second", "because"),
    [
        (None, SECOND, "asked once so far"),
        (FIRST, poll(APART - 1), "asked twice within less than 5m"),
        (FIRST, FIRST, "asked twice within less than 5m"),
        (SECOND, FIRST, "asked twice within less than 5m"),
        (FIRST, poll(SINCE_THEN, two=answer("a")), "am2.example/prom knows it"),
        (poll(one=answer("a")), SECOND, "am1:9093 knew it when asked before"),
        (FIRST, poll(SINCE_THEN, two=None), "am2.example/prom did not answer: HTTP 502"),
        (poll(one=None), SECOND, "when asked before, am1:9093 did not answer: HTTP 502"),
        (FIRST, poll(SINCE_THEN, one=answer(up=UPTIME - SINCE_THEN)), "am1:9093 runs for less than 15m"),
        (poll(one=answer(up=UPTIME)), SECOND, "when asked before, am1:9093 runs for less than 15m"),
        (
            FIRST,
            poll(SINCE_THEN, one=answer(familiar=False)),
            "am1:9093 knows no other alert that fires here, nor a heartbeat",
        ),
        (replace(FIRST, asked=(ONE,)), SECOND, "other Alertmanagers were asked before"),
        (FIRST, replace(SECOND, asked=()), "the source names no Alertmanager"),
    ],
)
def test_what_proves_nothing_keeps_an_alert(first: Poll | None, second: Poll, because: str) -> None:
    assert kept(first, second, stale("a")) == because


@pytest.mark.parametrize(
    "held",
    [
        pytest.param(stale(since=NOON + 1), id="heard between the polls"),
        pytest.param(stale(since=0), id="heard since"),
        pytest.param(stale(firing=False), id="resolved since"),
        pytest.param(stale(ours=True), id="said by the relay itself"),
        pytest.param(stale(sent=Sent("k")), id="came as an event"),
    ],
)
def test_what_is_not_stale_since_before_the_first_poll_is_kept(held: Held) -> None:
    assert kept(FIRST, SECOND, held) == "not yet stale when asked before"


def test_one_that_is_known_keeps_nobody_else() -> None:
    held = [stale("a"), stale("b"), stale("c")]

    found = gone(poll(one=answer("b")), poll(5 * MINUTE, two=answer("c")), held)

    assert found.gone == (held[0],)
    assert found.kept == {"am1:9093 knew it when asked before": 1, "am2.example/prom knows it": 1}


# What follows


@pytest.mark.parametrize(
    ("now", "over"),
    [
        pytest.param({}, True, id="as it was"),
        pytest.param({"stale_at": 0}, False, id="heard meanwhile"),
        pytest.param({"stale_at": NOON + 1}, False, id="heard, and stale again"),
        pytest.param({"firing": False}, False, id="resolved meanwhile"),
    ],
)
def test_an_alert_ends_if_the_ledger_still_says_that_it_is_stale(
    tmp_path: Path, now: Mapping[str, object], over: bool
) -> None:
    config = loaded(tmp_path, paging("routing_key: KEY"))
    book, held = Rulebook(config.rules, config.keys), stale(groups=("g",), judge_at=NOON + HOUR)
    again = place_again([held], book)

    plan = end(again, FIRST, SECOND, Ledger({held.id: replace(held, **now)}, {}, {}), SECOND.at, book)

    if not over:
        assert plan == Plan()
        return
    (ended,) = plan.alerts
    assert (ended.firing, ended.stale_at, ended.ends_at, ended.judge_at) == (False, 0, SECOND.at, None)
    assert plan.groups == (("prod", "g"),)
    assert plan.record is not None
    (decision,) = plan.record.decisions
    assert (decision.verdict, [step.because for step in decision.steps]) == (
        Verdict.RESOLVES,
        [evidence(FIRST, SECOND)],
    )


# For any polls at all

fingerprints = st.sampled_from("abcd")
answers = st.builds(
    Answer, st.frozensets(fingerprints), st.integers(NOON - HOUR, NOON + HOUR), st.sampled_from([True, True, False])
)


def polls_of(urls: tuple[str, ...]) -> st.SearchStrategy[Poll]:
    """Polls of these, of which some or all answered."""
    some = st.fixed_dictionaries({}, optional=dict.fromkeys(urls, answers))
    return st.builds(Poll, st.integers(NOON, NOON + HOUR), st.just(urls), some)


polls = st.sampled_from([(), (ONE,), (ONE, TWO), (TWO, ONE)]).flatmap(polls_of)
alerts = st.builds(
    stale, fingerprints, since=st.integers(0, NOON + HOUR), firing=st.booleans(), ours=st.sampled_from([False, True])
)


def proves(held: Held, polled: Poll) -> bool:
    """The rule as it was asked for, for one poll."""
    answered: Mapping[str, Answer] = polled.answers
    return bool(polled.asked) and all(
        url in answered
        and polled.at - answered[url].started_at > 15 * MINUTE
        and answered[url].familiar
        and held.fingerprint not in answered[url].known
        for url in polled.asked
    )


@given(st.none() | polls, polls, st.lists(alerts, max_size=4))
def test_an_alert_is_gone_only_by_all_of_the_rule(first: Poll | None, second: Poll, held: list[Held]) -> None:
    found = gone(first, second, held)

    assert len(found.gone) + sum(found.kept.values()) == len(held)
    for one in found.gone:
        assert first is not None
        assert set(first.asked) == set(second.asked)
        assert second.at - first.at >= 5 * MINUTE
        assert proves(one, first)
        assert proves(one, second)
        assert one.firing
        assert 0 < one.stale_at <= first.at


@given(polls, st.integers(5 * MINUTE, HOUR), st.lists(alerts, max_size=4))
def test_nothing_else_keeps_an_alert(polled: Poll, later: Duration, held: list[Held]) -> None:
    """Asked twice with the same answers, all that the rule asks for is enough."""
    second = replace(polled, at=polled.at + later)

    found = gone(polled, second, held)

    still = [one for one in held if one.firing and not one.ours and 0 < one.stale_at <= polled.at]
    assert list(found.gone) == [one for one in still if proves(one, polled)]


@given(polls)
def test_a_poll_is_doubted_in_words_that_name_whom(polled: Poll) -> None:
    because = doubt(polled)

    assert not because or "am" in because or not polled.asked
    assert "://" not in because
