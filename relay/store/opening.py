"""Keeps the writing connection on the file it should be on: a damaged, deleted or replaced one is mended."""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from relay.errors import StoreError
from relay.store import connect
from relay.store.aside import FILE
from relay.store.connect import Rescued
from relay.store.damage import is_corrupt, is_damage

AGAIN = 60.0
"""Seconds within which a second rescue does not even try to read the damaged file."""

Identity = tuple[int, int] | None
"""(device, inode); None: there is no such file."""


def identity(file: Path) -> Identity:
    """Say which file a name means now."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Opening:
    """Opens the one writing connection; all but `suspect` and `look_through` runs on the writing thread."""

    def __init__(self, directory: Path, stamp: Callable[[], str]) -> None:
        self.on_rescue: Callable[[Rescued], None] = lambda rescued: None
        """Told, on the writing thread, of each rescue."""
        self._directory = directory
        self._stamp = stamp
        self._suspect: BaseException | None = None
        self._rescued_at: float | None = None
        self._unsynced = False
        """Whether an fsync failed and the log was not copied home since."""
        self._file: Identity = None
        self._log: Identity = None

    def suspect(self, error: BaseException) -> None:
        """Say that the file is damaged: it is mended before the next write. From any thread."""
        self._suspect = self._suspect or error

    def look_through(self) -> None:
        """Check the whole file on a connection of its own; a damaged one is mended before the next write."""
        try:
            with closing(connect.reading(self._directory)) as db:
                connect.check(db)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if is_damage(error):
                self.suspect(error)
        except StoreError:
            pass  # it cannot be read at all: whoever writes will see why

    def failed(self, error: Exception) -> None:
        """Take in why a batch failed."""
        cause = error.__cause__ if isinstance(error, StoreError) else error
        self._unsynced = self._unsynced or getattr(cause, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_FSYNC
        if cause is not None and is_damage(cause):
            self.suspect(cause)

    def current(self, db: sqlite3.Connection | None) -> sqlite3.Connection:
        """Return the connection to write on: the one there is, or another where the file is not what it was."""
        if self._suspect is not None:
            self._rescue(db, self._suspect)
            db = None
        elif db is not None and self._moved():
            self._follow(db)
            db = None
        return db if db is not None else self._open()

    def _open(self) -> sqlite3.Connection:
        if identity(self._directory / FILE) is None:
            found = connect.prepare(self._directory, self._stamp)
            self.on_rescue(found or Rescued("the database file was gone", "", None))
        db = connect.writing(self._directory)
        try:
            db.execute("BEGIN IMMEDIATE")  # so that the log is there
            db.execute("ROLLBACK")
            if self._unsynced:
                self._write_home(db)
        except sqlite3.Error:
            db.close()
            raise
        self._file, self._log = self._identities()
        return db

    def _write_home(self, db: sqlite3.Connection) -> None:
        """Copy the whole log home and begin another: blocks of it may never reach the disk, whatever a later sync says.

        After a failed fsync the kernel may take blocks for written that are not
        (https://wiki.postgresql.org/wiki/Fsync_Errors); what is in memory is right, and is written once more.
        """
        (busy, *_) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError("the log cannot be copied home yet: database is locked")
        self._unsynced = False

    def _identities(self) -> tuple[Identity, Identity]:
        return identity(self._directory / FILE), identity(self._directory / f"{FILE}-wal")

    def _moved(self) -> bool:
        return self._identities() != (self._file, self._log)

    def _follow(self, db: sqlite3.Connection) -> None:
        """The file was deleted or replaced under the open connection: all it knows goes to a new file."""
        try:
            name = connect.replaced(self._directory, db, self._stamp)
        except (sqlite3.Error, OSError) as error:
            if is_damage(error):
                self.suspect(error)
            raise
        finally:
            with suppress(sqlite3.Error):
                db.close()
        because = "the database file was deleted or replaced while the relay ran: its content was written anew"
        self.on_rescue(Rescued(because, name, None, copied=True))

    def _rescue(self, db: sqlite3.Connection | None, error: BaseException) -> None:
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()
        now = time.monotonic()
        again = self._rescued_at is not None and now - self._rescued_at < AGAIN
        # A row that makes no sense is left out by the first rescue; only a file that SQLite cannot read is given up.
        rescued = connect.rescue(self._directory, self._stamp, str(error), empty=again and is_corrupt(error))
        self._suspect = None
        self._rescued_at = now
        self.on_rescue(rescued)
