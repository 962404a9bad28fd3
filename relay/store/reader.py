"""A connection that cannot write, on a thread of its own: looking never holds the writer up."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from relay.errors import StoreError
from relay.store.damage import is_damage
from relay.store.opening import Identity

Answer = TypeVar("Answer")


class Reader:
    """Runs questions one after the other, each on one snapshot of the store.

    A file that was replaced is opened anew; `suspect` is told, on its thread, of one that is damaged.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        name: str,
        *,
        which: Callable[[], Identity] = lambda: None,
        suspect: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        self._connect = connect
        self._which = which
        self._suspect = suspect
        self._opened: Identity = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._db: sqlite3.Connection | None = None

    async def ask(self, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Return what `question` returns; SQLite's errors come as StoreError."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, question)
        except (sqlite3.Error, UnicodeDecodeError) as error:
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
        try:
            return self._asked(self._at_hand(), question)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if is_damage(error):
                self._let_go()
                self._suspect(error)
            raise

    def _asked(self, db: sqlite3.Connection, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
        db.execute("BEGIN")
        try:
            return question(db)
        finally:
            db.execute("ROLLBACK")

    def _at_hand(self) -> sqlite3.Connection:
        """Return the connection; another one where the name means another file by now."""
        now = self._which()
        if self._db is not None and now is not None and now != self._opened:
            self._let_go()
        if self._db is None:
            self._db, self._opened = self._connect(), now
        return self._db

    def _let_go(self) -> None:
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()
            self._db = None
