"""What every store must do with what comes back from PagerDuty."""

import pytest
from msgspec.structs import replace

from relay.page import Page, State, Wanted
from relay.rules.ledger import Lookup, Plan
from relay.rules.news import Judged, News, Returned, Taken
from relay.store import SqliteStore
from tests.contract.engines import Sqlite
from tests.contract.values import page, told, write


def acknowledged(news: News, of: Page) -> Judged:
    """A judge that says who has it."""
    act = Returned("acknowledged", news.at, news.who, news.incident, news.words)
    return Judged(replace(of, acknowledged_by=news.who, incident=news.incident), act, news.incident)


def said(name: str, *, key: str = "page", incident: str = "PX", at: int = 10, who: str = "Anna") -> News:
    return News(name, "incident.acknowledged", at, incident, key=key, who=who)


async def take(store: SqliteStore, news: News, *, ask: bool = False, now: int = 100) -> Taken:
    return await store.take_news(news, now, acknowledged, {}, ask=ask)


async def held(store: SqliteStore, *pages: Page) -> tuple[Page, ...]:
    """Keep pages that are open at PagerDuty."""
    kept = tuple(replace(one, lines=told(State.OPEN)) for one in pages)
    await store.keep(Lookup(), write(Plan(pages=kept)))
    return kept


async def test_news_is_judged_once_also_after_a_restart(engine: Sqlite) -> None:
    store = await engine.open()
    (one,) = await held(store, page())

    first = await take(store, said("1"))

    assert (first.outcome, [found.acknowledged_by for found in first.pages]) == ("placed", ["Anna"])
    await store.close()
    store = await engine.open()
    assert (await take(store, said("1", who="Ben"))).outcome == "seen"
    seen = await store.page(one.id)
    assert seen is not None
    assert seen.page.acknowledged_by == "Anna"
    await store.close()


async def test_a_judge_that_fails_leaves_no_trace_so_that_it_may_come_again(store: SqliteStore) -> None:
    await held(store, page())

    def fails(news: News, of: Page) -> Judged:
        raise ValueError("made up")

    with pytest.raises(ValueError, match="made up"):
        await store.take_news(said("1"), 100, fails, {}, ask=False)

    assert (await take(store, said("1"))).outcome == "placed"


async def test_an_incident_is_known_from_then_on_without_its_key(store: SqliteStore) -> None:
    (one,) = await held(store, page())
    await take(store, said("1"))

    found = await take(store, said("2", key="", who="Ben"))

    assert (found.outcome, [each.id for each in found.pages]) == ("placed", [one.id])


async def test_an_incident_may_stand_for_several_pages(store: SqliteStore) -> None:
    pages = await held(store, page("one"), page("two"))
    await take(store, said("1", key="one"))
    await take(store, said("2", key="two", incident="PY"))

    def merged(news: News, of: Page) -> Judged:
        return Judged(replace(of, incident="PY"), None, "PY")

    await store.take_news(said("3", key="", incident="PX"), 100, merged, {}, ask=False)
    found = await take(store, said("4", key="", incident="PY", who="Ben"))

    assert {each.id for each in found.pages} == {each.id for each in pages}


async def test_what_nobody_knows_waits_only_where_somebody_is_asked(store: SqliteStore) -> None:
    await held(store, page())

    assert (await take(store, said("1", key=""))).outcome == "unplaced"
    assert (await take(store, said("2", key="", at=30), ask=True)).outcome == "waiting"
    assert (await take(store, said("3", key="other", at=20), ask=True)).outcome == "waiting"
    assert [news.id for news in await store.waiting_news(10)] == ["3", "2"]

    waiting = await store.waiting_news(10)
    placed = [await store.place_news(news, ("page",), 100, acknowledged, {}) for news in waiting]
    assert [one.outcome for one in placed] == ["placed", "placed"]
    assert await store.waiting_news(10) == []
    assert (await store.place_news(waiting[0], ("page",), 100, acknowledged, {})).outcome == "seen"


async def test_what_was_seen_is_forgotten_by_the_time_it_was_taken(store: SqliteStore) -> None:
    for number in range(5):
        await take(store, said(str(number), key=""), now=number)

    assert await store.forget_news(3) == 3
    assert [(await take(store, said(str(number), key=""))).outcome for number in (1, 4)] == ["unplaced", "seen"]


async def test_the_last_fifty_acts_of_a_page_are_kept_in_the_order_in_which_they_happened(store: SqliteStore) -> None:
    one, other = await held(store, page("one"), page("two"))
    for number in reversed(range(60)):
        await take(store, said(f"a{number}", key="one", at=number))
    await take(store, said("b", key="two", incident="PY"))

    assert [act.at for act in await store.acts(one.id)] == list(range(10, 60))
    assert len(await store.acts(other.id)) == 1


async def test_a_page_that_is_forgotten_takes_its_incidents_and_acts_along(store: SqliteStore) -> None:
    (one,) = await held(store, page())
    await take(store, said("1"))
    over = replace(one, wanted=Wanted.CLOSED, lines=told(State.ELSEWHERE), closed_at=1)
    await store.keep(Lookup(), write(Plan(pages=(over,))))

    assert await store.prune(10, 10) == 1

    assert await store.acts(one.id) == []
    assert (await take(store, said("2", key=""))).outcome == "unplaced"
