"""Waits for the storage path: until no other relay holds it, and until the store in it can be opened."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from relay.alert import Instant
from relay.errors import StoreAway, StoreError
from relay.logs import Log
from relay.store import Lock, SqliteStore, acquire

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


async def opened(
    path: Path, stop: asyncio.Event, *, clock: Callable[[], Instant], why: Callable[[str], None], log: Log
) -> SqliteStore:
    """Open the store; while it is locked, or its disk full, wait for it rather than be started over and over.

    `why` is told what it waits for. Raises StoreError where waiting is of no use, or it was told to stop.
    """
    said = ""
    while True:
        try:
            return await SqliteStore.open(path, clock)
        except StoreAway as error:
            why(str(error))
            if said != str(error):
                log.error("the store cannot be opened yet, it is tried again", error=str(error))
            said = str(error)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _AGAIN)
            raise StoreError(f"told to stop before the store could be opened: {said}")
