"""Reads storm pages, which may hold a hundred thousand alerts: in slices, and on a connection that cannot write."""

from collections.abc import Collection
from sqlite3 import Connection

import msgspec

from relay.alert import Instant
from relay.event import Severity
from relay.rules.storms import Home, Stood
from relay.store import codec
from relay.store.queries import query

_SEVERITIES = tuple(Severity)


def leaving(db: Connection, page: int, after: int, limit: int) -> list[int]:
    """Name alerts that leave a storm page once another one is open, in the order of their ids."""
    bounds = {"page": page, "after": after, "limit": limit}
    return [alert for (alert,) in db.execute(query("storms", "leaving"), bounds)]


def homes(db: Connection, page: int, limit: int) -> list[Home]:
    """List the pages that firing, unsuppressed alerts of a storm page were folded out of: worst, then longest firing,
    first."""
    return [Home(*row) for row in db.execute(query("storms", "homes"), {"page": page, "limit": limit})]


def homes_count(db: Connection, page: int) -> int:
    """Count the pages that alerts which fire in a storm page, and stay in it, were folded out of."""
    (count,) = db.execute(query("storms", "homes_count"), {"page": page}).fetchone()
    return int(count)


def alerts_of(db: Connection, page: int, homes: Collection[int]) -> list[int]:
    """Name the firing alerts of a storm page that were folded out of these pages."""
    bounds = {"page": page, "homes": codec.ids(homes)}
    return [alert for (alert,) in db.execute(query("storms", "alerts_of"), bounds)]


def stood(db: Connection, page: int, after: int, limit: int) -> list[Stood]:
    """Show what fires in a storm page, in the order of the alerts' ids."""
    rows = db.execute(query("storms", "stood"), {"page": page, "after": after, "limit": limit}).fetchall()
    return [_stood(*row) for row in rows]


class _Rest(msgspec.Struct):
    """The part of a member's `rest` that is asked for here."""

    home: int
    suppressions: tuple[msgspec.Raw, ...] = ()


_REST = msgspec.json.Decoder(_Rest)


def _stood(alert: int, severity: int, order: int, rest: bytes, starts_at: Instant, raw: bytes) -> Stood:
    said = _REST.decode(rest)
    return Stood(alert, said.home, _SEVERITIES[severity], order, bool(said.suppressions), starts_at, raw)
