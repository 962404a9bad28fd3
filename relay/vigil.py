"""The vigil: once a second it looks at the event loop, the clock, the store and the relay's own trouble."""

import asyncio
import traceback
from collections.abc import Callable, Container
from contextlib import suppress

from relay.alert import HOUR, SECOND, Duration, Instant
from relay.answers.words import pages
from relay.bell import Bell
from relay.config import remembered
from relay.errors import StoreError
from relay.house import House
from relay.logs import Log
from relay.metrics import Metrics
from relay.store import Rescued

CLOCK_PATIENCE: Duration = 5 * SECOND
"""How far the clock may be set back without a word: that much waits in no lane."""
STORE_PATIENCE: Duration = 30 * SECOND
"""For how long the store may take no writes before the relay pages about itself."""


class Vigil:
    """Watches over the house while it is open. `at_hand` has the id of every key at hand."""

    def __init__(
        self,
        house: House,
        bell: Bell,
        *,
        at_hand: Container[str],
        clock: Callable[[], Instant],
        steady: Callable[[], Instant],
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._house = house
        self._bell = bell
        self._at_hand = at_hand
        self._clock = clock
        self._steady = steady
        self._metrics = metrics
        self._log = log
        self._store_well_at = steady()
        self._ahead: Duration = 0
        """How far the wall clock is ahead of one that is never set."""
        self._mending: set[asyncio.Task[None]] = set()

    async def begin(self) -> None:
        """See what happened to the store and the clock before this start, and be told of the store from now on."""
        store = self._house.store
        if rows := await store.clock_back(self._clock()):
            self._bell.ring("clock_back", f"the clock was set back: what {pages(rows)} waited for is due at once")
        if store.rescued is not None:
            self._tell_rescue(store.rescued)
        loop = asyncio.get_running_loop()

        def rescued(what: Rescued) -> None:
            loop.call_soon_threadsafe(self._rescued, what)

        store.on_rescue(rescued)
        self._house.emergency.written = self._store_is_well

    async def watch(self) -> None:
        """Once a second: note how late the event loop is, look at the clock and for the relay's own trouble."""
        while True:
            asked = self._steady()
            await asyncio.sleep(1)
            self._metrics.lagged(max(0.0, (self._steady() - asked) / SECOND - 1))
            try:
                await self._look_at_clock()
                await self._look_for_trouble()
            except Exception:  # whatever it is: pages must go on
                self._log.error("looking after itself failed, it tries again", error=traceback.format_exc())

    async def look_through_store(self) -> None:
        """Once: have the whole database checked, since the start had no time for a large one."""
        await self._house.store.look_through()

    async def look_after_store(self) -> None:
        """Once a second: see whether the store takes writes, and write down what was paged while it took none."""
        house = self._house
        while True:
            await asyncio.sleep(1)
            house.intake.trouble = await house.emergency.look_after(house.intake.trouble, house.intake.book)

    def _store_is_well(self) -> None:
        self._house.dispatcher.wake()
        self._house.scheduler.nudge()

    async def _look_at_clock(self) -> None:
        """See whether the wall clock was set back while nobody looked."""
        ahead, before = self._clock() - self._steady(), self._ahead
        self._ahead = ahead
        if ahead < before - CLOCK_PATIENCE:
            self._log.warning("the clock was set back", seconds=(before - ahead) // SECOND)
            self._bell.ring("clock_back", f"the clock was set back by {(before - ahead) // SECOND} s")
            with suppress(StoreError):
                await self._house.store.clock_back(self._clock())
                self._house.dispatcher.wake()

    async def _look_for_trouble(self) -> None:
        """Ring for what the relay can see of itself, and stop ringing once it is over."""
        house, now = self._house, self._steady()
        trouble = house.intake.trouble
        self._store_well_at = now if trouble is None else self._store_well_at
        failing = now - self._store_well_at >= STORE_PATIENCE
        because = f"the store takes no writes, webhooks get 503: {trouble}"
        self._bell.ring_while("store_failing", because if failing else "")
        self._bell.ring_while("key_refused", house.dispatcher.refused())
        with suppress(StoreError):
            dead = sum((await house.store.counts()).dead.values())
            self._bell.ring_while("dead_letters", f"PagerDuty refused {pages(dead)} for good" if dead else "")
            gone = sum(count for key, count in (await house.store.open_lines()).items() if key not in self._at_hand)
            because = f"{pages(gone)} cannot be resolved: the routing key they were sent with is not at hand"
            self._bell.ring_while("key_gone", because if gone else "")

    # A store that was replaced

    def _tell_rescue(self, rescued: Rescued) -> None:
        self._log.error("the database was replaced", because=str(rescued))
        self._bell.ring("store_corrupt", str(rescued), HOUR)

    def _rescued(self, rescued: Rescued) -> None:
        """Take in that the store is another: all that fires is judged again, and what memory knows is written."""
        self._tell_rescue(rescued)
        self._mending.add(task := asyncio.get_running_loop().create_task(self._put_right()))
        task.add_done_callback(self._mending.discard)

    async def _put_right(self) -> None:
        house = self._house
        await house.recall.clear()
        house.scheduler.reloaded(house.intake.book)
        with suppress(StoreError):
            await house.store.remember_integrations(remembered(house.intake.book.rules))
            await house.store.put_silences(tuple(house.silencer.current))
            await house.pausing.keep()
