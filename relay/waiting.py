"""Waits for the storage path: until no other relay holds it, and until the store in it can be opened."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from relay.alert import Instant
from relay.errors import StoreAway, StoreError
from relay.logs import Log
from relay.store import Lock, SqliteStore, acquire

Done = TypeVar("Done")

LOCK_WAIT = 30.0
"""Seconds to wait for another relay to let go of the storage path."""
_AGAIN = 1.0
"""Seconds between two tries to open a store that is away."""


async def locked(path: Path, stop: asyncio.Event) -> Lock | None:
    """Wait for the storage path; None if told to stop meanwhile. Raises StoreError."""
    waiting = asyncio.ensure_future(acquire(path, LOCK_WAIT))
    stopped = asyncio.ensure_future(stop.wait())
    await asyncio.wait({waiting, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not waiting.done():
        waiting.cancel()
        return None
    return waiting.result()


class Patience:
    """Does what needs the store; while that is locked, or its disk full, waits rather than be started over and over."""

    def __init__(self, stop: asyncio.Event, why: Callable[[str], None], log: Log) -> None:
        """`why` is told what it waits for."""
        self._stop = stop
        self._why = why
        self._log = log
        self._said = ""

    async def opened(self, path: Path, clock: Callable[[], Instant]) -> SqliteStore:
        """Open the store. Raises StoreError where waiting is of no use, or it was told to stop."""
        return await self.until_done(lambda: SqliteStore.open(path, clock), StoreAway)

    async def until_done(self, act: Callable[[], Awaitable[Done]], passing: type[StoreError] = StoreError) -> Done:
        """Try again until `act` does not raise `passing`. Raises StoreError where it was told to stop."""
        while True:
            try:
                return await act()
            except passing as error:
                self._tell(str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _AGAIN)
                raise StoreError(f"told to stop before the store could be used: {self._said}")

    def _tell(self, error: str) -> None:
        self._why(error)
        if self._said != error:
            self._log.error("the store cannot be used yet, it is tried again", error=error)
        self._said = error
