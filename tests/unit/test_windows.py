"""An instant lies in a time interval exactly when Alertmanager says so, and the next change is known to the minute."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.alert import DAY, HOUR, MINUTE, SECOND, Instant, instant
from relay.config import load
from relay.rules.windows import Part, Window
from tests.unit.configuring import errors, loaded, warnings, write

TABLES: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parent.parent / "data/conformance/timeinterval.json").read_text(encoding="utf-8")
)


def at(text: str) -> Instant:
    """Read an instant; without an offset it is UTC."""
    when = datetime.fromisoformat(text)
    return instant(when if when.tzinfo else when.replace(tzinfo=UTC))


def config(**intervals: object) -> str:
    """Write a file with named intervals; JSON is YAML."""
    named = [{"name": name, "time_intervals": parts} for name, parts in intervals.items()]
    return f"route: {{receiver: r}}\nreceivers: [{{name: r}}]\ntime_intervals: {json.dumps(named)}\n"


def window(folder: Path, *parts: object) -> Window:
    return loaded(folder, config(t=parts)).rules.windows["t"]


def check(row: dict[str, Any], found: Window) -> None:
    for text in row["valid_at"]:
        assert found.contains(at(text)), text
    for text in row["invalid_at"]:
        assert not found.contains(at(text)), text


@pytest.mark.parametrize("row", TABLES["contains"], ids=lambda row: row["source"].split(":")[1])
def test_instants_lie_inside_and_outside_as_alertmanager_says(row: dict[str, Any], tmp_path: Path) -> None:
    if row.get("yaml_unparseable"):
        found = Window("t", (Part(months=((6, 6),), days_of_month=((-31, 31),)),))
    else:
        found = window(tmp_path, row["interval"])

    check(row, found)


@pytest.mark.parametrize("row", [row for row in TABLES["yaml"] if not row["error"]], ids=lambda row: row["source"])
def test_lists_of_intervals_are_read_as_alertmanager_reads_them(row: dict[str, Any], tmp_path: Path) -> None:
    found = window(tmp_path, *yaml.load(row["yaml"], yaml.BaseLoader))

    assert found.parts == window(tmp_path, *row["intervals"]).parts
    check(row, found)


@pytest.mark.parametrize("row", [row for row in TABLES["yaml"] if row["error"]], ids=lambda row: row["error_text"])
def test_intervals_alertmanager_refuses_are_refused_in_its_words(row: dict[str, Any], tmp_path: Path) -> None:
    (error,) = errors(tmp_path, config(t=yaml.load(row["yaml"], yaml.BaseLoader)))

    assert row["error_text"] in error


OVER_MIDNIGHT = "{'start_time': '09:30', 'end_time': '07:41'}"
"""The one row where the relay differs on purpose: Alertmanager refuses a range over midnight. The relay takes it, the
time after midnight belonging to the day before, and warns that Alertmanager would not. Equal ends stay an error."""


@pytest.mark.parametrize("row", TABLES["time_range"], ids=lambda row: row["yaml"])
def test_times_of_day_are_read_as_alertmanager_reads_them(row: dict[str, Any], tmp_path: Path) -> None:
    text = config(t=[{"times": [yaml.load(row["yaml"], yaml.BaseLoader)]}])

    if row["yaml"] == OVER_MIDNIGHT:
        (warning,) = warnings(tmp_path, text)
        assert "goes over midnight" in warning
        assert "Alertmanager itself would refuse it" in warning
    elif row["error"]:
        assert len(errors(tmp_path, text)) == 1
    else:
        (part,) = loaded(tmp_path, text).rules.windows["t"].parts
        assert part.times == ((row["start_minute"], row["end_minute"]),)


@pytest.mark.parametrize("row", TABLES["complete"], ids=lambda row: row["source"])
def test_everything_an_interval_names_must_hold(row: dict[str, Any], tmp_path: Path) -> None:
    check(row, window(tmp_path, yaml.load(row["yaml"], yaml.BaseLoader)))


def test_an_empty_list_takes_nothing_and_an_absent_one_everything(tmp_path: Path) -> None:
    now = at("2026-11-23T12:00")

    assert window(tmp_path, {}).contains(now)
    assert window(tmp_path, {"times": None}).contains(now)
    assert not window(tmp_path).contains(now)
    for name in ("times", "weekdays", "days_of_month", "months", "years"):
        never = window(tmp_path, {name: []})
        assert not never.contains(now)
        assert never.next_edge(now) is None


def test_the_last_day_of_a_month_is_that_of_the_zone(tmp_path: Path) -> None:
    found = window(tmp_path, {"days_of_month": ["-1"], "location": "Pacific/Auckland"})

    assert found.contains(at("2026-11-29T12:00"))
    assert not found.contains(at("2026-11-30T12:00"))


def test_both_lists_of_definitions_end_in_one_name_space(tmp_path: Path) -> None:
    text = config(new=[{"months": ["may"]}]) + "mute_time_intervals: [{name: old, time_intervals: [{}]}]\n"

    assert sorted(loaded(tmp_path, text).rules.windows) == ["new", "old"]


@pytest.mark.parametrize(
    ("environ", "hour"),
    [({"TZ": "Asia/Tokyo"}, 21), ({"TZ": ":Asia/Tokyo"}, 21), ({"TZ": ""}, 12), ({"TZ": "no/where"}, 12)],
)
def test_local_is_the_machines_own_zone(environ: dict[str, str], hour: int, tmp_path: Path) -> None:
    times = [{"start_time": f"{hour:02}:00", "end_time": f"{hour:02}:01"}]
    file = write(tmp_path, config(t=[{"times": times, "location": "Local"}]))

    assert load(file, environ).rules.windows["t"].contains(at("2026-11-23T12:00"))


NIGHTS = {"times": [{"start_time": "22:00", "end_time": "06:00"}]}


@pytest.mark.parametrize(
    ("more", "inside", "outside"),
    [
        (
            {"weekdays": ["friday"]},  # 2026-11-27 is one
            ["2026-11-27T22:00", "2026-11-27T23:59", "2026-11-28T00:00", "2026-11-28T05:59"],
            ["2026-11-27T05:59", "2026-11-27T21:59", "2026-11-28T06:00", "2026-11-28T22:00"],
        ),
        ({"days_of_month": ["-1"]}, ["2026-12-01T05:59", "2026-11-30T22:00"], ["2026-11-30T05:00", "2026-12-01T06:00"]),
        ({"months": ["december"]}, ["2027-01-01T05:59", "2026-12-01T22:00"], ["2026-12-01T05:59", "2027-01-01T22:00"]),
        ({"years": ["2026"]}, ["2027-01-01T05:59"], ["2027-01-01T22:00"]),
    ],
)
def test_after_midnight_a_range_belongs_to_the_day_it_began_on(
    more: dict[str, Any], inside: list[str], outside: list[str], tmp_path: Path
) -> None:
    check({"valid_at": inside, "invalid_at": outside}, window(tmp_path, NIGHTS | more))


def test_a_range_that_ends_at_0000_ends_at_midnight_and_is_warned_about(tmp_path: Path) -> None:
    text = config(t=[{"times": [{"start_time": "22:00", "end_time": "00:00"}]}])
    found = loaded(tmp_path, text).rules.windows["t"]

    (warning,) = warnings(tmp_path, text)
    assert "there that is 24:00" in warning
    check({"valid_at": ["2026-11-23T23:59"], "invalid_at": ["2026-11-24T00:00", "2026-11-23T21:59"]}, found)


def edges(found: Window, start: str, count: int) -> list[str]:
    """List the next changes of a window as `2026-03-29T01:00`."""
    listed: list[str] = []
    now: Instant | None = at(start)
    while len(listed) < count and now is not None:
        now = found.next_edge(now)
        listed.append("" if now is None else datetime.fromtimestamp(now / SECOND, UTC).isoformat()[:16])
    return listed


@pytest.mark.parametrize(
    ("part", "start", "expected"),
    [
        (NIGHTS, "2026-11-23T12:00", ["2026-11-23T22:00", "2026-11-24T06:00", "2026-11-24T22:00"]),
        ({"weekdays": ["saturday", "sunday"]}, "2026-11-23T12:00", ["2026-11-28T00:00", "2026-11-30T00:00"]),
        (
            {"days_of_month": ["29"], "months": ["2"]},
            "2026-11-23T12:00",
            ["2028-02-29T00:00", "2028-03-01T00:00", ""],
        ),
        ({"years": ["2028"]}, "2026-11-23T12:00", ["2028-01-01T00:00", "2029-01-01T00:00", ""]),
        ({"years": ["2020"]}, "2026-11-23T12:00", [""]),
        # Berlin: 2026-03-29 02:00 is 03:00, 2026-10-25 03:00 is 02:00 once more.
        (
            {"times": [{"start_time": "02:30", "end_time": "03:30"}], "location": "Europe/Berlin"},
            "2026-03-29T00:00",
            ["2026-03-29T01:00", "2026-03-29T01:30", "2026-03-30T00:30"],
        ),
        (
            {"times": [{"start_time": "02:10", "end_time": "02:40"}], "location": "Europe/Berlin"},
            "2026-03-29T00:00",
            ["2026-03-30T00:10", "2026-03-30T00:40"],
        ),
        (
            {"times": [{"start_time": "02:10", "end_time": "02:40"}], "location": "Europe/Berlin"},
            "2026-10-24T22:00",
            ["2026-10-25T00:10", "2026-10-25T00:40", "2026-10-25T01:10", "2026-10-25T01:40"],
        ),
        (
            {"times": [{"start_time": "02:30", "end_time": "04:00"}], "location": "Europe/Berlin"},
            "2026-10-24T22:00",
            ["2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30", "2026-10-25T03:00"],
        ),
        # São Paulo: the day 2018-11-04 begins at 01:00.
        (
            {"weekdays": ["sunday"], "location": "America/Sao_Paulo"},
            "2018-11-03T12:00",
            ["2018-11-04T03:00", "2018-11-05T02:00"],
        ),
        # Apia: there was no 2011-12-30, and this month's 31st began where the 29th ended.
        (
            {"days_of_month": ["30:31"], "months": ["12"], "location": "Pacific/Apia"},
            "2011-12-29T12:00",
            ["2011-12-30T10:00", "2011-12-31T10:00"],
        ),
    ],
)
def test_the_next_change_is_known_to_the_minute(
    part: dict[str, Any], start: str, expected: list[str], tmp_path: Path
) -> None:
    assert edges(window(tmp_path, part), start, len(expected)) == expected


def test_intervals_that_meet_have_no_edge_between_them(tmp_path: Path) -> None:
    evening = {"times": [{"start_time": "22:00", "end_time": "24:00"}]}
    morning = {"times": [{"start_time": "00:00", "end_time": "06:00"}]}

    assert edges(window(tmp_path, evening, morning), "2026-11-23T23:00", 2) == ["2026-11-24T06:00", "2026-11-24T22:00"]


ZONES = [
    ZoneInfo(name)
    for name in (
        *("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu"),
        *("Africa/Casablanca", "America/Sao_Paulo", "Pacific/Chatham", "Antarctica/Troll"),
    )
]


def ranges(low: int, high: int) -> st.SearchStrategy[tuple[tuple[int, int], ...] | None]:
    span = st.tuples(st.integers(low, high), st.integers(low, high)).map(lambda span: (min(span), max(span)))
    return st.none() | st.lists(span, max_size=3).map(tuple)


TIMES = st.lists(
    st.tuples(st.integers(0, 1439), st.integers(0, 1440)).filter(lambda span: span[0] != span[1]), max_size=3
)
PARTS = st.builds(
    Part,
    times=st.none() | TIMES.map(tuple),
    weekdays=ranges(0, 6),
    days_of_month=ranges(1, 31) | ranges(-31, -1),
    months=st.none() | ranges(1, 12),
    years=st.none() | ranges(2010, 2031),
    zone=st.sampled_from(ZONES),
)
INSTANTS = st.integers(at("2010-01-01"), at("2030-12-31"))
AROUND_A_CHANGE = st.sampled_from(
    [
        at(text)
        for text in (
            *("2026-03-29T01:00", "2026-10-25T01:00", "2026-03-08T07:00", "2026-11-01T06:00", "2011-12-30T10:00"),
            *("2026-04-04T15:00", "2026-10-03T15:30", "2018-11-04T03:00", "2018-02-18T02:00"),
        )
    ]
).flatmap(lambda change: st.integers(change - DAY, change + DAY))


def samples(start: Instant, end: Instant, more: Sequence[Instant]) -> list[Instant]:
    """List instants of a stretch: every quarter of an hour of four days, every minute near its ends, and some more."""
    near = [*range(start, min(end, start + HOUR), MINUTE), *range(max(start, end - HOUR), end, MINUTE), end - 1]
    coarse = range(start, min(end, start + 4 * DAY), 15 * MINUTE)
    return [*near, *coarse, *(start + number % (end - start) for number in more)]


@settings(max_examples=300, deadline=None)
@given(st.lists(PARTS, max_size=3), INSTANTS | AROUND_A_CHANGE, st.lists(st.integers(0, 800 * DAY), max_size=200))
def test_the_answer_stays_the_same_until_the_next_edge_and_differs_there(
    parts: list[Part], now: Instant, more: list[Instant]
) -> None:
    found, plain = Window("t", tuple(parts)), Window("t", tuple(parts))

    edge = found.next_edge(now)

    end = now + 731 * DAY if edge is None else edge
    assert end > now
    assert {plain.contains(moment) for moment in samples(now, end, more)} == {plain.contains(now)}
    if edge is not None:
        assert edge % MINUTE == 0
        assert plain.contains(edge) is not plain.contains(now)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(PARTS, min_size=1, max_size=3), INSTANTS | AROUND_A_CHANGE, st.lists(st.integers(-DAY, DAY), max_size=9)
)
def test_what_a_window_remembers_changes_none_of_its_answers(parts: list[Part], now: Instant, steps: list[int]) -> None:
    found = Window("t", tuple(parts))
    for moment in [now, *(now + step for step in steps)]:
        fresh = Window("t", tuple(parts))

        assert (found.next_edge(moment), found.contains(moment)) == (fresh.next_edge(moment), fresh.contains(moment))
