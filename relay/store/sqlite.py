"""The store on SQLite: one writing thread with group commit, and readers that never hold it up."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from relay.alert import Instant, moment
from relay.errors import StoreError
from relay.page import Lane, Page, State, Wanted
from relay.rules.confirming import Proof
from relay.rules.ledger import Attempt, Changed, Claim, Held, Ledger, Lookup, Plan, Settled, Shown, Started, Want
from relay.rules.news import News, Returned, Taken
from relay.rules.silences import Silence
from relay.rules.storms import Home, Stood
from relay.store import (
    acts,
    answers,
    changes,
    codec,
    confirming,
    connect,
    delivery,
    life,
    reconciling,
    silences,
    storms,
    upkeep,
)
from relay.store.acts import Judge
from relay.store.changes import ChangeHead, ChangeInHand
from relay.store.connect import Rescued
from relay.store.firing import Firing, read_firing
from relay.store.heard import Heard
from relay.store.keeping import Keep
from relay.store.ledger import firing_events, read_ledger, stir
from relay.store.opening import Opening, identity
from relay.store.queries import query
from relay.store.reader import Reader
from relay.store.views import Counts, Entry, Hook, Known, Needed, Pause, Seen, SelfPage, Stale
from relay.store.writer import Writer

Answer = TypeVar("Answer")


class SqliteStore:
    """Keeps the ledger in `<directory>/pagerelay.db`. Every method raises StoreError where SQLite cannot.

    What only looks is answered from the last commit; `keep`, `claim` and `settle` run one after the other in the order
    they were called, but that claims and settlements go before all else that waits; they return once their writing is
    on disk.
    """

    def __init__(
        self, writer: Writer | None, heard: Heard, clockwork: Reader, people: Reader, opening: Opening | None = None
    ) -> None:
        self.rescued: Rescued | None = None
        """What happened to a damaged database at the start; None: nothing."""
        self._opening = opening
        self._writer = writer
        self._heard = heard
        self._clockwork = clockwork
        self._people = people

    @classmethod
    async def open(cls, directory: Path, clock: Callable[[], Instant] = lambda: 0) -> "SqliteStore":
        """Open for writing: make what is missing, mend, migrate, and put back what a crash left in flight.

        `clock` names files that are moved aside. The caller holds the directory's lock (lock.py): there is one writing
        process.
        """

        def stamp() -> str:
            return f"{moment(clock()):%Y%m%dT%H%M%SZ}"

        rescued = await asyncio.to_thread(connect.prepare, directory, stamp)
        heard = Heard()
        opening = Opening(directory, stamp)
        writer = Writer(opening, heard.write, heard.patience)
        writer.start()
        store = cls(writer, heard, *_readers(directory, opening.suspect), opening)
        store.rescued = rescued
        await store._ready()
        return store

    @classmethod
    async def read_only(cls, directory: Path) -> "SqliteStore":
        """Open for looking only; writes raise StoreError. For the CLI, beside a relay or where none runs."""
        store = cls(None, Heard(), *_readers(directory))
        await store._ready()
        return store

    @property
    def trouble(self) -> str | None:
        """Why nothing could be written the last time; None while all is well."""
        return None if self._writer is None else self._writer.trouble

    def stuck_for(self) -> float:
        """Say for how many seconds the commit under way has not ended; 0 where there is none."""
        return 0.0 if self._writer is None else self._writer.stuck_for()

    def on_rescue(self, tell: Callable[[Rescued], None]) -> None:
        """Have `tell` called, on the writing thread, when a damaged or deleted database was replaced by a fresh one."""
        if self._opening is not None:
            self._opening.on_rescue = tell

    async def check(self) -> None:
        """Take the writing connection in hand without writing: a file that is gone, damaged or locked is noticed."""
        await self._write(lambda _: None)

    async def look_through(self) -> None:
        """Check the whole file while others work with it; a damaged one is mended at the next write."""
        if self._opening is not None:
            await asyncio.to_thread(self._opening.look_through)

    async def close(self) -> None:
        """Finish what was asked for, write what was heard, close."""
        await self._clockwork.close()
        await self._people.close()
        if self._writer is not None:
            await self._writer.close()

    def on_commit(self, tell: Callable[[float, int], None]) -> None:
        """Have `tell` called after each commit, on the writing thread: seconds it took, requests it was for."""
        if self._writer is not None:
            self._writer.on_commit = tell

    async def keep(self, lookup: Lookup, judge: Callable[[Ledger], Plan]) -> Plan:
        """Show `judge` what is remembered of a lookup, and write its plan: all of it or nothing.

        `judge` runs on the writing thread and must be pure, since it may be called again; what it raises is raised
        here, and nothing is written.
        A plan that writes nothing costs no commit.
        """

        return await self._write(Keep(lookup, judge))

    async def claim(self, wants: Sequence[Want], now: Instant, start: Callable[[Page], Started]) -> list[Claim]:
        """Take the most urgent due pages in hand: `start` says of each what to write and whether to call PagerDuty.

        A page that `start` leaves due as it was is offered again by the next claim. A claimed row keeps its lane.
        """
        return await self._write(lambda db: delivery.claim(db, wants, now, start), ahead=True)

    async def settle(self, attempt: Attempt, settle: Callable[[Page], Settled], now: Instant) -> Page:
        """Show `settle` the page's latest row and write what it says; return the row written."""
        return await self._write(lambda db: delivery.settle(db, attempt, settle, now), ahead=True)

    async def hasten(self, integration: str, lanes: Sequence[Lane], now: Instant) -> None:
        """Let pages of these lanes be due now that wait for nothing but their back-off after a failure."""
        await self._write(lambda db: delivery.hasten(db, integration, lanes, now), ahead=True)

    async def heard(self, alerts: Sequence[int], pages: Sequence[int], at: Instant) -> None:
        """Note when these were heard of; written with the next commit, or within a minute, never by itself."""
        if self._heard.note(alerts, pages, at):
            await self._write(lambda _: None)  # let the writer know that something waits to ride along

    async def flush_heard(self) -> None:
        """Write down now what was heard."""
        while self._heard.patience() is not None:
            await self._write(self._heard.write)

    async def waiting_for(self, wants: Sequence[Want], now: Instant) -> list[Seen]:
        """Show the pages that `claim` would take in hand, without taking them."""
        return await self._people.ask(lambda db: delivery.waiting(db, wants, now))

    async def heads(self, now: Instant) -> list[tuple[str, Lane, Instant]]:
        """Say when the first waiting page of each (integration, lane) is due, also where that was before `now`."""
        rows = await self._clockwork.ask(lambda db: db.execute(query("clockwork", "heads")).fetchall())
        return [(integration, Lane(lane), due) for integration, lane, due in rows if due is not None]

    async def next_judgement(self) -> Instant | None:
        """Say when the scheduler must look at an alert or page again; None: at no time that is known."""
        (at,) = await self._clockwork.ask(lambda db: db.execute(query("clockwork", "next_judgement")).fetchone())
        return None if at is None else int(at)

    async def due_for_judgement(self, now: Instant, limit: int) -> list[int]:
        """Name pages the scheduler must look at, the longest waiting first."""
        text = query("clockwork", "due_for_judgement")
        return [page for (page,) in await self._clockwork.ask(lambda db: db.execute(text, (now, limit)).fetchall())]

    async def due_alerts(self, now: Instant, limit: int) -> list[Held]:
        """List alerts that must be judged again by then, the longest waiting first."""
        return await self._alerts("due_alerts", (now, limit))

    async def firing_of_ours(self) -> list[Held]:
        """List the firing alerts that the relay itself says."""
        return [held for held in await self._alerts("firing_of_ours", ()) if held.ours]

    async def stale(self, source: str, after_id: int, limit: int) -> list[Held]:
        """List stale alerts of a source by id, from the first one after `after_id` (start with -1).

        Only those that fire in a page that PagerDuty may hold open, or that is to be opened.
        """
        return await self._alerts("stale_alerts", {"source": source, "after": after_id, "limit": limit})

    async def any_firing(self, alerts: Collection[int]) -> bool:
        """Say whether one of these fires."""
        text, ids = query("clockwork", "any_firing"), codec.ids(alerts)
        return await self._clockwork.ask(lambda db: db.execute(text, (ids,)).fetchone()) is not None

    async def spread(self, now: Instant, limit: int) -> bool:
        """Make at most `limit` of those due who watch a key at which something changed; False once none is left."""
        return await self._write(lambda db: upkeep.spread(db, now, limit))

    async def stir(self, keys: Sequence[int]) -> None:
        """Have those who watch these keys judged again."""
        await self._write(lambda db: stir(db, keys))

    async def make_due(self, alerts: Sequence[int], now: Instant) -> None:
        """Have firing alerts judged again."""
        await self._write(lambda db: upkeep.make_due(db, alerts, now))

    async def silences(self) -> list[Silence]:
        """List every silence there is."""
        return await self._clockwork.ask(silences.read_all)

    async def put_silences(self, changed: Sequence[Silence], stirred: Sequence[int] = ()) -> None:
        """Write silences whole, and have those who watch these keys judged again."""

        def write(db: sqlite3.Connection) -> None:
            silences.write(db, changed)
            stir(db, stirred)

        await self._write(write)

    async def forget_silences(self, before: Instant) -> int:
        """Delete silences that ended before then; return how many."""
        return await self._write(lambda db: silences.forget(db, before))

    async def bells(self) -> list[SelfPage]:
        """List the self-pages that may be open at PagerDuty."""
        return await self._clockwork.ask(life.bells)

    async def put_bell(self, told: SelfPage) -> None:
        """Write what PagerDuty was told for one reason under one key."""
        await self._write(lambda db: life.put_bell(db, told))

    async def drop_bell(self, reason: str, key_id: str) -> None:
        """Forget what is over."""
        await self._write(lambda db: life.drop_bell(db, reason, key_id))

    async def beat(self, now: Instant) -> None:
        """Write something, to see whether it can be."""
        await self._write(lambda db: db.execute(query("life", "beat"), (now,)).rowcount)

    async def pauses(self) -> list[Pause]:
        """List every pause there is or was, newest first; the last 1,000."""
        return await self._clockwork.ask(life.pauses)

    async def put_pauses(self, changed: Sequence[Pause]) -> None:
        """Write pauses whole; one with the id of another takes its place."""
        await self._write(lambda db: life.put_pauses(db, changed))

    async def change_heads(self) -> Mapping[str, ChangeHead]:
        """Say of each integration that change events wait for, how many, and when the first is due."""
        return await self._clockwork.ask(changes.heads)

    async def add_changes(self, added: Sequence[Changed]) -> None:
        """Write change events that wait to be sent."""
        await self._write(lambda db: changes.write(db, added))

    async def take_change(self, integration: str, now: Instant, again: Instant) -> ChangeInHand | None:
        """Take the next due change event in hand; None if there is none. Unless it is settled it is due `again`."""
        return await self._write(lambda db: changes.take(db, integration, now, again))

    async def end_change(self, number: int) -> None:
        """Write down that a change event needs nothing more."""
        await self._write(lambda db: changes.over(db, number))

    async def put_change_off(self, change: ChangeInHand, due_at: Instant) -> None:
        """Write down that a call for a change event failed, and when to make it again."""
        await self._write(lambda db: changes.again(db, change, due_at))

    async def give_changes_up(self, before: Instant) -> Counter[str]:
        """Give up change events that were accepted before then; return how many, by integration."""
        return await self._write(lambda db: changes.give_up(db, before))

    async def shed_changes(self, most: int, most_bytes: int) -> Counter[str]:
        """Drop the oldest where more than `most` wait, or so many bytes; return how many, by integration."""
        return await self._write(lambda db: changes.shed(db, most, most_bytes))

    async def changes_clock_back(self, now: Instant, latest: Instant) -> None:
        """Let change events be due now that were to wait beyond `latest`."""
        await self._write(lambda db: changes.clock_back(db, now, latest))

    async def unconfirmed(self, integration: str, since: Instant, until: Instant, limit: int) -> list[Page]:
        """List pages whose trigger PagerDuty took after `since` and by `until`, and is not known to have an incident
        for; the longest awaited first."""
        return await self._clockwork.ask(lambda db: confirming.unconfirmed(db, integration, since, until, limit))

    async def doubted(self) -> Mapping[str, int]:
        """Count by Integration.id the pages that were awaited to be confirmed for too long and may be open."""
        return await self._people.ask(confirming.doubted)

    async def proofs(self) -> Mapping[str, Proof]:
        """Say by Integration.id when its pages were first and last confirmed."""
        return await self._clockwork.ask(confirming.proofs)

    async def quieted(self, limit: int) -> list[Page]:
        """List pages that a person has at PagerDuty, and whose alerts are to be silenced meanwhile."""
        return await self._clockwork.ask(lambda db: confirming.quieted(db, limit))

    async def firing_members(self, page: int, limit: int) -> tuple[Shown, ...]:
        """Show some of the alerts that fire in a page, the worst first."""
        return await self._clockwork.ask(lambda db: delivery.firing_members(db, page, limit))

    async def take_news(
        self, news: News, now: Instant, judge: Judge, services: Mapping[str, str], *, ask: bool
    ) -> Taken:
        """Take a piece of news from PagerDuty once, and have the pages judged that it is about."""
        return await self._write(lambda db: acts.take(db, news, now, judge, services, ask=ask), ahead=True)

    async def place_news(
        self, news: News, keys: Sequence[str], now: Instant, judge: Judge, services: Mapping[str, str]
    ) -> Taken:
        """Have news judged that waited, now that the dedup keys of its incident are known."""
        return await self._write(lambda db: acts.place(db, news, keys, now, judge, services), ahead=True)

    async def waiting_news(self, limit: int) -> list[News]:
        """List news of which the pages are not known yet, the longest waiting first."""
        return await self._clockwork.ask(lambda db: acts.waiting(db, limit))

    async def forget_news(self, before: Instant) -> int:
        """Forget which news was taken before then; return how many, at most 2,000."""
        return await self._write(lambda db: acts.forget(db, before))

    async def acts(self, page: int) -> list[Returned]:
        """List what people and timers did about a page at PagerDuty, newest last; the last 50."""
        return await self._people.ask(lambda db: acts.acts(db, page))

    async def pages_of_incident(self, incident: str) -> list[Page]:
        """Find the pages that an incident at PagerDuty is known to stand for, by its id or its number."""
        if incident.isascii() and incident.isdigit() and len(incident) < 19:
            return await self._people.ask(lambda db: acts.pages_of_incident_number(db, int(incident)))
        return await self._people.ask(lambda db: acts.pages_of_incident(db, incident))

    async def told_pages(self) -> list[int]:
        """Name every page that PagerDuty may hold open."""
        return await self._people.ask(reconciling.told_pages)

    async def pages_by_ids(self, ids: Collection[int]) -> list[Page]:
        """Read the pages with these ids, as far as there are any."""
        return await self._people.ask(lambda db: reconciling.pages_by_ids(db, ids))

    async def pages_by_keys(self, dedup_keys: Collection[str]) -> list[Page]:
        """Read the pages with these dedup keys, in all integrations."""
        return await self._people.ask(lambda db: reconciling.pages_by_keys(db, dedup_keys))

    async def firing_events(self, dedup_key: str, integrations: Collection[str]) -> list[Held]:
        """List the alerts that came as events and fire in pages with this dedup key, or in those linked to them.

        Of these integrations; none named: of all.
        """
        return await self._people.ask(lambda db: firing_events(db, dedup_key, integrations))

    async def firing_among(self, alerts: Collection[int]) -> set[int]:
        """Say which of these alerts fire."""
        return await self._people.ask(lambda db: reconciling.firing_among(db, alerts))

    async def receivers(self, source: str) -> set[str]:
        """Say by which receivers of its Alertmanager a source was heard lately."""
        return await self._people.ask(lambda db: reconciling.receivers(db, source))

    async def hooks(self) -> list[Hook]:
        """List where each routing key was found to lead at PagerDuty, those that are gone too."""
        return await self._people.ask(reconciling.hooks)

    async def put_hooks(self, found: Sequence[Hook]) -> None:
        """Write where routing keys lead."""
        await self._write(lambda db: reconciling.put_hooks(db, found))

    async def put_right(self, page: int, decide: reconciling.Decide, now: Instant) -> Plan:
        """Show `decide` the latest row of one page and write what it says: the page, and what was done about it."""
        return await self._write(lambda db: reconciling.put_right(db, page, decide, now))

    async def firing(self, after_id: int, limit: int) -> list[Held]:
        """List firing alerts by id, from the first one after `after_id` (start with -1)."""
        return await self._alerts("firing_alerts", (after_id, limit))

    async def held(self, after_id: int, limit: int) -> list[Held]:
        """List alerts by id, resolved ones too, from the first one after `after_id` (start with -1)."""
        return await self._alerts("held_alerts", (after_id, limit))

    async def attempts_since(self, at: Instant) -> list[tuple[str, Instant, Lane]]:
        """List (integration, start, lane) of every attempt started at or after `at`, oldest first."""
        text = query("clockwork", "attempts_since")
        rows = await self._clockwork.ask(lambda db: db.execute(text, {"at": at}).fetchall())
        return [(integration, started, Lane(lane)) for integration, started, lane in rows]

    async def open_lines(self) -> dict[str, int]:
        """Count, by key id, the pages that PagerDuty may hold open under that key, at hand or gone."""
        return await self._clockwork.ask(upkeep.open_lines)

    async def mark_keys(self, available: Collection[str]) -> list[int]:
        """Set Line.gone on lines that may be open, as the keys at hand say; return the pages that changed."""
        keys = frozenset(available)
        changed: list[int] = []
        while some := await self._write(lambda db: upkeep.mark_keys(db, keys)):
            changed += some
        return changed

    async def stalled(self, after: int, limit: int) -> list[Page]:
        """List pages by id, from the first after `after` (start with -1), that have news and wait in no lane."""
        bounds = {"after": after, "limit": limit}
        text = query("clockwork", "stalled")
        return await self._clockwork.ask(lambda db: [codec.page(row) for row in db.execute(text, bounds).fetchall()])

    async def dead(self, after: int, limit: int) -> list[Page]:
        """List dead letters by id, from the first after `after` (start with -1), without those a person let go of."""
        bounds = {"after": after, "limit": limit}
        text = query("clockwork", "dead_pages")
        return await self._clockwork.ask(lambda db: [codec.page(row) for row in db.execute(text, bounds).fetchall()])

    async def clock_back(self, now: Instant) -> int:
        """Make rows due whose `due_at` is further away than the delay it came from; return how many."""
        return await self._write(lambda db: db.execute(query("clockwork", "clock_back"), {"now": now}).rowcount)

    async def integrations(self) -> list[Known]:
        """List every integration that was ever remembered, by id."""
        rows = await self._clockwork.ask(lambda db: db.execute(query("clockwork", "integrations")).fetchall())
        return [Known(*row) for row in rows]

    async def remember_integrations(self, rows: Sequence[tuple[str, str, str, int]]) -> None:
        """Write (id, key id, receiver, position) of each integration; others stay as they were."""
        await self._write(lambda db: db.executemany(query("clockwork", "write_integration"), rows).rowcount)

    async def prune(self, before: Instant, limit: int) -> int:
        """Delete what was over before then, at most `limit` rows of a kind; return how many went.

        Goes: finished pages with members and attempts, alerts that do not fire and are in no page, old entries of the
        journal, and old ended attempts. Never what is undelivered, dead, linked to something live, or waiting.
        """
        over = await self._people.ask(lambda db: upkeep.find_over(db, before, limit))
        return await self._write(lambda db: upkeep.prune(db, over, before, limit))

    async def page(self, number: int) -> Seen | None:
        """Show one page with its members; None if there is none."""
        return await self._people.ask(lambda db: answers.page(db, number))

    async def pages(
        self,
        dedup_key: str | None = None,
        wanted: Wanted | None = None,
        delivered: State | None = None,
        waiting: bool | None = None,
        limit: int = 100,
        after: int | None = None,
    ) -> list[Page]:
        """List pages by id, from the first one after `after`; each argument that is given narrows the list.

        `waiting`: has something to send and is not in flight.
        """
        return await self._people.ask(lambda db: answers.pages(db, dedup_key, wanted, delivered, waiting, limit, after))

    async def pages_by_need(self, asked: Needed) -> tuple[list[Page], Mapping[str, int]]:
        """List pages as a person needs them, and count all of them by their state; both the most urgent first."""
        return await self._people.ask(lambda db: answers.pages_by_need(db, asked))

    async def due(self, now: Instant) -> Mapping[str, int]:
        """Count the pages that have something to send by now, by the Integration.id that carries it."""
        return await self._people.ask(lambda db: answers.due(db, now))

    async def pages_holding(self, fingerprint: str, limit: int = 100) -> list[Page]:
        """List the pages by id that an alert is a member of, whichever source sent it."""
        return await self._people.ask(lambda db: answers.pages_holding(db, fingerprint, limit))

    async def page_ids(self, dedup_key: str) -> list[int]:
        """Name the pages with this dedup key: one for each integration that has it."""
        return await self._people.ask(lambda db: answers.page_ids(db, dedup_key))

    async def attempts(self, page: int, limit: int = 100) -> list[Attempt]:
        """List a page's attempts, newest first."""
        return await self._people.ask(lambda db: answers.attempts(db, page, limit))

    async def decisions(
        self,
        limit: int = 100,
        before: int | None = None,
        source: str | None = None,
        fingerprint: str | None = None,
        page: int | None = None,
        group_key: str | None = None,
    ) -> list[Entry]:
        """List entries of the journal, newest first, from the one before entry `before`.

        With a fingerprint or a page, each entry carries only its decisions about that, and entries without any are
        left out; a search that no index helps looks at the newest 5,000 entries.
        """
        return await self._people.ask(
            lambda db: answers.decisions(db, limit, before, source, fingerprint, page, group_key)
        )

    async def look(self, lookup: Lookup) -> Ledger:
        """Show what `keep` would show a judge, as of the last commit."""
        return await self._people.ask(lambda db: read_ledger(db, lookup))

    async def alerts(self, fingerprint: str) -> list[Held]:
        """Find an alert by its fingerprint, once for each source that sent it."""
        return await self._people.ask(lambda db: answers.alerts(db, fingerprint))

    async def firing_with_members(self, after_id: int, limit: int) -> list[Firing]:
        """List firing alerts by id, from the first one after `after_id` (start with -1), with what keeps them quiet."""
        return await self._people.ask(lambda db: read_firing(db, after_id, limit))

    async def leaving(self, page: int, after: int, limit: int) -> list[int]:
        """Name alerts that leave a storm page once another is open, from the first one after `after` (start: -1)."""
        return await self._clockwork.ask(lambda db: storms.leaving(db, page, after, limit))

    async def homes(self, page: int, limit: int) -> list[Home]:
        """List what was folded into a storm page and fires unsuppressed: worst, then longest firing, first."""
        return await self._people.ask(lambda db: storms.homes(db, page, limit))

    async def homes_count(self, page: int) -> int:
        """Count the pages that were folded into a storm page and stay there: something of them fires in it."""
        return await self._people.ask(lambda db: storms.homes_count(db, page))

    async def alerts_of(self, page: int, homes: Collection[int]) -> list[int]:
        """Name the firing alerts of a storm page that were folded out of these pages."""
        return await self._people.ask(lambda db: storms.alerts_of(db, page, homes))

    async def stood(self, page: int, after: int, limit: int) -> list[Stood]:
        """Show what fires in a storm page by alert, from the first one after `after` (start with -1)."""
        return await self._people.ask(lambda db: storms.stood(db, page, after, limit))

    async def counts(self) -> Counts:
        """Count the pages by what they are and what they wait for, in constant time."""
        return await self._people.ask(answers.counts)

    async def count_stale(self) -> Stale:
        """Count what fires and was not heard of for too long."""
        return await self._people.ask(answers.stale)

    async def size_bytes(self) -> int:
        """Say how large the database is, without its log."""
        return await self._people.ask(answers.size_bytes)

    async def _alerts(self, name: str, bounds: Sequence[object] | Mapping[str, object]) -> list[Held]:
        """Ask for alerts; a row that makes no sense is found on the reader's thread, which knows what to do of it."""
        text = query("clockwork", name)
        return await self._clockwork.ask(lambda db: [codec.held(row) for row in db.execute(text, bounds).fetchall()])

    async def _ready(self) -> None:
        """Connect every reader now: on a disk that is full later, a connection could not be made any more."""
        try:
            await self._clockwork.ask(lambda _: None)
            await self._people.ask(lambda _: None)
        except StoreError:
            await self.close()
            raise

    async def _write(self, work: Callable[[sqlite3.Connection], Answer], *, ahead: bool = False) -> Answer:
        if self._writer is None:
            raise StoreError("the store was opened for looking only")
        return await self._writer.do(work, ahead=ahead)


def _readers(directory: Path, suspect: Callable[[BaseException], None] = lambda error: None) -> tuple[Reader, Reader]:
    """One reader for the dispatcher and the scheduler, one for people: a long search must not delay a page."""
    look = partial(connect.reading, directory)
    which = partial(identity, directory / connect.FILE)
    clockwork = Reader(look, "store-clockwork", which=which, suspect=suspect)
    return clockwork, Reader(look, "store-people", which=which, suspect=suspect)
