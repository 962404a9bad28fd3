"""Opens the database file: for writing, for looking, and once per start to bring its schema up to date."""

import os
import re
import sqlite3
from contextlib import closing, suppress
from functools import cache
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from relay import failpoints
from relay.errors import StoreError
from relay.store.queries import query

FILE = "pagerelay.db"

_BUSY_SECONDS = 3.0
"""How long to wait for somebody else's lock: Alertmanager must have its answer within about 5 s."""
_CACHE_KIB = 8_000
_READER_CACHE_KIB = 2_000
_WAL_BLOCKS = 4_000
"""Blocks in the log before they are copied home (16 MiB): rows lie at random, so waiting lets writes of one merge."""
_WAL_BYTES_KEPT = 64 * 1024 * 1024
_STATEMENTS = 256


def prepare(directory: Path) -> None:
    """Make directory and file, migrate the schema, and put back what a crash left in flight."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_private(directory / FILE)
        with closing(writing(directory)) as db:
            migrate(db)
            db.execute("BEGIN IMMEDIATE")
            db.execute(query("clockwork", "lose_open_attempts"))
            db.execute(query("clockwork", "put_back_in_flight"))
            db.execute("COMMIT")
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"the store in {directory} cannot be opened: {error}") from error


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
        db = _open(f"{_uri(directory)}?mode=ro")
        db.execute("PRAGMA query_only = ON")
        db.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB}")
        version = _version(db)
    except sqlite3.Error as error:
        remedy = "name the running relay with --relay.url, or its directory with --storage.path"
        raise StoreError(f"there is no store to read in {directory} ({error}): {remedy}") from error
    _refuse_newer(version)
    if version < len(migrations()):
        db.close()
        raise StoreError(f"the store in {directory} has schema {version}: start the relay once to bring it up to date")
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
            raise StoreError(f"migration {number:04} of the store failed, nothing of it was kept: {error}") from error


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


def _uri(directory: Path) -> str:
    return f"file:{quote(str((directory / FILE).absolute()))}"


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
