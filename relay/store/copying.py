"""Copies the database as it is at one moment, beside a relay that runs or where none does."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from relay.errors import StoreError
from relay.store.connect import FILE, looking

_BLOCKS_AT_ONCE = 1_000


class Copied(NamedTuple):
    """What was copied."""

    size: int
    """Bytes."""
    pages: int
    """Pages of ours in it: rows, not blocks."""


def backup(directory: Path, target: Path) -> Copied:
    """Copy the database of a storage directory to a new file, check it, and have it on disk. Raises StoreError.

    The writer is never held up: one snapshot is read while others write (https://www.sqlite.org/wal.html).
    """
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        raise StoreError(f"{target} is there already, and a backup takes the place of nothing: name another") from None
    except OSError as error:
        raise StoreError(f"{target} cannot be made: {error.strerror}") from error
    try:
        copied = _copy(directory, target)
        _flush(target)
    except BaseException as error:
        _take_away(target)
        if isinstance(error, sqlite3.Error | OSError):
            raise StoreError(f"{directory / FILE} cannot be copied to {target}: {error}") from error
        raise
    return copied


def _copy(directory: Path, target: Path) -> Copied:
    with closing(looking(directory)) as source, closing(sqlite3.connect(target, isolation_level=None)) as copy:
        source.execute("BEGIN")
        # The first read fixes what is seen: else each commit of the relay would make the copy begin anew
        # (https://www.sqlite.org/c3ref/backup_finish.html).
        (pages,) = source.execute("SELECT count(*) FROM pages").fetchone()
        source.backup(copy, pages=_BLOCKS_AT_ONCE)
        copy.execute("PRAGMA journal_mode = DELETE")  # so that it is one file
        (said,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
        if said != "ok":
            raise StoreError(f"the copy is damaged, so the store is: {said}; it was not kept")
    return Copied(target.stat().st_size, pages)


def _flush(target: Path) -> None:
    for place in (target, target.absolute().parent):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _take_away(target: Path) -> None:
    for name in (target.name, f"{target.name}-journal", f"{target.name}-wal", f"{target.name}-shm"):
        with suppress(OSError):
            target.with_name(name).unlink()
