"""The one thread that writes: it takes whatever requests wait, runs them in one transaction, commits, then answers."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import groupby
from typing import Any, TypeVar

from relay.errors import StoreError
from relay.page import Lane
from relay.rules.ledger import Plan
from relay.store.damage import is_damage
from relay.store.keeping import Keep, keep_together
from relay.store.opening import Opening
from relay.store.queue import Queue

Answer = TypeVar("Answer")
Work = Callable[[sqlite3.Connection], Answer]

_REQUESTS_AT_ONCE = 128
_ALERTS_TOGETHER = 256
"""Requests whose judgements look at so many alerts are run together."""
_ALONG = 32
"""A batch with work that goes ahead takes along only what looks at so few alerts: no page waits for a large body."""
_FOR_CRITICALS = 0.05
"""Seconds that a large body waits for the claim of a critical that has just become due: it is on its way."""
_SECONDS_AT_ONCE = 0.025
"""A batch takes no further request after this long: those who wait for its commit must not wait for ever."""


class _Request:
    """One piece of work, who waits for it, and what came of it."""

    __slots__ = ("ahead", "alerts", "error", "future", "result", "work")

    def __init__(self, work: Work[Any], future: "asyncio.Future[Any] | None", *, ahead: bool = False) -> None:
        self.work = work
        self.ahead = ahead
        self.alerts = len(work.lookup.alerts) if isinstance(work, Keep) else 1
        self.future = future
        self.result: Any = None
        self.error: Exception | None = None


class Writer:
    """Group commit: many requests, one transaction, one fsync; each answered after it.

    `ride` writes what may go along with a commit that happens anyway; `patience` says how many seconds that may wait
    for one (None: there is nothing). Both run on the writer thread.
    `on_commit` is told, on the writer thread, the seconds a commit took and how many requests it was for.
    `trouble` says why the last batch could not be written; None while all is well.
    """

    def __init__(
        self,
        opening: Opening,
        ride: Callable[[sqlite3.Connection], None],
        patience: Callable[[], float | None],
    ) -> None:
        self.on_commit: Callable[[float, int], None] | None = None
        self.trouble: str | None = None
        self._opening = opening
        self._began: float | None = None
        self._urgent = False
        """Whether the last batch made a critical due."""
        self._ride = ride
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._requests: Queue[_Request] = Queue()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._closed = False

    def start(self) -> None:
        """Begin to take requests; the connection is made on the thread, at the first of them."""
        self._thread.start()

    async def do(self, work: Work[Answer], *, ahead: bool = False) -> Answer:
        """Run `work` in a transaction; return what it returns, once that is on disk.

        What is done `ahead` goes before all else that waits, in the order it was asked for.

        What `work` raises comes back as it is, with everything it wrote undone; SQLite's errors as StoreError.
        """
        if self._closed:
            raise StoreError("the store is closed")
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._requests.put(_Request(work, future, ahead=ahead))
        return await future

    async def close(self) -> None:
        """Finish what waits, then end the thread."""
        self._closed = True
        self._requests.close()
        while self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    def stuck_for(self) -> float:
        """Say for how many seconds the batch in hand has not ended; 0 where there is none."""
        began = self._began
        return 0.0 if began is None else time.monotonic() - began

    def _run(self) -> None:
        db: sqlite3.Connection | None = None
        failed = False
        while not self._done(failed):
            first = self._next(failed)
            batch = [] if first is None else [first]
            self._began = time.monotonic()
            try:
                db = self._opening.current(db)
                seconds = self._transact(db, batch)
                failed, self.trouble = False, None
            except Exception as error:  # whatever it is, those who wait must hear of it and the thread must live
                _give_up(db)
                db, seconds, failed = None, 0.0, True
                self.trouble = str(_worded(error))
                self._opening.failed(error)
                if _is_held(error):
                    self._take_all(batch)  # they waited as long: each would wait so long again, one after the other
                _fail(batch, error)
            self._began = None
            if seconds and self.on_commit is not None:
                with suppress(Exception):  # what was committed is committed, whatever becomes of the metric
                    self.on_commit(seconds, len(batch))
            self._urgent = any(map(_makes_critical_due, batch))
            self._answer(batch)
        if db is not None:
            db.close()

    def _done(self, failed: bool) -> bool:
        """Whether all that was asked for is answered, and all that rides along is written (or cannot be)."""
        return self._requests.over and (failed or self._patience() is None)

    def _next(self, failed: bool) -> _Request | None:
        """Wait for a request; None where the time has come to write what rides along, or to end."""
        if self._urgent and (claim := self._requests.wait_ahead(_FOR_CRITICALS, _ALONG)) is not None:
            return claim
        patience = self._patience()
        if patience is not None:
            patience = max(patience, 1.0 if failed else 0.0)
        return self._requests.wait(patience)

    def _transact(self, db: sqlite3.Connection, batch: list[_Request]) -> float:
        """Run a batch and commit it; return the seconds its commit took, 0 where nothing was written."""
        db.execute("BEGIN IMMEDIATE")
        before = db.total_changes
        started = time.monotonic()
        smooth, done = True, 0
        while smooth and done < len(batch):
            self._gather(batch)
            smooth, done = _tried(db, batch[done:]), len(batch)
            if time.monotonic() - started < _SECONDS_AT_ONCE:
                self._more(batch)
        if not smooth:
            before = _one_by_one(db, batch)
        if db.total_changes != before or self._requests.over or not batch:
            _attempt(db, _Request(self._ride, None))
        wrote = db.total_changes != before
        started = time.monotonic()
        db.execute("COMMIT")  # where nothing was written, SQLite syncs nothing
        return time.monotonic() - started if wrote else 0.0

    def _gather(self, batch: list[_Request]) -> None:
        """Take what waits, as much as is sooner run together than one after the other."""
        alerts = batch[-1].alerts
        while alerts < _ALERTS_TOGETHER and self._more(batch):
            alerts += batch[-1].alerts

    def _take_all(self, batch: list[_Request]) -> None:
        while (request := self._requests.take()) is not None:
            batch.append(request)

    def _more(self, batch: list[_Request]) -> bool:
        """Take one more request that waits, if there is one and the batch has room."""
        if len(batch) >= _REQUESTS_AT_ONCE:
            return False
        request = self._requests.take(_ALONG if any(one.ahead for one in batch) else None)
        if request is not None:
            batch.append(request)
        return request is not None

    def _answer(self, batch: list[_Request]) -> None:
        if not batch:
            return
        try:
            self._loop.call_soon_threadsafe(_tell, batch)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more


def _makes_critical_due(request: _Request) -> bool:
    return isinstance(request.result, Plan) and any(page.lane is Lane.CRITICAL for page in request.result.pages)


def _tried(db: sqlite3.Connection, requests: list[_Request]) -> bool:
    """Run requests; False if one failed with something written, which only undoing the whole batch takes back.

    A SAVEPOINT for each would have SQLite copy every block they touch, and nearly none of them fail.
    """
    for keeps, some in groupby(requests, key=lambda request: isinstance(request.work, Keep)):
        together = list(some)
        if not (_kept(db, together) if keeps and len(together) > 1 else all(_ran(db, one) for one in together)):
            return False
    return True


def _kept(db: sqlite3.Connection, requests: list[_Request]) -> bool:
    """Run judgements together; False if their plans could not be written, by whosesoever fault."""
    try:
        outcomes = keep_together(db, [request.work for request in requests if isinstance(request.work, Keep)])
    except Exception as error:
        if not db.in_transaction or is_damage(error):
            raise  # SQLite gave the whole transaction up (disk full, I/O error), or nothing of the file can be trusted
        return False
    for request, outcome in zip(requests, outcomes, strict=True):
        if isinstance(outcome, Exception):
            request.error = _worded(outcome)
        else:
            request.result = outcome
    return True


def _ran(db: sqlite3.Connection, request: _Request) -> bool:
    before = db.total_changes
    try:
        request.result = request.work(db)
    except Exception as error:
        if not db.in_transaction or is_damage(error):
            raise  # SQLite gave the whole transaction up (disk full, I/O error), or nothing of the file can be trusted
        request.error = _worded(error)
        return db.total_changes == before
    return True


def _one_by_one(db: sqlite3.Connection, batch: list[_Request]) -> int:
    """Undo a batch and run each of its requests again on its own; return the changes there were before."""
    db.execute("ROLLBACK")
    db.execute("BEGIN IMMEDIATE")
    before = db.total_changes
    for request in batch:
        request.result = request.error = None
        _attempt(db, request)
    return before


def _attempt(db: sqlite3.Connection, request: _Request) -> None:
    """Run one request so that its failure undoes its own writing only."""
    db.execute("SAVEPOINT request")
    try:
        request.result = request.work(db)
    except Exception as error:
        if not db.in_transaction or is_damage(error):
            raise  # SQLite gave the whole transaction up (disk full, I/O error), or nothing of the file can be trusted
        db.execute("ROLLBACK TO request")
        request.error = _worded(error)
    db.execute("RELEASE request")


def _fail(batch: list[_Request], error: Exception) -> None:
    for request in batch:
        request.error = request.error or _worded(error)


def _is_held(error: Exception) -> bool:
    """Say whether somebody else holds the store, for as long as one waits for it."""
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _worded(error: Exception) -> Exception:
    """Turn SQLite's errors into ours; everything else is the caller's own."""
    if isinstance(error, sqlite3.Error | OSError | UnicodeDecodeError):
        return StoreError(f"the store cannot be written: {error}; is the disk full, or does something else hold it?")
    return error


def _give_up(db: sqlite3.Connection | None) -> None:
    """Close a connection whose transaction failed as a whole; the next batch opens another.

    After a failed fsync the kernel may have dropped the very blocks that failed, so nothing of that transaction is
    tried again on it (https://wiki.postgresql.org/wiki/Fsync_Errors).
    """
    if db is not None:
        with suppress(sqlite3.Error):
            db.close()  # an open transaction is rolled back


def _tell(batch: list[_Request]) -> None:
    for request in batch:
        future = request.future
        if future is None or future.cancelled():
            continue
        if request.error is not None:
            future.set_exception(request.error)
        else:
            future.set_result(request.result)
