"""P4, P7, P14: what the store costs, alone and under a relay, as it grows."""

import asyncio
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from bench import ledgers
from bench.figures import Row, Scale, Target, interleaved
from bench.load import Order
from bench.processes import Bench, Server, Spent, config, quiet, wait_until
from relay.alert import SECOND, Instant
from relay.page import Lane
from relay.rules.classify import Draft
from relay.rules.delivery import start
from relay.rules.ledger import Ledger, Plan, Want
from relay.rules.rulebook import Rulebook
from relay.store import SqliteStore, connect, writer

_CONCURRENT = 64
_SLOWER = 0.005


def now() -> Instant:
    """Read the wall clock."""
    return time.time_ns() // 1000


# P4


def p4(bench: Bench, scale: Scale) -> list[Row]:
    """64 requests at once: one commit for many against a commit for each, with this disk's fsync and with 5 ms more."""
    here = _commits_against(bench, scale, "this disk's fsync", 0.0, 8)
    return here + _commits_against(bench, scale, "fsync + 5 ms", _SLOWER, 25)


def _commits_against(bench: Bench, scale: Scale, disk: str, extra: float, target: float) -> list[Row]:
    book = ledgers.book_of(config("http://127.0.0.1:9"), bench.fresh("book"))
    directory = bench.fresh("store")

    def each(number: int) -> float:
        return uvloop.run(_keep_many(directory, book, 2_000_000 * number, scale.of(200, 64), 1, extra))

    def group(number: int) -> float:
        return uvloop.run(_keep_many(directory, book, 2_000_000 * number + 1_000_000, scale.of(2_000, 64), 128, extra))

    found = interleaved(scale, each, group)
    what = f"64 writers at once, group commit against a commit each, {disk}: requests a second"
    return [
        Row("P4", what, tuple(many / one for one, many in found), Target(target, at_least=True)),
        Row("P4", "the same: a commit each", tuple(one for one, _ in found), unit=" a second"),
        Row("P4", "the same: group commit", tuple(many for _, many in found), unit=" a second"),
    ]


async def _keep_many(directory: Path, book: Rulebook, first: int, count: int, at_once: int, extra: float) -> float:
    """Keep so many new alerts, 64 at a time; return how many a second."""
    plans = list(ledgers.plans(book, first, count, now()))
    with _commits(at_once, extra):
        store = await SqliteStore.open(directory)

        async def keep(some: list[tuple[Draft, Plan]]) -> None:
            for draft, plan in some:
                await store.keep(draft.lookup, partial(_as_planned, plan))

        began = time.perf_counter()
        await asyncio.gather(*(keep(plans[at::_CONCURRENT]) for at in range(_CONCURRENT)))
        took = time.perf_counter() - began
        await store.close()
    return count / took


def _as_planned(plan: Plan, _: Ledger) -> Plan:
    return plan


class _Slow:
    """A connection whose commits take longer, as on a disk with a slower fsync."""

    def __init__(self, db: sqlite3.Connection, extra: float) -> None:
        self._db = db
        self._extra = extra

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if statement == "COMMIT":
            time.sleep(self._extra)
        return self._db.execute(statement, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


@contextmanager
def _commits(at_once: int, extra: float) -> Iterator[None]:
    """Have stores opened here take so many requests into a commit, each of which takes so much longer."""
    limit, writing = writer._REQUESTS_AT_ONCE, connect.writing
    writer._REQUESTS_AT_ONCE = at_once
    if extra:
        connect.writing = lambda directory: _Slow(writing(directory), extra)  # type: ignore[assignment,return-value]
    try:
        yield
    finally:
        writer._REQUESTS_AT_ONCE, connect.writing = limit, writing


# P7


def p7(bench: Bench, scale: Scale) -> list[Row]:
    """Webhooks into a store of 1,000 and of 1,000,000 pages: what one costs, and what the relay holds in memory."""
    url = bench.bare().url
    most = scale.of(1_000_000, 5_000)
    small = _relay_with(bench, url, 1_000)
    large = _relay_with(bench, url, most)

    def side(server: Server, number: int) -> Spent:
        return bench.load(server, Order("new", 2_000_000 + number * 10_000, scale.of(2_000, 64)))

    found = interleaved(scale, lambda number: side(small, number), lambda number: side(large, number))
    grown = large.process.memory() - small.process.memory()
    figures = tuple(large.cpu / small.cpu for small, large in found)
    return [
        Row("P7", f"{most:,} stored pages against 1,000: CPU a webhook", figures, Target(1.25)),
        Row("P7", "the same: more memory", (grown,), Target(20, unit=" MB"), " MB"),
    ]


def _relay_with(bench: Bench, url: str, pages: int) -> Server:
    store = bench.fresh("store")
    ledgers.build(store, config(url), pages, ledgers.closed, now())
    relay = bench.relay(config(url), store)
    quiet(relay.process)
    return relay


# P14


def p14(bench: Bench, scale: Scale) -> list[Row]:
    """Picking the next page out of a backlog, and how soon a relay that starts with one sends."""
    most = scale.of(1_000_000, 5_000)
    book = ledgers.book_of(config("http://127.0.0.1:9"), bench.fresh("book"))
    stores = [bench.fresh("store"), bench.fresh("store")]
    for store, pages in zip(stores, (1_000, most), strict=True):
        ledgers.build(store, config("http://127.0.0.1:9"), pages, ledgers.waiting, now())
    picks = scale.of(100, 10)
    small, large = stores
    found = interleaved(
        scale, lambda _: uvloop.run(_pick(small, book, picks)), lambda _: uvloop.run(_pick(large, book, picks))
    )
    first = _first_sends(bench, scale.of(100_000, 2_000), scale.rounds)
    return [
        Row("P14", f"picking the next of {most:,} against 1,000: CPU", tuple(b / a for a, b in found), Target(2)),
        Row("P14", "restart to first send with 100,000 waiting", first, Target(1, unit=" s"), " s"),
    ]


async def _pick(directory: Path, book: Rulebook, picks: int) -> float:
    """Pick so many pages one by one; return the CPU seconds of each."""
    store = await SqliteStore.open(directory)
    integration = next(iter(book.rules.integrations))
    want = [Want(integration, Lane.CRITICAL, 1)]

    async def pick() -> None:
        await store.heads(now())
        claims = await store.claim(want, now(), lambda page: start(page, now(), book, 10 * SECOND))
        assert len(claims) == 1, "a page was waiting"

    await pick()
    began = time.process_time()
    for _ in range(picks):
        await pick()
    spent = time.process_time() - began
    await store.close()
    return spent / picks


def _first_sends(bench: Bench, pages: int, rounds: int) -> tuple[float, ...]:
    """Start relays on a store with so many waiting; return the seconds until each one's first event arrived."""
    stand_in = bench.bare()
    routing = config(stand_in.url)
    model = bench.fresh("store")
    ledgers.build(model, routing, pages, ledgers.waiting, now())
    return tuple(_first_send(bench, stand_in, routing, model) for _ in range(rounds))


def _first_send(bench: Bench, stand_in: Server, routing: str, model: Path) -> float:
    store, before = bench.fresh("store"), stand_in.count()
    shutil.copytree(model, store, dirs_exist_ok=True)
    began = time.monotonic()
    relay = bench.relay(routing, store)
    wait_until(lambda: stand_in.count() > before, "the first event arrives", every=0.002)
    took = time.monotonic() - began
    relay.process.end()
    shutil.rmtree(store)
    return took
