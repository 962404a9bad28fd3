"""A connection that cannot write, on a thread of its own: looking never holds the writer up."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from relay.errors import StoreError

Answer = TypeVar("Answer")


class Reader:
    """Runs questions one after the other, each on one snapshot of the store."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], name: str) -> None:
        self._connect = connect
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._db: sqlite3.Connection | None = None

    async def ask(self, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Return what `question` returns; SQLite's errors come as StoreError."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, question)
        except sqlite3.Error as error:
            raise StoreError(f"the store cannot be read: {error}") from error
        except RuntimeError as error:
            raise StoreError("the store is closed") from error

    async def close(self) -> None:
        """Finish the questions that wait, then close the connection."""
        if self._db is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._db.close)
            self._db = None
        self._thread.shutdown()

    def _answer(self, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
        if self._db is None:
            self._db = self._connect()
        self._db.execute("BEGIN")
        try:
            return question(self._db)
        finally:
            self._db.execute("ROLLBACK")
