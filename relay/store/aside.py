"""Moves a damaged database aside, with its log, and puts a fresh one in its place; a crash in between is no harm."""

from contextlib import suppress
from pathlib import Path

from relay.store.place import sync

FILE = "pagerelay.db"
FRESH = f"{FILE}.new"
"""A fresh database while it is being filled: worthless after a crash."""
FILLED = f"{FILE}.salvaged"
"""The same once it is complete: it only has to be put in place."""

_PARTS = ("-wal", "-shm", "")
"""The log first: left beside a fresh file, SQLite would play it into that one."""


def clear(directory: Path) -> None:
    """Remove what an earlier rescue left half done."""
    for part in (*_PARTS, "-journal"):
        with suppress(FileNotFoundError):
            (directory / f"{FRESH}{part}").unlink()


def put_in_place(directory: Path, word: str, stamp: str) -> str:
    """Move the database aside as `pagerelay.db.<word>-<stamp>` and the fresh one in; return what was moved."""
    (directory / FRESH).rename(directory / FILLED)
    return _swap(directory, word, stamp)


def finish(directory: Path, stamp: str) -> str:
    """Finish what a crash interrupted; return what was moved of a database that lacks its file, "" for nothing."""
    if (directory / FILLED).exists():
        return _swap(directory, "corrupt", stamp)
    if not (directory / FILE).exists() and (directory / f"{FILE}-wal").exists():
        name = _move(directory, "corrupt", stamp)
        sync(directory)
        return name
    return ""


def _swap(directory: Path, word: str, stamp: str) -> str:
    name = _move(directory, word, stamp)
    (directory / FILLED).rename(directory / FILE)
    sync(directory)
    return name


def _move(directory: Path, word: str, stamp: str) -> str:
    """Return what there is now: the database's new name or, where it had no file, the names of what lay beside it."""
    name = first = f"{FILE}.{word}-{stamp}"
    number = 1
    while any((directory / f"{name}{part}").exists() for part in _PARTS):
        number += 1
        name = f"{first}-{number}"
    moved = []
    for part in _PARTS:
        with suppress(FileNotFoundError):
            (directory / f"{FILE}{part}").rename(directory / f"{name}{part}")
            moved.append(f"{name}{part}")
    return name if name in moved else " and ".join(moved)
