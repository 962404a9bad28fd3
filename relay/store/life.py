"""What the relay keeps of itself, as rows: the self-pages it told of, and who paused what."""

from collections.abc import Sequence
from sqlite3 import Connection

import msgspec

from relay.store.queries import query
from relay.store.views import Pause, SelfPage

PAUSES_KEPT = 1_000

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(SelfPage).decode


def put_bell(db: Connection, told: SelfPage) -> None:
    """Write what PagerDuty was told for one reason under one key."""
    db.execute(query("life", "put_bell"), (told.reason, told.key_id, _encode(told)))


def drop_bell(db: Connection, reason: str, key_id: str) -> None:
    """Forget what is over."""
    db.execute(query("life", "drop_bell"), (reason, key_id))


def bells(db: Connection) -> list[SelfPage]:
    """List what may be open."""
    return [_decode(rest) for (rest,) in db.execute(query("life", "bells")).fetchall()]


def put_pauses(db: Connection, changed: Sequence[Pause]) -> None:
    """Write pauses whole; the oldest of too many go."""
    db.executemany(query("life", "put_pause"), changed)
    db.execute(query("life", "drop_old_pauses"), (PAUSES_KEPT,))


def pauses(db: Connection) -> list[Pause]:
    """List every pause there is or was, newest first."""
    return [Pause(*row) for row in db.execute(query("life", "pauses")).fetchall()]
