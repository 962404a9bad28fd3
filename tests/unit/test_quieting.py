"""Which silences there should be, and when they may not hide that an alert is over."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from relay.alert import MINUTE, SECOND
from relay.page import Line, Page, State, Wanted, short_id
from relay.rules.gone import APART, UPTIME, Answer, Poll
from relay.rules.ledger import Held
from relay.rules.quieting import (
    CLOCKS,
    REMEMBERED,
    SPREADS,
    SURELY,
    Missing,
    Standing,
    Target,
    comment,
    hides,
    is_over,
    is_quieted,
    lasts,
    missing,
    page_of,
    plan,
    since,
    unheard,
)

NOW = 1_000_000 * MINUTE
LABELS = frozenset({("alertname", "Disk"), ("instance", "a")})
A, B = "http://a:9093", "http://b:9093"


def page(**fields: object) -> Page:
    """A page that anna has."""
    line = Line(key_id="k", url="http://pagerduty", state=State.OPEN)
    known = Page(id=77, integration="i", dedup_key="d", source="", group_key="", receiver="a", lines=(line,))
    return replace(known, **{"acknowledged_by": "Anna", "on_acknowledge": "silence", **fields})


def held(**fields: object) -> Held:
    """An alert that fires."""
    known = Held(1, "prod", "f1", firing=True, starts_at=0, ends_at=0, digest=b"", raw=b"{}")
    return replace(known, **{"heard_at": NOW - 30 * MINUTE, **fields})


TARGET = Target(page(), held(), LABELS)


def standing(url: str = A, **fields: object) -> Standing:
    """A silence of ours, made five minutes ago for ten."""
    known = Standing(url, "s1", 77, LABELS, frozenset(), "", NOW - 4 * MINUTE, NOW + 6 * MINUTE, over=False)
    return replace(known, **fields)


@pytest.mark.parametrize(
    ("known", "quiet"),
    [
        (page(), True),
        (page(wanted=Wanted.QUIET), True),
        (page(on_acknowledge="leave"), False),
        (page(acknowledged_by=""), False),
        (page(acknowledged_by="PagerDuty"), False),
        (page(wanted=Wanted.CLOSED), False),
        (page(lines=()), False),
        (page(lines=(Line("k", "", State.ELSEWHERE),)), False),
    ],
)
def test_which_pages_are_quiet(known: Page, quiet: bool) -> None:
    assert is_quieted(known) is quiet


@pytest.mark.parametrize(("interval", "length"), [(MINUTE, 10), (5 * MINUTE, 10), (20 * MINUTE, 40)])
def test_how_long_a_silence_is(interval: int, length: int) -> None:
    assert lasts(page(group_interval=interval)) == length * MINUTE


@given(st.integers(0, 2**63 - 1), st.text(), st.text())
def test_a_silence_is_known_by_its_comment(number: int, who: str, url: str) -> None:
    said = comment(page(id=number, acknowledged_by=who, incident_url=url, incident_number=3))

    assert page_of("pagerelay", said) == number
    assert page_of("anna", said) is None
    assert page_of("pagerelay", said + ".") is None


@dataclass
class Case:
    """What stands where, and what is done."""

    standing: tuple[Standing, ...]
    put: tuple[tuple[str, bool], ...]
    ended: tuple[str, ...] = ()
    known: tuple[str, ...] = (A, B)
    wanted: bool = True
    fires: bool = True


CASES = {
    "none: made at one of them": Case((), ((A, False),)),
    "none, and one does not answer": Case((), ((B, False),), known=(B,)),
    "it stands at both": Case((standing(), standing(B)), ()),
    "it did not get to the other": Case((standing(),), ((B, False),)),
    "it may still get to the other": Case((standing(starts_at=NOW - SPREADS),), ()),
    "it is late": Case((standing(ends_at=NOW + 4 * MINUTE), standing(B, ends_at=NOW + 4 * MINUTE)), ((A, True),)),
    "each has its own, both late": Case(
        (standing(ends_at=NOW + MINUTE), standing(B, id="s2", ends_at=NOW + MINUTE)), ((B, True), (A, True))
    ),
    "it ended": Case((standing(over=True), standing(B, over=True)), ((A, False),)),
    "nobody knows the alert: it stays as it is": Case((standing(ends_at=NOW + MINUTE),), (), fires=False),
    "nobody has the page any more": Case((standing(), standing(B)), (), ended=("s1",), wanted=False),
    "each had its own": Case((standing(), standing(B, id="s2")), (), ended=("s1", "s2"), wanted=False),
    "it is another relay's": Case((standing(page=78),), (), wanted=False),
    "its alert left the page": Case((standing(labels=frozenset({("alertname", "Gone")})),), ((A, False),), ("s1",)),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_done_about_silences(name: str) -> None:
    case = CASES[name]
    knows = frozenset({"f1", "f2"} if case.fires else {"f2"})

    acts = plan([TARGET] if case.wanted else [], dict.fromkeys(case.known, knows), case.standing, {77}, NOW)

    assert sorted((one.url, one.extends is not None) for one in acts.put) == sorted(case.put)
    assert sorted(one.id for one in acts.ended) == sorted(case.ended)
    assert all(one.until == NOW + 10 * MINUTE for one in acts.put)


def poll(at: int, *, knows: str = "", started: int = NOW - 60 * MINUTE, down: bool = False) -> Poll:
    """Both were asked; `knows`: who of them knows the alert."""
    answers = {
        url: Answer(frozenset({"f1"} if name in knows else {"f2"}), started, familiar=True)
        for name, url in (("a", A), ("b", B))
        if not (down and name == "b")
    }
    return Poll(at, (A, B), answers, {})


SEEN = {(A, "f1"): NOW - 2 * MINUTE, (B, "f1"): NOW - 2 * MINUTE}


def test_while_one_knows_it_or_does_not_answer_it_is_not_missing() -> None:
    assert missing("f1", poll(NOW, knows="b"), SEEN) is None
    assert missing("f1", poll(NOW, down=True), SEEN) is None
    assert missing("f1", Poll(NOW, (), {}), SEEN) is None


@pytest.mark.parametrize(
    ("seen", "started", "sure", "doubted"),
    [
        (SEEN, NOW - 60 * MINUTE, True, False),
        ({}, NOW - 60 * MINUTE, False, False),
        ({(A, "f1"): NOW - MINUTE}, NOW - 60 * MINUTE, False, False),
        (SEEN, NOW - 2 * MINUTE, False, True),
        (SEEN, NOW - 2 * MINUTE - 4 * SECOND, False, True),
        (SEEN, NOW - 2 * MINUTE - 6 * SECOND, True, False),
        ({}, NOW - UPTIME, False, True),
    ],
)
def test_who_has_run_since_it_knew_it_knows_that_it_is_over(
    seen: dict[tuple[str, str], int], started: int, sure: bool, doubted: bool
) -> None:
    found = missing("f1", poll(NOW, started=started), seen)

    assert found is not None
    assert (found.sure, bool(found.doubt)) == (sure, doubted)


def gone(at: int, *, sure: bool = True, doubt: str = "", asked: tuple[str, ...] = (A, B)) -> Missing:
    return Missing(at, asked, sure, doubt)


@pytest.mark.parametrize(
    ("first", "second", "over"),
    [
        (None, gone(NOW), False),
        (gone(NOW - SURELY), gone(NOW), True),
        (gone(NOW - SURELY + 1), gone(NOW), False),
        (gone(NOW - SURELY, sure=False), gone(NOW), False),
        (gone(NOW - APART, sure=False), gone(NOW), True),
        (gone(NOW - APART, sure=False), gone(NOW, sure=False), True),
        (gone(NOW - APART, sure=False, doubt="young"), gone(NOW, sure=False), False),
        (gone(NOW - APART, sure=False), gone(NOW, sure=False, doubt="young"), False),
        (gone(NOW - APART, asked=(A,)), gone(NOW), False),
    ],
)
def test_two_polls_show_that_an_alert_is_over(first: Missing | None, second: Missing, over: bool) -> None:
    assert is_over(first, second) is over


def test_it_is_missing_since_the_first_poll_that_proves_something() -> None:
    early, late = gone(NOW - APART), gone(NOW)

    assert since(None, late) == late
    assert since(early, late) == early
    assert since(replace(early, sure=False, doubt="young"), late) == late
    assert since(replace(early, asked=(A,)), late) == late


def test_what_was_named_by_a_body_since_is_not_over() -> None:
    first = gone(NOW)

    assert unheard(held(heard_at=NOW), first)
    assert not unheard(held(heard_at=NOW + 1), first)
    assert not unheard(held(firing=False), first)
    assert not unheard(held(ours=True), first)
    assert not unheard(None, first)


def test_a_silence_may_have_hidden_a_resolve_until_the_alert_is_heard_of_well_after_its_end() -> None:
    ended = standing(over=True, ends_at=NOW - MINUTE)

    assert hides(standing(), held(heard_at=NOW), NOW)
    assert hides(ended, held(heard_at=NOW - MINUTE), NOW)
    assert hides(ended, held(heard_at=NOW), NOW)  # the Alertmanager's clock may be behind
    assert not hides(ended, held(heard_at=NOW - MINUTE + CLOCKS + 1), NOW)
    assert not hides(ended, held(firing=False), NOW)
    assert not hides(replace(ended, ends_at=NOW - REMEMBERED - 1), held(heard_at=0), NOW)


def test_the_mark_is_the_page_s_short_id() -> None:
    assert comment(page(acknowledged_by="Anna")).endswith(f"(pagerelay page {short_id(77)})")
