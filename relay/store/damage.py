"""Tells a damaged database from one that is only busy, full or away."""

import sqlite3

import msgspec

_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
UNREADABLE = (msgspec.MsgspecError, ValueError, KeyError, IndexError, TypeError)
"""What decoding a row of nonsense may raise."""


class Damaged(sqlite3.DatabaseError):
    """What the file says makes no sense, though SQLite itself reads it: it keeps no checksum of what it stores."""


def is_damage(error: BaseException) -> bool:
    """Say whether an error means that the file is damaged: waiting would not mend it, a rescue may."""
    text = isinstance(error, sqlite3.Error) and "Could not decode to UTF-8" in str(error)  # it has no code of its own
    return text or is_corrupt(error) or isinstance(error, Damaged | UnicodeDecodeError)


def is_corrupt(error: BaseException) -> bool:
    """Say whether SQLite itself cannot make sense of the file."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, sqlite3.Error) and code is not None and code & 0xFF in _CORRUPT
