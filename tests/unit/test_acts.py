"""What a piece of news makes of a page, as a table: lines at rest and calls under way, people, timers and ourselves."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from relay.alert import HOUR, MINUTE, SECOND
from relay.event import Action, Delivered, Outcome, Retry, Severity
from relay.metrics.words import ACTS, RETURNED
from relay.page import Do, Lane, Line, Page, State, Wanted
from relay.rules.acts import GRACE, KINDS, about, judged
from relay.rules.delivery import settle, start
from relay.rules.ledger import Attempt
from relay.rules.news import OUTCOMES, SOMEWHERE, Agent, News
from relay.rules.pages import next_step, plan
from relay.rules.rulebook import Rulebook
from relay.rules.ruleset import Integration, Receiver, Route, RuleSet, Target

KEY, URL = "key", "https://events.example/v2/enqueue"
START = 1_000 * HOUR
NOW = START + 10 * MINUTE
TIMEOUT = 10 * SECOND

_target = Target("a", 0, "one")
_route = Route("{}", "{}", 0, "a")
_integration = Integration("one", KEY, URL, "a")
BOOK = Rulebook(RuleSet(_route, {"a": Receiver("a", (_target,))}, {"one": _integration}, {}), {KEY})


def a_page(state: State = State.OPEN, **fields: object) -> Page:
    """A critical page of which something fires, that was triggered ten minutes ago; its incident is known."""
    lines = () if state is State.NEVER else (Line(KEY, URL, state, at=START, until=START + TIMEOUT),)
    page = Page(
        id=1,
        integration="one",
        dedup_key="k",
        source="",
        group_key="",
        receiver="a",
        severity=Severity.CRITICAL,
        tally={"0 0 {}": 1},
        shape=7,
        lines=lines,
        opening_at=START,
        triggered_at=START,
        last_sent_at=START,
        heard_at=START,
        incident="PX",
        incident_number=5,
        repeat_interval=HOUR,
        sent_revision=1,
        sent_severity=Severity.CRITICAL,
        shown_severity=Severity.CRITICAL,
    )
    return replace(page, **fields)


def news(kind: str = "resolved", at: int = NOW - MINUTE, **fields: object) -> News:
    person = News("n", f"incident.{kind}", at, "PX", number=5, agent=Agent.PERSON, who="Anna")
    return replace(person, **fields)


NOBODY: dict[str, Any] = {"agent": Agent.NOBODY, "who": ""}
OURS: dict[str, Any] = {"agent": Agent.OURS, "who": "relay"}


@pytest.mark.parametrize(
    ("before", "said", "state", "by"),
    [
        (a_page(), news(), State.ELSEWHERE, "Anna"),
        (a_page(), news(**NOBODY), State.ELSEWHERE, ""),
        (a_page(), news(agent=Agent.NOBODY, who="checkout"), State.ELSEWHERE, ""),
        (a_page(), news(**OURS), State.OPEN, ""),
        (a_page(), news(merged_into="PY"), State.OPEN, ""),
        (a_page(), news(merged_into="PY", **OURS), State.OPEN, ""),
        (a_page(), news(incident="PW"), State.OPEN, ""),
        (a_page(), news(at=START - MINUTE), State.OPEN, ""),
        (a_page(), news(at=START - GRACE), State.ELSEWHERE, "Anna"),
        (a_page(), news("acknowledged"), State.OPEN, ""),
        (a_page(incident=""), news(), State.ELSEWHERE, "Anna"),
        (a_page(State.UNKNOWN_TRIGGER), news(), State.ELSEWHERE, "Anna"),
        (a_page(State.UNKNOWN_RESOLVE), news(), State.CLOSED, "Anna"),
        (a_page(State.CLOSED, wanted=Wanted.CLOSED), news(), State.CLOSED, ""),
        (a_page(State.CLOSED, wanted=Wanted.CLOSED), news("reopened"), State.CLOSED, ""),
        (a_page(State.ELSEWHERE, elsewhere_at=START + 1), news("reopened"), State.OPEN, ""),
        (a_page(State.ELSEWHERE, elsewhere_at=START + 1), news("triggered", incident="PY", number=6), State.OPEN, ""),
        (a_page(State.ELSEWHERE), news("triggered", incident="PW", number=4), State.ELSEWHERE, ""),
        (a_page(State.ELSEWHERE), news("acknowledged"), State.OPEN, ""),
        (a_page(State.NEVER, opening_at=0, incident=""), news(), State.NEVER, ""),
    ],
)
def test_who_closes_an_incident_decides_what_its_page_becomes(before: Page, said: News, state: State, by: str) -> None:
    after = judged(said, before, NOW).page

    assert (after.delivered, after.elsewhere_by) == (state, by)


def test_an_event_sent_since_may_have_opened_another_incident() -> None:
    updated = a_page()
    line = replace(updated.lines[0], at=NOW - 5 * SECOND, until=NOW + 5 * SECOND)
    updated = replace(updated, lines=(line,))

    assert judged(news(at=NOW - 6 * SECOND), updated, NOW).page.delivered is State.OPEN
    assert judged(news(at=NOW - 4 * SECOND), updated, NOW).page.delivered is State.ELSEWHERE


def test_a_page_that_was_open_before_this_was_kept_counts_as_triggered_long_ago() -> None:
    old = a_page(opening_at=0, triggered_at=0, incident="", incident_number=0)

    found = judged(news(), old, NOW)

    assert found.page.delivered is State.ELSEWHERE
    assert (found.page.incident, found.incident) == ("PX", "PX")


def test_a_time_that_lies_ahead_does_not_keep_a_page_closed() -> None:
    after = judged(news(at=NOW + 24 * HOUR), a_page(), NOW).page

    assert after.elsewhere_at == NOW


@pytest.mark.parametrize("kind", ["triggered", "acknowledged", "annotated", "escalated"])
def test_whatever_is_heard_of_its_incident_confirms_a_page(kind: str) -> None:
    found = judged(news(kind), a_page(incident="", incident_number=0), NOW)

    assert (found.page.incident, found.page.incident_number, found.page.confirmed_at) == ("PX", 5, NOW)


def test_our_own_trigger_coming_back_confirms_a_page_and_is_shown() -> None:
    found = judged(news("triggered", **OURS), a_page(incident="", confirmed_at=0), NOW)

    assert found.page.confirmed_at == NOW
    assert found.act is not None
    assert found.act.kind == "triggered"


@pytest.mark.parametrize("kind", ["acknowledged", "resolved", "unacknowledged"])
def test_what_we_did_ourselves_is_not_shown(kind: str) -> None:
    assert judged(news(kind, **OURS), a_page(), NOW).act is None


@pytest.mark.parametrize("type_", ["incident.workflow.started", "incident.of_the_future", "incident.role.assigned"])
def test_what_nobody_knows_changes_nothing_and_is_not_shown(type_: str) -> None:
    found = judged(news(type=type_), a_page(confirmed_at=START), NOW)

    assert (found.page, found.act) == (a_page(confirmed_at=START), None)


def test_news_that_changes_nothing_says_why() -> None:
    outdated = judged(news(at=START - MINUTE), a_page(), NOW)
    of_another = judged(news(incident="PW"), a_page(), NOW)

    assert [one.act.ignored for one in (outdated, of_another) if one.act] == [
        "it happened before the page was triggered last",
        "it is another incident of this page",
    ]


def test_a_merge_into_nobody_knows_what_is_known_by_what_is_heard_next() -> None:
    merged = judged(news(merged_into=SOMEWHERE), a_page(), NOW).page
    assert merged.incident == ""

    assert judged(news("acknowledged", incident="PY", at=NOW), merged, NOW).page.incident == "PY"


def test_the_last_thing_that_happened_counts_in_whatever_order_it_is_heard() -> None:
    told = [news("acknowledged", START + 10), news("unacknowledged", START + 20), news("resolved", START + 30)]
    told += [news("reopened", START + 40), news("acknowledged", START + 50, who="Ben")]
    pages = set()
    for order in permutations(told):
        page = a_page()
        for one in order:
            page = judged(one, page, NOW).page
        pages.add((page.acknowledged_by, page.acknowledged_at, page.delivered, page.elsewhere_by))

    assert pages == {("Ben", START + 50, State.OPEN, "")}


@pytest.mark.parametrize(
    ("agent", "has"),
    [({}, "Anna"), (NOBODY, "PagerDuty"), ({"agent": Agent.NOBODY, "who": "night rule"}, "PagerDuty"), (OURS, "")],
)
def test_an_automation_that_acknowledges_is_nobody_by_name(agent: dict[str, Any], has: str) -> None:
    assert judged(news("acknowledged", **agent), a_page(), NOW).page.acknowledged_by == has


# When it is opened again


def closed(**fields: object) -> Page:
    return a_page(State.ELSEWHERE, elsewhere_at=START + MINUTE, elsewhere_by="Anna", **fields)


@pytest.mark.parametrize(
    ("page", "now", "waits"),
    [
        (closed(), NOW, (None, None)),
        (closed(heard_at=NOW), NOW, (None, START + HOUR)),
        (closed(heard_at=NOW), START + HOUR, (Lane.CRITICAL, None)),
        (closed(heard_at=START + 2 * HOUR), START + 2 * HOUR, (Lane.CRITICAL, None)),
        (closed(joined_since=True), NOW, (Lane.CRITICAL, None)),
        (closed(joined_since=True, severity=Severity.WARNING), NOW, (Lane.WARNING, None)),
        (closed(joined_since=True, on_pd_resolve="respect"), NOW, (None, None)),
        (closed(heard_at=NOW, on_pd_resolve="respect"), START + 9 * HOUR, (None, None)),
        (replace(closed(heard_at=NOW, on_pd_resolve="respect"), elsewhere_by=""), START + HOUR, (Lane.CRITICAL, None)),
        (closed(joined_since=True, wanted=Wanted.QUIET), NOW, (None, None)),
        (closed(joined_since=True, wanted=Wanted.CLOSED), NOW, (None, None)),
        (closed(joined_since=True, dead="it is"), NOW, (None, None)),
    ],
)
def test_a_page_closed_elsewhere_is_queued_when_it_is_its_time(
    page: Page, now: int, waits: tuple[Lane | None, int | None]
) -> None:
    planned = plan(page, now)

    assert (planned.lane, planned.judge_at) == waits


def test_updates_of_a_page_closed_elsewhere_are_held() -> None:
    changed = closed(revision=9, shape=8)

    assert next_step(changed) is Do.REOPEN
    assert plan(changed, NOW).lane is None


# While a call is under way


def claimed(page: Page, now: int) -> tuple[Page, Attempt]:
    started = start(plan(page, now), now, BOOK, TIMEOUT)
    assert started.attempt is not None
    return started.page, started.attempt


def settled(page: Page, attempt: Attempt, outcome: Outcome, now: int) -> Page:
    return settle(page, attempt, outcome, now, jitter=0.5, digest="d", book=BOOK).page


LOST, REFUSED = Retry("timeout"), Retry("rateLimited", ambiguous=False)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(Delivered(), State.OPEN), (LOST, State.UNKNOWN_TRIGGER), (REFUSED, State.ELSEWHERE)],
)
@pytest.mark.parametrize("late", [-SECOND, SECOND])
def test_an_update_under_way_when_a_person_closes_it_may_open_another_incident(
    outcome: Outcome, state: State, late: int
) -> None:
    page, attempt = claimed(a_page(revision=2, shape=8, changed_at=NOW), NOW)
    page = judged(news(at=NOW + late), page, NOW + 2 * SECOND).page

    page = settled(page, attempt, outcome, NOW + 3 * SECOND)

    assert page.delivered is state


@pytest.mark.parametrize(("outcome", "state"), [(Delivered(), State.ELSEWHERE), (LOST, State.UNKNOWN_TRIGGER)])
def test_what_is_opened_and_closed_before_its_answer_comes_is_closed_elsewhere(outcome: Outcome, state: State) -> None:
    page, attempt = claimed(a_page(State.NEVER, incident="", opening_at=0, last_sent_at=0), NOW)
    page = judged(news("triggered", NOW + SECOND, **OURS), page, NOW + SECOND).page
    page = judged(news(at=NOW + 2 * SECOND), page, NOW + 2 * SECOND).page

    page = settled(page, attempt, outcome, NOW + 3 * SECOND)

    assert page.delivered is state
    assert page.elsewhere_by == "Anna"


def test_a_page_opened_again_is_known_by_the_new_incident_alone() -> None:
    page, attempt = claimed(closed(joined_since=True, acknowledged_by="Ben", acknowledged_at=NOW), NOW)
    assert (page.incident, page.acknowledged_by, page.confirmed_at) == ("", "", 0)
    page = settled(page, attempt, Delivered(), NOW + SECOND)
    assert (page.delivered, page.elsewhere_by, page.joined_since) == (State.OPEN, "", False)
    page = judged(news("triggered", NOW + SECOND, incident="PY", number=6, **OURS), page, NOW + SECOND).page

    assert page.incident == "PY"
    assert judged(news(at=NOW + 2 * SECOND), page, NOW + 3 * SECOND).page.delivered is State.OPEN


@pytest.mark.parametrize("wanted", [Wanted.OPEN, Wanted.CLOSED])
def test_what_was_closed_last_says_nothing_of_a_later_incident_that_is_heard_of_after_it(wanted: Wanted) -> None:
    """Its alert ended in an incident that others keep open, and opened one of its own, whose webhook is late."""
    anew = a_page(incident="", incident_number=0, opening_at=NOW, lines=(Line(KEY, URL, State.OPEN, at=NOW),))
    shut = judged(news(at=NOW + MINUTE, number=5), anew, NOW + MINUTE).page
    assert shut.delivered is State.ELSEWHERE
    late = news("triggered", NOW + SECOND, incident="PY", number=6, **OURS)

    page = judged(late, replace(shut, wanted=wanted), NOW + 2 * MINUTE).page

    assert (page.delivered, page.incident, page.elsewhere_at) == (State.OPEN, "PY", 0)
    assert page.lane is (Lane.RESOLVE if wanted is Wanted.CLOSED else None)


@pytest.mark.parametrize("kind", ["triggered", "acknowledged"])
def test_an_incident_opened_under_another_key_says_nothing_of_the_one_closed_before(kind: str) -> None:
    """The routing key was replaced, and the answer to the trigger that opened it again is not known."""
    old = Line("before", URL, State.ELSEWHERE, at=START)
    again = Line(KEY, URL, State.UNKNOWN_TRIGGER, at=NOW, until=NOW + TIMEOUT)
    page = a_page(incident="", lines=(old, again), opening_at=NOW, elsewhere_at=NOW - MINUTE, elsewhere_by="Anna")

    page = judged(news(kind, NOW + SECOND, incident="PY", number=6), page, NOW + 2 * SECOND).page

    assert [one.state for one in page.lines] == [State.ELSEWHERE, State.UNKNOWN_TRIGGER]


def test_a_resolve_under_way_when_a_person_closes_it_is_ours() -> None:
    page, attempt = claimed(a_page(wanted=Wanted.CLOSED, tally={}), NOW)
    assert attempt.action is Action.RESOLVE
    page = judged(news(at=NOW + SECOND), page, NOW + SECOND).page

    assert settled(page, attempt, Delivered(), NOW + 2 * SECOND).delivered is State.CLOSED
    assert settled(page, attempt, REFUSED, NOW + 2 * SECOND).delivered is State.ELSEWHERE


_kinds = st.sampled_from([kind.removeprefix("incident.") for kind in KINDS] + ["x"])
_agents = st.sampled_from([{}, NOBODY, OURS, {"merged_into": "PY"}])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(_kinds, _agents, st.sampled_from(["PX", "PY", "PZ"]), st.integers(-20, 40)), max_size=8),
    st.sampled_from([Delivered(), LOST, REFUSED]),
    st.booleans(),
)
def test_no_news_hides_an_incident_that_the_relay_may_have_opened_since(
    told: list[tuple[str, dict[str, object], str, int]], outcome: Outcome, updates: bool
) -> None:
    """Whatever is heard that happened before a trigger was sent, that trigger is resolved in the end."""
    page = a_page(revision=2, shape=8, changed_at=NOW) if updates else closed(joined_since=True)
    page, attempt = claimed(page, NOW)
    before = [one for one in told if one[3] < -2]
    for kind, agent, incident, at in before:
        page = judged(news(kind, NOW + at * SECOND, **{"incident": incident, **agent}), page, NOW + 9 * SECOND).page
    page = settled(page, attempt, outcome, NOW + 9 * SECOND)
    for kind, agent, incident, at in before:
        page = judged(news(kind, NOW + at * SECOND, **{"incident": incident, **agent}), page, NOW + 10 * SECOND).page

    over = plan(replace(page, wanted=Wanted.CLOSED, tally={}), NOW + MINUTE)

    assert (next_step(over) is Do.RESOLVE) is (outcome != REFUSED or over.delivered is State.OPEN)


# Which page it is about


def at(integration: str, state: State = State.OPEN, opening_at: int = START) -> Page:
    return a_page(state, integration=integration, opening_at=opening_at)


@pytest.mark.parametrize(
    ("pages", "services", "service", "found"),
    [
        ([], {}, "S1", None),
        ([at("one")], {}, "", "one"),
        ([at("one")], {}, "S1", "one"),
        ([at("one")], {"one": "S1"}, "S1", "one"),
        ([at("one")], {"one": "S2"}, "S1", None),
        ([at("one")], {"one": "S2"}, "", "one"),
        ([at("one", State.CLOSED), at("two")], {}, "S1", "two"),
        ([at("one", State.CLOSED), at("two")], {"one": "S1"}, "S1", "one"),
        ([at("one"), at("two")], {"one": "S2"}, "S1", "two"),
        ([at("one"), at("two", opening_at=START + 1)], {}, "S1", "two"),
    ],
)
def test_of_pages_with_one_key_that_of_the_service_is_meant_else_the_one_that_is_open(
    pages: list[Page], services: dict[str, str], service: str, found: str | None
) -> None:
    chosen = about(news(service=service), pages, services)

    assert (chosen.integration if chosen else None) == found


def test_every_word_that_is_counted_starts_at_zero() -> None:
    assert {*KINDS.values(), "merged"} == set(ACTS)
    assert set(OUTCOMES) <= set(RETURNED)
