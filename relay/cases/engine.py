"""The real engine under a clock that is moved: intake, clockwork, templates and mail room; hours pass in milliseconds.

What it sends goes nowhere: each event is written down, and counts as accepted by PagerDuty.
"""

import asyncio
import io
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relay.alert import SECOND, Instant
from relay.cases.case import Silenced
from relay.changes import Changes
from relay.config import Loaded, remembered
from relay.dispatcher import Dispatcher
from relay.errors import RelayError
from relay.event import Delivered, Event, Outcome
from relay.intake import Intake
from relay.logs import Log
from relay.metrics import Metrics
from relay.pagerduty.encoding import encode
from relay.recall import Recall
from relay.rendering import Renderer
from relay.rollcall import RollCall
from relay.rules.rulebook import Rulebook
from relay.rules.silences import Posted, Silence
from relay.scheduler import HEARD_EVERY, Scheduler
from relay.silencing import Silencer
from relay.store import SqliteStore
from relay.storms import Storms

PATIENCE = 30.0
"""Seconds of a real clock for anything that happens at one instant of the other."""
_CALL = 10 * SECOND
_EXTERNAL_URL = "http://relay.example"


class Stuck(RelayError):
    """The engine does not come to rest."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One event as PagerDuty gets it."""

    at: Instant
    key_id: str
    says: dict[str, Any]
    """Its fields under their names, those of the payload beside the others; the action is `action`."""

    @property
    def dedup_key(self) -> str:
        """Which page it is about; "" for a change event."""
        return str(self.says.get("dedup_key", ""))


class Post:
    """Where events end: written down, and accepted."""

    def __init__(self) -> None:
        self.now: Instant = 0
        self.sent: list[Sent] = []

    async def send(self, event: Event, key_id: str) -> Outcome:
        """Take an event."""
        return self._take(json.loads(encode(event, None)), key_id)

    async def send_change(self, event: bytes, key_id: str) -> Outcome:
        """Take a change event."""
        return self._take({"event_action": "change", **json.loads(event)}, key_id)

    def _take(self, body: dict[str, Any], key_id: str) -> Outcome:
        payload = body.pop("payload", {})
        self.sent.append(Sent(self.now, key_id, {"action": body.pop("event_action"), **body, **payload}))
        return Delivered()


class Engine:
    """The rooms between a webhook and PagerDuty, and a clock that is moved."""

    def __init__(
        self, store: SqliteStore, loaded: Loaded, renderer: Renderer, post: Post, metrics: Metrics, start: Instant
    ) -> None:
        self.now = post.now = start
        self.store = store
        self.post = post
        self.log = io.StringIO()
        self._heard_by: Instant | None = None
        """When the clockwork writes down who was heard: pages are refreshed after that."""
        self.book = book = Rulebook(loaded.rules, loaded.keys)
        log = Log(self._clock, level="error", stream=self.log)
        jitter = random.Random(1).random  # noqa: S311
        common: dict[str, Any] = {"metrics": metrics, "log": log, "clock": self._clock}
        self.dispatcher = Dispatcher(
            store,
            book,
            renderer,
            post,
            steady=_steady,
            jitter=jitter,
            timeout=lambda _: _CALL,
            external_url=_EXTERNAL_URL,
            judged=lambda: None,
            **common,
        )
        self.changes = Changes(
            store, book, post, self.dispatcher, timeout=lambda _: _CALL, jitter=lambda: 1.0, **common
        )
        self.silencer = Silencer(
            store, clock=self._clock, log=log, began=lambda one: self.scheduler.silence_changed(one)
        )
        recall = Recall()
        common |= {"silences": lambda: self.silencer.current, "rolls": RollCall(), "storms": Storms()}
        common |= {"wake": self.dispatcher.wake}
        self.scheduler = Scheduler(store, book, recall, steady=self._clock, **common)
        self.intake = Intake(store, book, recall, changed=self.changes.made, **common)

    async def deliver(self, body: bytes, source: str) -> None:
        """Take a webhook body, and do all that is due."""
        await self.intake.accept(body, source)
        self._heard_by = self.now + HEARD_EVERY
        await self.settle()

    async def silence(self, asked: Silenced) -> Silence:
        """Make a silence that begins now. Raises BadSilence."""
        comment = asked.name or "a silence of this case"
        made = await self.silencer.put(
            Posted(asked.matchers, self.now, self.now + asked.lasts, "the case", comment), by="the case"
        )
        await self.settle()
        return made

    async def expire(self, silence: Silence) -> None:
        """End a silence by hand."""
        await self.silencer.expire(silence.id)
        await self.settle()

    async def move(self, until: Instant) -> Instant:
        """Let time pass until something was due, or until then; return the time it is."""
        due = await self._due()
        self.now = self.post.now = until if due is None else min(until, max(due, self.now + 1))
        await self.settle()
        return self.now

    async def settle(self) -> None:
        """Do everything that is due now."""
        while True:
            before = len(self.post.sent)
            await self.scheduler.tick()
            if self._heard_by is not None and self._heard_by <= self.now:
                self._heard_by = None
                await self.store.flush_heard()
            await self._delivered()
            await self.changes.tick()
            await self.changes.settled()
            due = await self._due()
            if len(self.post.sent) == before and (due is None or due > self.now):
                return

    async def _due(self) -> Instant | None:
        """Say when something is next due."""
        known = [self._heard_by, await self.store.next_judgement(), self.silencer.current.next_change(self.now)]
        known += [due for _, _, due in await self.store.heads(self.now)]
        known += [max(head.due_at, self.now + SECOND // 2) for head in (await self.store.change_heads()).values()]
        return min((at for at in known if at is not None), default=None)

    async def _delivered(self) -> None:
        """Wait until the mail room has nothing to do at this instant."""
        deadline = time.monotonic() + PATIENCE
        while await self._busy():
            if time.monotonic() > deadline:
                raise Stuck(f"what was due was not sent in {PATIENCE:.0f} s: {self.log.getvalue()[-2000:]}")
            self.dispatcher.wake()
            await asyncio.sleep(0.001)

    async def _busy(self) -> bool:
        for _ in range(2):  # what is on its way at the first look may be due again at the second
            due = [at for _, _, at in await self.store.heads(self.now) if at <= self.now]
            if due or any((await self.store.counts()).in_flight.values()):
                return True
        return False

    def _clock(self) -> Instant:
        return self.now


def _steady() -> Instant:
    """Say the time by a clock that goes on: a budget wants a moment between two calls, however large it is."""
    return time.monotonic_ns() // 1000


@asynccontextmanager
async def open_engine(
    directory: Path, loaded: Loaded, renderer: Renderer, metrics: Metrics, start: Instant
) -> AsyncIterator[Engine]:
    """Open an engine over an empty store in `directory`, at an instant."""
    async with AsyncExitStack() as stack:
        store = await SqliteStore.open(directory)
        stack.push_async_callback(store.close)
        await store.remember_integrations(remembered(loaded.rules))
        engine = Engine(store, loaded, renderer, Post(), metrics, start)
        await engine.silencer.open()
        running = asyncio.ensure_future(engine.dispatcher.run())
        stack.push_async_callback(_ended, engine, running)
        await engine.settle()
        yield engine


async def _ended(engine: Engine, running: "asyncio.Future[None]") -> None:
    engine.dispatcher.stop()
    await running
