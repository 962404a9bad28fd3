"""The fuse box: opens what the relay is made of, wires it together, reads the clock, and shuts down in order."""

import asyncio
import gc
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

import uvloop

import relay
from relay import failpoints
from relay.alert import DAY, HOUR, SECOND, Duration, Instant
from relay.alertmanager import AlertmanagerClient
from relay.answers import Answers
from relay.answers.alerts import AlertAnswers
from relay.bell import Bell
from relay.config import Loaded, recognise, remembered
from relay.config.operators import Operators
from relay.config.web import WebConfig
from relay.dispatcher import Dispatcher
from relay.emergency import Emergency
from relay.errors import BadConfig, Problem, RelayError, StoreAway, StoreError
from relay.evidence import Evidence
from relay.filing import COPY, Filed, FilingRoom
from relay.intake import Intake
from relay.letters import Letters
from relay.logs import Log
from relay.metrics import Metrics
from relay.pagerduty.connection import Resolver
from relay.pagerduty.events import EventSender
from relay.pausing import EVERYTHING, Pausing
from relay.pulse import Pulse
from relay.recall import Recall
from relay.rendering import Renderer, read_sources
from relay.rollcall import RollCall
from relay.rules.pages import LIVE
from relay.rules.rulebook import Rulebook
from relay.scheduler import Scheduler
from relay.secret import Key, Secret
from relay.silencing import Silencer
from relay.store import Lock, Rescued, SqliteStore, acquire, place_warnings
from relay.storms import Storms
from relay.watchkeeper import Watchkeeper
from relay.web import NO_CREDENTIALS, NO_SOURCES, Doors, Entrance, Limits, Side, WebFile, exposed, oddities

LOCK_WAIT = 30.0
"""Seconds to wait for another relay to let go of the storage path."""
DRAIN = 8.0
"""Seconds that deliveries under way may take to end at shutdown."""
SECRETS_EVERY = 5.0
"""Seconds between two looks at the files that hold secrets."""
CLOCK_PATIENCE: Duration = 5 * SECOND
"""How far the clock may be set back without a word: that much waits in no lane."""
STORE_PATIENCE = 30.0
"""Seconds for which the store may take no writes before the relay pages about itself."""
_SWITCH = 0.0005
"""Seconds between thread switches: with the default a commit waits 5 ms for a busy event loop."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says."""

    config_file: Path
    storage_path: Path
    listen: tuple[tuple[str, int], ...]
    external_url: str = ""
    retention: Duration = 7 * DAY
    log_level: str = "info"
    log_format: str = "logfmt"
    operators_file: Path | None = None
    web_config_file: Path | None = None
    admin_listen: tuple[tuple[str, int], ...] = ()
    """Where all doors but those of senders are served; (): beside them."""
    allow_unauthenticated: bool = False
    limits: Limits = field(default_factory=Limits)
    config_strict: bool = False
    """Whether a routing file that does not load ends the start, though there is a last good one."""


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
        self._keys: Mapping[str, Key] = {}
        self._keys_before: Mapping[str, Key] = {}
        """Those of the configuration before: what was claimed under it may still be on its way out."""
        self._operators: Operators | None = None
        self._files = FilingRoom(
            settings.config_file,
            settings.storage_path,
            os.environ,
            settings.operators_file,
            strict=settings.config_strict,
        )
        self._filed: Filed | None = None
        self._web = WebFile(
            settings.web_config_file,
            log=self._log,
            ring=lambda reason, because: self._bell.ring(reason, because),
            quiet=lambda reason: self._bell.quiet(reason),
            fault=lambda config: self._exposed(self._filed.loaded, config) if self._filed else "",
        )
        self._pass = Secret(token_hex(24))
        self._reloading = asyncio.Lock()
        self._store_well_at = time.monotonic()
        self._ahead: Duration = 0
        """How far the wall clock is ahead of one that is never set."""
        self._hung_up = False
        self._hang_ups: set[asyncio.Task[tuple[Problem, ...]]] = set()
        self._house: House | None = None
        self._sender = EventSender(lambda name: self._keys.get(name) or self._keys_before.get(name))
        self._bell = Bell(
            clock=clock,
            send=self._sender.send,
            at_hand=lambda key_id: key_id in self._keys,
            counting=lambda integration: self._at_home().dispatcher.counting(integration),
            external_url=settings.external_url,
            metrics=self._metrics,
            log=self._log,
        )

    async def serve(self) -> int:
        """Open everything, serve, close everything."""
        try:
            filed = await asyncio.to_thread(self._files.start)
            await self._web.open()
        except BadConfig as bad:
            for problem in bad.problems:
                print(problem, file=sys.stderr)  # noqa: T201 - for the person who started it
            return 1
        self._say_instead(filed)
        try:
            async with AsyncExitStack() as stack:
                await self._serve(filed, stack)
        except (RelayError, OSError) as error:
            print(f"pagerelay: {error}", file=sys.stderr)  # noqa: T201 - for the person who started it
            return 1
        return 0

    def _at_home(self) -> "House":
        assert self._house is not None, "nothing rings before the relay is open"
        return self._house

    def _say_instead(self, filed: Filed) -> None:
        """Say loudly that it is not the file it was asked for that counts."""
        if not filed.instead_of:
            return
        for problem in filed.instead_of:
            print(problem, file=sys.stderr)  # noqa: T201 - for the person who started it
            self._log.error("configuration not loaded", problem=str(problem))
        errors = [problem for problem in filed.instead_of if not problem.warning]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        because = f"it runs on the last good configuration, since the file does not load: {errors[0]}{more}"
        self._bell.ring("config_last_good", because)

    async def _serve(self, filed: Filed, stack: AsyncExitStack) -> None:
        self._watch_signals()
        urls = await self._listen(filed.loaded, stack)
        lock = await self._lock(stack)
        if lock is None:
            return
        lock.publish(urls[0], clock(), self._pass.reveal())
        house = await self._open(filed, stack)
        gc.collect()
        gc.freeze()
        async with asyncio.TaskGroup() as tasks:
            dispatching = (tasks.create_task(house.dispatcher.run()), tasks.create_task(house.past_the_store.run()))
            tasks.create_task(house.scheduler.run())
            tasks.create_task(house.watchkeeper.run())
            ringing = tasks.create_task(self._bell.run())
            tasks.create_task(house.pausing.run())
            pulsing = tasks.create_task(house.pulse.run())
            enquiring = tasks.create_task(house.evidence.run())
            watch = tasks.create_task(self._watch(house))
            web_file = tasks.create_task(self._web.watch())
            vigil = tasks.create_task(self._look_after_store(house))
            secrets = tasks.create_task(self._watch_secrets(house))
            if self._hung_up:
                await self.reload()
            self._not_ready = None
            self._say_hello(urls, house)
            await self._stop.wait()
            self._not_ready = "shutting down"
            self._log.info("shutting down")
            enquiring.cancel()
            await self._drain(house, dispatching)
            for task in (watch, web_file, vigil, secrets, ringing, pulsing):
                task.cancel()

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
        self._hang_ups.add(task := asyncio.get_running_loop().create_task(self.reload()))
        task.add_done_callback(self._hang_ups.discard)

    async def _listen(self, loaded: Loaded, stack: AsyncExitStack) -> list[str]:
        """Open the doors, first of all those of commands; they say "not ready" until the store is open."""
        if why := self._exposed(loaded, self._web.current):
            raise RelayError(why)
        seen_by = self._settings.admin_listen or self._settings.listen
        for odd in oddities(seen_by, self._web.current, loaded.credentials):
            self._log.warning("doors", problem=odd)
        doors = Doors(
            intake=lambda: self._house.intake if self._house and self._not_ready is None else None,
            answers=lambda: self._house.answers if self._house else None,
            not_ready=lambda: self._not_ready or (self._house.intake.trouble if self._house else None),
            pages_anyway=lambda: self._not_ready is None and self._house is not None,
            reload=self.reload,
            metrics=self._metrics,
            refresh_metrics=self._refresh_metrics,
            log=self._log,
            operators=lambda: self._operators,
            silencer=lambda: self._house.silencer if self._house else None,
            alerts=lambda: self._house.alerts if self._house else None,
            pausing=lambda: self._house.pausing if self._house else None,
            letters=lambda: self._house.letters if self._house else None,
            limits=self._settings.limits,
            web=lambda: self._web.current,
            sources=lambda: self._filed.loaded.rules.sources if self._filed else NO_SOURCES,
            credentials=lambda: self._filed.loaded.credentials if self._filed else NO_CREDENTIALS,
            own_pass=self._pass,
            ring=self._bell.ring,
            quiet=self._bell.quiet,
            clock=clock,
        )
        entrance = Entrance(doors)
        stack.push_async_callback(entrance.close)
        admin = self._settings.admin_listen
        urls = await entrance.open(admin, Side.ADMIN) if admin else []
        return urls + await entrance.open(self._settings.listen, Side.SENDERS if admin else Side.ALL)

    def _exposed(self, loaded: Loaded, web: WebConfig) -> str:
        """Say where it would listen for anybody at all, and what to do; "" where it does not, or was told to."""
        if self._settings.allow_unauthenticated:
            return ""
        admin = self._settings.admin_listen
        served = ((self._settings.listen, Side.SENDERS if admin else Side.ALL), (admin, Side.ADMIN))
        found = [exposed(where, side, web, loaded.rules.sources, loaded.credentials) for where, side in served]
        return "; ".join(why for why in found if why)

    async def _lock(self, stack: AsyncExitStack) -> Lock | None:
        """Wait for the storage path; None if told to stop meanwhile."""
        self._not_ready = "waiting for another relay to let go of the storage path"
        waiting = asyncio.ensure_future(acquire(self._settings.storage_path, LOCK_WAIT))
        stopped = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({waiting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not waiting.done():
            waiting.cancel()
            return None
        lock = waiting.result()
        self._not_ready = "opening the store"
        stack.callback(lock.release)
        return lock

    async def _open(self, filed: Filed, stack: AsyncExitStack) -> "House":
        store = await self._open_store()
        stack.push_async_callback(store.close)
        for problem in place_warnings(self._settings.storage_path):
            self._log.warning("storage path", problem=problem)
        store.on_commit(lambda seconds, _: self._metrics.committed(seconds))
        await self._clock_back(store)
        renderer = Renderer(_sources(filed))
        enquirer = AlertmanagerClient(resolver=Resolver())
        await asyncio.gather(renderer.start(), self._sender.start(), enquirer.start())
        stack.push_async_callback(renderer.close)
        stack.push_async_callback(self._sender.close)
        stack.push_async_callback(enquirer.close)
        bound = await self._bind(filed, store)
        self._keys = bound.keys
        silencer = Silencer(store, clock=clock, log=self._log)
        await silencer.open()
        house = self._house = self._wire(store, bound.book, renderer, silencer, enquirer)
        if store.rescued is not None:
            self._tell_rescue(store.rescued)
        loop = asyncio.get_running_loop()

        def rescued(what: Rescued) -> None:
            loop.call_soon_threadsafe(self._rescued, house, what)

        store.on_rescue(rescued)
        await self._bell.open(store, bound.book)
        await house.pausing.open()
        await house.storms.resume(store, bound.book, clock())
        await house.pulse.start()
        stack.push_async_callback(house.pulse.close)
        await self._now_in_force(filed)
        if not filed.instead_of:
            self._bell.quiet("config_last_good")
        self._metrics.reloaded(ok=not filed.instead_of, at=clock(), fingerprint=bound.book.rules.fingerprint)
        return house

    async def _open_store(self) -> SqliteStore:
        """Open the store; while it is locked, or its disk full, wait for it rather than be started over and over."""
        said = ""
        while True:
            try:
                return await SqliteStore.open(self._settings.storage_path, clock)
            except StoreAway as error:
                self._not_ready = str(error)
                if said != str(error):
                    self._log.error("the store cannot be opened yet, it is tried again", error=str(error))
                said = str(error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), 1)
                raise StoreError(f"told to stop before the store could be opened: {said}")

    def _wire(
        self,
        store: SqliteStore,
        book: Rulebook,
        renderer: Renderer,
        silencer: Silencer,
        enquirer: AlertmanagerClient,
    ) -> "House":
        recall, rolls, storms = Recall(), RollCall(), Storms()
        log, metrics = self._log, self._metrics
        nudges: list[Callable[[], None]] = []
        dispatcher = Dispatcher(
            store,
            book,
            renderer,
            self._sender,
            clock=clock,
            steady=steady,
            jitter=random.random,
            timeout=self._timeout,
            external_url=self._settings.external_url,
            judged=lambda: nudges[0](),
            stranded=lambda page, members: emergency.strand(page, members),
            paused=lambda integration: pausing.of(integration) is not None,
            ring=self._bell.ring,
            metrics=metrics,
            log=log,
        )
        pausing = Pausing(
            store,
            book,
            clock=clock,
            wake=dispatcher.wake,
            ring=self._bell.ring,
            quiet=self._bell.quiet,
            metrics=metrics,
            log=log,
        )
        pulse = Pulse(
            store,
            clock=clock,
            steady=steady,
            send_failed=lambda: dispatcher.send_failed,
            paused=lambda: pausing.why(EVERYTHING),
            metrics=metrics,
            log=log,
            resolver=Resolver(),
        )
        scheduler = Scheduler(
            store,
            book,
            recall,
            clock=clock,
            steady=steady,
            wake=dispatcher.wake,
            retention=self._settings.retention,
            metrics=metrics,
            log=log,
            silences=lambda: silencer.current,
            rolls=rolls,
            storms=storms,
        )
        watchkeeper = Watchkeeper(store, book, clock=clock, wake=dispatcher.wake, metrics=metrics, log=log)
        evidence = Evidence(
            store,
            book,
            recall,
            enquirer,
            clock=clock,
            steady=steady,
            wake=dispatcher.wake,
            nudge=scheduler.nudge,
            metrics=metrics,
            log=log,
        )
        nudges.append(scheduler.nudge)
        silencer.began = scheduler.silence_changed
        emergency = Emergency(
            store,
            clock=clock,
            silences=lambda: silencer.current,
            prove=lambda: store.remember_integrations(remembered(intake.book.rules)),
            forget=recall.forget,
            metrics=metrics,
            log=log,
        )
        past = Dispatcher(
            emergency,
            book,
            renderer,
            self._sender,
            clock=clock,
            steady=steady,
            jitter=random.random,
            timeout=self._timeout,
            external_url=self._settings.external_url,
            judged=lambda: None,
            paused=lambda integration: pausing.of(integration) is not None,
            metrics=metrics,
            log=log,
            windows=dispatcher.windows(),
        )
        emergency.wake = past.wake
        intake = Intake(
            store,
            book,
            recall,
            clock=clock,
            wake=dispatcher.wake,
            nudge=scheduler.nudge,
            metrics=metrics,
            log=log,
            silences=lambda: silencer.current,
            rolls=rolls,
            storms=storms,
            heard=watchkeeper.hear,
            past_the_store=emergency.page,
        )
        where = str(self._settings.storage_path)
        answers = Answers(
            store,
            lambda: intake.book,
            clock=clock,
            sources=recall.sources,
            store_name=where,
            silences=lambda: silencer.current,
            storms=storms,
            trouble=lambda: {**self._bell.reasons, **emergency.trouble},
            paused=pausing.why,
        )
        alerts = AlertAnswers(store, lambda: intake.book, lambda: silencer.current, clock=clock)
        return House(
            store,
            recall,
            renderer,
            dispatcher,
            scheduler,
            intake,
            answers,
            silencer,
            alerts,
            watchkeeper,
            evidence,
            pausing,
            Letters(store, clock=clock, wake=dispatcher.wake, log=log),
            pulse,
            storms,
            emergency,
            past,
        )

    async def _bind(self, filed: Filed, store: SqliteStore) -> "Bound":
        """Give integrations the names the store knows them by, and keep the keys that open pages still need.

        Changes nothing here: where the store cannot be used, the old rules stay in force with their keys.
        """
        loaded = filed.loaded
        rules = recognise(loaded.rules, await store.integrations())
        await store.remember_integrations(remembered(rules))
        needed = await store.open_lines()
        kept = {name: key for name, key in self._keys.items() if name in needed or name in self._bell.keys}
        keys = kept | dict(loaded.keys)
        self._log.hide(secret.reveal() for secret in (*_secrets(filed), *(key.routing_key for key in keys.values())))
        self._metrics.initialise((one.name for one in rules.integrations.values()), rules.sources)
        for warning in (*loaded.warnings, *filed.warnings):
            self._log.warning("configuration", problem=str(warning))
        staying = sum(count for name, count in needed.items() if name in kept and name not in loaded.keys)
        missing = sum(count for name, count in needed.items() if name not in keys)
        if staying:
            self._log.warning("open pages stay on routing keys that the file does not name any more", pages=staying)
        if missing:
            self._log.warning("open pages whose routing key is not at hand", pages=missing)
        return Bound(Rulebook(rules, keys, _named(filed.loaded.templates)), keys, staying, missing)

    def _timeout(self, integration: str) -> Duration:
        house = self._house
        current = house.intake.book.current_key(integration) if house else None
        key = self._keys.get(current[0]) if current else None
        return int((key.timeout if key else 10.0) * SECOND)

    async def reload(self) -> tuple[Problem, ...]:
        """Read the configuration again; on any error the old one stays.

        Returns the errors; or, where it was read, warnings about pages that are open.
        """
        async with self._reloading:
            house = self._house
            if house is None:
                return (Problem(str(self._settings.config_file), 1, 1, "", "the relay is still starting; try again"),)
            try:
                filed = await asyncio.to_thread(self._files.read)
                if why := self._exposed(filed.loaded, self._web.current):
                    self._files.forget()
                    return self._not_reloaded((Problem(str(self._settings.config_file), 1, 1, "sources", why),))
                bound = await self._adopt(filed, house)
            except BadConfig as bad:
                return self._not_reloaded(bad.problems)
            except StoreError as error:
                self._files.forget()
                return self._not_reloaded((Problem(str(self._settings.config_file), 1, 1, "", str(error)),))
            fingerprint = bound.book.rules.fingerprint
            self._metrics.reloaded(ok=True, at=clock(), fingerprint=fingerprint)
            self._log.info("configuration reloaded", fingerprint=fingerprint)
            self._bell.quiet("config_last_good")
            return self._warnings(bound)

    def _not_reloaded(self, problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
        self._metrics.reloaded(ok=False, at=clock())
        for problem in problems:
            self._log.error("configuration not reloaded", problem=str(problem))
        return problems

    async def _adopt(self, filed: Filed, house: "House") -> "Bound":
        """Put a configuration in force, in every room at once. Raises StoreError, and then the old one stays."""
        bound = await self._bind(filed, house.store)
        await house.renderer.reload(_sources(filed))
        self._keys, self._keys_before = bound.keys, self._keys
        house.dispatcher.book = house.intake.book = self._bell.book = bound.book
        failpoints.reached("reload.swapped")
        await house.recall.clear()
        house.scheduler.reloaded(bound.book)
        house.watchkeeper.reloaded(bound.book)
        house.evidence.reloaded(bound.book)
        house.pausing.reloaded(bound.book)
        await self._now_in_force(filed)
        return bound

    async def _now_in_force(self, filed: Filed) -> None:
        """Take over what a configuration says beside its rules, and keep a copy of it for a start that needs one."""
        self._filed, self._operators = filed, filed.operators
        self._at_home().pulse.reloaded(filed.loaded.heartbeat_url)
        self._metrics.secrets_unreadable(len(filed.stale))
        self._trouble("secrets_unreadable", _unreadable(filed.stale))
        try:
            await asyncio.to_thread(self._files.keep, filed)
        except OSError as error:
            self._log.error("the last good configuration cannot be kept", error=str(error))

    async def _watch_secrets(self, house: "House") -> None:
        """Read the secrets again whenever one of their files is another one."""
        while True:
            await asyncio.sleep(SECRETS_EVERY)
            try:
                async with self._reloading:
                    if self._filed is not None and await asyncio.to_thread(self._files.changed):
                        await self._take_secrets(self._filed, house)
            except Exception:  # whatever it is: pages must go on, with the secrets of before
                self._log.error("reading secrets again failed, it tries again", error=traceback.format_exc())

    async def _take_secrets(self, before: Filed, house: "House") -> None:
        filed = await asyncio.to_thread(self._files.read_secrets, before)
        for why in filed.stale:
            self._log.error("a secret cannot be read, what it was before stays in use", problem=why)
        if filed.loaded.secrets == before.loaded.secrets:
            await self._now_in_force(filed)
            return
        try:
            bound = await self._adopt(filed, house)
        except StoreError as error:
            self._log.error("secrets that changed are not in use yet, it tries again", error=str(error))
            self._files.forget()
            return
        self._log.info("secrets read again", pages_on_older_keys=bound.staying)

    def _warnings(self, bound: "Bound") -> tuple[Problem, ...]:
        """Say what a reload means for the pages that are open."""
        told = []
        if bound.staying:
            told.append(
                f"{_pages(bound.staying)} open on a routing key that the file does not name any more: they stay there, "
                "and the key is kept until they are closed; to survive a restart it must stand in "
                "previous_routing_key_files of their receiver"
            )
        if bound.gone:
            told.append(
                f"{_pages(bound.gone)} open that cannot be resolved: the routing key they were sent with is not at "
                "hand; name it in previous_routing_key_files of their receiver until they are closed"
            )
        return tuple(Problem(str(self._settings.config_file), 1, 1, "", what, warning=True) for what in told)

    async def _drain(self, house: "House", dispatching: "Collection[asyncio.Task[None]]") -> None:
        """Claim nothing more, let what is in flight end, write down what was heard."""
        house.dispatcher.stop()
        house.past_the_store.stop()
        house.scheduler.stop()
        house.watchkeeper.stop()
        house.pausing.stop()
        failpoints.reached("shutdown.draining")
        _, late = await asyncio.wait(dispatching, timeout=DRAIN)
        if late:
            self._log.warning("deliveries did not end in time; they are made again at the next start")
        for task in late:
            task.cancel()

    async def _watch(self, house: "House") -> None:
        """Once a second: note how late the event loop is, look after the store, and after the relay's own trouble."""
        while True:
            asked = time.monotonic()
            await asyncio.sleep(1)
            self._metrics.lagged(max(0.0, time.monotonic() - asked - 1))
            try:
                await self._look_at_clock(house)
                await self._look_for_trouble(house)
            except Exception:  # whatever it is: pages must go on
                self._log.error("looking after itself failed, it tries again", error=traceback.format_exc())

    async def _look_after_store(self, house: "House") -> None:
        """Once a second: see whether the store takes writes, and write down what was paged while it took none."""
        while True:
            await asyncio.sleep(1)
            before = house.intake.trouble
            house.intake.trouble = await house.emergency.look_after(before, house.intake.book)
            if before is not None and house.intake.trouble is None:
                house.dispatcher.wake()
                house.scheduler.nudge()

    def _tell_rescue(self, rescued: Rescued) -> None:
        self._log.error("the database was replaced", because=str(rescued))
        self._bell.ring("store_corrupt", str(rescued), HOUR)

    def _rescued(self, house: "House", rescued: Rescued) -> None:
        """Take in that the store is another: all that fires is judged again, and what memory knows is written."""
        self._tell_rescue(rescued)
        self._hang_ups.add(task := asyncio.get_running_loop().create_task(self._put_right(house)))
        task.add_done_callback(self._hang_ups.discard)

    async def _put_right(self, house: "House") -> tuple[Problem, ...]:
        await house.recall.clear()
        house.scheduler.reloaded(house.intake.book)
        with suppress(StoreError):
            await house.store.remember_integrations(remembered(house.intake.book.rules))
            await house.store.put_silences(tuple(house.silencer.current))
            await house.pausing.keep()
        return ()

    async def _clock_back(self, store: SqliteStore) -> None:
        """What waits for longer than its own delay is due: the clock was set back since."""
        rows = await store.clock_back(clock())
        if rows:
            self._bell.ring("clock_back", f"the clock was set back: what {_pages(rows)} waited for is due at once")

    async def _look_at_clock(self, house: "House") -> None:
        """See whether the wall clock was set back while nobody looked."""
        ahead, before = clock() - steady(), self._ahead
        self._ahead = ahead
        if ahead < before - CLOCK_PATIENCE:
            self._log.warning("the clock was set back", seconds=(before - ahead) // SECOND)
            self._bell.ring("clock_back", f"the clock was set back by {(before - ahead) // SECOND} s")
            with suppress(StoreError):
                await house.store.clock_back(clock())
                house.dispatcher.wake()

    async def _look_for_trouble(self, house: "House") -> None:
        """Ring for what the relay can see of itself, and stop ringing once it is over."""
        trouble, now = house.intake.trouble, time.monotonic()
        self._store_well_at = now if trouble is None else self._store_well_at
        failing = now - self._store_well_at >= STORE_PATIENCE
        self._trouble("store_failing", f"the store takes no writes, webhooks get 503: {trouble}" if failing else "")
        self._trouble("key_refused", house.dispatcher.refused())
        with suppress(StoreError):
            dead = sum((await house.store.counts()).dead.values())
            self._trouble("dead_letters", f"PagerDuty refused {_pages(dead)} for good" if dead else "")
            gone = sum(count for key, count in (await house.store.open_lines()).items() if key not in self._keys)
            because = f"{_pages(gone)} cannot be resolved: the routing key they were sent with is not at hand"
            self._trouble("key_gone", because if gone else "")

    def _trouble(self, reason: str, because: str) -> None:
        if because:
            self._bell.ring(reason, because)
        else:
            self._bell.quiet(reason)

    async def _refresh_metrics(self) -> None:
        """Bring the gauges up to date before they are read."""
        house = self._house
        if house is None:
            return
        names = {one.id: one.name for one in house.intake.book.rules.integrations.values()}
        now = steady()
        for integration, window in house.dispatcher.windows().items():
            if integration in names:
                self._metrics.budget(names[integration], window.tokens(now), circuit_open=window.closed(now))
        for integration, name in names.items():
            known = house.intake.book.rules.integrations[integration]
            self._metrics.storming(name, on=house.storms.lasts(known, clock()))
        for source, at in house.recall.sources.items():
            self._metrics.heard(source, at)
        try:
            await self._measure_store(house, names)
        except StoreError:
            self._metrics.stored(up=False)

    async def _measure_store(self, house: "House", names: Mapping[str, str]) -> None:
        counts = await house.store.counts()
        open_pages: Counter[str] = Counter()
        for kind, count in counts.pages.items():
            if kind.delivered in LIVE:
                open_pages[names.get(kind.integration, "gone")] += count
        lines = await house.store.open_lines()
        gone = sum(count for key, count in lines.items() if key not in self._keys)
        waiting: Counter[int] = Counter()
        for (_, lane), count in counts.waiting.items():
            waiting[int(lane)] += count
        self._metrics.queued(waiting, {int(lane): at for lane, at in counts.oldest.items()}, clock())
        self._metrics.held(open_pages, sum(counts.dead.values()), gone)
        stale = await house.store.count_stale()
        self._metrics.stale(stale.alerts, stale.pages)
        disk = os.statvfs(self._settings.storage_path)
        self._metrics.stored(up=True, size=await house.store.size_bytes(), free=disk.f_bavail * disk.f_frsize)

    def _say_hello(self, urls: Sequence[str], house: "House") -> None:
        """Print the one line that says where it listens, what it loaded, where it stores."""
        rules = house.intake.book.rules
        loaded = f"{len(house.intake.book.routes)} routes, {len(rules.receivers)} receivers"
        print(  # noqa: T201 - the one line a person waits for
            f"pagerelay listens on {', '.join(urls)}; loaded {self._loaded_from()} ({loaded}, "
            f"{len(rules.integrations)} PagerDuty integrations); stores in {self._settings.storage_path}",
            flush=True,
        )

    def _loaded_from(self) -> str:
        file = str(self._settings.config_file)
        if self._filed is not None and self._filed.instead_of:
            return f"{self._settings.storage_path / COPY} in place of {file}, which does not load"
        return file


@dataclass(frozen=True, slots=True)
class Bound:
    """A configuration bound to what the store remembers."""

    book: Rulebook
    keys: Mapping[str, Key]
    """Every key at hand: the configuration's, and older ones that open pages still need."""
    staying: int
    """Open pages on a key that is at hand, and that the file does not name any more."""
    gone: int
    """Open pages whose key is not at hand."""


@dataclass(slots=True)
class House:
    """Everything that is open while the relay runs."""

    store: SqliteStore
    recall: Recall
    renderer: Renderer
    dispatcher: Dispatcher
    scheduler: Scheduler
    intake: Intake
    answers: Answers
    silencer: Silencer
    alerts: AlertAnswers
    watchkeeper: Watchkeeper
    evidence: Evidence
    pausing: Pausing
    letters: Letters
    pulse: Pulse
    storms: Storms
    emergency: Emergency
    past_the_store: Dispatcher
    """Delivers what the emergency exit has judged."""


def _named(templates: Mapping[Path, str]) -> str:
    """Name what template files say: others may make an event that PagerDuty takes."""
    return sha256(repr(sorted(templates.items())).encode()).hexdigest()[:16] if templates else ""


def _sources(filed: Filed) -> Mapping[str, str]:
    """Put the user's templates in the places of the defaults; raises BadConfig where those cannot be read."""
    return {**read_sources(), **{file.name: text for file, text in filed.loaded.templates.items()}}


def _secrets(filed: Filed) -> tuple[Secret, ...]:
    """List what must never be logged."""
    operators = filed.operators.secrets if filed.operators is not None else ()
    pulse = filed.loaded.heartbeat_url
    shown = [password for held in filed.loaded.credentials.values() for _, password in held.users]
    return (*filed.loaded.secrets.values(), *operators, *shown, *((pulse,) if pulse is not None else ()))


def _unreadable(stale: Sequence[str]) -> str:
    if not stale:
        return ""
    count = "a secret cannot" if len(stale) == 1 else f"{len(stale)} secrets cannot"
    return f"{count} be read, what they were before stays in use: {stale[0]}"


def _pages(count: int) -> str:
    return "1 page" if count == 1 else f"{count} pages"
