"""A round that is made again and again: when something is due, when somebody nudges, at the latest after a tick."""

import asyncio
import traceback
from abc import ABC, abstractmethod

from relay.alert import SECOND, Duration
from relay.errors import StoreError
from relay.logs import Log
from relay.metrics import Metrics

TICK: Duration = 5 * SECOND
"""The longest sleep: the wall clock may be set while nobody looks."""


class Rounds(ABC):
    """Makes rounds until it is stopped, whatever one of them comes to."""

    def __init__(self, name: str, metrics: Metrics, log: Log) -> None:
        """`name` is what the log calls it, such as `the clockwork`."""
        self._name = name
        self._metrics = metrics
        self._log = log
        self._awake = asyncio.Event()
        self._stopping = False

    @abstractmethod
    async def tick(self) -> None:
        """Do everything that is due now."""

    @abstractmethod
    async def patience(self) -> Duration:
        """Say how long nothing will be due."""

    def nudge(self) -> None:
        """Say that something may be due."""
        self._awake.set()

    def stop(self) -> None:
        """Let `run` return after what it is doing."""
        self._stopping = True
        self._awake.set()

    async def run(self) -> None:
        """Tick until stopped."""
        while not self._stopping:
            self._awake.clear()
            try:
                await self.tick()
            except StoreError as error:
                self._metrics.store_failed("schedule")
                self._log.error(f"{self._name} cannot use the store, it tries again", error=str(error))
            except Exception:  # whatever it is: the rounds must go on
                self._log.error(f"{self._name} failed, it tries again", error=traceback.format_exc())
            await self._sleep()

    async def _sleep(self) -> None:
        try:
            wait = min(await self.patience(), TICK)
        except StoreError:
            wait = TICK  # the next tick says so
        try:
            async with asyncio.timeout(wait / SECOND):
                await self._awake.wait()
        except TimeoutError:
            pass
