"""Two engines under the model test: the rules alone over plain dictionaries, and the real store."""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from relay.alert import Instant
from relay.page import Lane, Member, Page, State
from relay.rules.ledger import Attempt, Claim, Held, Ledger, Lookup, Plan, Settled, Shown, Started, Want
from relay.store import SqliteStore


class Dictionaries:
    """The ledger as dictionaries: what a store must do, in as few lines as possible."""

    def __init__(self) -> None:
        self.alerts: dict[int, Held] = {}
        self.rows: dict[int, Page] = {}
        self.members: dict[tuple[int, int], Member] = {}
        self.attempts = 0

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
            )
        )
        self._write(plan)
        return plan

    def of(self, page: int) -> tuple[Member, ...]:
        return tuple(one for one in self.members.values() if one.page == page)

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
        self._mark(plan.judge, plan.judge_at)

    def _mark(self, pages: Sequence[int], at: Instant) -> None:
        for number in pages:
            if number in self.rows:
                self.rows[number] = replace(self.rows[number], judge_at=at)

    def heads(self, now: Instant) -> list[tuple[str, Lane, Instant]]:
        waiting = [one for one in self.rows.values() if one.lane is not None and not one.in_flight]
        return [(one.integration, one.lane, one.due_at) for one in waiting if one.lane is not None]

    def claim(self, wants: Sequence[Want], now: Instant, start: Callable[[Page], Started]) -> list[Claim]:
        claims = []
        for want in wants:
            due = [
                one
                for one in self.rows.values()
                if one.integration == want.integration
                and one.lane is want.lane
                and not one.in_flight
                and one.due_at <= now
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

    def due_for_judgement(self, now: Instant) -> list[int]:
        return [one.id for one in self.rows.values() if one.judge_at is not None and one.judge_at <= now]

    def firing(self) -> list[Held]:
        return [one for one in self.alerts.values() if one.firing]

    def pages(self) -> list[Page]:
        return list(self.rows.values())

    def page(self, number: int) -> tuple[Page, list[Member]]:
        return self.rows[number], list(self.of(number))

    def mark_keys(self, available: frozenset[str]) -> None:
        for page in self.pages():
            lines = tuple(replace(line, gone=line.key_id not in available) for line in page.lines)
            self.rows[page.id] = replace(page, lines=lines)

    def crash(self) -> None:
        self.rows = {number: replace(page, in_flight=False) for number, page in self.rows.items()}

    def close(self) -> None:
        pass


class Stored:
    """The real store in a directory of its own; a crash closes it and opens it again."""

    def __init__(self) -> None:
        shared = Path("/dev/shm")  # an fsync costs nothing there
        self._directory = tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None)
        self._runner = asyncio.Runner()
        self._store = self._runner.run(SqliteStore.open(Path(self._directory.name)))

    def keep(self, lookup: Lookup, judge: Callable[[Ledger], Plan]) -> Plan:
        return self._runner.run(self._store.keep(lookup, judge))

    def heads(self, now: Instant) -> list[tuple[str, Lane, Instant]]:
        return self._runner.run(self._store.heads(now))

    def claim(self, wants: Sequence[Want], now: Instant, start: Callable[[Page], Started]) -> list[Claim]:
        return self._runner.run(self._store.claim(wants, now, start))

    def settle(self, attempt: Attempt, settle: Callable[[Page], Settled], now: Instant) -> Page:
        return self._runner.run(self._store.settle(attempt, settle, now))

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
