"""The bell over a real sender, a strict PagerDuty, a real store and a clock that tests move."""

import contextlib
import io
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import web

from relay.alert import HOUR, MINUTE, SECOND, Instant, instant
from relay.bell import HAPPENED, UNHEARD, Bell, Keeper
from relay.config import load
from relay.errors import StoreError
from relay.logs import Log
from relay.metrics import Metrics
from relay.pagerduty.events import EventSender
from relay.rules.rulebook import Rulebook
from relay.sandbox.app import make_app
from relay.sandbox.faults import Fault
from relay.sandbox.state import Sandbox, Settings
from relay.secret import Key
from relay.store import SelfPage, SqliteStore

NOON = instant(datetime(2026, 11, 23, 12, tzinfo=UTC))
OLD, NEW = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"


class Broken:
    """A store that takes nothing and tells nothing."""

    async def bells(self) -> list[SelfPage]:
        raise StoreError("the disk is gone")

    async def put_bell(self, told: SelfPage) -> None:
        raise StoreError("the disk is gone")

    async def drop_bell(self, reason: str, key_id: str) -> None:
        raise StoreError("the disk is gone")


@dataclass
class Tower:
    """A bell and what it rings in."""

    folder: Path
    sandbox: Sandbox
    url: str
    now: Instant = NOON
    room: bool = True
    keys: dict[str, Key] = field(default_factory=dict)
    log: io.StringIO = field(default_factory=io.StringIO)
    counted: list[str] = field(default_factory=list)
    metrics: Metrics = field(default_factory=Metrics)
    bell: Bell = field(init=False)
    sender: EventSender = field(init=False)
    _told: int = 0

    def book(self, key: str = OLD, *, meta: bool = True) -> Rulebook:
        """Read a configuration whose self-pages go out under a key."""
        said = "meta_receiver: us, " if meta else ""
        (self.folder / "relay.yml").write_text(
            f"global: {{{said}pagerduty_url: '{self.url}'}}\n"
            "route: {receiver: us}\n"
            f"receivers: [{{name: us, pagerduty_configs: [{{routing_key: {key}}}]}}]\n"
        )
        loaded = load(self.folder / "relay.yml", {})
        self.keys |= loaded.keys
        return Rulebook(loaded.rules, self.keys)

    async def open(self, store: Keeper, book: Rulebook) -> None:
        """Open a bell, as a start does."""
        self.metrics = Metrics()
        self.bell = Bell(
            clock=lambda: self.now,
            send=self.sender.send,
            at_hand=lambda key_id: key_id in self.keys,
            counting=self._counting,
            external_url="http://relay.example:9095/",
            metrics=self.metrics,
            log=Log(lambda: self.now, stream=self.log),
        )
        await self.bell.open(store, book)

    @contextlib.contextmanager
    def _counting(self, integration: str) -> Iterator[bool]:
        if self.room:
            self.counted.append(integration)
        yield self.room

    async def wait(self, seconds: int) -> None:
        """Let time pass, a second at a time."""
        await self.bell.tick()
        for _ in range(seconds):
            self.now += SECOND
            await self.bell.tick()

    def sent(self) -> list[str]:
        """List what PagerDuty was sent since this was asked last: `60 s trigger`."""
        calls = self.sandbox.requests[self._told :]
        self._told += len(calls)
        return [f"{call['at'] - NOON / SECOND:g} s {call['event_action']}" for call in calls]

    @property
    def open_keys(self) -> list[str]:
        """The dedup keys that are open at PagerDuty."""
        return sorted(alert.dedup_key for alert in self.sandbox.open_alerts)

    def rung(self, reason: str) -> float | None:
        """Read the metric."""
        return self.metrics.registry.get_sample_value("pagerelay_self_page", {"reason": reason})


@pytest.fixture
async def tower(tmp_path: Path) -> AsyncIterator[Tower]:
    towers: list[Tower] = []
    sandbox = Sandbox(Settings(rate_events=0), clock=lambda: towers[0].now / SECOND)
    runner = web.AppRunner(make_app(sandbox=sandbox))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    tower = Tower(tmp_path, sandbox, f"http://127.0.0.1:{runner.addresses[0][1]}/v2/enqueue")
    towers.append(tower)
    tower.sender = EventSender(lambda key_id: tower.keys.get(key_id))
    await tower.sender.start()
    yield tower
    await tower.sender.close()
    await runner.cleanup()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(tmp_path / "data")
    yield store
    await store.close()


KEY = "pagerelay/dead_letters http://relay.example:9095"


async def test_a_reason_rings_once_and_is_resolved_when_it_is_over(tower: Tower, store: SqliteStore) -> None:
    await tower.open(store, tower.book())
    tower.bell.ring("dead_letters", "PagerDuty refused 1 page for good")
    await tower.wait(600)
    assert (tower.sent(), tower.open_keys) == (["0 s trigger"], [KEY])

    tower.bell.quiet("dead_letters")
    await tower.wait(5)

    assert (tower.sent(), tower.open_keys) == (["600 s resolve"], [])
    assert await store.bells() == []


async def test_the_event_is_plain_and_says_why(tower: Tower, store: SqliteStore) -> None:
    await tower.open(store, tower.book())
    tower.bell.ring("dead_letters", "PagerDuty refused 1 page for good")
    tower.bell.ring("paused", "nothing is sent to\x1b anybody")
    await tower.wait(0)

    events = {alert.dedup_key: alert.event for alert in tower.sandbox.open_alerts}
    worse, other = events[KEY], events["pagerelay/paused http://relay.example:9095"]
    assert worse["payload"]["summary"] == "[pagerelay] PagerDuty refused 1 page for good"
    assert other["payload"]["summary"] == "[pagerelay] nothing is sent to� anybody"
    assert (worse["payload"]["severity"], other["payload"]["severity"]) == ("critical", "error")
    assert worse["payload"]["source"] == "relay.example"
    assert worse["client_url"] == "http://relay.example:9095/api/v1/status"


async def test_there_is_at_most_one_event_a_minute_for_a_reason(tower: Tower, store: SqliteStore) -> None:
    await tower.open(store, tower.book())
    for count in range(180):
        tower.bell.ring("dead_letters", f"PagerDuty refused {count} pages for good")
        if count % 7 == 3:
            tower.bell.quiet("dead_letters")
        await tower.wait(1)

    times = [int(call.split()[0]) for call in tower.sent()]
    assert len(times) >= 3
    assert all(later - earlier >= 60 for earlier, later in pairwise(times))


async def test_an_event_that_pagerduty_does_not_take_is_made_again_a_minute_later(
    tower: Tower, store: SqliteStore
) -> None:
    await tower.open(store, tower.book())
    tower.sandbox.faults.add(Fault(status=500, count=2))
    tower.bell.ring("dead_letters", "PagerDuty refused 1 page for good")
    await tower.wait(130)

    assert tower.sent() == ["0 s trigger", "60 s trigger", "120 s trigger"]
    assert tower.open_keys == [KEY]


async def test_a_restart_neither_rings_again_nor_forgets_to_resolve(tower: Tower, store: SqliteStore) -> None:
    book = tower.book()
    await tower.open(store, book)
    tower.bell.ring("dead_letters", "PagerDuty refused 1 page for good")
    tower.bell.ring("key_gone", "1 page cannot be resolved")
    await tower.wait(90)
    assert len(tower.sent()) == 2

    await tower.open(store, book)
    tower.bell.ring("dead_letters", "PagerDuty refused 1 page for good")
    await tower.wait(UNHEARD // SECOND)

    assert tower.sent() == [f"{90 + UNHEARD // SECOND} s resolve"]
    assert tower.open_keys == [KEY]


async def test_what_happens_rather_than_lasts_is_over_after_an_hour(tower: Tower, store: SqliteStore) -> None:
    book = tower.book()
    await tower.open(store, book)
    tower.bell.ring("body_too_large", "a body of 70 MB was refused")
    await tower.wait(61)
    await tower.open(store, book)
    tower.now += HAPPENED - 2 * MINUTE
    await tower.wait(0)
    assert (tower.sent(), tower.rung("body_too_large")) == (["0 s trigger"], 1)

    await tower.wait(60)

    assert (tower.sent(), tower.rung("body_too_large")) == (["3600 s resolve"], 0)


async def test_a_store_that_fails_keeps_nobody_from_hearing_of_it(tower: Tower) -> None:
    await tower.open(Broken(), tower.book())
    tower.bell.ring("store_failing", "the store takes no writes")
    await tower.wait(90)
    assert (tower.sent(), len(tower.open_keys)) == (["0 s trigger"], 1)

    tower.bell.quiet("store_failing")
    await tower.wait(1)

    assert (tower.sent(), tower.open_keys) == (["90 s resolve"], [])


async def test_a_new_key_takes_over_and_the_old_one_is_resolved(tower: Tower, store: SqliteStore) -> None:
    await tower.open(store, tower.book())
    tower.bell.ring("dead_letters", "PagerDuty refused 1 page for good")
    await tower.wait(90)

    tower.bell.book = tower.book(NEW)
    await tower.wait(90)

    assert tower.sent() == ["0 s trigger", "90 s trigger", "150 s resolve"]
    assert len(tower.counted) == 3
    assert len(set(tower.counted)) == 2
    assert tower.bell.keys == {tower.bell.book.rules.integrations[tower.counted[1]].key_id}


async def test_without_a_meta_receiver_it_is_said_in_log_and_metrics_alone(tower: Tower, store: SqliteStore) -> None:
    await tower.open(store, tower.book(meta=False))
    tower.bell.ring("dead_letters", "PagerDuty refused 1 page for good")
    await tower.wait(90)
    assert (tower.sent(), tower.rung("dead_letters")) == ([], 1)
    assert 'reason=dead_letters because="PagerDuty refused 1 page for good"' in tower.log.getvalue()

    tower.bell.book = tower.book()
    await tower.wait(1)

    assert tower.sent() == ["90 s trigger"]


async def test_it_waits_for_room_in_its_integrations_window(tower: Tower, store: SqliteStore) -> None:
    tower.room = False
    await tower.open(store, tower.book())
    tower.bell.ring("dead_letters", "PagerDuty refused 1 page for good")
    await tower.wait(5)
    assert tower.sent() == []

    tower.room = True
    await tower.wait(1)

    assert tower.sent() == ["5 s trigger"]


async def test_a_reason_that_lasts_is_told_again_after_four_hours(tower: Tower, store: SqliteStore) -> None:
    await tower.open(store, tower.book())
    tower.bell.ring("dead_letters", "PagerDuty refused 1 page for good")
    await tower.wait(0)
    tower.now += 4 * HOUR
    await tower.wait(0)

    assert tower.sent() == ["0 s trigger", "14400 s trigger"]
