"""What every store must say of alerts that nobody speaks of any more."""

import pytest
from msgspec.structs import replace

from relay.page import Page, State, Wanted
from relay.rules.ledger import Held, Lookup, Plan
from relay.store import SqliteStore
from tests.contract.values import alert, member, page, told, write


async def keep(store: SqliteStore, pages: dict[str, Page], *fires: tuple[str, Held]) -> None:
    """Keep alerts, each firing in a page."""
    members = tuple(member(pages[where], held) for where, held in fires)
    alerts = tuple({held.id: held for _, held in fires}.values())
    await store.keep(Lookup(), write(Plan(alerts=alerts, pages=tuple(pages.values()), members=members)))


def stale(name: str, source: str = "prod") -> Held:
    """An alert that was not heard of for too long."""
    return alert(name, source=source, stale_at=500)


async def test_stale_alerts_are_listed_by_source_and_in_slices(store: SqliteStore) -> None:
    ours = sorted((stale(str(number)) for number in range(5)), key=lambda held: held.id)
    pages = {"open": page("open", lines=told(State.OPEN))}
    others = (("open", stale("x", "other")), ("open", alert("fresh", source="prod")))
    await keep(store, pages, *(("open", held) for held in ours), *others)

    assert await store.stale("prod", -1, 3) == ours[:3]
    assert await store.stale("prod", ours[2].id, 3) == ours[3:]
    assert await store.stale("other", -1, 3) == [others[0][1]]
    assert await store.stale("nobody", -1, 3) == []


@pytest.mark.parametrize(
    ("wanted", "delivered", "listed"),
    [
        (Wanted.OPEN, State.OPEN, True),
        (Wanted.OPEN, State.UNKNOWN_TRIGGER, True),
        (Wanted.OPEN, State.NEVER, True),
        (Wanted.QUIET, State.OPEN, True),
        (Wanted.QUIET, State.UNKNOWN_RESOLVE, True),
        (Wanted.QUIET, State.CLOSED, False),
        (Wanted.QUIET, State.NEVER, False),
    ],
)
async def test_only_pages_that_may_be_open_are_asked_about(
    store: SqliteStore, wanted: Wanted, delivered: State, listed: bool
) -> None:
    lines = () if delivered is State.NEVER else told(delivered)
    await keep(store, {"it": page("it", wanted=wanted, lines=lines)}, ("it", stale("a")))

    assert bool(await store.stale("prod", -1, 10)) is listed


async def test_an_alert_that_is_heard_or_over_is_not_stale(store: SqliteStore) -> None:
    heard, over = stale("heard"), stale("over")
    await keep(store, {"it": page("it")}, ("it", heard), ("it", over))
    changed = (replace(heard, stale_at=0), replace(over, firing=False))
    await store.keep(Lookup(), write(Plan(alerts=changed)))

    assert await store.stale("prod", -1, 10) == []
    assert (await store.count_stale()).alerts == {}


async def test_a_page_is_stale_when_all_that_fires_in_it_is(store: SqliteStore) -> None:
    one, two, other, fresh = stale("1"), stale("2"), stale("3", "other"), alert("fresh", source="prod")
    over = alert("over", source="prod", firing=False)
    pages = {name: page(name) for name in ("stale", "also", "mixed", "fresh")}
    await keep(
        store,
        pages,
        *(("stale", one), ("stale", two), ("also", one), ("also", other)),
        *(("mixed", two), ("mixed", fresh), ("fresh", fresh)),
    )
    resolved = member(pages["also"], over, firing=False)
    await store.keep(Lookup(), write(Plan(alerts=(over,), members=(resolved,))))

    found = await store.count_stale()

    assert (found.alerts, found.pages) == ({"prod": 2, "other": 1}, 2)


async def test_one_that_fires_among_many_is_found(store: SqliteStore) -> None:
    fires, over = alert("fires"), alert("over", firing=False)
    await keep(store, {"it": page("it")}, ("it", fires), ("it", over))

    assert await store.any_firing([1, 2, over.id, fires.id])
    assert not await store.any_firing([1, 2, over.id])
    assert not await store.any_firing([])
