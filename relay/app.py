"""The fuse box: reads the clock, opens the relay room by room, runs it, and shuts it down in order."""

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import AbstractContextManager, AsyncExitStack
from secrets import token_hex
from typing import Any

import uvloop

import relay
from relay import failpoints
from relay.alert import Instant
from relay.alertmanager import AlertmanagerClient
from relay.bell import Bell
from relay.binding import KeyRing
from relay.errors import BadConfig, RelayError
from relay.filing import COPY, Filed, FilingRoom
from relay.front import Front
from relay.gauges import Gauges
from relay.house import House, Opened, Sundries, wire
from relay.logs import Log
from relay.metrics import Metrics
from relay.pagerduty.connection import Resolver
from relay.pagerduty.events import EventSender
from relay.pagerduty.rest import Rest
from relay.reloading import Reloading, template_sources
from relay.rendering import Renderer
from relay.rules.ruleset import Account
from relay.secret import Secret
from relay.settings import Settings
from relay.silencing import Silencer
from relay.store import Lock, ToldFile, place_warnings
from relay.vigil import Vigil
from relay.waiting import Patience, locked

DRAIN = 8.0
"""Seconds that deliveries under way may take to end at shutdown."""
_SWITCH = 0.0005
"""Seconds between thread switches: with the default a commit waits 5 ms for a busy event loop."""


def clock() -> Instant:
    """Read the wall clock."""
    return time.time_ns() // 1000


_BASE = clock() - time.monotonic_ns() // 1000


def steady() -> Instant:
    """Read a clock that starts as the wall clock and is never set."""
    return _BASE + time.monotonic_ns() // 1000


def run(settings: Settings) -> int:
    """Serve until told to stop; return the exit status."""
    sys.setswitchinterval(_SWITCH)
    os.umask(0o077)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(App(settings).serve())


class App:
    """One running relay."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._log = Log(clock, level=settings.log_level, form=settings.log_format)
        self._metrics = Metrics(relay.__version__)
        self._stop = asyncio.Event()
        self._not_ready: str | None = "starting"
        self._house: House | None = None
        self._gauges: Gauges | None = None
        self._hung_up = False
        self._hang_ups: set[asyncio.Task[object]] = set()
        self._pass = Secret(token_hex(24))
        self._keys = KeyRing()
        self._sender = EventSender(self._keys.find)
        self._bell = Bell(
            clock=clock,
            send=self._sender.send,
            at_hand=self._keys.__contains__,
            counting=self._counting,
            external_url=settings.external_url,
            metrics=self._metrics,
            log=self._log,
            beside=ToldFile(settings.storage_path),
        )
        self._config = Reloading(
            FilingRoom(
                settings.config_file,
                settings.storage_path,
                os.environ,
                settings.operators_file,
                strict=settings.config_strict,
            ),
            settings.config_file,
            self._keys,
            self._bell,
            fault=lambda loaded: self._front.exposed(loaded),
            clock=clock,
            metrics=self._metrics,
            log=self._log,
        )
        self._front = Front(settings, self._config, self._bell, self._log)
        self._rest = Rest(
            lambda: filed.loaded.account.api_token if (filed := self._config.filed) else None,
            lambda: filed.loaded.rules.account if (filed := self._config.filed) else Account(),
            log=self._log,
            metrics=self._metrics,
        )

    async def serve(self) -> int:
        """Open everything, serve, close everything."""
        try:
            filed = await self._config.start()
            await self._front.web.open()
        except BadConfig as bad:
            for problem in bad.problems:
                print(problem, file=sys.stderr)  # noqa: T201 - for the person who started it
            return 1
        try:
            async with AsyncExitStack() as stack:
                await self._serve(filed, stack)
        except (RelayError, OSError) as error:
            print(f"pagerelay: {error}", file=sys.stderr)  # noqa: T201 - for the person who started it
            return 1
        return 0

    async def _serve(self, filed: Filed, stack: AsyncExitStack) -> None:
        self._watch_signals()
        urls = await self._listen(filed, stack)
        lock = await self._lock(stack)
        if lock is None:
            return
        lock.publish(urls[0], clock(), self._pass.reveal())
        house, vigil = await self._open(filed, stack)
        gc.collect()
        gc.freeze()
        async with asyncio.TaskGroup() as tasks:

            def begin(*works: Callable[[], Coroutine[Any, Any, None]]) -> list[asyncio.Task[None]]:
                return [tasks.create_task(work()) for work in works]

            sending = begin(house.dispatcher.run, house.past_the_store.run, house.changes.run)
            begin(house.scheduler.run, house.watchkeeper.run, house.pausing.run, house.returns.run)
            asking = begin(house.evidence.run, house.confirming.run, house.quieting.run, house.reconciling.run)
            watching = begin(self._bell.run, house.pulse.run, vigil.watch, vigil.look_after_store)
            begin(vigil.look_through_store)
            watching += begin(self._front.web.watch, self._config.watch_secrets)
            if self._hung_up:
                await self._config.reload()
            self._not_ready = None
            self._say_hello(urls, house)
            await self._stop.wait()
            self._not_ready = "shutting down"
            self._log.info("shutting down")
            for task in asking:
                task.cancel()
            await self._drain(house, sending)
            for task in watching:
                task.cancel()
            await house.emergency.leave(house.intake.book)

    # Signals

    def _watch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)

    def _hang_up(self) -> None:
        """SIGHUP: read the configuration again, once the relay is open."""
        if self._house is None:
            self._hung_up = True
            return
        self._hang_ups.add(task := asyncio.get_running_loop().create_task(self._config.reload()))
        task.add_done_callback(self._hang_ups.discard)

    # Opening

    async def _listen(self, filed: Filed, stack: AsyncExitStack) -> list[str]:
        doors = self._front.doors(
            lambda: self._house,
            not_ready=lambda: self._not_ready,
            refresh_metrics=self._refresh_metrics,
            own_pass=self._pass,
            clock=clock,
            metrics=self._metrics,
        )
        return await self._front.open(filed.loaded, doors, stack)

    async def _refresh_metrics(self) -> None:
        if self._gauges is not None:
            await self._gauges.refresh()

    async def _lock(self, stack: AsyncExitStack) -> Lock | None:
        """Wait for the storage path; None if told to stop meanwhile."""
        self._not_ready = "waiting for another relay to let go of the storage path"
        lock = await locked(self._settings.storage_path, self._stop)
        if lock is not None:
            self._not_ready = "opening the store"
            stack.callback(lock.release)
        return lock

    async def _open(self, filed: Filed, stack: AsyncExitStack) -> tuple[House, Vigil]:
        """Open the store and all that works with it; whoever is asked at the doors meanwhile is told "not ready"."""
        path, bell, metrics, log = self._settings.storage_path, self._bell, self._metrics, self._log
        patience = Patience(self._stop, self._wait_for_store, log)
        store = await patience.opened(path, clock)
        stack.push_async_callback(store.close)
        for problem in place_warnings(path):
            log.warning("storage path", problem=problem)
        store.on_commit(lambda seconds, _: metrics.committed(seconds))
        renderer, enquirer = Renderer(template_sources(filed.loaded)), AlertmanagerClient(resolver=Resolver())
        await asyncio.gather(renderer.start(), self._sender.start(), enquirer.start(), self._rest.start())
        for room in (renderer, self._sender, enquirer, self._rest):
            stack.push_async_callback(room.close)
        bound = await patience.until_done(lambda: self._config.bind(filed, store))
        self._keys.replace(bound.keys)
        silencer = Silencer(store, clock=clock, log=log)
        await patience.until_done(silencer.open)
        everything = Opened(store, renderer, self._sender, enquirer, silencer, self._rest)
        house = wire(everything, bound.book, self._keys, bell, self._settings, Sundries(clock, steady, metrics, log))
        vigil = Vigil(house, bell, at_hand=self._keys, clock=clock, steady=steady, metrics=metrics, log=log)
        await patience.until_done(vigil.begin)
        await patience.until_done(lambda: house.emergency.resume(bound.book))
        await bell.open(store, bound.book)
        await patience.until_done(house.pausing.open)
        await patience.until_done(lambda: house.storms.resume(store, bound.book, clock()))
        await house.pulse.start()
        stack.push_async_callback(house.pulse.close)
        await self._config.begin(house, filed, bound)
        self._gauges = Gauges(house, path, at_hand=self._keys, clock=clock, steady=steady, metrics=metrics)
        self._house = house
        return house, vigil

    def _wait_for_store(self, why: str) -> None:
        self._not_ready = why

    def _counting(self, integration: str) -> AbstractContextManager[bool]:
        assert self._house is not None, "nothing rings before the relay is open"
        return self._house.dispatcher.counting(integration)

    def _say_hello(self, urls: Sequence[str], house: House) -> None:
        """Print the one line that says where it listens, what it loaded, where it stores."""
        rules = house.intake.book.rules
        loaded = f"{len(house.intake.book.routes)} routes, {len(rules.receivers)} receivers"
        print(  # noqa: T201 - the one line a person waits for
            f"pagerelay listens on {', '.join(urls)}; loaded {self._loaded_from()} ({loaded}, "
            f"{len(rules.integrations)} PagerDuty integrations); stores in {self._settings.storage_path}",
            flush=True,
        )

    def _loaded_from(self) -> str:
        file, filed = str(self._settings.config_file), self._config.filed
        if filed is not None and filed.instead_of:
            return f"{self._settings.storage_path / COPY} in place of {file}, which does not load"
        return file

    # Closing

    async def _drain(self, house: House, sending: Collection[asyncio.Task[None]]) -> None:
        """Claim nothing more, let what is in flight end, write down what was heard."""
        house.stop()
        failpoints.reached("shutdown.draining")
        _, late = await asyncio.wait(sending, timeout=DRAIN)
        if late:
            self._log.warning("deliveries did not end in time; they are made again at the next start")
        for task in late:
            task.cancel()
