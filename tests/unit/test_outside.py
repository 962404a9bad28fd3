"""Outside the hours of its route an alert is dropped, held or pages more mildly, and the reason says until when."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.alert import DAY, HOUR, MINUTE, Instant
from relay.event import Severity
from relay.page import SuppressionKind
from relay.rules.ruleset import RuleSet
from relay.rules.silences import Silences
from relay.rules.suppression import window
from relay.rules.suppression.case import NOTHING, Case, Found
from tests.unit.configuring import loaded
from tests.unit.test_windows import TABLES, at, config

RULES = """\
route:
  receiver: r
  outside: {outside}
  routes: [{{matchers: [a=b], {names}, routes: [{{matchers: [c=d]}}]}}]
receivers: [{{name: r}}]
time_intervals:
- {{name: nights, time_intervals: [{{times: [{{start_time: '22:00', end_time: '24:00'}}]}},
  {{times: [{{start_time: '00:00', end_time: '06:00'}}]}}]}}
- {{name: weekends, time_intervals: [{{weekdays: [saturday, sunday]}}]}}
- {{name: days, time_intervals: [{{times: [{{start_time: '06:00', end_time: '22:00'}}]}}]}}
- {{name: office, time_intervals: [{{weekdays: ['monday:friday'], times: [{{start_time: '09:00', end_time: '17:00'}}],
  location: Europe/Berlin}}]}}
"""
NIGHTS = "mute_time_intervals: [nights]"
OFFICE = "active_time_intervals: [office]"


def rules(folder: Path, outside: str, names: str) -> RuleSet:
    return loaded(folder, RULES.format(outside=outside, names=names)).rules


def judged(
    found: RuleSet,
    now: Instant,
    joined_at: Instant | None = None,
    heard_at: Instant | None = None,
    severity: Severity = Severity.CRITICAL,
) -> Found:
    """Judge an alert on the child route; it joined and was heard now unless told otherwise."""
    joined = now if joined_at is None else joined_at
    return window.judge(
        Case(
            now=now,
            windows=found.windows,
            route=found.root.routes[0],
            source="",
            labels={},
            severity=severity,
            joined_at=joined,
            held_until=0,
            heard_at=joined if heard_at is None else heard_at,
            silences=Silences(),
            targets=(),
            inhibitors={},
        )
    )


NAMED = [(row, case) for row in TABLES["named"] if row["mode"] != "mutes" for case in row["cases"]]


@pytest.mark.parametrize(("row", "case"), NAMED, ids=lambda value: value.get("name", value.get("mode")))
def test_routes_are_muted_when_alertmanager_mutes_them(
    row: Mapping[str, object], case: Mapping[str, object], tmp_path: Path
) -> None:
    intervals = row["time_intervals"]
    assert isinstance(intervals, dict)
    names = f"{row['mode']}: {row['names_in_use']}"
    text = config(**intervals).replace("receiver: r}", f"receiver: r, outside: hold, routes: [{{{names}}}]}}", 1)

    found = judged(loaded(tmp_path, text).rules, at(str(case["now"])))

    assert (found.suppression is not None) is case["muted"]
    if found.suppression is not None:
        assert found.suppression.kind == str(row["mode"]).removesuffix("s")
        assert all(f'"{name}"' in found.suppression.because for name in case["muted_by"])  # type: ignore[attr-defined]


MUTES = [(row, case) for row in TABLES["named"] if row["mode"] == "mutes" for case in row["cases"]]


@pytest.mark.parametrize(("row", "case"), MUTES, ids=lambda value: value.get("name", value.get("mode")))
def test_every_interval_that_mutes_is_named(
    row: Mapping[str, object], case: Mapping[str, object], tmp_path: Path
) -> None:
    intervals = row["time_intervals"]
    assert isinstance(intervals, dict)
    found = loaded(tmp_path, config(**intervals)).rules.windows

    assert [name for name in found if found[name].contains(at(str(case["now"])))] == case["muted_by"]


@pytest.mark.parametrize(
    ("outside", "names", "now", "kind", "because", "until", "again"),
    [
        (
            *("hold", NIGHTS, "2026-11-23T23:00", "mute_time_interval"),
            'muted by time interval "nights" until 2026-11-24 06:00 UTC; outside: hold, so it pages then if it fires',
            *("2026-11-24T06:00", "2026-11-24T06:00"),
        ),
        (
            *("drop", NIGHTS, "2026-11-23T23:00", "mute_time_interval"),
            'muted by time interval "nights" until 2026-11-24 06:00 UTC; outside: drop, '
            "so it pages only if it is heard again after that",
            *(None, "2026-11-24T06:00"),
        ),
        (
            *("hold", OFFICE, "2026-11-27T17:00", "active_time_interval"),
            'outside of active time interval "office" until 2026-11-30 08:00 UTC; outside: hold, '
            "so it pages then if it fires",
            *("2026-11-30T08:00", "2026-11-30T08:00"),
        ),
        (  # Friday night into the weekend into Monday's night: one mute, three edges on the way
            *("hold", "mute_time_intervals: [nights, weekends]", "2026-11-27T23:00", "mute_time_interval"),
            'muted by time interval "nights" until 2026-11-30 06:00 UTC; outside: hold, so it pages then if it fires',
            *("2026-11-30T06:00", "2026-11-28T00:00"),
        ),
        (
            *("hold", "mute_time_intervals: [nights, weekends]", "2026-11-28T23:00", "mute_time_interval"),
            'muted by time interval "nights" and "weekends" until 2026-11-30 06:00 UTC; outside: hold, '
            "so it pages then if it fires",
            *("2026-11-30T06:00", "2026-11-29T06:00"),
        ),
        (
            *("hold", f"{NIGHTS}, {OFFICE}", "2026-11-23T23:00", "mute_time_interval"),
            'muted by time interval "nights" until 2026-11-24 08:00 UTC; outside: hold, so it pages then if it fires',
            *("2026-11-24T08:00", "2026-11-24T06:00"),
        ),
        (
            *("hold", "mute_time_intervals: [nights, days]", "2026-11-23T23:00", "mute_time_interval"),
            'muted by time interval "nights" with no end in sight; outside: hold, so it pages then if it fires',
            *(None, "2026-11-24T06:00"),
        ),
    ],
)
def test_the_reason_names_the_window_and_when_it_ends(
    outside: str, names: str, now: str, kind: str, because: str, until: str | None, again: str, tmp_path: Path
) -> None:
    found = judged(rules(tmp_path, outside, names), at(now))

    assert found.suppression is not None
    assert (found.suppression.kind, found.suppression.because) == (SuppressionKind(kind), because)
    assert found.suppression.until == (None if until is None else at(until))
    assert found.again == at(again)
    assert found.severity is None


def test_windows_are_the_routes_own_and_what_they_do_is_inherited(tmp_path: Path) -> None:
    found = rules(tmp_path, "hold", NIGHTS)
    child = found.root.routes[0].routes[0]

    assert (child.mute_time_intervals, child.outside) == ((), "hold")
    assert window.judge(judged_case(found)._replace(route=child)) is NOTHING


def judged_case(found: RuleSet) -> Case:
    now = at("2026-11-23T23:00")
    return Case(now, found.windows, found.root.routes[0], "", {}, Severity.ERROR, now, 0, now, Silences(), (), {})


@pytest.mark.parametrize(
    ("severity", "paged"),
    [
        (Severity.CRITICAL, Severity.WARNING),
        (Severity.ERROR, Severity.WARNING),
        (Severity.WARNING, None),
        (Severity.INFO, None),
    ],
)
def test_downgrade_pages_at_most_as_a_warning_until_the_window_ends(
    severity: Severity, paged: Severity | None, tmp_path: Path
) -> None:
    found = rules(tmp_path, "downgrade", NIGHTS)

    mute = 'muted by time interval "nights" until 2026-11-24 06:00 UTC'
    words = f"{mute}; outside: downgrade, so it pages as warning for so long"
    inside = judged(found, at("2026-11-23T23:00"), severity=severity)
    assert inside == Found(severity=paged, because=words if paged else "", again=at("2026-11-24T06:00"))
    assert judged(found, at("2026-11-24T06:00"), severity=severity) == Found(again=at("2026-11-24T22:00"))


@pytest.mark.parametrize(
    ("joined", "heard", "now", "quiet"),
    [
        ("2026-11-23T23:00", "2026-11-23T23:00", "2026-11-24T05:59", True),
        ("2026-11-23T23:00", "2026-11-23T23:00", "2026-11-24T06:00", True),
        ("2026-11-23T23:00", "2026-11-24T05:59", "2026-11-24T12:00", True),
        ("2026-11-23T23:00", "2026-11-24T06:00", "2026-11-24T12:00", False),
        ("2026-11-24T06:00", "2026-11-24T06:00", "2026-11-24T12:00", False),
        ("2026-11-23T12:00", "2026-11-23T12:00", "2026-11-23T23:00", True),
        ("2026-11-23T12:00", "2026-11-23T23:00", "2026-11-24T12:00", False),  # it paged before the window
        ("2026-11-23T23:00", "2026-11-24T12:00", "2026-11-25T12:00", False),  # it paged between two of them
    ],
)
def test_what_is_dropped_stays_quiet_after_the_window_until_it_is_heard(
    joined: str, heard: str, now: str, quiet: bool, tmp_path: Path
) -> None:
    found = judged(rules(tmp_path, "drop", NIGHTS), at(now), at(joined), at(heard))

    assert (found.suppression is not None) is quiet
    assert found.again is not None


def test_after_the_window_the_reason_says_what_it_waits_for(tmp_path: Path) -> None:
    found = judged(rules(tmp_path, "drop", OFFICE), at("2026-11-24T12:00"), at("2026-11-21T12:00"))

    assert found.suppression is not None
    assert found.suppression.because == (
        'outside of active time interval "office" until 2026-11-23 08:00 UTC; outside: drop, '
        "and it was not heard again since: it pages once it is"
    )
    assert found.suppression.until is None


def test_one_that_fired_before_a_dropping_window_counts_again_at_its_end(tmp_path: Path) -> None:
    found = judged(rules(tmp_path, "drop", NIGHTS), at("2026-11-23T23:00"), at("2026-11-23T21:00"))

    assert found.suppression is not None
    assert found.suppression.until == at("2026-11-24T06:00")
    assert found.suppression.because.endswith("outside: drop, but it fired before, so it counts again then")


MOMENTS = st.integers(at("2026-03-27"), at("2026-04-02"))


@settings(max_examples=200, deadline=timedelta(seconds=2))
@given(
    MOMENTS,
    MOMENTS,
    MOMENTS,
    st.sampled_from(["drop", "hold", "downgrade"]),
    st.sampled_from([NIGHTS, OFFICE, f"{NIGHTS}, {OFFICE}", "mute_time_intervals: [nights, weekends]"]),
)
def test_the_judgement_holds_until_it_is_asked_for_again(
    tmp_path_factory: pytest.TempPathFactory, one: Instant, two: Instant, three: Instant, outside: str, names: str
) -> None:
    found = known_rules(tmp_path_factory, outside, names)
    joined, heard, now = sorted((one, two, three))

    first = judged(found, now, joined, heard)

    assert first.again is not None
    for moment in {now, first.again - 1, *range(now, min(first.again, now + 3 * DAY), HOUR + MINUTE)}:
        assert judged(found, moment, joined, heard) == first


_KNOWN: dict[tuple[str, str], RuleSet] = {}


def known_rules(factory: pytest.TempPathFactory, outside: str, names: str) -> RuleSet:
    if (outside, names) not in _KNOWN:
        _KNOWN[outside, names] = rules(factory.mktemp("rules"), outside, names)
    return _KNOWN[outside, names]
