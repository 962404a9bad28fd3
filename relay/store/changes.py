"""Change events as rows: those that wait, the one to send next, and what became of it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from sqlite3 import Connection
from typing import NamedTuple

import msgspec

from relay.alert import HOUR, Duration, Instant
from relay.rules.ledger import Changed
from relay.store.queries import query

REMEMBERED: Duration = HOUR
"""How long a call is known that was made for a change event: it counts in the window of its budget."""


class ChangeHead(NamedTuple):
    """The change events that wait for one integration."""

    due_at: Instant
    """When the first of them may go."""
    oldest: Instant
    """When the oldest was accepted."""
    latest: Instant
    """When the last of them may go."""
    waiting: int


class ChangeInHand(NamedTuple):
    """One change event about to be sent."""

    id: int
    integration: str
    at: Instant
    """When it was accepted."""
    event: bytes
    """A JSON object, without the routing key."""
    failures: int
    """Calls for it that failed before."""


class _Rest(msgspec.Struct):
    """What has no column."""

    event: msgspec.Raw
    failures: int = 0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Rest).decode


def write(db: Connection, changes: Iterable[Changed]) -> None:
    """Add change events, due at once."""
    rows = [(one.integration, one.at, one.at, _encode(_Rest(msgspec.Raw(one.event)))) for one in changes]
    if rows:
        db.executemany(query("changes", "add"), rows)


def heads(db: Connection) -> Mapping[str, ChangeHead]:
    """Say what waits, by integration."""
    return {row[0]: ChangeHead(*row[1:]) for row in db.execute(query("changes", "heads")).fetchall()}


def take(db: Connection, integration: str, now: Instant, again: Instant) -> ChangeInHand | None:
    """Take the next due one in hand: it is due `again` then, in case nobody says what became of it."""
    db.execute(query("changes", "forget"), (now - REMEMBERED,))
    row = db.execute(query("changes", "next"), {"integration": integration, "now": now}).fetchone()
    if row is None:
        return None
    number, at, rest = row
    db.execute(query("changes", "call"), {"now": now, "again": again, "id": number})
    found = _decode(rest)
    return ChangeInHand(number, integration, at, bytes(found.event), found.failures)


def over(db: Connection, number: int) -> None:
    """Say that one needs nothing more."""
    db.execute(query("changes", "over"), (number,))


def again(db: Connection, change: ChangeInHand, due_at: Instant) -> None:
    """Let one that failed be due again."""
    rest = _encode(_Rest(msgspec.Raw(change.event), change.failures + 1))
    db.execute(query("changes", "again"), {"id": change.id, "due_at": due_at, "rest": rest})


def give_up(db: Connection, before: Instant) -> Counter[str]:
    """Give up what was accepted before then; return how many, by integration."""
    return Counter(one for (one,) in db.execute(query("changes", "give_up"), (before,)).fetchall())


def shed(db: Connection, most: int, most_bytes: int) -> Counter[str]:
    """Drop the oldest of more than `most`, or of so many bytes; return how many, by integration."""
    bounds = {"most": most, "bytes": most_bytes}
    return Counter(one for (one,) in db.execute(query("changes", "shed"), bounds).fetchall())


def clock_back(db: Connection, now: Instant, latest: Instant) -> None:
    """Let those be due now that wait for longer than anything does: the clock was set back."""
    db.execute(query("changes", "clock_back"), {"now": now, "latest": latest})
