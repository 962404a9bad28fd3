"""The bell over a real sender, a strict PagerDuty, a real store and a clock that tests move."""

import asyncio
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
from relay.store import SelfPage, SqliteStore, ToldFile
from relay.web import WebFile

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
            beside=ToldFile(self.folder),
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


async def test_what_was_told_outlives_a_database_that_is_put_back(tower: Tower, tmp_path: Path) -> None:
    book = tower.book()
    first = await SqliteStore.open(tmp_path / "data")
    await tower.open(first, book)
    tower.bell.ring("store_corrupt", "the database was damaged")
    tower.bell.ring("paused", "nothing is sent to anybody")
    await tower.wait(70)
    await first.close()
    assert len(tower.sent()) == 2
    assert (tmp_path / "self-pages.json").stat().st_mode & 0o777 == 0o600

    restored = await SqliteStore.open(tmp_path / "restored")
    await tower.open(restored, book)
    assert set(tower.bell.reasons) == {"paused", "store_corrupt"}
    await tower.wait(UNHEARD // SECOND)
    assert (tower.sent(), tower.open_keys) == (["250 s resolve"], ["pagerelay/store_corrupt http://relay.example:9095"])
    tower.now = NOON + HAPPENED
    await tower.wait(1)
    assert (tower.sent(), tower.open_keys) == (["3600 s resolve"], [])

    await tower.open(restored, book)
    await tower.wait(300)
    assert tower.sent() == [], "an ordinary start says nothing"
    await restored.close()


async def test_a_store_that_fails_does_not_forget_what_was_told(tower: Tower) -> None:
    book = tower.book()
    await tower.open(Broken(), book)
    tower.bell.ring("store_failing", "the store takes no writes")
    await tower.wait(70)

    await tower.open(Broken(), book)
    await tower.wait(UNHEARD // SECOND)

    assert (tower.sent(), tower.open_keys) == (["0 s trigger", "250 s resolve"], [])


@pytest.mark.parametrize("scribble", [b"", b"{", b"[{}]", b"\xff"])
async def test_a_file_that_makes_no_sense_keeps_nobody_from_starting(
    tower: Tower, store: SqliteStore, scribble: bytes
) -> None:
    (tower.folder / "self-pages.json").write_bytes(scribble)
    await tower.open(store, tower.book())
    tower.bell.ring("paused", "nothing is sent to anybody")
    await tower.wait(70)

    assert tower.sent() == ["0 s trigger"]


async def test_a_reason_that_lasted_on_after_a_restart_is_not_taken_for_over_at_the_next(
    tower: Tower, store: SqliteStore
) -> None:
    book = tower.book()
    await tower.open(store, book)
    tower.bell.ring("dead_letters", "PagerDuty refused 1 page for good")
    await tower.wait(0)
    await tower.open(store, book)
    tower.bell.book = tower.book(NEW)  # told anew while nobody has rung it again
    await tower.wait(120)
    tower.bell.ring("dead_letters", "PagerDuty refused 1 page for good")
    await tower.wait(3600)
    tower.sent()

    await tower.open(store, tower.bell.book)
    await tower.wait(10)
    tower.bell.ring("dead_letters", "PagerDuty refused 1 page for good")
    await tower.wait(300)

    assert tower.sent() == []


async def test_what_goes_on_happening_counts_from_the_last_time_also_after_a_restart(
    tower: Tower, store: SqliteStore
) -> None:
    book = tower.book()
    await tower.open(store, book)
    for _ in range(6):  # half an hour each
        tower.bell.ring("auth_failures", "10.0.0.1 is refused at /webhook/prod")
        await tower.wait(0)
        tower.now += HAPPENED // 2
    assert tower.sent() == ["0 s trigger"]

    await tower.open(store, book)
    await tower.wait(60)
    assert (tower.sent(), tower.rung("auth_failures")) == ([], 1)
    tower.now += HAPPENED // 2
    await tower.wait(1)

    assert len(tower.sent()) == 1
    assert tower.open_keys == []


async def test_a_web_configuration_that_loads_at_a_start_ends_what_was_said_of_it(
    tower: Tower, store: SqliteStore
) -> None:
    book, file = tower.book(), tower.folder / "web.yml"
    file.write_text("basic_auth_users: {}\n")
    await tower.open(store, book)
    tower.bell.ring("web_config", "the web configuration cannot be used")
    await tower.wait(10)
    await tower.open(store, book)
    web_file = WebFile(file, log=Log(lambda: tower.now), ring=tower.bell.ring, quiet=tower.bell.quiet)
    await web_file.open()

    watching = asyncio.create_task(web_file.watch())
    await asyncio.sleep(0)
    watching.cancel()
    await tower.wait(60)

    assert (tower.sent(), tower.open_keys) == (["0 s trigger", "60 s resolve"], [])
