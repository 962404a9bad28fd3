"""Counts how often each route of a tree is hit by what a store has: firing alerts, and decisions."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from relay.alert import Instant, Status, alert_id
from relay.answers.words import clock
from relay.decision import Decision
from relay.rules.ledger import Held, Lookup
from relay.rules.routing import Router
from relay.rules.ruleset import Route
from relay.rules.view import read
from relay.store import SqliteStore

_ALERTS_AT_ONCE = 500
_ENTRIES_AT_ONCE = 500
_ENTRIES = 100_000
"""How far back the journal is read: beyond that it would take minutes."""


@dataclass(slots=True)
class Hits:
    """How much went to each route."""

    firing: Counter[str] = field(default_factory=Counter)
    """Alerts that fire now, by Route.id."""
    decisions: Counter[str] = field(default_factory=Counter)
    """Decisions about firing alerts, by Route.id."""
    alerts: int = 0
    told: int = 0
    unknown: int = 0
    """Decisions about alerts that are not held any more: nobody knows their labels."""
    since: Instant = 0
    """When the oldest message was taken that was looked at; 0: there was none."""

    def behind(self, route: Route) -> str:
        """Say what stands behind a route in the drawing."""
        firing, decisions = self.firing[route.id], self.decisions[route.id]
        if not firing and not decisions:
            return "  (never hit)" if not route.routes else ""  # what went to its children is written there
        return f"  ({firing} firing, {_counted(decisions, 'decision')})"

    def summary(self) -> list[str]:
        """Say what was counted."""
        since = f" since {clock(self.since)}" if self.since else ""
        lines = [
            f"By these routes: {_counted(self.alerts, 'firing alert')}, "
            f"and {_counted(self.told, 'decision')} about firing alerts{since}."
        ]
        if self.unknown:
            lines.append(f"{_counted(self.unknown, 'more decision')} about alerts that are not held any more.")
        return lines


async def count_hits(storage: Path, root: Route) -> Hits:
    """Route all that a store knows through a tree. Raises StoreError."""
    store = await SqliteStore.read_only(storage)
    try:
        found, router = Hits(), Router(root)
        await _count_firing(store, router, found)
        await _count_decisions(store, router, found)
        return found
    finally:
        await store.close()


async def _count_firing(store: SqliteStore, router: Router, found: Hits) -> None:
    after = -1
    while some := await store.firing(after, _ALERTS_AT_ONCE):
        after = some[-1].id
        for held in some:
            if not held.ours:
                found.alerts += 1
                found.firing.update(route.id for route in router.match(_labels(held)))


async def _count_decisions(store: SqliteStore, router: Router, found: Hits) -> None:
    before, read_so_far = None, 0
    known: dict[int, tuple[str, ...] | None] = {}
    while read_so_far < _ENTRIES and (entries := await store.decisions(_ENTRIES_AT_ONCE, before)):
        before, read_so_far = entries[-1].id, read_so_far + len(entries)
        found.since = entries[-1].record.at
        decisions = [one for entry in entries for one in entry.record.decisions if _is_of_firing(one)]
        await _learn(store, router, {_id(one) for one in decisions} - known.keys(), known)
        for one in decisions:
            routes = known[_id(one)]
            if routes is None:
                found.unknown += 1
                continue
            found.told += 1
            found.decisions.update(routes)


def _is_of_firing(one: Decision) -> bool:
    return one.status == Status.FIRING and one.fingerprint != ""


def _id(one: Decision) -> int:
    return alert_id(one.source, one.fingerprint)


async def _learn(
    store: SqliteStore, router: Router, alerts: Iterable[int], known: dict[int, tuple[str, ...] | None]
) -> None:
    """Learn by which routes alerts go; None for one that is not held."""
    wanted = list(alerts)
    for at in range(0, len(wanted), _ALERTS_AT_ONCE):
        some = wanted[at : at + _ALERTS_AT_ONCE]
        held = (await store.look(Lookup(alerts=tuple(some)))).alerts
        for one in some:
            known[one] = tuple(route.id for route in router.match(_labels(held[one]))) if one in held else None


def _labels(held: Held) -> Mapping[str, str]:
    return read(held.raw).labels


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
