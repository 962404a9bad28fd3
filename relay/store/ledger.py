"""Reads what a judge wants to remember, and writes what it decided; runs inside the writer's transaction."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import attrgetter
from sqlite3 import Connection
from types import MappingProxyType

from relay.alert import Instant, stable_id
from relay.page import Member, Page
from relay.rules.ledger import Held, Inhibitor, Ledger, Link, Lookup, Plan, Recorded, Role
from relay.store import changes, codec
from relay.store.codec import Row
from relay.store.queries import ids_query, query, rows_query, slices


def read_ledger(db: Connection, lookup: Lookup) -> Ledger:
    """Fetch the alerts, their memberships, and the pages of those with their successors, in a few statements."""
    alerts = read_alerts(db, lookup.alerts)
    members = [codec.member(row) for row in _rows(db, "members_by_alert", lookup.alerts)]
    whole = [codec.member(row) for row in _rows(db, "members_by_page", lookup.whole)]
    wanted = {*lookup.pages, *lookup.whole}
    for member in members:
        wanted.add(member.page)
        wanted.add(member.home)
    return Ledger(
        alerts={alert.id: alert for alert in alerts},
        pages=_chains(db, wanted),
        members=_grouped((member.alert, member) for member in members),
        whole=_grouped((member.page, member) for member in whole),
        inhibitors=_inhibitors(db, lookup, alerts) if lookup.keys else {},
    )


def read_alerts(db: Connection, ids: Collection[int]) -> list[Held]:
    """Read the alerts with these ids, as far as there are any."""
    return [codec.held(row) for row in _rows(db, "alerts_by_id", ids)]


def read_page(db: Connection, page: int) -> Page | None:
    """Read one page; None if there is none."""
    rows = _rows(db, "pages_by_id", (page,))
    return codec.page(rows[0]) if rows else None


def firing_events(db: Connection, dedup_key: str, integrations: Collection[str]) -> list[Held]:
    """Read the alerts that came as events and fire in pages with this dedup key, or in those linked to them.

    Of these integrations; none named: of all.
    """
    rows = db.execute(query("acts", "pages_of_key"), (stable_id(dedup_key),)).fetchall()
    pages = [page for page in map(codec.page, rows) if page.dedup_key == dedup_key]
    chains = _chains(db, {page.id for page in pages if not integrations or page.integration in integrations})
    members = [codec.member(row) for row in _rows(db, "members_by_page", tuple(chains))]
    alerts = read_alerts(db, {member.alert for member in members if member.firing})
    return [alert for alert in alerts if alert.firing and alert.sent is not None]


def write_plan(db: Connection, plan: Plan, before: Mapping[int, Page]) -> None:
    """Write a plan in its order: moved, cleared, left, alerts, pages, members, marks, changes, record.

    `before` holds pages as they are, by id, as far as that is known.
    """
    for old, new in plan.moved:
        db.execute(query("ledger", "move_members"), {"from": old, "to": new})
        db.execute(query("ledger", "move_waiting"), {"from": old, "to": new})
    if plan.cleared:
        db.execute(query("ledger", "clear_members"), (codec.ids(plan.cleared),))
    if plan.left:
        db.executemany(query("ledger", "delete_member"), plan.left)
    write_alerts(db, plan.alerts)
    write_pages(db, plan.pages, before)
    _write_incidents(db, plan.pages, before)
    write_members(db, plan.members)
    write_links(db, plan.unlinked, plan.linked)
    stir(db, plan.stirred)
    mark_for_judgement(db, plan.judge, plan.judge_at)
    changes.write(db, plan.changes)
    write_records(db, () if plan.record is None else (plan.record,))


def write_alerts(db: Connection, alerts: Sequence[Held]) -> None:
    """Write alerts whole, and remember which sources there are."""
    write_rows(db, "write_alerts", "alerts", [codec.held_row(alert) for alert in alerts])
    for source in {alert.source for alert in alerts}:
        db.execute(query("ledger", "write_source"), (source,))


def write_pages(db: Connection, pages: Sequence[Page], before: Mapping[int, Page] = MappingProxyType({})) -> None:
    """Write pages whole; `before` holds them as they are, by id, as far as that is known."""
    moving: list[Row] = []
    staying: list[Row] = []
    for page in pages:
        old = before.get(page.id)
        stays = old is not None and _indexed(old) == _indexed(page)
        (staying if stays else moving).append(codec.page_row(page))
    write_rows(db, "write_pages", "pages", moving)
    write_rows(db, "rewrite_pages", "pages", staying)


def _write_incidents(db: Connection, pages: Sequence[Page], before: Mapping[int, Page]) -> None:
    """Remember which incidents pages turned out to stand for: several may be in one."""
    known = ((page, before.get(page.id)) for page in pages if page.incident)
    fresh = [page for page, old in known if old is not None and old.incident != page.incident]
    db.executemany(query("acts", "write_incident"), [(page.incident, page.id, page.confirmed_at) for page in fresh])


_indexed = attrgetter(
    *("integration", "dedup_key", "wanted", "severity", "lane", "due_at", "in_flight", "changed_at", "closed_at"),
    *("judge_at", "lines", "dead", "discarded", "via"),
    *("triggered_at", "confirmed_at", "doubted_at", "acknowledged_by", "on_acknowledge"),
)
"""What a page's place in the indexes and in the tally follows from."""


def write_members(db: Connection, members: Sequence[Member]) -> None:
    """Write memberships whole."""
    write_rows(db, "write_members", "members", [codec.member_row(member) for member in members])


def write_links(db: Connection, unlinked: Sequence[tuple[int, Link]], linked: Sequence[tuple[int, Link]]) -> None:
    """Write where alerts stand, after taking out where they stood."""
    if unlinked:
        db.executemany(query("ledger", "delete_link"), [(link.key, link.role, alert) for alert, link in unlinked])
    if linked:
        rows = [(link.key, link.role, alert, link.name, link.absent_at) for alert, link in linked]
        db.executemany(query("ledger", "write_link"), rows)


def stir(db: Connection, keys: Sequence[int]) -> None:
    """Have everybody who watches these keys judged again."""
    if keys:
        db.executemany(query("ledger", "stir"), [(key,) for key in keys])


def write_records(db: Connection, records: Sequence[Recorded]) -> None:
    """Add lines to the journal, in this order."""
    if records:
        db.executemany(query("ledger", "write_record"), [codec.record_row(record) for record in records])


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


def _inhibitors(db: Connection, lookup: Lookup, alerts: Sequence[Held]) -> dict[int, tuple[Inhibitor, ...]]:
    """Read who inhibits at each key: those who are judged themselves, and of the others the strongest."""
    found: dict[int, list[Inhibitor]] = {key: [] for key in lookup.keys}
    bounds = {"keys": codec.ids(lookup.keys), "alerts": codec.ids(lookup.alerts)}
    for key, alert, role, name, absent_at in db.execute(query("ledger", "inhibitors"), bounds):
        found[key].append(Inhibitor(alert, Role(role), name, absent_at))
    for held in alerts:
        for link in held.links:
            if link.role is not Role.WATCHER and link.key in found:
                found[link.key].append(Inhibitor(held.id, link.role, link.name, link.absent_at))
    return {key: tuple(there) for key, there in found.items()}


def _chains(db: Connection, ids: set[int]) -> dict[int, Page]:
    """Read pages and, over and over, their successors."""
    found: dict[int, Page] = {}
    while ids:
        pages = [codec.page(row) for row in _rows(db, "pages_by_id", ids)]
        found.update((page.id, page) for page in pages)
        ids = {page.successor for page in pages if page.successor is not None} - found.keys()
    return found


def _rows(db: Connection, name: str, ids: Collection[int]) -> list[Row]:
    if not ids:
        return []
    if len(ids) == 1:
        return db.execute(ids_query(name, True), (*ids,)).fetchall()
    return db.execute(ids_query(name, False), (codec.ids(ids),)).fetchall()


def _grouped(pairs: Iterable[tuple[int, Member]]) -> dict[int, tuple[Member, ...]]:
    found: dict[int, list[Member]] = defaultdict(list)
    for key, member in pairs:
        found[key].append(member)
    return {key: tuple(members) for key, members in found.items()}
