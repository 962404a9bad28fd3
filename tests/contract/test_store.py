"""What every store must do, whatever it is made of."""

import asyncio
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from relay.alert import Instant, Sent
from relay.decision import Decision, Step, Verdict
from relay.errors import StoreError
from relay.event import Action, Severity
from relay.page import Lane, Line, Member, Page, State, Wanted, short_id
from relay.rules.ledger import Attempt, Claim, Held, Ledger, Lookup, Plan, Recorded, Settled, Started, Want
from relay.store import SqliteStore
from relay.store.views import Kind
from tests.contract.engines import Sqlite, fresh
from tests.contract.values import (
    INTEGRATION,
    KEY,
    alert,
    any_of,
    delivered,
    member,
    page,
    start,
    told,
    waiting,
    write,
)

NOTHING = Plan()
CRITICALS = Want(INTEGRATION, Lane.CRITICAL, 10)

properties = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


async def seen(store: SqliteStore, lookup: Lookup) -> Ledger:
    """What a judge is shown."""
    shown: list[Ledger] = []

    def look(ledger: Ledger) -> Plan:
        shown.append(ledger)
        return NOTHING

    await store.keep(lookup, look)
    return shown[0]


async def the_page(store: SqliteStore, number: int) -> Page:
    found = await store.page(number)
    assert found is not None
    return found.page


# What is kept


@properties
@given(any_of(Held), any_of(Page, lane=Lane.ERROR, successor=None), any_of(Member, leaving=None))
async def test_every_field_comes_back_as_it_was(engine: Sqlite, held: Held, kept: Page, joined: Member) -> None:
    joined = replace(joined, alert=held.id, page=kept.id, home=kept.id)
    async with fresh(engine.name) as store:
        await store.keep(Lookup(), write(Plan(alerts=(held,), pages=(kept,), members=(joined,))))

        ledger = await seen(store, Lookup(alerts=(held.id,), whole=(kept.id,)))

    assert ledger == Ledger({held.id: held}, {kept.id: kept}, {held.id: (joined,)}, {kept.id: (joined,)})


@properties
@given(any_of(Attempt, id=0, lane=Lane.ERROR, outcome=""), any_of(Attempt, lane=Lane.ERROR))
async def test_every_field_of_an_attempt_comes_back(engine: Sqlite, begun: Attempt, ended: Attempt) -> None:
    due = waiting(lane=Lane.ERROR)
    begun = replace(begun, page=due.id, integration=INTEGRATION)
    async with fresh(engine.name) as store:
        await store.keep(Lookup(), write(Plan(pages=(due,))))
        (claim,) = await store.claim([Want(INTEGRATION, Lane.ERROR, 1)], 0, lambda at: Started(at, begun))
        started = await store.attempts(due.id)
        ended = replace(ended, id=claim.attempt.id, page=due.id, integration=INTEGRATION, at=begun.at)
        await store.settle(claim.attempt, lambda latest: Settled(latest, ended), 60)
        settled = await store.attempts(due.id)

    assert started == [replace(begun, id=claim.attempt.id)]
    assert settled == [ended]


async def test_the_ledger_holds_what_was_asked_for_and_the_pages_of_it(store: SqliteStore) -> None:
    one, other = alert("1"), alert("2")
    near, far = page("near"), page("far")
    members = (member(near, one), member(near, other), member(far, other))
    await store.keep(Lookup(), write(Plan(alerts=(one, other), pages=(near, far), members=members)))

    assert await seen(store, Lookup(alerts=(one.id, 12345))) == Ledger(
        {one.id: one}, {near.id: near}, {one.id: (members[0],)}
    )
    assert await seen(store, Lookup(alerts=(one.id, other.id))) == Ledger(
        {one.id: one, other.id: other},
        {near.id: near, far.id: far},
        {one.id: (members[0],), other.id: tuple(sorted(members[1:], key=lambda joined: joined.page))},
    )
    assert await seen(store, Lookup(whole=(near.id,))) == Ledger(
        {}, {near.id: near}, {}, {near.id: tuple(sorted(members[:2], key=lambda joined: joined.alert))}
    )
    assert await seen(store, Lookup()) == Ledger({}, {}, {})


async def test_a_page_brings_its_whole_chain_of_successors(store: SqliteStore) -> None:
    third = page("key/3", seq=3)
    second = page("key/2", seq=2, successor=third.id)
    first = page("key", successor=second.id)
    moved = member(third, alert(), home=first.id)
    chain = {one.id: one for one in (first, second, third)}
    await store.keep(Lookup(), write(Plan(pages=(first, second, third), alerts=(alert(),), members=(moved,))))

    assert (await seen(store, Lookup(pages=(first.id,)))).pages == chain
    assert (await seen(store, Lookup(alerts=(alert().id,)))).pages == chain


async def test_a_chain_that_bites_its_tail_is_read_once(store: SqliteStore) -> None:
    one, other = page("one"), page("other")
    one, other = replace(one, successor=other.id), replace(other, successor=one.id)
    await store.keep(Lookup(), write(Plan(pages=(one, other))))

    assert (await seen(store, Lookup(pages=(one.id,)))).pages == {one.id: one, other.id: other}


async def test_a_lookup_of_thousands_is_answered_whole(store: SqliteStore) -> None:
    many = tuple(alert(str(number)) for number in range(3_000))
    of = page()
    members = tuple(member(of, one) for one in many)
    await store.keep(Lookup(), write(Plan(alerts=many, pages=(of,), members=members)))

    ledger = await seen(store, Lookup(alerts=tuple(one.id for one in many)))

    assert ledger.alerts == {one.id: one for one in many}
    assert ledger.members == {joined.alert: (joined,) for joined in members}


async def test_a_plan_is_written_in_its_order(store: SqliteStore) -> None:
    """Moved, then cleared, then left, then written: each sees what the one before it did."""
    stays, ended, goes = alert("stays"), alert("ended"), alert("goes")
    old, new = page("old"), page("new")
    before = (member(old, stays), member(old, ended, firing=False), member(old, goes))
    await store.keep(Lookup(), write(Plan(alerts=(stays, ended, goes), pages=(old, new), members=before)))
    again = member(new, ended, order=7)

    await store.keep(
        Lookup(),
        write(Plan(moved=((old.id, new.id),), cleared=(new.id,), left=((new.id, goes.id),), members=(again,))),
    )

    ledger = await seen(store, Lookup(whole=(old.id, new.id)))
    assert old.id not in ledger.whole
    assert set(ledger.whole[new.id]) == {replace(before[0], page=new.id), again}


async def test_a_moved_member_replaces_the_one_that_was_there(store: SqliteStore) -> None:
    one, old, new = alert(), page("old"), page("new")
    stale, current = member(new, one, firing=False), member(old, one)
    await store.keep(Lookup(), write(Plan(alerts=(one,), pages=(old, new), members=(stale, current))))

    await store.keep(Lookup(), write(Plan(moved=((old.id, new.id),))))

    assert (await seen(store, Lookup(alerts=(one.id,)))).members == {one.id: (replace(current, page=new.id),)}


async def test_a_plan_can_have_other_pages_looked_at(store: SqliteStore) -> None:
    early, late, never = page("early", judge_at=10), page("late"), page("never")
    await store.keep(Lookup(), write(Plan(pages=(early, late, never))))
    assert await store.next_judgement() == 10

    await store.keep(Lookup(), write(Plan(judge=(early.id, late.id), judge_at=30)))

    assert await store.due_for_judgement(29, 9) == [early.id]
    assert await store.due_for_judgement(30, 9) == [early.id, late.id]
    assert await store.due_for_judgement(30, 1) == [early.id]


# All or nothing, in order, and only then an answer


async def test_a_judge_that_fails_changes_nothing_and_troubles_nobody_else(store: SqliteStore) -> None:
    def fails(_: Ledger) -> Plan:
        raise LookupError("this one cannot be judged")

    results = await asyncio.gather(
        store.keep(Lookup(), write(Plan(pages=(page("before"),)))),
        store.keep(Lookup(), fails),
        store.keep(Lookup(), write(Plan(pages=(page("after"),)))),
        return_exceptions=True,
    )

    assert isinstance(results[1], LookupError)
    assert {one.dedup_key for one in await store.pages()} == {"before", "after"}


async def test_a_plan_that_cannot_be_written_is_undone_whole_and_alone(store: SqliteStore) -> None:
    bad = member(page("half"), alert(), order=2**80)  # does not fit, and is written last

    results = await asyncio.gather(
        store.keep(Lookup(), write(Plan(pages=(page("before"),)))),
        store.keep(Lookup(), write(Plan(alerts=(alert(),), pages=(page("half"),), members=(bad,)))),
        store.keep(Lookup(), write(Plan(pages=(page("after"),)))),
        return_exceptions=True,
    )

    assert isinstance(results[1], Exception)
    assert {one.dedup_key for one in await store.pages()} == {"before", "after"}
    assert await store.alerts("1") == []


async def test_what_was_answered_is_there_for_everyone(engine: Sqlite, store: SqliteStore) -> None:
    beside = await engine.look()

    for number in range(20):
        await store.keep(Lookup(), write(Plan(pages=(page(str(number)),))))
        assert await beside.page_ids(str(number)) == [page(str(number)).id]

    await beside.close()


async def test_requests_are_judged_in_the_order_they_came(store: SqliteStore) -> None:
    """Each sees what those before it wrote, though many share one commit."""
    one = page("counter", revision=0)
    await store.keep(Lookup(), write(Plan(pages=(one,))))

    def count(ledger: Ledger) -> Plan:
        latest = ledger.pages[one.id]
        return Plan(pages=(replace(latest, revision=latest.revision + 1),))

    plans = await asyncio.gather(*(store.keep(Lookup(pages=(one.id,)), count) for _ in range(300)))

    assert [plan.pages[0].revision for plan in plans] == list(range(1, 301))
    assert (await the_page(store, one.id)).revision == 300


async def test_many_at_once_share_commits(store: SqliteStore) -> None:
    commits: list[int] = []
    store.on_commit(lambda _seconds, requests: commits.append(requests))

    await asyncio.gather(*(store.keep(Lookup(), write(Plan(pages=(page(str(n)),)))) for n in range(64)))
    await store.keep(Lookup(), write(Plan(pages=(page("last"),))))

    assert sum(commits) == 65
    assert len(commits) <= 10


async def test_a_plan_that_writes_nothing_costs_no_commit(store: SqliteStore) -> None:
    commits: list[int] = []
    await store.keep(Lookup(), write(Plan(pages=(waiting(due_at=99),))))
    store.on_commit(lambda _seconds, requests: commits.append(requests))

    await store.keep(Lookup(pages=(page().id,)), write(NOTHING))
    assert await store.claim([CRITICALS], 98, start) == []

    assert commits == []


async def test_a_caller_that_gives_up_does_not_undo_what_it_asked_for(store: SqliteStore) -> None:
    asked = asyncio.ensure_future(store.keep(Lookup(), write(Plan(pages=(page("given up"),)))))
    await asyncio.sleep(0)
    asked.cancel()

    await store.keep(Lookup(), write(Plan(pages=(page("next"),))))

    assert len(await store.pages()) == 2


async def test_a_closed_store_says_so(engine: Sqlite) -> None:
    store = await engine.open()
    await store.close()

    with pytest.raises(StoreError, match="closed"):
        await store.keep(Lookup(), write(NOTHING))
    with pytest.raises(StoreError, match="closed"):
        await store.pages()


async def test_close_finishes_what_was_asked_for(engine: Sqlite) -> None:
    store = await engine.open()
    asked = [asyncio.ensure_future(store.keep(Lookup(), write(Plan(pages=(page(str(n)),))))) for n in range(30)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*asked)

    again = await engine.open()
    assert len(await again.pages()) == 30
    await again.close()


# Claim and settle


async def test_a_claim_is_in_flight_until_it_is_settled(store: SqliteStore) -> None:
    one = waiting()
    await store.keep(Lookup(), write(Plan(alerts=(alert(),), pages=(one,), members=(member(one, alert()),))))

    (claim,) = await store.claim([CRITICALS], 0, start)
    assert claim.page == start(one).page
    assert replace(claim.attempt, id=0) == start(one).attempt
    assert claim.attempt.id > 0
    assert [shown.alert for shown in claim.members] == [alert()]
    assert (claim.firing, claim.resolved) == (1, 0)
    assert await store.claim([CRITICALS], 99, start) == []
    assert await store.heads(99) == []

    written = await store.settle(claim.attempt, delivered(claim), 60)
    assert written == await the_page(store, one.id)
    assert (written.in_flight, written.delivered) == (False, State.OPEN)
    assert [attempt.outcome for attempt in await store.attempts(one.id)] == ["delivered"]


async def test_settle_is_shown_what_happened_meanwhile(store: SqliteStore) -> None:
    one = waiting()
    await store.keep(Lookup(), write(Plan(pages=(one,))))
    (claim,) = await store.claim([CRITICALS], 0, start)
    await store.keep(
        Lookup(pages=(one.id,)), lambda ledger: Plan(pages=(replace(ledger.pages[one.id], wanted=Wanted.CLOSED),))
    )

    written = await store.settle(claim.attempt, delivered(claim), 60)

    assert written.wanted is Wanted.CLOSED


async def test_a_candidate_that_is_not_started_is_written_and_not_claimed(store: SqliteStore) -> None:
    await store.keep(Lookup(), write(Plan(pages=(waiting(),))))

    claims = await store.claim([CRITICALS], 10, lambda one: Started(replace(one, due_at=70, delay=60), None))

    assert claims == []
    assert await store.heads(10) == [(INTEGRATION, Lane.CRITICAL, 70)]
    assert await store.attempts(page().id) == []


async def test_a_resolve_brings_no_members(store: SqliteStore) -> None:
    one = waiting(lane=Lane.RESOLVE)
    ended = member(one, alert(), firing=False)
    await store.keep(Lookup(), write(Plan(alerts=(alert(),), pages=(one,), members=(ended,))))

    (claim,) = await store.claim(
        [Want(INTEGRATION, Lane.RESOLVE, 1)], 0, lambda candidate: start(candidate, Action.RESOLVE)
    )

    assert claim.members == ()
    assert (claim.firing, claim.resolved) == (0, 1)


async def test_members_come_firing_first_then_worst_then_in_tree_order_then_longest_firing(
    store: SqliteStore,
) -> None:
    one = waiting()
    ranked = [
        (alert("a", starts_at=5), member(one, alert("a"), severity=Severity.CRITICAL, order=1)),
        (alert("b", starts_at=9), member(one, alert("b"), severity=Severity.CRITICAL, order=1)),
        (alert("c", starts_at=1), member(one, alert("c"), severity=Severity.CRITICAL, order=2)),
        (alert("d", starts_at=1), member(one, alert("d"), severity=Severity.INFO, order=0)),
        (alert("e", starts_at=0), member(one, alert("e"), firing=False)),
    ]
    await store.keep(
        Lookup(),
        write(
            Plan(
                alerts=tuple(who for who, _ in reversed(ranked)),
                pages=(one,),
                members=tuple(joined for _, joined in ranked),
            )
        ),
    )

    (claim,) = await store.claim([CRITICALS], 0, start)
    shown = await store.page(one.id)

    assert [each.alert.fingerprint for each in claim.members] == ["a", "b", "c", "d", "e"]
    assert (claim.firing, claim.resolved) == (4, 1)
    assert shown is not None
    assert shown.members == claim.members
    assert (shown.firing, shown.resolved) == (4, 1)


async def test_at_most_a_thousand_members_come_and_all_are_counted(store: SqliteStore) -> None:
    one = waiting()
    many = tuple(alert(str(number)) for number in range(1_100))
    await store.keep(
        Lookup(), write(Plan(alerts=many, pages=(one,), members=tuple(member(one, each) for each in many)))
    )

    (claim,) = await store.claim([CRITICALS], 0, start)

    assert len(claim.members) == 1_000
    assert claim.firing == 1_100


async def test_a_202_has_the_pages_looked_at_that_waited_for_it(store: SqliteStore) -> None:
    new, old, named = waiting("new"), page("old"), page("named")
    leaving = member(old, alert(), leaving=new.id)
    await store.keep(Lookup(), write(Plan(alerts=(alert(),), pages=(new, old, named), members=(leaving,))))
    (claim,) = await store.claim([CRITICALS], 0, start)
    failed = replace(start(new).page, in_flight=False)

    await store.settle(claim.attempt, lambda _: Settled(failed, claim.attempt), 40)
    assert await store.due_for_judgement(99, 9) == []

    await store.settle(claim.attempt, lambda latest: replace(delivered(claim)(latest), judge=(named.id,)), 60)
    assert await store.next_judgement() == 60
    assert set(await store.due_for_judgement(60, 9)) == {old.id, named.id}


async def test_settling_what_is_gone_is_an_error(store: SqliteStore) -> None:
    attempt = start(waiting()).attempt
    assert attempt is not None

    with pytest.raises(StoreError, match=short_id(page().id)):
        await store.settle(attempt, lambda latest: Settled(latest, attempt), 60)


async def test_settles_share_commits(store: SqliteStore) -> None:
    await store.keep(Lookup(), write(Plan(pages=tuple(waiting(str(n)) for n in range(60)))))
    claims = await store.claim([replace(CRITICALS, limit=60)], 0, start)
    commits: list[int] = []
    store.on_commit(lambda _seconds, requests: commits.append(requests))

    await asyncio.gather(*(store.settle(claim.attempt, delivered(claim), 60) for claim in claims))
    await store.keep(Lookup(), write(Plan(pages=(page("last"),))))

    assert len(claims) == 60
    assert len({claim.attempt.id for claim in claims}) == 60
    assert len(commits) <= 10


rows = st.lists(
    st.tuples(
        st.sampled_from(["blue", "blue", "green"]),
        st.sampled_from([Lane.CRITICAL, Lane.CRITICAL, Lane.UPDATE, None]),
        st.integers(0, 20),
        st.sampled_from([False, False, True]),
    ),
    max_size=25,
)


def _pages(drawn: list[tuple[str, Lane | None, Instant, bool]]) -> tuple[Page, ...]:
    return tuple(
        page(str(number), integration=integration, lane=lane, due_at=due_at, in_flight=in_flight)
        for number, (integration, lane, due_at, in_flight) in enumerate(drawn)
    )


@properties
@given(rows, st.integers(0, 25), st.integers(0, 5))
async def test_heads_and_claims_are_what_a_search_of_all_pages_finds(
    engine: Sqlite, drawn: list[tuple[str, Lane | None, Instant, bool]], now: Instant, limit: int
) -> None:
    pages = _pages(drawn)
    can_go = [one for one in pages if one.lane is not None and not one.in_flight]
    queues = sorted({(one.integration, one.lane) for one in can_go if one.lane is not None})
    async with fresh(engine.name) as store:
        await store.keep(Lookup(), write(Plan(pages=pages)))
        heads = await store.heads(now)
        claims = await store.claim([Want(name, lane, limit) for name, lane in queues], now, start)
        left = await store.heads(now)

    def queue(integration: str, lane: Lane) -> list[Page]:
        mine = [one for one in can_go if (one.integration, one.lane) == (integration, lane)]
        return sorted(mine, key=lambda one: (one.due_at, one.id))

    taken = [one.id for name, lane in queues for one in queue(name, lane) if one.due_at <= now]
    by_limit = [
        one.id for name, lane in queues for one in [each for each in queue(name, lane) if each.due_at <= now][:limit]
    ]
    assert sorted(heads) == [(name, lane, queue(name, lane)[0].due_at) for name, lane in queues]
    assert [claim.page.id for claim in claims] == by_limit
    assert set(by_limit) <= set(taken)
    assert sorted(left) == [
        (name, lane, rest[0].due_at)
        for name, lane in queues
        if (rest := [one for one in queue(name, lane) if one.id not in by_limit])
    ]


async def test_a_kill_between_claim_and_settle_leaves_the_page_due(engine: Sqlite) -> None:
    claimed = waiting("claimed")
    with subprocess.Popen(  # noqa: ASYNC220  # nothing else runs meanwhile
        [sys.executable, "-m", "tests.contract.crash", engine.name, str(engine.place)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "claimed\n"
        child.kill()

    store = await engine.open()
    put_back = await the_page(store, claimed.id)
    (attempt,) = await store.attempts(claimed.id)
    claims = await store.claim([CRITICALS], 50, start)
    await store.close()

    assert put_back == replace(start(claimed).page, in_flight=False)
    assert attempt.outcome == "lost"
    assert [claim.page.dedup_key for claim in claims] == ["claimed", "other"]


# The clockwork's questions


async def test_rows_due_further_away_than_their_delay_are_due_now(store: SqliteStore) -> None:
    early = waiting("early", due_at=1_050, delay=10)
    right = waiting("right", due_at=1_050, delay=50, lane=Lane.UPDATE)
    done = page("done", due_at=1_050, delay=10)
    await store.keep(Lookup(), write(Plan(pages=(early, right, done))))

    assert await store.clock_back(1_000) == 1
    assert (await the_page(store, early.id)).due_at == 1_000
    assert (await the_page(store, right.id)).due_at == 1_050
    assert (await the_page(store, done.id)).due_at == 1_050
    assert await store.clock_back(1_000) == 0


async def test_stalled_pages_have_news_and_wait_in_no_lane(store: SqliteStore) -> None:
    stalled = (page("new"), page("unresolved", wanted=Wanted.CLOSED, lines=told(State.OPEN)))
    settled = (
        page("told", lines=told(State.OPEN)),
        page("over", wanted=Wanted.CLOSED, lines=told(State.CLOSED)),
        page("superseded", wanted=Wanted.CLOSED),
        page("dead", dead="400"),
        waiting("waits"),
        waiting("flies", in_flight=True),
    )
    await store.keep(Lookup(), write(Plan(pages=(*stalled, *settled))))

    first, last = sorted(stalled, key=lambda one: one.id)
    assert await store.stalled(-1, 9) == [first, last]
    assert await store.stalled(-1, 1) == [first]
    assert await store.stalled(first.id, 9) == [last]


async def test_firing_alerts_are_listed_in_slices(store: SqliteStore) -> None:
    alerts = sorted((alert(str(number), firing=number % 3 > 0) for number in range(20)), key=lambda one: one.id)
    firing = [one for one in alerts if one.firing]
    await store.keep(Lookup(), write(Plan(alerts=tuple(alerts))))

    first = await store.firing(-1, 5)

    assert first == firing[:5]
    assert await store.firing(first[-1].id, 100) == firing[5:]


async def test_what_was_heard_rides_along_with_the_next_commit(store: SqliteStore) -> None:
    one, later = alert("one", heard_at=10), alert("later", heard_at=90)
    await store.keep(Lookup(), write(Plan(alerts=(one, later), pages=(page(heard_at=10),))))
    commits: list[int] = []
    store.on_commit(lambda _seconds, requests: commits.append(requests))

    await store.heard([one.id, later.id], [page().id], 50)
    assert commits == []
    await store.keep(Lookup(), write(Plan(pages=(page("other"),))))

    assert (await the_page(store, page().id)).heard_at == 50
    assert [(await store.alerts(name))[0].heard_at for name in ("one", "later")] == [50, 90]
    assert commits == [1]


async def test_what_was_heard_is_written_at_close(engine: Sqlite) -> None:
    store = await engine.open()
    many = tuple(alert(str(number)) for number in range(2_500))
    await store.keep(Lookup(), write(Plan(alerts=many)))
    await store.heard([one.id for one in many], [], 50)
    await store.close()

    again = await engine.open()
    heard = await again.firing(-1, 5_000)
    await again.close()
    assert {one.heard_at for one in heard} == {50}


async def test_lines_are_marked_when_their_key_goes_and_comes_back(store: SqliteStore) -> None:
    def line(key: str, state: State) -> Line:
        return Line(key, "https://events.example", state)

    both = page("both", lines=(line("old", State.UNKNOWN_RESOLVE), line("new", State.OPEN)))
    closed = page("closed", lines=(line("old", State.CLOSED),))
    never = page("never")
    await store.keep(Lookup(), write(Plan(pages=(both, closed, never))))
    assert await store.open_lines() == {"old": 1, "new": 1}

    assert await store.mark_keys({"old", "new"}) == []
    assert await store.mark_keys({"new"}) == [both.id]
    marked = await the_page(store, both.id)
    assert [one.gone for one in marked.lines] == [True, False]
    assert await the_page(store, closed.id) == closed
    assert await store.open_lines() == {"old": 1, "new": 1}
    assert await store.mark_keys({"new"}) == []

    assert await store.mark_keys({"old", "new"}) == [both.id]
    assert await the_page(store, both.id) == both


async def test_marking_keys_reaches_every_page(store: SqliteStore) -> None:
    many = tuple(page(str(number), lines=told(State.OPEN)) for number in range(1_200))
    await store.keep(Lookup(), write(Plan(pages=many)))

    assert sorted(await store.mark_keys(set())) == sorted(one.id for one in many)
    assert await store.open_lines() == {KEY: 1_200}


async def test_integrations_are_remembered_by_id(store: SqliteStore) -> None:
    await store.remember_integrations([("a", "k1", "platform", 0), ("b", "k2", "payments", 1)])
    await store.remember_integrations([("b", "k3", "payments", 0)])

    assert await store.integrations() == [("a", "k1", "platform", 0), ("b", "k3", "payments", 0)]


async def test_attempts_are_listed_from_an_instant_on(store: SqliteStore) -> None:
    await store.keep(Lookup(), write(Plan(pages=tuple(waiting(str(n)) for n in range(3)))))
    times = iter((10, 20, 30))

    def at_times(candidate: Page) -> Started:
        started = start(candidate)
        assert started.attempt is not None
        return replace(started, attempt=replace(started.attempt, at=next(times)))

    await store.claim([CRITICALS], 50, at_times)

    assert await store.attempts_since(20) == [(INTEGRATION, 20, Lane.CRITICAL), (INTEGRATION, 30, Lane.CRITICAL)]


# Retention


async def test_what_is_over_goes_with_all_that_hangs_on_it(store: SqliteStore) -> None:
    over = waiting("over")
    ended, lonely = alert("ended", firing=False, changed_at=5), alert("lonely", firing=False, changed_at=5)
    young, fires = alert("young", firing=False, changed_at=50), alert("fires", changed_at=5)
    joined = member(over, ended, firing=False)
    record = Recorded(5, "prometheus", "{}:{}", "platform", {"opens": 1}, ())
    await store.keep(
        Lookup(), write(Plan(alerts=(ended, lonely, young, fires), pages=(over,), members=(joined,), record=record))
    )
    (claim,) = await store.claim([CRITICALS], 0, start)
    closed = replace(over, wanted=Wanted.CLOSED, lines=told(State.CLOSED), lane=None, closed_at=5)
    await store.settle(claim.attempt, lambda _: Settled(closed, replace(claim.attempt, at=5, outcome="delivered")), 5)
    await store.keep(Lookup(), write(Plan(record=replace(record, at=50))))
    assert await store.prune(5, 100) == 0

    while await store.prune(40, 100):
        pass

    assert await store.page(over.id) is None
    assert await store.attempts(over.id) == []
    assert await store.attempts_since(0) == []
    assert [await store.alerts(name) for name in ("ended", "lonely", "young", "fires")] == [[], [], [young], [fires]]
    assert [entry.record.at for entry in await store.decisions()] == [50]
    assert (await store.counts()).pages == {}


async def test_a_page_is_kept_from_its_last_close_on(store: SqliteStore) -> None:
    over = page(wanted=Wanted.CLOSED, closed_at=1)
    await store.keep(Lookup(), write(Plan(pages=(over,))))
    await store.keep(Lookup(pages=(over.id,)), write(Plan(pages=(replace(over, closed_at=9),))))

    assert await store.prune(5, 9) == 0
    assert await store.prune(10, 9) == 1


async def test_pruning_is_bounded(store: SqliteStore) -> None:
    over = tuple(page(str(n), wanted=Wanted.CLOSED, closed_at=n) for n in range(10))
    await store.keep(Lookup(), write(Plan(pages=over)))

    assert await store.prune(100, 4) == 4
    assert {one.dedup_key for one in await store.pages()} == {"4", "5", "6", "7", "8", "9"}


live: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    wanted=st.sampled_from(Wanted),
    lines=st.lists(st.sampled_from(State), max_size=2).map(
        lambda states: tuple(Line(f"{place}", "", state, gone=place == 1) for place, state in enumerate(states))
    ),
    lane=st.none() | st.just(Lane.RESOLVE),
    in_flight=st.sampled_from([False, False, False, True]),
    closed_at=st.integers(0, 20),
    judge_at=st.none() | st.none() | st.just(5),
    dead=st.sampled_from(["", "", "400"]),
)


@properties
@given(st.lists(live, max_size=10), st.data())
async def test_pruning_never_touches_what_is_live_or_linked_to_it(
    engine: Sqlite, drawn: list[dict[str, Any]], data: st.DataObject
) -> None:
    pages = [page(str(number), **fields) for number, fields in enumerate(drawn)]
    for place in range(len(pages)):
        linked = data.draw(st.none() | st.integers(0, len(pages) - 1))
        if linked is not None:
            pages[place] = replace(pages[place], successor=pages[linked].id)
            pages[linked] = replace(pages[linked], predecessor=pages[place].id)
    async with fresh(engine.name) as store:
        await store.keep(Lookup(), write(Plan(pages=tuple(pages))))
        await store.prune(10, 100)
        left = {one.id for one in await store.pages()}

    assert left >= {one.id for one in pages if _is_live(one)}
    assert left >= {one.id for one in pages if any(_is_live(other) for other in _chain(one, pages))}
    assert left >= {one.id for one in pages if one.closed_at >= 10}
    assert {one.id for one in pages} - left == {
        one.id for one in pages if one.closed_at < 10 and not any(_is_live(other) for other in _chain(one, pages))
    }


def _is_live(one: Page) -> bool:
    told_open = {State.OPEN, State.UNKNOWN_TRIGGER, State.UNKNOWN_RESOLVE}
    return (
        one.wanted is not Wanted.CLOSED
        or one.delivered not in (State.CLOSED, State.NEVER, State.ELSEWHERE)
        or any(line.state in told_open for line in one.lines)
        or one.lane is not None
        or one.in_flight
        or one.judge_at is not None
        or one.dead != ""
    )


def _chain(one: Page, pages: list[Page]) -> list[Page]:
    by_id = {each.id: each for each in pages}
    found, todo = {one.id}, [one]
    while todo:
        here = todo.pop()
        for linked in (here.successor, here.predecessor):
            if linked is not None and linked not in found:
                found.add(linked)
                todo.append(by_id[linked])
    return [by_id[number] for number in found]


# What people ask


RECORD = Recorded(
    7,
    "prometheus",
    "{}:{}",
    "platform",
    {"opens": 1, "repeats": 4},
    (
        Decision("prometheus", "1", "Down", "firing", Verdict.OPENS, (short_id(page().id),), (Step("route", "so"),)),
        Decision("prometheus", "2", "Up", "resolved", Verdict.IGNORED),
    ),
)


async def test_decisions_are_found_by_what_they_are_about(store: SqliteStore) -> None:
    other = replace(RECORD, source="staging", group_key="{}:{other}", decisions=())
    of = page()
    plan = Plan(alerts=(alert(),), pages=(of,), members=(member(of, alert()),), record=RECORD)
    await store.keep(Lookup(), write(plan))
    await store.keep(Lookup(), write(Plan(record=other)))

    newest, oldest = await store.decisions()

    assert (oldest.record, newest.record) == (RECORD, other)
    assert oldest.id < newest.id
    assert await store.decisions(limit=1) == [newest]
    assert await store.decisions(before=newest.id) == [oldest]
    assert await store.decisions(source="staging") == [newest]
    assert await store.decisions(group_key="{}:{}") == [oldest]
    assert await store.decisions(source="prometheus", group_key="{}:{}") == [oldest]
    about: list[dict[str, Any]] = [{"fingerprint": "1"}, {"page": of.id}, {"fingerprint": "1", "page": of.id}]
    for only in about:
        (found,) = await store.decisions(**only)
        assert found.record == replace(RECORD, decisions=RECORD.decisions[:1])
    (found,) = await store.decisions(fingerprint="2")
    assert found.record == replace(RECORD, decisions=RECORD.decisions[1:])
    assert await store.decisions(fingerprint="3") == []


async def test_an_alert_is_found_by_fingerprint_whoever_sent_it(store: SqliteStore) -> None:
    mine, theirs = alert("1"), alert("1", source="staging")
    await store.keep(Lookup(), write(Plan(alerts=(mine, theirs, alert("2")))))

    assert sorted(await store.alerts("1"), key=lambda one: one.source) == [mine, theirs]
    assert await store.alerts("3") == []


async def test_pages_are_listed_by_what_they_are(store: SqliteStore) -> None:
    kinds = {
        "new": waiting("new"),
        "open": page("open", lines=told(State.OPEN)),
        "update": waiting("update", lane=Lane.UPDATE, lines=told(State.OPEN)),
        "quiet": page("quiet", wanted=Wanted.QUIET),
        "over": page("over", wanted=Wanted.CLOSED, lines=told(State.CLOSED)),
        "flying": waiting("flying", in_flight=True),
    }
    await store.keep(Lookup(), write(Plan(pages=tuple(kinds.values()))))
    everything = sorted(kinds.values(), key=lambda one: one.id)

    async def names(**terms: Any) -> set[str]:
        return {one.dedup_key for one in await store.pages(**terms)}

    assert await store.pages() == everything
    assert await store.pages(limit=2) == everything[:2]
    assert await store.pages(after=everything[3].id) == everything[4:]
    assert await names(wanted=Wanted.OPEN) == {"new", "open", "update", "flying"}
    assert await names(delivered=State.OPEN) == {"open", "update"}
    assert await names(waiting=True) == {"new", "update"}
    assert await names(waiting=False) == {"open", "quiet", "over", "flying"}
    assert await names(waiting=True, delivered=State.OPEN) == {"update"}
    assert await names(wanted=Wanted.CLOSED, delivered=State.OPEN) == set()
    assert await names(dedup_key="over") == {"over"}
    assert await names(dedup_key="over", wanted=Wanted.OPEN) == set()


async def test_a_dedup_key_names_one_page_for_each_integration(store: SqliteStore) -> None:
    both = (page("same"), page("same", integration="other"))
    await store.keep(Lookup(), write(Plan(pages=(*both, page("else")))))

    assert await store.page_ids("same") == sorted(one.id for one in both)


async def test_events_that_fire_are_found_by_their_dedup_key_and_where_their_pages_moved_on(store: SqliteStore) -> None:
    moved_on, there = page("key", successor=page("key/linked-2").id), page("key", integration="other")
    heir = page("key/linked-2")
    one, other, over, posted = (alert(name, sent=Sent("key", "", 1)) for name in ("one", "other", "over", "posted"))
    over, posted = replace(over, firing=False), replace(posted, sent=None)
    members = (member(heir, one, home=moved_on.id), member(there, other), member(there, over), member(there, posted))
    plan = Plan(alerts=(one, other, over, posted), pages=(moved_on, heir, there), members=members)
    await store.keep(Lookup(), write(plan))

    async def found(*integrations: str) -> set[int]:
        return {held.id for held in await store.firing_events("key", integrations)}

    assert await found() == {one.id, other.id}
    assert await found("other") == {other.id}
    assert await found(moved_on.integration) == {one.id}
    assert await store.firing_events("key/2", ()) == []


counted: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    integration=st.sampled_from(["blue", "green"]),
    wanted=st.sampled_from(Wanted),
    severity=st.sampled_from(Severity),
    lines=st.lists(st.sampled_from(State), max_size=1).map(lambda states: told(states[0]) if states else ()),
    lane=st.none() | st.sampled_from(Lane),
    in_flight=st.booleans(),
    changed_at=st.integers(0, 20),
    dead=st.sampled_from(["", "400"]),
)


@properties
@given(st.lists(st.lists(st.tuples(st.integers(0, 3), counted), max_size=4), max_size=5))
async def test_counts_are_what_counting_all_pages_gives(
    engine: Sqlite, writes: list[list[tuple[int, dict[str, Any]]]]
) -> None:
    latest: dict[int, Page] = {}
    async with fresh(engine.name) as store:
        for batch in writes:
            pages = {number: page("x", id=number, **fields) for number, fields in batch}
            await store.keep(Lookup(pages=tuple(pages)), write(Plan(pages=tuple(pages.values()))))
            latest |= pages
        counts = await store.counts()

    now = list(latest.values())
    waits = [one for one in now if one.lane is not None and not one.in_flight]
    assert counts.pages == _count(Kind(one.carrier, one.wanted, one.delivered, one.severity) for one in now)
    assert counts.waiting == _count((one.integration, one.lane) for one in waits)
    assert counts.in_flight == _count(one.integration for one in now if one.in_flight)
    assert counts.dead == _count(one.integration for one in now if one.dead)
    assert counts.oldest == {
        lane: min(one.changed_at for one in waits if one.lane is lane) for lane in {one.lane for one in waits}
    }


@pytest.mark.parametrize(
    "change",
    [
        {"wanted": Wanted.CLOSED},
        {"severity": Severity.INFO},
        {"lane": Lane.UPDATE},
        {"lane": None},
        {"due_at": 7},
        {"in_flight": True},
        {"changed_at": 9},
        {"closed_at": 9, "wanted": Wanted.CLOSED, "lane": None},
        {"judge_at": 3},
        {"lines": told(State.OPEN)},
        {"lines": (replace(told(State.OPEN)[0], gone=True),)},
        {"dead": "400"},
        {"dedup_key": "other"},
    ],
    ids=lambda change: "+".join(change),
)
async def test_a_page_that_changed_is_found_as_one_that_was_always_so(
    engine: Sqlite, store: SqliteStore, change: dict[str, Any]
) -> None:
    before = waiting("page")
    after = replace(before, **change)

    async def found(kept: SqliteStore) -> list[object]:
        return [
            await kept.counts(),
            await kept.heads(0),
            await kept.next_judgement(),
            await kept.open_lines(),
            await kept.page_ids("other"),
            await kept.pages(waiting=True),
            await kept.pages(delivered=State.OPEN),
            await kept.pages(wanted=Wanted.CLOSED),
            await kept.mark_keys(set()),
            await kept.prune(5, 9),
        ]

    await store.keep(Lookup(), write(Plan(pages=(before,))))
    await store.keep(Lookup(pages=(before.id,)), write(Plan(pages=(after,))))
    async with fresh(engine.name) as other:
        await other.keep(Lookup(), write(Plan(pages=(after,))))
        assert await found(store) == await found(other)


def _count(things: Iterable[object]) -> dict[object, int]:
    counts: dict[object, int] = {}
    for thing in things:
        counts[thing] = counts.get(thing, 0) + 1
    return counts


async def test_looking_beside_a_writer_sees_each_commit_and_writes_nothing(engine: Sqlite, store: SqliteStore) -> None:
    await store.keep(Lookup(), write(Plan(pages=(page(),))))
    beside = await engine.look()

    assert await beside.pages() == [page()]
    with pytest.raises(StoreError, match="looking only"):
        await beside.keep(Lookup(), write(NOTHING))
    await store.keep(Lookup(), write(Plan(pages=(page("next"),))))
    assert len(await beside.pages()) == 2
    await beside.close()


async def test_a_store_can_be_looked_at_where_no_relay_runs(engine: Sqlite) -> None:
    store = await engine.open()
    await store.keep(Lookup(), write(Plan(pages=(page(),))))
    await store.close()

    beside = await engine.look()
    assert await beside.pages() == [page()]
    await beside.close()


async def test_looking_where_there_is_no_store_is_an_error(engine: Sqlite) -> None:
    with pytest.raises(StoreError, match=str(engine.place)):
        await engine.look()


async def test_the_size_grows_with_what_is_kept(store: SqliteStore) -> None:
    before = await store.size_bytes()
    await store.keep(Lookup(), write(Plan(alerts=tuple(alert(str(n), raw=b"r" * 1_000) for n in range(500)))))

    assert await store.size_bytes() > before + 400_000


async def test_claims_carry_the_page_as_it_was_written(store: SqliteStore) -> None:
    """The dispatcher renders from the claim, so the claim and the store must not differ."""
    await store.keep(Lookup(), write(Plan(pages=(waiting(),))))

    claims: list[Claim] = await store.claim([CRITICALS], 0, start)

    assert [claim.page for claim in claims] == [await the_page(store, page().id)]
