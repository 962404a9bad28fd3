"""Tells a damaged database from one that is only busy, full or away."""

import sqlite3

import msgspec

_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_LOST = ("no such table", "no such column", "no such index", "malformed", "Could not decode")

UNREADABLE = (msgspec.MsgspecError, ValueError, KeyError, IndexError, TypeError)
"""What decoding a row of nonsense may raise."""


class Damaged(sqlite3.DatabaseError):
    """What the file says makes no sense, though SQLite itself reads it: it keeps no checksum of what it stores."""


def is_damage(error: BaseException, *, lost: bool = True) -> bool:
    """Say whether an error means that the file is damaged: waiting would not mend it, a rescue may.

    `lost`: a table of ours that is not there was overwritten.
    """
    if isinstance(error, Damaged | UnicodeDecodeError):
        return True
    if not isinstance(error, sqlite3.Error):
        return False
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _CORRUPT:
        return True
    return lost and any(word in str(error) for word in _LOST)
