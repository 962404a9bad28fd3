"""What is remembered of PagerDuty's integrations, and what is asked to compare pages with what PagerDuty has."""

from collections.abc import Callable, Collection, Sequence
from sqlite3 import Connection

from relay.alert import Instant, stable_id
from relay.page import Page
from relay.rules.ledger import Ledger, Lookup, Plan
from relay.rules.news import Returned
from relay.store import acts, codec
from relay.store.ledger import read_ledger, write_plan
from relay.store.queries import query
from relay.store.views import Hook


def told_pages(db: Connection) -> list[int]:
    """Name every page that PagerDuty may hold open."""
    return [page for (page,) in db.execute(query("reconciling", "told_pages"))]


def pages_by_ids(db: Connection, ids: Collection[int]) -> list[Page]:
    """Read the pages with these ids, as far as there are any."""
    return [codec.page(row) for row in db.execute(query("reconciling", "pages_by_ids"), (codec.ids(ids),))]


def pages_by_keys(db: Connection, dedup_keys: Collection[str]) -> list[Page]:
    """Read the pages with these dedup keys: one for each integration that has it."""
    hashes = codec.ids([stable_id(key) for key in dedup_keys])
    pages = (codec.page(row) for row in db.execute(query("reconciling", "pages_by_keys"), (hashes,)))
    return [page for page in pages if page.dedup_key in dedup_keys]


def firing_among(db: Connection, alerts: Collection[int]) -> set[int]:
    """Say which of these alerts fire."""
    return {alert for (alert,) in db.execute(query("reconciling", "firing_among"), (codec.ids(alerts),))}


def receivers(db: Connection, source: str) -> set[str]:
    """Say by which receivers of its Alertmanager a source was heard lately."""
    return {receiver for (receiver,) in db.execute(query("reconciling", "receivers"), (source,))}


def hooks(db: Connection) -> list[Hook]:
    """List where each routing key was found to lead."""
    return [Hook(*row) for row in db.execute(query("reconciling", "hooks"))]


def put_hooks(db: Connection, found: Sequence[Hook]) -> None:
    """Write where routing keys lead."""
    db.executemany(query("reconciling", "write_hook"), found)


Decide = Callable[[Ledger], tuple[Plan, Returned | None]]


def put_right(db: Connection, page: int, decide: Decide, now: Instant) -> Plan:
    """Write what is decided of one page by its latest row; with it what somebody turned out to have done about it."""
    known = read_ledger(db, Lookup(pages=(page,)))
    plan, act = decide(known)
    write_plan(db, plan, known.pages)
    if act is not None:
        acts.note(db, page, {act.incident}, act, now)
    return plan
