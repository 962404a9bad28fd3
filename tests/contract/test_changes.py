"""What every store must do with change events: none lost, in order, and known as called after a start."""

import asyncio
import json

from relay.alert import HOUR, MINUTE, SECOND
from relay.page import Lane
from relay.rules.ledger import Changed, Lookup, Plan
from relay.store import SqliteStore
from tests.contract.engines import Sqlite

NOON = 1_795_435_200 * SECOND
EVENT = b'{"payload":{"summary":"x","custom_details":{"n":12345678901234567890123}}}'


def some(integration: str = "one", count: int = 1, at: int = NOON) -> list[Changed]:
    return [Changed(integration, at + number, EVENT) for number in range(count)]


async def test_those_of_a_plan_are_written_with_it_and_found_after_a_restart(engine: Sqlite) -> None:
    store = await engine.open()
    await store.keep(Lookup(), lambda ledger: Plan(changes=tuple(some(count=2))))
    await store.add_changes(some("two"))
    await store.close()

    store = await engine.open()
    heads = await store.change_heads()
    assert {name: (head.waiting, head.due_at) for name, head in heads.items()} == {"one": (2, NOON), "two": (1, NOON)}
    await store.close()


async def test_those_of_plans_that_are_written_together_are_all_there(store: SqliteStore) -> None:
    keeps = (store.keep(Lookup(), lambda ledger, n=n: Plan(changes=tuple(some(at=NOON + n)))) for n in range(40))  # type: ignore[misc]
    await asyncio.gather(*keeps)

    assert (await store.change_heads())["one"].waiting == 40


async def test_the_first_due_is_taken_and_due_again_if_nobody_says_what_became_of_it(store: SqliteStore) -> None:
    await store.add_changes(some(count=2))
    first = await store.take_change("one", NOON + MINUTE, NOON + 2 * MINUTE)
    second = await store.take_change("one", NOON + MINUTE, NOON + 2 * MINUTE)
    assert first is not None
    assert second is not None
    assert (first.at, second.at, first.event, first.failures) == (NOON, NOON + 1, EVENT, 0)
    assert await store.take_change("one", NOON + MINUTE, 0) is None
    assert await store.take_change("two", NOON + MINUTE, 0) is None

    await store.end_change(second.id)
    await store.put_change_off(first, NOON + HOUR)

    assert (await store.change_heads())["one"][:1] == (NOON + HOUR,)
    again = await store.take_change("one", NOON + HOUR, NOON + 2 * HOUR)
    assert again is not None
    assert (again.id, again.event, again.failures) == (first.id, EVENT, 1)
    await store.end_change(again.id)
    assert await store.change_heads() == {}


async def test_what_is_over_stays_over(store: SqliteStore) -> None:
    await store.add_changes(some())
    taken = await store.take_change("one", NOON, NOON + MINUTE)
    assert taken is not None
    await store.end_change(taken.id)

    await store.put_change_off(taken, NOON)

    assert await store.change_heads() == {}


async def test_calls_of_the_last_minutes_are_listed_with_those_for_pages(store: SqliteStore) -> None:
    await store.add_changes(some(count=3))
    for minute in range(3):
        taken = await store.take_change("one", NOON + minute * MINUTE, NOON + HOUR)
        assert taken is not None
        await store.end_change(taken.id)

    assert await store.attempts_since(NOON + MINUTE) == [
        ("one", NOON + MINUTE, Lane.REFRESH),
        ("one", NOON + 2 * MINUTE, Lane.REFRESH),
    ]
    await store.add_changes(some(at=NOON + 2 * HOUR))
    await store.take_change("one", NOON + 2 * HOUR, NOON + 3 * HOUR)
    assert len(await store.attempts_since(0)) == 1, "the others are forgotten"


async def test_the_oldest_are_dropped_or_given_up_and_counted(store: SqliteStore) -> None:
    await store.add_changes([*some("one", 3), *some("two", 2, NOON + HOUR)])

    assert await store.shed_changes(4, 10**9) == {"one": 1}
    assert await store.give_changes_up(NOON + HOUR) == {"one": 2}
    assert {name: head.waiting for name, head in (await store.change_heads()).items()} == {"two": 2}
    assert await store.shed_changes(4, 10**9) == {}


async def test_the_oldest_of_too_many_bytes_are_dropped(store: SqliteStore) -> None:
    large = [Changed("one", NOON + at, json.dumps({"payload": {"summary": "x" * 1_000}}).encode()) for at in range(3)]
    await store.add_changes([*large, *some("two", 2)])

    assert await store.shed_changes(10, 1_500) == {"one": 2}
    assert await store.shed_changes(10, 1_500) == {}


async def test_a_clock_that_was_set_back_holds_none_back(store: SqliteStore) -> None:
    await store.add_changes(some(at=NOON + 5 * HOUR))
    await store.changes_clock_back(NOON, NOON + MINUTE)

    assert (await store.change_heads())["one"].due_at == NOON
