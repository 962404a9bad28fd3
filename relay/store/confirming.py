"""Which triggers are awaited to be confirmed, and where that was ever so; for connections that only look."""

from sqlite3 import Connection

from relay.alert import Instant
from relay.page import Page
from relay.rules.confirming import Proof
from relay.store import codec
from relay.store.queries import query


def unconfirmed(db: Connection, integration: str, since: Instant, until: Instant, limit: int) -> list[Page]:
    """List pages whose trigger an integration took after `since` and by `until`, and that are not confirmed."""
    bounds = {"via": integration, "since": max(since, 0), "until": until, "limit": limit}
    return [codec.page(row) for row in db.execute(query("confirming", "unconfirmed"), bounds).fetchall()]


def doubted(db: Connection) -> dict[str, int]:
    """Count by integration the pages that were awaited for too long and may be open."""
    return {str(via): int(count) for via, count in db.execute(query("confirming", "doubted"))}


def proofs(db: Connection) -> dict[str, Proof]:
    """Say by Integration.id when its pages were first and last confirmed."""
    return {via: Proof(first, last) for via, first, last in db.execute(query("confirming", "proofs"))}


def quieted(db: Connection, limit: int) -> list[Page]:
    """List pages that a person has at PagerDuty, and whose alerts are to be silenced meanwhile."""
    return [codec.page(row) for row in db.execute(query("confirming", "quieted"), (limit,)).fetchall()]
