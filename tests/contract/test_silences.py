"""What every store must do with silences, and with those who fire under them."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from relay.errors import StoreError
from relay.event import Severity
from relay.page import Suppression, SuppressionKind
from relay.rules.ledger import Link, Lookup, Plan, Role
from relay.rules.matchers import Matcher
from relay.rules.silences import Silence
from relay.store import SqliteStore
from relay.store.firing import Firing
from tests.contract.engines import Sqlite, fresh
from tests.contract.values import alert, member, page, write

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
matchers = st.builds(
    Matcher,
    st.sampled_from(["=", "!=", "=~", "!~"]),
    texts,
    texts.filter(lambda text: not set(text) & set("\\.+*?()[]{}^$")),
)
silences = st.builds(
    Silence,
    id=texts,
    matchers=st.lists(matchers, max_size=4).map(tuple),
    starts_at=st.integers(-(2**53), 2**53),
    ends_at=st.integers(-(2**53), 2**53),
    updated_at=st.integers(-(2**53), 2**53),
    created_by=texts,
    comment=texts,
)


def silence(id_: str = "a", ends_at: int = 100, comment: str = "disk swap") -> Silence:
    return Silence(id_, (Matcher("=~", "alertname", "Disk.*"),), 0, ends_at, 0, "anna", comment)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(silences, unique_by=lambda one: one.id, max_size=5))
async def test_every_silence_comes_back_as_it_was(engine: Sqlite, written: list[Silence]) -> None:
    async with fresh(engine.name) as store:
        await store.put_silences(written, ())

        assert await store.silences() == sorted(written, key=lambda one: one.id.encode())


async def test_a_silence_takes_the_place_of_the_one_with_its_id(store: SqliteStore) -> None:
    await store.put_silences([silence("a"), silence("b")], ())
    await store.put_silences([silence("a", comment="other")], ())

    assert await store.silences() == [silence("a", comment="other"), silence("b")]


async def test_silences_outlive_the_process(engine: Sqlite) -> None:
    first = await engine.open()
    await first.put_silences([silence()], ())
    await first.close()

    again = await engine.open()
    try:
        assert await again.silences() == [silence()]
    finally:
        await again.close()


async def test_silences_that_ended_before_then_are_forgotten(store: SqliteStore) -> None:
    await store.put_silences([silence("a", 99), silence("b", 100), silence("c", 101)], ())

    assert await store.forget_silences(100) == 1
    assert [one.id for one in await store.silences()] == ["b", "c"]


async def test_a_store_for_looking_only_takes_no_silence(engine: Sqlite) -> None:
    writing = await engine.open()
    await writing.put_silences([silence()], ())
    looking = await engine.look()
    try:
        assert await looking.silences() == [silence()]
        with pytest.raises(StoreError, match="looking only"):
            await looking.put_silences([silence("b")], ())
    finally:
        await looking.close()
        await writing.close()


async def test_a_change_makes_those_due_who_watch_it_and_no_others(store: SqliteStore) -> None:
    one, other = silence("a"), silence("b")
    links = [Link(key, Role.WATCHER) for key in (one.key, other.key)]
    watching, elsewhere = alert("1", firing=True, links=(links[0],)), alert("2", firing=True, links=(links[1],))
    linked = ((watching.id, links[0]), (elsewhere.id, links[1]))
    await store.keep(Lookup(), write(Plan(alerts=(watching, elsewhere), linked=linked)))

    await store.put_silences([one], [one.key])
    while await store.spread(1_000, 10):
        pass

    assert [one.id for one in await store.due_alerts(1_000, 10)] == [watching.id]


# Those who fire


async def listed(store: SqliteStore, at_once: int) -> list[Firing]:
    found: list[Firing] = []
    while some := await store.firing_with_members(found[-1].alert.id if found else -1, at_once):
        found += some
    return found


async def test_what_fires_is_listed_with_its_members_page_by_page(store: SqliteStore) -> None:
    alerts = [alert(str(number), firing=number != 3) for number in range(7)]
    ours = page()
    members = [member(ours, one, firing=one.firing) for one in alerts[1:5]]
    await store.keep(Lookup(), write(Plan(alerts=tuple(alerts), pages=(ours,), members=tuple(members))))
    places = {one.alert: (one,) for one in members}

    for at_once in (1, 2, 100):
        assert await listed(store, at_once) == [
            Firing(one, places.get(one.id, ())) for one in sorted(alerts, key=lambda one: one.id) if one.firing
        ]


async def test_an_inhibited_alert_names_who_inhibits_it(store: SqliteStore) -> None:
    key, other = 7, 8
    source, twin, stranger = (alert(name, firing=True) for name in ("aa", "bb", "cc"))
    target = alert("dd", firing=True, links=(Link(key, Role.WATCHER), Link(key, Role.TWO_SIDED)))
    calm = alert("ee", firing=True, links=(Link(key, Role.WATCHER),))
    ours = page()
    reason = Suppression(SuppressionKind.INHIBITION, "inhibited by A")
    quiet = replace(member(ours, target, firing=True, severity=Severity.ERROR), suppressions=(reason,))
    held = (source, twin, stranger, target, calm)
    linked = (
        (source.id, Link(key, Role.SOURCE, "A")),
        (twin.id, Link(key, Role.TWO_SIDED, "B")),
        (stranger.id, Link(other, Role.SOURCE, "C")),
        *((target.id, link) for link in target.links),
        *((calm.id, link) for link in calm.links),
    )
    members = (quiet, member(ours, calm, firing=True))
    await store.keep(Lookup(), write(Plan(alerts=held, pages=(ours,), members=members, linked=linked)))

    named = {one.alert.fingerprint: one.inhibited_by for one in await listed(store, 100)}

    assert named == {"aa": (), "bb": (), "cc": (), "dd": ("aa", "bb"), "ee": ()}
