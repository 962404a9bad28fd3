"""Where pages and PagerDuty differ, what shows it, and that nothing is touched without proof."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from relay.alert import HOUR, MINUTE, SECOND, Instant, instant
from relay.event import Severity
from relay.page import Lane, Line, Page, State, Wanted
from relay.rules.drift import (
    SETTLED,
    Drift,
    Incident,
    Kind,
    Known,
    Look,
    Named,
    OpenAlert,
    Repair,
    minted,
    not_ours,
    ripe,
    stamp,
    suspects,
)
from relay.rules.gone import APART, Answer, Poll
from relay.rules.ledger import Ledger, Plan
from relay.rules.proof import drift
from relay.rules.repairs import repaired

NOON = instant(datetime(2026, 11, 23, 12, tzinfo=UTC))
THEN = NOON - HOUR
"""When the page was opened and last sent."""
AM = "http://am:9093"


def line(state: State = State.OPEN, key_id: str = "k", **more: Any) -> Line:
    """Where the page was sent."""
    return Line(key_id=key_id, url="https://events.example/v2/enqueue", state=state, at=THEN, until=THEN, **more)


def page(wanted: Wanted = Wanted.OPEN, *lines: Line, **more: Any) -> Page:
    """A page that was opened an hour ago, and that nothing was done about since."""
    said: dict[str, Any] = {"opened_at": THEN, "last_sent_at": THEN, "triggered_at": THEN, "tally": {"0 0 {}": 1}}
    plain = Page(1, "i", "d", "prod", "g", "a", wanted=wanted, lines=lines or (line(),))
    return replace(plain, **said | more)


def open_alert(**more: Any) -> OpenAlert:
    """What PagerDuty has open of it."""
    plain = OpenAlert("d", "Q1", 1, "https://pd/1", "triggered", "S", "I", THEN, "Down is bad")
    return replace(plain, **more)


def incident(**more: Any) -> Incident:
    """An incident of it that Anna closed ten minutes ago."""
    return replace(Incident("Q1", 1, "https://pd/1", "S", False, NOON - 10 * MINUTE, "Anna", by_us=False), **more)


def look(*alerts: OpenAlert, **more: Any) -> Look:
    """A look at noon: the key leads to integration I of service S, and one alert of the page fires."""
    said: dict[str, Any] = {
        "began": NOON,
        "open": {one.key: tuple(other for other in alerts if other.key == one.key) for one in alerts},
        "known": {"k": Known("I", "S", "active", proven=True)},
        "at_hand": frozenset({"k"}),
        "members": {1: (Named("prod", "f", True, False, THEN),)},
        "incidents": {"d": ()},
    }
    return Look(**said | more)


def found(where: Page, at: Look) -> list[Drift]:
    """Say what differs."""
    return [one for suspect in suspects(where, at) if (one := drift(suspect, at)) is not None]


def poll(*known: str, answered: bool = True) -> Mapping[str, Poll]:
    """What the Alertmanager of source prod says."""
    answers = {AM: Answer(frozenset(known), NOON - HOUR, familiar=False)} if answered else {}
    return {"prod": Poll(NOON, (AM,), answers)}


OPEN, QUIET, CLOSED = Wanted.OPEN, Wanted.QUIET, Wanted.CLOSED
THERE = look(open_alert())
ABSENT = look()
MUTED: dict[str, Any] = {"quiet": 1, "tally": {}}


@pytest.mark.parametrize(
    ("where", "at"),
    [
        (page(), THERE),
        (page(CLOSED, line(State.CLOSED)), ABSENT),
        (page(CLOSED, line(State.ELSEWHERE)), ABSENT),
        (page(CLOSED, line(State.NEVER)), THERE),
        (page(OPEN, line(State.NEVER)), ABSENT),
        (page(OPEN, line(State.ELSEWHERE)), ABSENT),
        (page(CLOSED, line(State.OPEN), lane=Lane.RESOLVE), THERE),
        (page(CLOSED, line(State.UNKNOWN_RESOLVE), lane=Lane.RESOLVE), THERE),
        (page(QUIET, line(), on_mute="acknowledge", **MUTED), look(open_alert(status="acknowledged"))),
        (page(QUIET, line(), waiting=1, **MUTED), THERE),
        (page(in_flight=True), ABSENT),
        (page(lane=Lane.CRITICAL), ABSENT),
        (page(handed_over=True), ABSENT),
        (page(dead="400"), ABSENT),
        (page(last_sent_at=NOON - SETTLED + 1), ABSENT),
        (page(OPEN, replace(line(), at=NOON - MINUTE)), ABSENT),
        (page(), look(known={})),
        (page(), look(incidents={"d": (incident(open=True),)})),
        (page(QUIET, line(), **MUTED), ABSENT),
    ],
)
def test_what_is_in_step_or_at_work_is_no_difference(where: Page, at: Look) -> None:
    assert found(where, at) == []


SENT_TWICE = "more than one alert of it is open there"
REOPENED = "it was closed there by others than the relay, who may want it open again"
ELSEWHERE = "it is open in another service than the one its routing key leads to"
LATER = "it was opened there after the relay's resolve, so perhaps by somebody else"
UNPROVEN = (
    "no alert that the relay sent to this integration was ever seen open there: "
    "the token may not see them, or rules there may suppress them"
)
OVER = page(CLOSED, line(State.CLOSED))


@pytest.mark.parametrize(
    ("where", "at", "kind", "repair", "doubt"),
    [
        (OVER, THERE, Kind.LOST_RESOLVE, Repair.RESOLVE, ""),
        (OVER, look(open_alert(), polls=poll()), Kind.LOST_RESOLVE, Repair.RESOLVE, ""),
        (
            OVER,
            look(open_alert(), polls=poll("f")),
            Kind.LOST_RESOLVE,
            Repair.RESOLVE,
            "am:9093 knows an alert of it still",
        ),
        (
            OVER,
            look(open_alert(), polls=poll(answered=False)),
            Kind.LOST_RESOLVE,
            Repair.RESOLVE,
            "am:9093 did not answer",
        ),
        (OVER, look(open_alert(service="T")), Kind.LOST_RESOLVE, Repair.RESOLVE, ELSEWHERE),
        (OVER, look(open_alert(created_at=NOON)), Kind.LOST_RESOLVE, Repair.RESOLVE, LATER),
        (OVER, look(open_alert(created_at=0)), Kind.LOST_RESOLVE, Repair.RESOLVE, LATER),
        (
            OVER,
            look(open_alert(), known={"k": Known("I", "S", "maintenance", True)}),
            Kind.LOST_RESOLVE,
            Repair.RESOLVE,
            "its service is in maintenance: PagerDuty drops what is sent to it",
        ),
        (
            OVER,
            look(open_alert(), members={}),
            Kind.LOST_RESOLVE,
            Repair.RESOLVE,
            "its alerts were not looked up: it has too many, or too much differs",
        ),
        (OVER, look(open_alert(), open_alert(incident="Q2")), Kind.LOST_RESOLVE, None, SENT_TWICE),
        (page(CLOSED, line(State.ELSEWHERE)), THERE, Kind.LOST_RESOLVE, None, REOPENED),
        (page(QUIET, line(State.CLOSED), on_mute="resolve", **MUTED), THERE, Kind.MUTED_OPEN, Repair.RESOLVE, ""),
        (
            page(QUIET, line(), on_mute="acknowledge", **MUTED),
            THERE,
            Kind.MUTED_OPEN,
            None,
            "its acknowledgement ended there by itself, or was lost",
        ),
        (page(), look(incidents={"d": (incident(),)}), Kind.CLOSED_ELSEWHERE, Repair.ELSEWHERE, ""),
        (page(), look(incidents={"d": (incident(by=""),)}), Kind.CLOSED_ELSEWHERE, Repair.ELSEWHERE, ""),
        (
            page(QUIET, line(), **MUTED),
            look(incidents={"d": (incident(),)}),
            Kind.CLOSED_ELSEWHERE,
            Repair.ELSEWHERE,
            "",
        ),
        (page(), ABSENT, Kind.LOST_TRIGGER, Repair.TRIGGER, ""),
        (page(), look(incidents={"d": (incident(by_us=True),)}), Kind.LOST_TRIGGER, Repair.TRIGGER, ""),
        (page(), look(incidents={"d": (incident(ended_at=THEN - MINUTE),)}), Kind.LOST_TRIGGER, Repair.TRIGGER, ""),
        (page(), look(incidents={"d": (incident(service="T", id="Q9"),)}), Kind.LOST_TRIGGER, Repair.TRIGGER, ""),
        (page(), look(polls=poll("f")), Kind.LOST_TRIGGER, Repair.TRIGGER, ""),
        (
            page(),
            look(polls=poll()),
            Kind.LOST_TRIGGER,
            Repair.TRIGGER,
            "not every Alertmanager of its source knows an alert of it",
        ),
        (
            page(),
            look(members={1: (Named("prod", "f", True, True, THEN),)}),
            Kind.LOST_TRIGGER,
            Repair.TRIGGER,
            "nothing of it was heard of for long",
        ),
        (page(), look(known={"k": Known("I", "S", "active")}), Kind.LOST_TRIGGER, Repair.TRIGGER, UNPROVEN),
        (
            page(),
            look(incidents={}),
            Kind.LOST_TRIGGER,
            None,
            "PagerDuty was not asked what became of it: too much differs",
        ),
        (
            page(),
            look(incidents={"d": (incident(open=True, service="T", id="Q9"),)}),
            Kind.LOST_TRIGGER,
            None,
            "it is open in another service",
        ),
    ],
)
def test_a_difference_says_what_puts_it_right_and_what_is_in_doubt(
    where: Page, at: Look, kind: Kind, repair: Repair | None, doubt: str
) -> None:
    (one,) = found(where, at)

    assert (one.kind, one.repair, one.doubt, one.expected) == (kind, repair, doubt, "")


GONE: dict[str, Any] = {"at_hand": frozenset({"new"})}
WAITS = "it waits to be open under another routing key, or is left open while muted"
LOST = replace(line(), gone=True)


@pytest.mark.parametrize(
    ("where", "at", "repair", "doubt"),
    [
        (page(CLOSED, LOST), look(open_alert(), **GONE), Repair.CLOSE, ""),
        (page(CLOSED, line(State.CLOSED)), look(open_alert(), **GONE), Repair.CLOSE, ""),
        (page(CLOSED, line(State.CLOSED)), look(open_alert(created_at=NOON), **GONE), Repair.CLOSE, LATER),
        (
            page(CLOSED, LOST),
            look(open_alert(), polls=poll("f"), **GONE),
            Repair.CLOSE,
            "am:9093 knows an alert of it still",
        ),
        (page(OPEN, LOST), look(open_alert(), **GONE), Repair.CLOSE, WAITS),
        (page(OPEN, LOST, line(key_id="new")), look(open_alert(), **GONE), Repair.CLOSE, ""),
        (page(OPEN, LOST, line(State.UNKNOWN_TRIGGER, "new")), look(open_alert(), **GONE), Repair.CLOSE, WAITS),
        (page(QUIET, LOST, **MUTED), look(open_alert(), **GONE), Repair.CLOSE, WAITS),
        (page(QUIET, LOST, on_mute="resolve", **MUTED), look(open_alert(), **GONE), Repair.CLOSE, ""),
        (page(CLOSED, LOST), look(open_alert(service="T"), **GONE), Repair.CLOSE, ELSEWHERE),
        (
            page(CLOSED, LOST, incident="Q1"),
            look(open_alert(integration="J"), known={}, **GONE),
            Repair.CLOSE,
            "",
        ),
        (
            page(CLOSED, LOST),
            look(open_alert(), known={}, **GONE),
            None,
            "which integration that key led to was never learnt",
        ),
        (page(CLOSED, LOST), look(incidents={"d": (incident(),)}, **GONE), Repair.CLOSED, ""),
        (
            page(CLOSED, LOST),
            look(incidents={"d": (incident(ended_at=THEN - MINUTE),)}, **GONE),
            None,
            "it is not open there, and no incident of it that was closed is found",
        ),
        (
            page(CLOSED, LOST),
            look(open_alert(integration="J"), incidents={"d": (incident(open=True), incident(id="Q2"))}, **GONE),
            None,
            "it is open there, in another integration than that key led to",
        ),
    ],
)
def test_what_may_be_open_under_a_key_that_is_gone(where: Page, at: Look, repair: Repair | None, doubt: str) -> None:
    (one,) = (one for one in found(where, at) if one.key_id == "k")

    assert (one.kind, one.repair, one.doubt) == (Kind.KEY_GONE, repair, doubt)


@pytest.mark.parametrize(
    ("where", "setting"),
    [
        (page(QUIET, line(), on_mute="leave", **MUTED), "on_mute"),
        (page(CLOSED, line(), left_open=True), "send_resolved: false"),
    ],
)
def test_what_the_configuration_wants_so_is_told_and_left(where: Page, setting: str) -> None:
    (one,) = found(where, THERE)

    assert (one.expected, one.repair) == (setting, None)


def test_an_alert_that_joined_after_somebody_closed_it_has_it_open_at_once() -> None:
    joined = (Named("prod", "f", True, False, THEN), Named("prod", "g", True, False, NOON - 5 * MINUTE))
    closed = {"d": (incident(),)}

    (one,) = found(page(), look(incidents=closed, members={1: joined}))
    plan, act = repaired(one, Ledger({}, {1: page()}, {}), NOON)

    assert one.joined_since
    assert plan.pages[0].joined_since
    assert plan.pages[0].lane is Lane.ERROR
    assert act is not None
    assert (act.kind, act.who) == ("resolved", "Anna")


REPAIRS = [
    (OVER, THERE, State.UNKNOWN_RESOLVE, Lane.RESOLVE),
    (page(), ABSENT, State.UNKNOWN_TRIGGER, Lane.ERROR),
    (page(), look(incidents={"d": (incident(),)}), State.ELSEWHERE, None),
    (page(CLOSED, LOST), look(open_alert(), **GONE), State.CLOSED, None),
]


@pytest.mark.parametrize(("where", "at", "state", "lane"), REPAIRS)
def test_a_repair_changes_the_row_and_the_table_says_what_follows(
    where: Page, at: Look, state: State, lane: Lane | None
) -> None:
    (one,) = found(where, at)
    plan, _ = repaired(one, Ledger({}, {1: where}, {}), NOON)

    (written,) = plan.pages
    assert (written.lines[0].state, written.lane) == (state, lane)
    assert plan.record is not None
    assert plan.record.outcomes == {"reconciled": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"in_flight": True},
        {"episode": 2},
        {"revision": 9},
        {"last_sent_at": NOON},
        {"wanted": Wanted.QUIET},
        {"lines": (line(State.OPEN, "other"),)},
        {"lines": (replace(line(), at=NOON),)},
        {"lines": (line(State.NEVER),)},
    ],
)
@pytest.mark.parametrize(("where", "at"), [(where, at) for where, at, _, _ in REPAIRS])
def test_nothing_is_done_about_a_page_that_changed_since(where: Page, at: Look, change: dict[str, Any]) -> None:
    (one,) = found(where, at)

    assert repaired(one, Ledger({}, {1: replace(where, **change)}, {}), NOON) == (Plan(), None)
    assert repaired(one, Ledger({}, {}, {}), NOON) == (Plan(), None)


def test_what_is_open_in_our_integrations_and_not_of_ours_is_counted() -> None:
    there = look(
        open_alert(),
        open_alert(key="strange"),
        open_alert(key="d", integration="J"),
        open_alert(key="elsewhere", integration="X"),
        known={"k": Known("I", "S"), "l": Known("J", "T")},
    )

    assert not_ours(there, [page()]) == 2
    assert not_ours(there, [page(OPEN, line(State.NEVER))]) == 3


# For any page and any look

_states = st.sampled_from(State)
_ids = st.sampled_from(["k", "l", "new"])
_times = st.integers(-3, 3).map(lambda minutes: NOON - HOUR + minutes * MINUTE)
_lines = st.lists(
    st.builds(
        lambda key, state, at, gone: Line(key_id=key, url="u", state=state, at=at, until=at, gone=gone),
        _ids,
        _states,
        _times,
        st.booleans(),
    ),
    max_size=3,
    unique_by=lambda one: one.key_id,
).map(tuple)
_pages = st.builds(
    lambda wanted, lines, on_mute, incident, flags: replace(
        page(wanted, line()),
        lines=lines,
        on_mute=on_mute,
        incident=incident,
        left_open=flags[0],
        quiet=int(flags[1]),
        waiting=int(flags[2]),
        severity=Severity.CRITICAL if flags[3] else Severity.INFO,
    ),
    st.sampled_from(Wanted),
    _lines,
    st.sampled_from(["leave", "acknowledge", "resolve"]),
    st.sampled_from(["", "Q1", "Q2"]),
    st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
)
_alerts = st.lists(
    st.builds(
        open_alert,
        key=st.sampled_from(["d", "e"]),
        incident=st.sampled_from(["Q1", "Q2"]),
        integration=st.sampled_from(["I", "J", ""]),
        service=st.sampled_from(["S", "T"]),
        created_at=_times,
    ),
    max_size=3,
)
_incidents = st.lists(
    st.builds(
        incident,
        id=st.sampled_from(["Q1", "Q2"]),
        open=st.booleans(),
        ended_at=_times,
        by_us=st.booleans(),
        service=st.sampled_from(["S", "T"]),
    ),
    max_size=3,
).map(tuple)
_known = st.dictionaries(
    _ids,
    st.builds(Known, st.sampled_from(["I", "J"]), st.sampled_from(["S", "T"]), st.just("active"), st.booleans()),
)
_looks = st.builds(
    lambda alerts, known, at_hand, incidents: look(*alerts, known=known, at_hand=at_hand, incidents={"d": incidents}),
    _alerts,
    _known,
    st.frozensets(_ids),
    _incidents,
)


@given(_pages, _looks)
@settings(max_examples=300)
def test_nothing_is_touched_that_this_store_did_not_open(where: Page, at: Look) -> None:
    for one in found(where, at):
        there = next(other for other in where.lines if other.key_id == one.key_id)
        assert minted(where, there)
        plan, _ = repaired(one, Ledger({}, {1: where}, {}), NOON)
        for written in plan.pages:
            changed = [new for old, new in zip(where.lines, written.lines, strict=True) if old != new]
            assert [new.key_id for new in changed] in ([], [one.key_id])
            assert State.NEVER not in [old.state for old in where.lines if old.key_id == one.key_id]
        if one.repair is Repair.CLOSE and not one.doubt:
            by_integration = one.key_id in at.known and at.known[one.key_id].integration == one.integration
            assert one.incident is not None
            assert by_integration or one.incident.id == where.incident
            assert one.key_id not in at.at_hand


@given(_pages, st.lists(st.tuples(_looks, st.integers(0, 4)), max_size=6))
def test_nothing_is_put_right_on_one_look_or_on_two_that_are_not_minutes_apart(
    where: Page, looks: list[tuple[Look, int]]
) -> None:
    seen: Mapping[object, Instant] = {}
    history: list[tuple[Instant, set[object]]] = []
    now = 0
    for at, minutes in looks:
        now += minutes * MINUTE
        drifts = found(where, at)
        seen, certain = ripe(seen, drifts, now)
        history.append((now, {one.mark for one in drifts if one.repair and not one.doubt and not one.expected}))
        for one in certain:
            assert one.repair is not None
            assert not one.doubt
            since = [when for when, marks in history if now - when >= APART and one.mark in marks]
            assert since
            assert all(one.mark in marks for when, marks in history if when >= max(since))


def test_a_difference_that_a_look_did_not_show_begins_anew() -> None:
    (one,) = found(OVER, THERE)

    seen, certain = ripe({}, [one], 0)
    assert (len(seen), certain) == (1, ())
    assert ripe(seen, [one], APART - SECOND)[1] == ()
    assert ripe(seen, [one], APART)[1] == (one,)
    seen, _ = ripe(seen, [], APART)
    assert ripe(seen, [one], APART)[1] == ()
    in_doubt = replace(one, doubt="an Alertmanager did not answer")
    seen, _ = ripe(ripe({}, [one], 0)[0], [in_doubt], 2 * MINUTE)
    assert ripe(seen, [one], APART)[1] == ()


def test_the_stamp_names_what_must_not_change() -> None:
    where = page()

    assert stamp(where, where.lines[0]) == stamp(replace(where, heard_at=NOON), where.lines[0])
    assert stamp(where, where.lines[0]) != stamp(replace(where, revision=2), where.lines[0])
