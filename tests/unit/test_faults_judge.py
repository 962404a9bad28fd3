"""The judge of tests/faults sees what is wrong: each invariant goes red on a ledger made by hand that breaks it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from relay.alert import fingerprint_of
from tests.faults import judge
from tests.faults.judge import Allowance, Evidence, Sample
from tests.faults.producer import Group, Instance, Said

LABELS = {"alertname": "Down", "instance": "i0", "severity": "critical"}


def down(*said: Said) -> Group:
    """A group with one alert that fires in its first episode, and what was said of it."""
    group = Group("Down", [Instance("i0", LABELS, firing=True, episode=1)], 0.0)
    group.said = list(said) or [Said(1.0, 1.1, {"i0": (1, True)})]
    return group


def call(n: int, at: float, action: str = "trigger", **more: Any) -> dict[str, Any]:
    """A call that the sandbox counted."""
    payload = {"custom_details": {"shown": "i0=1"}, "summary": "Down"}
    return {
        "n": n,
        "at": at,
        "status": 202,
        "result": {"trigger": "triggered", "resolve": "resolved"}[action],
        "event_action": action,
        "dedup_key": down().dedup_key,
        "routing_key": "team",
        "summary": "Down",
        "severity": "critical",
        "errors": [],
        "event": {"payload": payload} if action == "trigger" else {},
        **more,
    }


def good() -> Evidence:
    """A run in which all is well: it fired, it was told once, and it resolved."""
    return Evidence(
        groups=[down()],
        ledger=[call(1, 1.2), call(2, 9.0, "resolve")],
        open_at_rest=[{"dedup_key": down().dedup_key}],
        firing_at_rest={down().dedup_key: frozenset({"i0"})},
        answers=Counter({"200": 2, "503": 1}),
        fresh=0.1,
    )


def shows(text: str) -> Mapping[str, Any]:
    return {"payload": {"custom_details": {"shown": text}, "summary": "Down"}}


BAD: Mapping[str, Callable[[Evidence], Evidence]] = {
    "I1": lambda run: replace(run, ledger=[]),
    "I2": lambda run: replace(run, open_at_rest=[]),
    "I3": lambda run: replace(run, ledger=[*run.ledger, call(3, 9.5)]),
    "I4": lambda run: replace(run, ledger=[call(1, 1.2), call(2, 8.0), call(3, 9.0, "resolve")]),
    "I5": lambda run: replace(run, open_at_end=[{"dedup_key": down().dedup_key}]),
    "I6": lambda run: replace(run, ledger=[call(1, 1.2, summary=" "), call(2, 9.0, "resolve")]),
    "I7": lambda run: replace(run, answers=Counter({"200": 2, "429": 1})),
    "I8": lambda run: replace(run, leaks=["relay.log"]),
    "I9": lambda run: replace(run, memory=400 << 20),
    "I10": lambda run: replace(run, ledger=[call(1, 1.2), call(2, 2.5, event=shows("i0=1 i1=1"))]),
    "I11": lambda run: replace(run, fresh=7.0),
}


def test_a_run_in_which_all_is_well_breaks_nothing() -> None:
    assert judge.judge(good()) == []


def test_each_invariant_has_a_ledger_here_that_breaks_it() -> None:
    assert BAD.keys() == judge.INVARIANTS.keys()


@pytest.mark.parametrize("name", BAD)
def test_an_invariant_goes_red_on_a_ledger_that_breaks_it(name: str) -> None:
    found = judge.INVARIANTS[name](BAD[name](good()))

    assert found != []


def test_an_alert_that_resolved_unseen_needs_a_recorded_outcome() -> None:
    """Conservation asks for a delivery or for a word in the journal."""
    over = down(Said(1.0, 1.1, {"i0": (1, True)}), Said(2.0, 2.1, {"i0": (1, False)}))
    run = replace(good(), groups=[over], ledger=[])
    told = [{"fingerprint": fingerprint_of(LABELS), "status": "resolved"}]

    assert judge.i1_conservation(run) != []
    assert judge.i1_conservation(replace(run, journal=told)) == []


def test_one_more_call_after_a_fault_is_allowed_and_two_are_not() -> None:
    """A kill between two equal calls excuses the second, and not the third."""
    twice = [call(1, 1.2), call(2, 8.0)]
    run = replace(good(), disturbances=[5.0])

    assert judge.i4_duplicates(replace(run, ledger=twice)) == []
    assert judge.i4_duplicates(replace(run, ledger=[*twice, call(3, 8.1)])) != []


def test_a_call_that_got_no_answer_excuses_the_next() -> None:
    unanswered = [call(1, 1.2, status=0), call(2, 2.0)]
    refused = [call(1, 1.2), call(2, 3.0, status=503, result="refused"), call(3, 4.0)]

    assert judge.i4_duplicates(replace(good(), ledger=unanswered)) == []
    assert judge.i4_duplicates(replace(good(), ledger=refused)) == []


def test_a_refresh_is_no_duplicate_where_repeats_are_asked_for() -> None:
    ledger = [call(1, 1.2), call(2, 4.0)]

    assert judge.i4_duplicates(replace(good(), ledger=ledger)) != []
    assert judge.i4_duplicates(replace(good(), ledger=ledger, allows=Allowance(repeats=2.0))) == []


def test_saying_ready_and_taking_nothing_twice_in_a_row_is_a_lie() -> None:
    lie = Sample(1.0, "200", "503")

    assert judge.i7_honest_answers(replace(good(), samples=[lie, Sample(2.0, "503", "503"), lie])) == []
    assert judge.i7_honest_answers(replace(good(), samples=[lie, lie])) != []


@pytest.mark.parametrize("answer", ["429", "500", "502"])
def test_no_bad_body_may_be_answered_with_an_error_of_ours(answer: str) -> None:
    assert judge.i7_honest_answers(replace(good(), hostile=[("rubbish", answer)])) != []


def test_a_severity_lower_than_what_fires_is_seen() -> None:
    mild = [call(1, 1.2, severity="warning")]

    assert judge.i2_convergence(replace(good(), ledger=mild)) != []


def test_a_run_without_what_it_is_about_is_refused() -> None:
    assert judge.vacuous({"faults": 3, "acknowledged": 0}, ("faults", "acknowledged", "events")) == [
        "vacuous: no acknowledged",
        "vacuous: no events",
    ]
