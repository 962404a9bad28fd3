"""Two engines under the model test: the rules alone over plain dictionaries, and the real store."""

import asyncio
import tempfile
from collections.abc import Callable, Collection, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from msgspec.structs import replace

from relay.alert import Instant
from relay.page import Lane, Member, Page, State, Wanted
from relay.rules.ledger import (
    Attempt,
    Claim,
    Held,
    Inhibitor,
    Ledger,
    Link,
    Lookup,
    Plan,
    Role,
    Settled,
    Shown,
    Started,
    Want,
)
from relay.rules.pages import queue_refresh
from relay.rules.silences import Silence
from relay.store import SqliteStore

Answer = TypeVar("Answer")


class Dictionaries:
    """The ledger as dictionaries: what a store must do, in as few lines as possible."""

    def __init__(self) -> None:
        self.alerts: dict[int, Held] = {}
        self.rows: dict[int, Page] = {}
        self.members: dict[tuple[int, int], Member] = {}
        self.attempts = 0
        self.links: dict[tuple[int, Role, int], Link] = {}
        self.stirred: dict[int, int] = {}
        """Keys whose watchers must be judged again, with the last one that was marked."""
        self._silences: dict[str, Silence] = {}
        self._runner = asyncio.Runner()

    @property
    def store(self) -> SqliteStore:
        """Answer as the store does, for the rooms that ask one."""
        return cast(SqliteStore, _Asked(self))

    def run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return self._runner.run(work)

    def keep(self, lookup: Lookup, judge: Callable[[Ledger], Plan]) -> Plan:
        members = [one for one in self.members.values() if one.alert in lookup.alerts]
        wanted = [*lookup.pages, *lookup.whole, *(one.page for one in members)]
        pages: dict[int, Page] = {}
        while wanted:
            page = self.rows.get(wanted.pop())
            if page is not None and page.id not in pages:
                pages[page.id] = page
                wanted += [page.successor] if page.successor is not None else []
        plan = judge(
            Ledger(
                alerts={one: self.alerts[one] for one in lookup.alerts if one in self.alerts},
                pages=pages,
                members={one: tuple(m for m in members if m.alert == one) for one in lookup.alerts},
                whole={page: self.of(page) for page in lookup.whole},
                inhibitors={key: self._inhibitors(key) for key in lookup.keys},
            )
        )
        self._write(plan)
        return plan

    def of(self, page: int) -> tuple[Member, ...]:
        return tuple(one for one in self.members.values() if one.page == page)

    def _inhibitors(self, key: int) -> tuple[Inhibitor, ...]:
        return tuple(
            Inhibitor(alert, role, link.name, link.absent_at)
            for (at, role, alert), link in self.links.items()
            if at == key and role is not Role.WATCHER
        )

    def _write(self, plan: Plan) -> None:
        for old, new in plan.moved:
            for member in self.of(old):
                del self.members[old, member.alert]
                self.members[new, member.alert] = replace(member, page=new)
            waiting = [key for key, member in self.members.items() if member.leaving == old]
            self.members.update({key: replace(self.members[key], leaving=new) for key in waiting})
        for key, member in list(self.members.items()):
            if member.page in plan.cleared and not member.firing:
                del self.members[key]
        for key in plan.left:
            self.members.pop(key, None)
        self.alerts.update({one.id: one for one in plan.alerts})
        self.rows.update({one.id: one for one in plan.pages})
        self.members.update({(one.page, one.alert): one for one in plan.members})
        for alert, link in plan.unlinked:
            self.links.pop((link.key, link.role, alert), None)
        self.links.update({(link.key, link.role, alert): link for alert, link in plan.linked})
        self.stir(plan.stirred)
        self._mark(plan.judge, plan.judge_at)

    def stir(self, keys: Sequence[int]) -> None:
        self.stirred.update(dict.fromkeys(keys, -1))

    def spread(self, now: Instant, limit: int) -> bool:
        if not self.stirred:
            return False
        key, after = next(iter(self.stirred.items()))
        watchers = sorted(
            alert for at, role, alert in self.links if (at, role) == (key, Role.WATCHER) and alert > after
        )
        self.make_due(watchers[:FEW], now)
        if len(watchers) <= FEW:
            del self.stirred[key]
        else:
            self.stirred[key] = watchers[FEW - 1]
        return True

    def make_due(self, alerts: Sequence[int], now: Instant) -> None:
        for held in [self.alerts[one] for one in alerts]:
            if held.firing:
                self.alerts[held.id] = replace(held, judge_at=min(held.judge_at or now, now))

    def due_alerts(self, now: Instant, limit: int) -> list[Held]:
        due = [(one.judge_at, one.id) for one in self.alerts.values() if one.judge_at is not None]
        return [self.alerts[number] for at, number in sorted(due)[: min(limit, FEW)] if at <= now]

    def heard(self, alerts: Sequence[int], pages: Sequence[int], at: Instant) -> None:
        for held in [self.alerts[one] for one in alerts if one in self.alerts]:
            self.alerts[held.id] = replace(held, heard_at=max(held.heard_at, at))
        for page in [self.rows[one] for one in pages if one in self.rows]:
            page = replace(page, heard_at=max(page.heard_at, at))
            waits = page.lane is not None or page.in_flight or page.dead
            is_open = page.wanted is Wanted.OPEN and page.delivered in (State.OPEN, State.ELSEWHERE)
            self.rows[page.id] = queue_refresh(page, at) if is_open and not waits else page

    def flush_heard(self) -> None:
        pass

    def silences(self) -> list[Silence]:
        return list(self._silences.values())

    def put_silences(self, changed: Sequence[Silence], stirred: Sequence[int] = ()) -> None:
        self._silences.update({one.id: one for one in changed})
        self.stir(stirred)

    def forget_silences(self, before: Instant) -> int:
        gone = [one.id for one in self._silences.values() if one.ends_at < before]
        for number in gone:
            del self._silences[number]
        return len(gone)

    def stalled(self, after: int, limit: int) -> list[Page]:
        return []  # no key of these rules is ever gone

    def dead(self, after: int, limit: int) -> list[Page]:
        found = [one for one in self.rows.values() if one.dead and not one.discarded and one.id > after]
        return sorted(found, key=lambda one: one.id)[:limit]

    def prune(self, before: Instant, limit: int) -> int:
        return 0

    def _mark(self, pages: Sequence[int], at: Instant) -> None:
        for number in pages:
            if number in self.rows:
                self.rows[number] = replace(self.rows[number], judge_at=at)

    def heads(self, now: Instant) -> list[tuple[str, Lane, Instant]]:
        waiting = [one for one in self.rows.values() if one.lane is not None and not one.in_flight]
        return [(one.carrier, one.lane, one.due_at) for one in waiting if one.lane is not None]

    def claim(self, wants: Sequence[Want], now: Instant, start: Callable[[Page], Started]) -> list[Claim]:
        claims = []
        for want in wants:
            due = [
                one
                for one in self.rows.values()
                if one.carrier == want.integration and one.lane is want.lane and not one.in_flight and one.due_at <= now
            ]
            for page in sorted(due, key=lambda one: (one.due_at, one.id))[: want.limit]:
                started = start(page)
                self.rows[page.id] = started.page
                if started.attempt is not None:
                    self.attempts += 1
                    claims.append(self._claim(started.page, replace(started.attempt, id=self.attempts)))
        return claims

    def _claim(self, page: Page, attempt: Attempt) -> Claim:
        members = tuple(Shown(one, self.alerts[one.alert]) for one in self.of(page.id))
        firing = sum(one.member.firing for one in members)
        return Claim(page, attempt, members, firing, len(members) - firing)

    def settle(self, attempt: Attempt, settle: Callable[[Page], Settled], now: Instant) -> Page:
        settled = settle(self.rows[attempt.page])
        self.rows[attempt.page] = settled.page
        leaving = [one.page for one in self.members.values() if one.leaving == settled.page.id]
        self._mark((*settled.judge, *(leaving if settled.page.delivered is State.OPEN else ())), now)
        return settled.page

    def next_judgement(self) -> Instant | None:
        alerts, pages = self.alerts.values(), self.rows.values()
        due = [at for at in (*(one.judge_at for one in alerts), *(one.judge_at for one in pages)) if at is not None]
        return min([0] if self.stirred else due, default=None)

    def due_for_judgement(self, now: Instant, limit: int = 1_000) -> list[int]:
        return [one.id for one in self.rows.values() if one.judge_at is not None and one.judge_at <= now]

    def firing(self, after: int = -1, limit: int = 1_000) -> list[Held]:
        return sorted((one for one in self.alerts.values() if one.firing and one.id > after), key=lambda one: one.id)

    def pages(self) -> list[Page]:
        return list(self.rows.values())

    def page(self, number: int) -> tuple[Page, list[Member]]:
        return self.rows[number], list(self.of(number))

    def mark_keys(self, available: Collection[str]) -> list[int]:
        for page in self.pages():
            lines = tuple(replace(line, gone=line.key_id not in available) for line in page.lines)
            self.rows[page.id] = replace(page, lines=lines)
        return []

    def crash(self) -> None:
        self.rows = {number: replace(page, in_flight=False) for number, page in self.rows.items()}

    def close(self) -> None:
        self._runner.close()


FEW = 2
"""So many alerts at once the dictionaries make due and hand out: each batch must leave the rest to the next."""


class _Asked:
    """The dictionaries, asked as the store is: each of their answers is awaited."""

    def __init__(self, engine: Dictionaries) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        work = getattr(self._engine, name)

        async def asked(*arguments: Any) -> Any:
            return work(*arguments)

        return asked


class Stored:
    """The real store in a directory of its own; a crash closes it and opens it again."""

    def __init__(self) -> None:
        shared = Path("/dev/shm")  # an fsync costs nothing there
        self._directory = tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None)
        self._runner = asyncio.Runner()
        self._store = self._runner.run(SqliteStore.open(Path(self._directory.name)))

    @property
    def store(self) -> SqliteStore:
        return self._store

    def run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return self._runner.run(work)

    def keep(self, lookup: Lookup, judge: Callable[[Ledger], Plan]) -> Plan:
        return self._runner.run(self._store.keep(lookup, judge))

    def heads(self, now: Instant) -> list[tuple[str, Lane, Instant]]:
        return self._runner.run(self._store.heads(now))

    def claim(self, wants: Sequence[Want], now: Instant, start: Callable[[Page], Started]) -> list[Claim]:
        return self._runner.run(self._store.claim(wants, now, start))

    def settle(self, attempt: Attempt, settle: Callable[[Page], Settled], now: Instant) -> Page:
        return self._runner.run(self._store.settle(attempt, settle, now))

    def next_judgement(self) -> Instant | None:
        return self._runner.run(self._store.next_judgement())

    def due_for_judgement(self, now: Instant) -> list[int]:
        return self._runner.run(self._store.due_for_judgement(now, 1_000))

    def firing(self) -> list[Held]:
        return self._runner.run(self._store.firing(-1, 1_000))

    def pages(self) -> list[Page]:
        return self._runner.run(self._store.pages(limit=1_000))

    def page(self, number: int) -> tuple[Page, list[Member]]:
        seen = self._runner.run(self._store.page(number))
        assert seen is not None
        return seen.page, [one.member for one in seen.members]

    def mark_keys(self, available: frozenset[str]) -> None:
        self._runner.run(self._store.mark_keys(available))

    def crash(self) -> None:
        self._runner.run(self._store.close())
        self._store = self._runner.run(SqliteStore.open(Path(self._directory.name)))

    def close(self) -> None:
        self._runner.run(self._store.close())
        self._runner.close()
        self._directory.cleanup()


Engine = Dictionaries | Stored
