"""Opens the database file: for writing, for looking, and once per start to mend it and bring its schema up to date."""

import math
import os
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from relay import failpoints
from relay.errors import StoreAway, StoreError
from relay.store import aside, place
from relay.store.aside import FILE, FRESH
from relay.store.damage import UNREADABLE, Damaged, is_damage
from relay.store.queries import query
from relay.store.remedies import remedy
from relay.store.salvage import Salvaged, salvage

__all__ = ["FILE", "Rescued", "check", "migrate", "migrations", "prepare", "reading", "replaced", "rescue", "writing"]

_BUSY_SECONDS = 3.0
"""How long to wait for somebody else's lock: Alertmanager must have its answer within about 5 s."""
_CACHE_KIB = 8_000
_READER_CACHE_KIB = 2_000
_WAL_BLOCKS = 4_000
"""Blocks in the log before they are copied home (16 MiB): rows lie at random, so waiting lets writes of one merge."""
_WAL_BYTES_KEPT = 64 * 1024 * 1024
_STATEMENTS = 256
_PASSING = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
_CHECK_SECONDS = 0.1
"""What the check at a start may take of a processor; a larger file is looked through while the relay runs."""


class Rescued(NamedTuple):
    """A database that could not be used any more, and what became of it."""

    because: str
    aside: str
    """What was moved, by its new names: the file or, where that was gone, what lay beside it; "" for nothing."""
    salvaged: Salvaged | None
    """What was saved of it; None: nothing, the store began empty."""
    copied: bool = False
    """All that was in it is in the new one: its content was at hand, its file was not."""

    def __str__(self) -> str:
        saved = self.salvaged
        what = "nothing could be read, the store begins empty"
        if self.copied:
            what = "and all of it is kept"
        elif saved is not None:
            which = "all" if saved.complete else "what could be read"
            what = f"{which} was saved: {saved.pages} pages, {saved.alerts} alerts"
        where = f"what stood there was moved aside as {self.aside}, " if self.aside else ""
        return f"{self.because}; {where}{what}"


def prepare(directory: Path, stamp: Callable[[], str] = lambda: "0") -> Rescued | None:
    """Make directory and file, migrate the schema, and put back what a crash left in flight.

    A damaged file is moved aside and what can be read of it is saved; then that is returned. A second failure starts
    empty. `stamp` names the moment. Raises StoreError where the store cannot be used, with what to do.
    """
    try:
        place.make(directory)
        lost = aside.finish(directory, stamp())
        found = Rescued("the database file was gone, its log was not", lost, None) if lost else None
        for empty in (False, True):
            try:
                _bring_up(directory)
                return found
            except (sqlite3.Error, UnicodeDecodeError) as error:
                if not is_damage(error):
                    raise
                found = rescue(directory, stamp, str(error), empty=empty)
        _bring_up(directory)
        return found
    except (OSError, sqlite3.Error, UnicodeDecodeError) as error:
        passing = getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING
        kind = StoreAway if passing else StoreError
        raise kind(f"the store in {directory} cannot be opened: {error}{remedy(error, directory)}") from error


def rescue(directory: Path, stamp: Callable[[], str], because: str, *, empty: bool = False) -> Rescued:
    """Move a damaged database aside, and put a fresh one in its place with what can be read of it.

    `empty`: do not even try to read. Raises OSError or sqlite3.Error where not even a fresh one can be made.
    """
    saved = None if empty or not (directory / FILE).is_file() else _fill(directory)
    if saved is None:
        with closing(_fresh(directory)):
            pass
    return Rescued(because, aside.put_in_place(directory, "corrupt", stamp()), saved)


def replaced(directory: Path, db: sqlite3.Connection, stamp: Callable[[], str]) -> str:
    """Write the content of an open database, whose file was deleted or replaced, to a new file in its place.

    Returns what was moved aside, "" for nothing. Raises sqlite3.Error or OSError where it cannot be.
    """
    place.make(directory)
    with closing(_empty(directory)) as new:
        db.backup(new)
        new.execute("PRAGMA journal_mode = DELETE")  # so that it is one file
    return aside.put_in_place(directory, "replaced", stamp())


def _fill(directory: Path) -> Salvaged | None:
    """Make a fresh database with what can be read of the damaged one; None if that fails."""
    try:
        with closing(_open(f"{_uri(directory)}?mode=ro")) as old, closing(_fresh(directory)) as new:
            old.execute("PRAGMA writable_schema = ON")  # else SQLite reads nothing at all of a file that was cut off
            return salvage(old, new)
    except (sqlite3.Error, *UNREADABLE, OverflowError):
        return None


def _fresh(directory: Path) -> sqlite3.Connection:
    """Open a new database of our schema beside the damaged one."""
    db = _empty(directory)
    migrate(db)
    return db


def _empty(directory: Path) -> sqlite3.Connection:
    aside.clear(directory)
    _make_private(directory / FRESH)
    db = _open(f"{_uri(directory, FRESH)}?mode=rw")
    db.execute("PRAGMA synchronous = FULL")
    return db


def _bring_up(directory: Path) -> None:
    """Bring the database to our schema, and put back what a crash left in flight."""
    if (directory / FILE).is_dir():
        raise Damaged(f"{FILE} is a directory")
    _make_private(directory / FILE)
    with closing(writing(directory)) as db:
        check(db, _CHECK_SECONDS)
        migrate(db)
        _check_schema(db)
        db.execute("BEGIN IMMEDIATE")
        db.execute(query("clockwork", "lose_open_attempts"))
        db.execute(query("clockwork", "put_back_in_flight"))
        db.execute("COMMIT")


def check(db: sqlite3.Connection, seconds: float = math.inf) -> None:
    """Have SQLite look through the whole file, as far as it gets in so many seconds of a processor. Raises Damaged."""
    if not seconds:
        return
    until = time.thread_time() + seconds
    db.set_progress_handler(lambda: time.thread_time() > until, 10_000)
    try:
        found = [str(row[0]) for row in db.execute("PRAGMA quick_check(3)")]
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            raise
        return
    finally:
        db.set_progress_handler(None, 0)
    if found != ["ok"]:
        raise Damaged(f"the database is damaged: {'; '.join(found)[:300]}")


def _check_schema(db: sqlite3.Connection) -> None:
    have = {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
    lost = sorted(_names() - have)
    if lost:
        raise Damaged(f"the database lacks {', '.join(lost)[:300]}")


@cache
def _names() -> frozenset[str]:
    """Name all that a database of our schema has."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for number, script in enumerate(migrations(), 1):
            db.executescript(f"{script}\n{_mark(number)}")
        return frozenset(name for (name,) in db.execute("SELECT name FROM sqlite_schema"))


def writing(directory: Path) -> sqlite3.Connection:
    """Open for writing; a commit is on disk when it returns."""
    db = _open(f"{_uri(directory)}?mode=rw")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA temp_store = MEMORY")  # what a SAVEPOINT would put back; else that is a file as large as the log
    db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    db.execute(f"PRAGMA wal_autocheckpoint = {_WAL_BLOCKS}")
    db.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES_KEPT}")
    return db


def reading(directory: Path) -> sqlite3.Connection:
    """Open a store whose schema is ours for looking only."""
    try:
        db = looking(directory)
        version = _version(db)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        remedy = "name the running relay with --relay.url, or its directory with --storage.path"
        raise StoreError(f"there is no store to read in {directory} ({error}): {remedy}") from error
    _refuse_newer(version)
    if version < len(migrations()):
        db.close()
        raise StoreError(f"the store in {directory} has schema {version}: start the relay once to bring it up to date")
    return db


def looking(directory: Path) -> sqlite3.Connection:
    """Open a store for looking only, whatever its schema. Raises sqlite3.Error."""
    db = _open(f"{_uri(directory)}?mode=ro")
    db.execute("PRAGMA query_only = ON")
    db.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB}")
    return db


def migrate(db: sqlite3.Connection) -> None:
    """Apply the migrations the store lacks, each in a transaction of its own; refuse a newer schema."""
    version = _version(db)
    _refuse_newer(version)
    for number, script in enumerate(migrations()[version:], version + 1):
        failpoints.reached("migrate.step")
        try:
            db.executescript(f"BEGIN IMMEDIATE;\n{script}\n{_mark(number)}\nCOMMIT;")
        except sqlite3.Error as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            if is_damage(error):
                raise
            remedy = "the store is as it was, and the version before this one still opens it"
            raise StoreError(f"migration {number:04} of the store failed: {error}; {remedy}") from error


@cache
def migrations() -> tuple[str, ...]:
    """The scripts in sql/migrations/, in order; `0001_ledger.sql` is the first."""
    folder = files("relay.store").joinpath("sql", "migrations")
    found = sorted((entry.name, entry.read_text(encoding="utf-8")) for entry in folder.iterdir())
    return tuple(text for name, text in found if re.fullmatch(r"\d{4}_\w+\.sql", name))


def _open(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(
        uri,
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_STATEMENTS,
    )


def _uri(directory: Path, file: str = FILE) -> str:
    return f"file:{quote(str((directory / file).absolute()))}"


def _make_private(file: Path) -> None:
    """Create the file readable by its owner alone; SQLite gives its log the same mode."""
    with suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    file.chmod(0o600)


def _refuse_newer(version: int) -> None:
    ours = len(migrations())
    if version > ours:
        raise StoreError(
            f"the store has schema {version}, this version of pagerelay knows up to {ours}: "
            "install the version that wrote it, or a newer one"
        )


def _version(db: sqlite3.Connection) -> int:
    """The number of the last migration that was applied; 0 for an empty file."""
    if db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'schema_version'").fetchone() is None:
        return 0
    (version,) = db.execute("SELECT max(version) FROM schema_version").fetchone()
    return int(version)


def _mark(number: int) -> str:
    table = "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER);"
    return f"{table} INSERT INTO schema_version VALUES ({number:d});"  # noqa: S608  # a number of ours
