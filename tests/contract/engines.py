"""The engines that the store's contract is held against: how each is opened, beside itself, and again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from relay.store import SqliteStore


class Sqlite:
    """One SQLite store on disk."""

    name = "sqlite"

    def __init__(self, place: Path) -> None:
        self.place = place

    async def open(self) -> SqliteStore:
        """Open for writing; again after a close or a crash."""
        return await SqliteStore.open(self.place)

    async def look(self) -> SqliteStore:
        """Open a second time, for looking only."""
        return await SqliteStore.read_only(self.place)


ENGINES = {engine.name: engine for engine in (Sqlite,)}


@asynccontextmanager
async def fresh(name: str) -> AsyncIterator[SqliteStore]:
    """An empty store for one example of a property."""
    with TemporaryDirectory() as place:
        store = await ENGINES[name](Path(place)).open()
        try:
            yield store
        finally:
            await store.close()
