"""The side door: sends change events, which page nobody, in what pages leave of their integration's window."""

import asyncio
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Protocol

from relay.alert import DAY, MINUTE, SECOND, Duration, Instant
from relay.errors import StoreError
from relay.event import Delivered, Outcome, Rejected, Retry
from relay.logs import Log
from relay.metrics import Metrics
from relay.rounds import TICK, Rounds
from relay.rules.changes import labels_of, of_receiver, routed
from relay.rules.ledger import Changed
from relay.rules.rulebook import Rulebook
from relay.store import ChangeHead, ChangeInHand

MOST = 10_000
"""Change events that may wait; beyond it the oldest are dropped."""
MOST_BYTES = 128 * 1024 * 1024
"""Of all that wait: what explains a page must not fill the disk that keeps it."""
_COUNTED = 8 * 1024 * 1024
"""Bytes that may come before what waits is weighed again."""
GIVEN_UP: Duration = DAY
"""A change event that could not be sent for so long is of no use any more."""
_FIRST: Duration = 5 * SECOND
_MENDING: Duration = 30 * SECOND
_CAP: Duration = 5 * MINUTE
_LOOK: Duration = SECOND // 2
"""Between two looks whether there is room, while something is due."""
_BREATH = 0.05
"""Seconds from the first new change event to looking at what waits."""
_AGAIN = 1.0
"""Seconds between two tries to write down that one is over."""


class Keeper(Protocol):
    """What the side door asks of a store."""

    async def add_changes(self, added: Sequence[Changed]) -> None: ...

    async def change_heads(self) -> Mapping[str, ChangeHead]: ...

    async def take_change(self, integration: str, now: Instant, again: Instant) -> ChangeInHand | None: ...

    async def end_change(self, number: int) -> None: ...

    async def put_change_off(self, change: ChangeInHand, due_at: Instant) -> None: ...

    async def give_changes_up(self, before: Instant) -> Counter[str]: ...

    async def shed_changes(self, most: int, most_bytes: int) -> Counter[str]: ...

    async def changes_clock_back(self, now: Instant, latest: Instant) -> None: ...


class Sender(Protocol):
    """What makes the calls."""

    async def send_change(self, event: bytes, key_id: str) -> Outcome: ...


class MailRoom(Protocol):
    """What pages go through, in whose windows change events are counted."""

    def lowest(self, integration: str) -> AbstractAsyncContextManager[bool]: ...

    def throttled(self, integration: str, after: Duration | None) -> None: ...


class Changes(Rounds):
    """Keeps change events until PagerDuty has them; one at a time for each integration, at least once.

    `book` is the rule book that counts, replaced by a reload.
    """

    def __init__(
        self,
        store: Keeper,
        book: Rulebook,
        sender: Sender,
        mail_room: MailRoom,
        *,
        clock: Callable[[], Instant],
        timeout: Callable[[str], Duration],
        jitter: Callable[[], float],
        metrics: Metrics,
        log: Log,
    ) -> None:
        """`timeout` says how long a call to an integration may take."""
        super().__init__("the side door for change events", metrics, log)
        self.book = book
        self._store = store
        self._sender = sender
        self._mail_room = mail_room
        self._clock = clock
        self._timeout = timeout
        self._jitter = jitter
        self._calls: dict[str, asyncio.Task[bool]] = {}
        """What is under way, by integration."""
        self._soon: asyncio.TimerHandle | None = None
        self._came = _COUNTED
        """Bytes that came since what waits was weighed last; nobody knows what a start finds."""

    # What comes in

    async def accept(self, event: bytes, payload: Mapping[str, Any], source: str, receiver: str) -> int:
        """Take a change event in; returns, once it is on disk, to how many integrations it goes. Raises StoreError.

        `receiver` is the one whose key it came with; "": it came from `source` with a virtual key, and is routed.
        """
        book = self.book
        where = of_receiver(receiver, book) if receiver else routed(labels_of(payload), book)
        now = self._clock()
        added = [Changed(integration, now, event) for integration in where]
        if added:
            await self._store.add_changes(added)
            self.made(added)
        else:
            self._metrics.change("none", "unrouted")
        receivers = ", ".join(map(self._named, where))
        self._log.info("accepted change event", source=source, to=receivers or "nobody: no route has a receiver for it")
        return len(added)

    def made(self, changes: Sequence[Changed]) -> None:
        """Take in that change events were written that wait to be sent."""
        for change in changes:
            self._metrics.change(self._named(change.integration), "accepted")
            self._came += len(change.event)
        if self._soon is None:  # a flood of them is one round
            self._soon = asyncio.get_running_loop().call_later(_BREATH, self._begin)

    def _begin(self) -> None:
        self._soon = None
        self.nudge()

    async def waiting(self) -> dict[str, int]:
        """Say how many wait, by the name of the integration. Raises StoreError."""
        found: Counter[str] = Counter()
        for integration, head in (await self._store.change_heads()).items():
            found[self._named(integration)] += head.waiting
        return dict(found)

    # Its rounds

    async def run(self) -> None:
        """Send until stopped; what is under way then ends first."""
        await super().run()
        try:
            await self.settled()
        finally:
            for call in self._calls.values():
                call.cancel()  # it took too long to end: it is made again at the next start

    async def settled(self) -> None:
        """Wait until no call is under way."""
        if self._calls:
            await asyncio.wait(tuple(self._calls.values()))

    async def tick(self) -> None:
        """Drop what is too much or too old, and make a call for each integration that has room."""
        now = self._clock()
        heads = await self._store.change_heads()
        await self._bound(heads.values(), now)
        for integration, head in heads.items():
            if head.due_at <= now and integration not in self._calls and not self._stopping:
                call = self._calls[integration] = asyncio.create_task(self._call(integration))
                call.add_done_callback(partial(self._done, integration))

    async def patience(self) -> Duration:
        """Say when the next one is due; where one is due and could not go, when to look again."""
        now = self._clock()
        heads = (await self._store.change_heads()).values()
        return min((max(head.due_at - now, _LOOK) for head in heads), default=TICK)

    async def _bound(self, heads: Collection[ChangeHead], now: Instant) -> None:
        if sum(head.waiting for head in heads) > MOST or self._came >= _COUNTED:
            self._came = 0
            because = f"more than {MOST:,} change events wait, or {MOST_BYTES >> 20} MiB of them"
            self._count(await self._store.shed_changes(MOST, MOST_BYTES), "dropped", because)
        if any(head.oldest < now - GIVEN_UP for head in heads):
            gone = await self._store.give_changes_up(now - GIVEN_UP)
            self._count(gone, "given_up", "change events could not be sent for a day")
        if any(head.latest > now + 2 * _CAP for head in heads):
            await self._store.changes_clock_back(now, now + 2 * _CAP)

    def _count(self, gone: Mapping[str, int], became: str, because: str) -> None:
        for integration, count in gone.items():
            name = self._named(integration)
            self._metrics.change(name, became, count)
            self._log.error("change events are lost", receiver=name, count=count, because=because)

    # A call

    def _done(self, integration: str, call: asyncio.Task[bool]) -> None:
        del self._calls[integration]
        if not call.cancelled() and call.result():
            self.nudge()  # there may be more

    async def _call(self, integration: str) -> bool:
        """Send the next change event, if there is room; say whether one was. Does not raise."""
        try:
            async with self._mail_room.lowest(integration) as room:
                if room:
                    await self._send_next(integration)
                return room
        except StoreError as error:
            self._metrics.store_failed("schedule")
            self._log.error("a change event waits for the store", error=str(error))
        except Exception:  # whatever it is: the others must go on
            self._log.error("a change event could not be sent, it is tried again", error=traceback.format_exc())
        return False

    async def _send_next(self, integration: str) -> None:
        current = self.book.current_key(integration)
        now = self._clock()
        again = now + self._timeout(integration) + _FIRST
        change = await self._store.take_change(integration, now, again)
        if change is None:
            return
        outcome = await self._sent(change, "" if current is None else current[0])
        if isinstance(outcome, Retry):
            await self._put_off(change, outcome)
            return
        self._say(change, outcome)
        await self._end(change)

    async def _end(self, change: ChangeInHand) -> None:
        """Write down that it is over, for as long as that takes: else it would be sent again."""
        while True:
            try:
                return await self._store.end_change(change.id)
            except StoreError as error:
                if self._stopping:
                    raise
                self._log.error("what became of a change event cannot be written down yet", error=str(error))
                await asyncio.sleep(_AGAIN)

    async def _sent(self, change: ChangeInHand, key_id: str) -> Outcome:
        try:
            return await self._sender.send_change(change.event, key_id)
        except Exception as error:  # whatever it is: nobody knows whether PagerDuty took it
            return Retry("other", type(error).__name__)

    async def _put_off(self, change: ChangeInHand, outcome: Retry) -> None:
        if outcome.reason == "rateLimited":
            self._mail_room.throttled(change.integration, outcome.after)
        self._metrics.change(self._named(change.integration), "retried")
        self._log.delivery_failed(
            (change.integration, "change", outcome.reason, outcome.message),
            "a change event was not taken, it is tried again",
            receiver=self._named(change.integration),
            error=f"{outcome.reason}: {outcome.message}",
        )
        wait = min(_CAP, (_MENDING if outcome.configuration else _FIRST) << min(change.failures, 10))
        wait = max(outcome.after or 0, int(wait * (0.5 + self._jitter() / 2)))
        await self._store.put_change_off(change, self._clock() + wait)

    def _say(self, change: ChangeInHand, outcome: Delivered | Rejected) -> None:
        name = self._named(change.integration)
        self._metrics.change(name, "delivered" if isinstance(outcome, Delivered) else "refused")
        if isinstance(outcome, Delivered):
            self._log.info("change event delivered", receiver=name)
        else:
            self._log.error("PagerDuty refuses a change event, it is lost", receiver=name, error=outcome.message)

    def _named(self, integration: str) -> str:
        known = self.book.rules.integrations.get(integration)
        return known.name if known else "gone"
