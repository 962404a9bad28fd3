"""Keeps the plans of many messages at once: one look at the store and one writing, where they touch different rows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from sqlite3 import Connection

from relay.page import Member, Page
from relay.rules.ledger import Changed, Held, Ledger, Link, Lookup, Plan, Recorded, Role
from relay.store import changes
from relay.store.ledger import (
    read_ledger,
    stir,
    write_alerts,
    write_links,
    write_members,
    write_pages,
    write_plan,
    write_records,
)


@dataclass(frozen=True, slots=True)
class Keep:
    """One judgement to make, and its plan to write."""

    lookup: Lookup
    judge: Callable[[Ledger], Plan]

    def __call__(self, db: Connection) -> Plan:
        """Do it alone."""
        known = read_ledger(db, self.lookup)
        plan = self.judge(known)
        write_plan(db, plan, known.pages)
        return plan


def keep_together(db: Connection, keeps: Sequence[Keep]) -> list[Plan | Exception]:
    """Judge one after the other, each shown what the ones before it wrote; return each plan, or what its judge raised.

    A statement costs more than a row, and each hands the interpreter over to the event loop and back.
    """
    shared = read_ledger(db, _joined([keep.lookup for keep in keeps]))
    pending = _Pending()
    outcomes: list[Plan | Exception] = []
    for keep in keeps:
        known = _part(shared, keep.lookup)
        if pending.touches(keep.lookup, known):
            pending.write(db)
            known = read_ledger(db, keep.lookup)
        try:
            plan = keep.judge(known)
        except Exception as error:
            outcomes.append(error)
            continue
        pending.add(db, plan, known)
        outcomes.append(plan)
    pending.write(db)
    return outcomes


class _Pending:
    """What is decided and not written yet, and every row that was decided on since the shared look."""

    def __init__(self) -> None:
        self._alerts: list[Held] = []
        self._pages: list[Page] = []
        self._before: dict[int, Page] = {}
        self._members: list[Member] = []
        self._records: list[Recorded] = []
        self._touched_alerts: set[int] = set()
        self._linked: list[tuple[int, Link]] = []
        self._unlinked: list[tuple[int, Link]] = []
        self._stirred: list[int] = []
        self._changes: list[Changed] = []
        self._touched_pages: set[int] = set()
        self._touched_keys: set[int] = set()
        self._moved: set[int] = set()
        """Pages whose members are in another page now, and whose name stands in whoever was leaving for them."""

    def touches(self, lookup: Lookup, known: Ledger) -> bool:
        """Whether a judgement would be shown a row as it was before something decided here."""
        return not (
            self._touched_alerts.isdisjoint(lookup.alerts)
            and self._touched_pages.isdisjoint(lookup.pages)
            and self._touched_pages.isdisjoint(lookup.whole)
            and self._touched_pages.isdisjoint(known.pages)
            and self._touched_keys.isdisjoint(lookup.keys)
            and self._moved.isdisjoint(_heirs(known) if self._moved else ())
        )

    def add(self, db: Connection, plan: Plan, known: Ledger) -> None:
        """Put a plan with the others; one that does more than write rows is written at once, after them."""
        self._touched_alerts.update(_alerts_of(plan))
        self._touched_pages.update(_pages_of(plan))
        self._touched_keys.update(
            link.key for _, link in (*plan.linked, *plan.unlinked) if link.role is not Role.WATCHER
        )
        self._moved.update(old for old, _ in plan.moved)
        if plan.moved or plan.cleared or plan.left or plan.judge:
            self.write(db)
            write_plan(db, plan, known.pages)
            return
        self._alerts += plan.alerts
        self._pages += plan.pages
        self._before.update(known.pages)
        self._members += plan.members
        self._linked += plan.linked
        self._unlinked += plan.unlinked
        self._stirred += plan.stirred
        self._changes += plan.changes
        if plan.record is not None:
            self._records.append(plan.record)

    def write(self, db: Connection) -> None:
        """Write what waits."""
        write_alerts(db, self._alerts)
        write_pages(db, self._pages, self._before)
        write_members(db, self._members)
        write_links(db, self._unlinked, self._linked)
        stir(db, self._stirred)
        changes.write(db, self._changes)
        write_records(db, self._records)
        for rows in (self._alerts, self._pages, self._members, self._records):
            rows.clear()
        for places in (self._linked, self._unlinked):
            places.clear()
        self._stirred.clear()
        self._changes.clear()
        self._before.clear()


def _alerts_of(plan: Plan) -> Iterator[int]:
    yield from (alert.id for alert in plan.alerts)
    yield from (member.alert for member in plan.members)
    yield from (alert for _, alert in plan.left)


def _pages_of(plan: Plan) -> Iterator[int]:
    yield from (page.id for page in plan.pages)
    yield from (member.page for member in plan.members)
    yield from (page for page, _ in plan.left)
    yield from (page for pair in plan.moved for page in pair)
    yield from plan.cleared
    yield from plan.judge


def _heirs(known: Ledger) -> Iterator[int]:
    """Yield the pages that members seen here are leaving for."""
    for rows in (*known.members.values(), *known.whole.values()):
        yield from (member.leaving for member in rows if member.leaving is not None)


def _joined(lookups: Sequence[Lookup]) -> Lookup:
    return Lookup(
        alerts=tuple({alert: None for one in lookups for alert in one.alerts}),
        pages=tuple({page: None for one in lookups for page in one.pages}),
        whole=tuple({page: None for one in lookups for page in one.whole}),
        keys=tuple({key: None for one in lookups for key in one.keys}),
    )


def _part(shared: Ledger, lookup: Lookup) -> Ledger:
    """Show of a shared look what this lookup alone would have seen."""
    members = {alert: shared.members[alert] for alert in lookup.alerts if alert in shared.members}
    whole = {page: shared.whole[page] for page in lookup.whole if page in shared.whole}
    ids = {*lookup.pages, *lookup.whole}
    ids.update(page for rows in members.values() for member in rows for page in (member.page, member.home))
    pages: dict[int, Page] = {}
    while ids:
        found = [shared.pages[page] for page in ids if page in shared.pages]
        pages.update((page.id, page) for page in found)
        ids = {page.successor for page in found if page.successor is not None} - pages.keys()
    alerts = {alert: shared.alerts[alert] for alert in lookup.alerts if alert in shared.alerts}
    inhibitors = {key: shared.inhibitors[key] for key in lookup.keys}
    return Ledger(alerts, pages, members, whole, inhibitors)
