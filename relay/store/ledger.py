"""Reads what a judge wants to remember, and writes what it decided; runs inside the writer's transaction."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from sqlite3 import Connection

from relay.alert import Instant
from relay.page import Member, Page
from relay.rules.ledger import Held, Ledger, Lookup, Plan, Recorded
from relay.store import codec
from relay.store.codec import Row
from relay.store.queries import query, rows_query, slices


def read_ledger(db: Connection, lookup: Lookup) -> Ledger:
    """Fetch the alerts, their memberships, and the pages of those with their successors, in a few statements."""
    members = _members(db, "members_by_alert", lookup.alerts)
    whole = _members(db, "members_by_page", lookup.whole)
    wanted = {*lookup.pages, *lookup.whole}
    wanted.update(member.page for member in members)
    wanted.update(member.home for member in members)
    return Ledger(
        alerts={alert.id: alert for alert in _alerts(db, lookup.alerts)},
        pages={page.id: page for page in _pages(db, wanted)},
        members=_grouped((member.alert, member) for member in members),
        whole=_grouped((member.page, member) for member in whole),
    )


def write_plan(db: Connection, plan: Plan) -> None:
    """Write a plan in its order: moved, cleared, left, alerts, pages, members, marks, record."""
    for old, new in plan.moved:
        db.execute(query("ledger", "move_members"), {"from": old, "to": new})
    if plan.cleared:
        db.execute(query("ledger", "clear_members"), (codec.ids(plan.cleared),))
    if plan.left:
        db.executemany(query("ledger", "delete_member"), plan.left)
    write_alerts(db, plan.alerts)
    write_pages(db, plan.pages)
    write_rows(db, "write_members", "members", [codec.member_row(member) for member in plan.members])
    mark_for_judgement(db, plan.judge, plan.judge_at)
    if plan.record is not None:
        write_record(db, plan.record)


def write_alerts(db: Connection, alerts: Sequence[Held]) -> None:
    """Write alerts whole, and remember which sources there are."""
    write_rows(db, "write_alerts", "alerts", [codec.held_row(alert) for alert in alerts])
    for source in {alert.source for alert in alerts}:
        db.execute(query("ledger", "write_source"), (source,))


def write_pages(db: Connection, pages: Sequence[Page]) -> None:
    """Write pages whole."""
    write_rows(db, "write_pages", "pages", [codec.page_row(page) for page in pages])


def write_record(db: Connection, record: Recorded) -> None:
    """Add one line to the journal."""
    db.execute(query("ledger", "write_record"), codec.record_row(record))


def mark_for_judgement(db: Connection, pages: Sequence[int], at: Instant) -> None:
    """Let the scheduler look at these pages from `at` on, or earlier if it was to already."""
    if pages:
        db.execute(query("ledger", "mark_for_judgement"), {"ids": codec.ids(pages), "at": at})


def write_rows(db: Connection, name: str, table: str, rows: list[Row]) -> None:
    """Write rows by few multi-row statements: each statement costs a hand-over of the interpreter, each row little."""
    start = 0
    for size in slices(len(rows)):
        values = [value for row in rows[start : start + size] for value in row]
        db.execute(rows_query(name, table, size), values)
        start += size


def _alerts(db: Connection, ids: Sequence[int]) -> list[Held]:
    if not ids:
        return []
    return [codec.held(row) for row in db.execute(query("ledger", "alerts_by_id"), (codec.ids(ids),)).fetchall()]


def _members(db: Connection, name: str, ids: Sequence[int]) -> list[Member]:
    if not ids:
        return []
    return [codec.member(row) for row in db.execute(query("ledger", name), (codec.ids(ids),)).fetchall()]


def _pages(db: Connection, ids: set[int]) -> list[Page]:
    if not ids:
        return []
    return [codec.page(row) for row in db.execute(query("ledger", "page_chains"), (codec.ids(ids),)).fetchall()]


def _grouped(pairs: Iterable[tuple[int, Member]]) -> dict[int, tuple[Member, ...]]:
    found: dict[int, list[Member]] = defaultdict(list)
    for key, member in pairs:
        found[key].append(member)
    return {key: tuple(members) for key, members in found.items()}
