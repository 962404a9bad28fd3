"""What is said of the way from a routing key to a person; and that no answer of PagerDuty's is too odd to be read."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.pagerduty import records
from relay.pagerduty.reaching import Reach, faults_of
from relay.pagerduty.records import EVENTS_V2, Hooked, OnCall
from relay.secret import Key, Secret

US, EU = "https://api.pagerduty.com", "https://api.eu.pagerduty.com"
KEY = Key("0" * 16, "https://events.pagerduty.com/v2/enqueue", Secret("0123456789abcdef" * 2), "platform")
HOOKED = Hooked("PI1", EVENTS_V2, "", "PS1", "Database", "active", "PP1", "Default", "https://example.pagerduty.com/s")
ANNA = OnCall(1, "Anna", "PU1", "anna@example.com", "Primary", "PP1", "Default", 0, 0)
BEN = OnCall(2, "Ben", "PU2", "ben@example.com", "", "PP1", "Default", 0, 0)


def said(hooked: Hooked | None, oncalls: list[OnCall], key: Key = KEY, api: str = US) -> list[tuple[str, bool]]:
    return [(fault.says, fault.fatal) for fault in faults_of(key, hooked, oncalls, api)]


@pytest.mark.parametrize("status", ["active", "warning", "critical", "", "a status to come"])
def test_a_service_that_opens_incidents_is_no_fault(status: str) -> None:
    assert said(msgspec.structs.replace(HOOKED, status=status), [ANNA, BEN]) == []


@pytest.mark.parametrize(
    ("hooked", "oncalls", "words", "fatal"),
    [
        (None, [], "no service of this account has this routing key", True),
        (msgspec.structs.replace(HOOKED, kind="event_transformer_api_inbound_integration"), [ANNA], "is for", True),
        (msgspec.structs.replace(HOOKED, status="disabled"), [ANNA], "is disabled", True),
        (msgspec.structs.replace(HOOKED, status="maintenance"), [ANNA], "maintenance window", True),
        (HOOKED, [], "nobody is on call now", True),
        (HOOKED, [BEN], "nobody is on call on level 1", False),
    ],
)
def test_what_is_in_a_pages_way_is_said(hooked: Hooked | None, oncalls: list[OnCall], words: str, fatal: bool) -> None:
    ((says, is_fatal),) = said(hooked, oncalls)

    assert words in says
    assert is_fatal is fatal
    assert KEY.routing_key.reveal() not in says


@pytest.mark.parametrize(
    ("events", "api", "apart"),
    [
        ("https://events.pagerduty.com/v2/enqueue", US, False),
        ("https://events.eu.pagerduty.com/v2/enqueue", EU, False),
        ("https://events.pagerduty.com/v2/enqueue", EU, True),
        ("https://events.eu.pagerduty.com/v2/enqueue", US, True),
        ("http://127.0.0.1:9999/v2/enqueue", EU, False),
    ],
)
def test_events_and_questions_go_to_one_region(events: str, api: str, apart: bool) -> None:
    faults = said(HOOKED, [ANNA], replace(KEY, url=events), api)

    assert [words for words, _ in faults if "its events go to" in words] == [words for words, _ in faults]
    assert bool(faults) is apart


def test_who_is_called_first_is_the_first_level_that_has_somebody() -> None:
    second = msgspec.structs.replace(ANNA, level=2)

    assert Reach("platform", HOOKED, (ANNA, BEN), ()).first == (ANNA,)
    assert Reach("platform", HOOKED, (second, BEN), ()).first == (second, BEN)
    assert Reach("platform", HOOKED, (), ()).first == ()


_NAMES = st.sampled_from(
    ["id", "status", "summary", "service", "user", "alert_key", "created_at", "incident_number", "assignments", "start"]
)
_TEXTS = ["2015-10-06T21:30:42Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "half \ud800"]
_ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(_TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=5),
    max_leaves=12,
)
_READERS: list[Callable[[object], msgspec.Struct]] = [
    records.read_incident,
    records.read_alert,
    records.read_note,
    records.read_service,
    records.read_oncall,
    records.read_schedule,
    records.read_user,
    records.read_named,
]


@given(st.sampled_from(_READERS), _ODD)
def test_whatever_an_answer_holds_it_is_read(reader: Callable[[object], msgspec.Struct], odd: object) -> None:
    record = reader(odd)

    assert msgspec.convert(msgspec.to_builtins(record), type(record)) == record
    assert msgspec.json.encode(records.plain(record))


_EVERY_NAME = ("id", "status", "summary", "title", "name", "alert_key", "created_at", "start", "incident_number")


@pytest.mark.parametrize("reader", _READERS)
@pytest.mark.parametrize("odd", [*_TEXTS, 10**40, -(10**40), True, None, [], {}])
def test_one_odd_value_everywhere_is_read(reader: Callable[[object], msgspec.Struct], odd: object) -> None:
    assert msgspec.json.encode(records.plain(reader(dict.fromkeys(_EVERY_NAME, odd))))


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2015-10-06T21:30:42Z", 1_444_167_042_000_000),
        ("2015-10-06T17:30:42-04:00", 1_444_167_042_000_000),
        ("2015-10-06T21:30:42", 1_444_167_042_000_000),
        ("yesterday", 0),
        ("", 0),
    ],
)
def test_a_time_is_read_with_its_zone(text: str, at: int) -> None:
    assert records.time({"created_at": text}, "created_at") == at
