"""Heartbeats and sources: silence pages, a return closes, and whatever the relay did not hear counts from its start."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from relay.alert import HOUR, MINUTE, SECOND, Instant
from relay.config import load
from relay.intake import Intake
from relay.logs import Log
from relay.metrics import Metrics
from relay.page import Page, Wanted
from relay.recall import Recall
from relay.rules.rulebook import Rulebook
from relay.store import SqliteStore
from relay.watchkeeper import Watchkeeper
from tests.integration.house import NOON, alert, as_bytes, message

KEY = "0123456789abcdef0123456789abcdef"
RULES = """
route: {{receiver: team, group_by: [alertname], routes: [{{matchers: [alertname=Watchdog], receiver: "null"}}]}}
receivers:
  - name: "null"
  - name: team
    pagerduty_configs: [{{routing_key: {key}}}]
{more}
"""
WATCHDOG = "heartbeats: [{name: dog, matchers: [alertname=Watchdog], within: 3m, receiver: team}]"
SOURCES = "sources: [{name: prod, native_keys: true, repeat_interval: 1h}]"


@dataclass
class Night:
    """A relay that only listens, on a clock that the test moves."""

    store: SqliteStore
    intake: Intake
    watchkeeper: Watchkeeper
    folder: Path
    now: list[Instant]

    async def pass_(self, length: int) -> None:
        """Let time go by, and the watch look."""
        self.now[0] += length
        await self.watchkeeper.tick()

    async def bark(self, source: str = "") -> None:
        """Post a body of the alert that always fires."""
        await self.intake.accept(as_bytes(message(alert("Watchdog"), key="watchdog")), source)

    async def pages(self) -> list[Page]:
        """List what should be open."""
        return [page for page in await self.store.pages() if page.wanted is not Wanted.CLOSED]

    def reload(self, more: str) -> None:
        """Let other rules count."""
        book = rulebook(self.folder, more)
        self.intake.book = book
        self.watchkeeper.reloaded(book)


def rulebook(folder: Path, more: str) -> Rulebook:
    file = folder / "relay.yml"
    file.write_text(RULES.format(key=KEY, more=more))
    loaded = load(file, {})
    return Rulebook(loaded.rules, loaded.keys)


@asynccontextmanager
async def night(folder: Path, more: str, now: Instant = NOON) -> AsyncIterator[Night]:
    book, hands = rulebook(folder, more), [now]
    store = await SqliteStore.open(folder / "store")
    log, metrics = Log(lambda: hands[0], level="error"), Metrics()

    def clock() -> Instant:
        return hands[0]

    watchkeeper = Watchkeeper(store, book, clock=clock, wake=lambda: None, metrics=metrics, log=log)
    intake = Intake(
        store, book, Recall(), clock=clock, wake=lambda: None, heard=watchkeeper.hear, metrics=metrics, log=log
    )
    yield Night(store, intake, watchkeeper, folder, hands)
    await store.close()


async def test_a_heartbeat_that_stops_pages_and_its_return_closes_the_page(tmp_path: Path) -> None:
    async with night(tmp_path, WATCHDOG) as house:
        await house.bark("eu")
        await house.pass_(2 * MINUTE)
        assert await house.pages() == []

        await house.pass_(MINUTE)
        [page] = await house.pages()
        assert page.severity == "critical"
        [entry] = await house.store.decisions(page=page.id)
        assert [step.because for step in entry.record.decisions[0].steps] == [
            "heartbeat dog was not heard since 12:00:00 UTC, more than 3m; source eu sent it last"
        ]

        await house.bark("eu")
        await house.pass_(0)
        assert await house.pages() == []


@pytest.mark.parametrize("times", [1, 5])
async def test_each_unchanged_repeat_is_a_beat(tmp_path: Path, times: int) -> None:
    async with night(tmp_path, WATCHDOG) as house:
        for _ in range(times):
            await house.bark()
            await house.pass_(2 * MINUTE)
        assert await house.pages() == []

        await house.pass_(MINUTE)
        assert len(await house.pages()) == 1


async def test_a_beat_that_was_never_heard_counts_from_the_start(tmp_path: Path) -> None:
    async with night(tmp_path, WATCHDOG) as house:
        await house.pass_(3 * MINUTE - SECOND)
        assert await house.pages() == []
        await house.pass_(SECOND)
        assert len(await house.pages()) == 1


async def test_another_alert_is_no_beat(tmp_path: Path) -> None:
    async with night(tmp_path, WATCHDOG) as house:
        await house.bark()
        await house.pass_(2 * MINUTE)
        await house.intake.accept(as_bytes(message(alert("Other"), key="watchdog")), "")
        await house.pass_(MINUTE)
        assert len(await house.pages()) == 2  # the other alert's, and the watch's


async def test_a_restart_keeps_the_alarm_and_counts_anew(tmp_path: Path) -> None:
    async with night(tmp_path, WATCHDOG) as house:
        await house.pass_(4 * MINUTE)
        assert len(await house.pages()) == 1
    async with night(tmp_path, WATCHDOG, NOON + 5 * MINUTE) as house:
        await house.pass_(0)
        assert len(await house.pages()) == 1
        await house.bark()
        await house.pass_(0)
        assert await house.pages() == []


async def test_a_heartbeat_taken_out_of_the_file_closes_its_page_and_put_back_opens_it(tmp_path: Path) -> None:
    async with night(tmp_path, WATCHDOG) as house:
        await house.pass_(4 * MINUTE)
        house.reload("")
        await house.pass_(0)
        assert await house.pages() == []

        house.reload(WATCHDOG)
        await house.pass_(0)
        assert len(await house.pages()) == 1


async def test_a_named_source_that_says_nothing_at_all_pages(tmp_path: Path) -> None:
    async with night(tmp_path, SOURCES) as house:
        await house.bark("prod")
        await house.pass_(2 * HOUR - SECOND)
        assert await house.pages() == []
        await house.pass_(SECOND)
        [page] = await house.pages()
        [entry] = await house.store.decisions(page=page.id)
        assert entry.record.decisions[0].alertname == "SourceSilent"

        await house.intake.accept(as_bytes(message(alert("Other", "resolved"))), "prod")
        await house.pass_(0)
        assert await house.pages() == []
