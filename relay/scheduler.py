"""The clockwork: pages to look at again, what fires after a reload, what was heard, retention, a clock that steps."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter

from msgspec.structs import replace

from relay import failpoints
from relay.alert import DAY, MINUTE, SECOND, Duration, Instant
from relay.logs import Log
from relay.metrics import Metrics
from relay.page import Page, Wanted
from relay.recall import Recall
from relay.rollcall import RollCall
from relay.rounds import TICK, Rounds
from relay.rules.ladder import revived
from relay.rules.ledger import Held, Ledger, Lookup, Plan
from relay.rules.letters import revive
from relay.rules.pages import plan
from relay.rules.reload import (
    Rejudged,
    inhibits_anew,
    introduce,
    labels_of,
    look_again,
    place_again,
    rejudge,
    storm_over,
    waits_for,
)
from relay.rules.rulebook import Rulebook
from relay.rules.silences import NO_SILENCES, Silence, Silences, SilenceState
from relay.rules.staleness import Listening
from relay.rules.storms import OPENED_AT_ITS_END, StormBegins, opened_at_its_end
from relay.store import SqliteStore
from relay.storms import Storms, Watch

HEARD_EVERY: Duration = 15 * SECOND
PRUNE_EVERY: Duration = 10 * MINUTE
STEP: Duration = 2 * SECOND
"""A wall clock that moved this much against the steady one was set."""
SHORTEST: Duration = SECOND // 50
"""Least time between two ticks, so that what cannot be done now is not tried without end."""
BATCH = 500
MOST_OPENED = 2_000
"""Alerts of folded pages that are moved back in one transaction, at the end of a storm."""
_source_of = attrgetter("source")
PRUNED_AT_ONCE = 1_000


class Scheduler(Rounds):
    """Does what time makes due. `book` is the rule book that counts, replaced by a reload."""

    def __init__(
        self,
        store: SqliteStore,
        book: Rulebook,
        recall: Recall,
        *,
        clock: Callable[[], Instant],
        steady: Callable[[], Instant],
        wake: Callable[[], None],
        silences: Callable[[], Silences] = lambda: NO_SILENCES,
        rolls: RollCall | None = None,
        storms: Storms | None = None,
        retention: Duration = 7 * DAY,
        metrics: Metrics,
        log: Log,
    ) -> None:
        super().__init__("the clockwork", metrics, log)
        self.book = book
        self._store = store
        self._recall = recall
        self._clock = clock
        self._steady = steady
        self._wake = wake
        self._silences = silences
        self._rolls = rolls
        """To be told, once, who is expected in which group's bodies."""
        self._storms = storms if storms is not None else Storms()
        self._changed: list[Silence] = []
        """Silences that were made, changed or ended and not looked at yet."""
        self._listening = Listening(clock(), recall.sources, recall.since)
        self._begun_at = clock()
        """Up to when silences that begin by themselves were looked for."""
        self._retention = retention
        self._rejudge = True
        self._heard_at = steady()
        self._pruned_at: Instant | None = None
        self._offset = clock() - steady()

    def reloaded(self, book: Rulebook) -> None:
        """Let new rules count: every firing alert is judged again from the store."""
        self.book = book
        self._rejudge = True
        self.nudge()

    def silence_changed(self, silence: Silence) -> None:
        """Let a silence count that was made, changed or ended."""
        self._changed.append(silence)
        self.nudge()

    async def run(self) -> None:
        """Tick until stopped; write down what was heard at the end."""
        await super().run()
        await self._write_heard()

    async def tick(self) -> None:
        """Do everything that is due now."""
        await self._watch_clock()
        if self._rejudge:
            await self._judge_all()
        await self._follow_silences()
        await self._judge_due()
        await self._look_again()
        if self._steady() - self._heard_at >= HEARD_EVERY:
            await self._write_heard()
        if self._pruned_at is None or self._steady() - self._pruned_at >= PRUNE_EVERY:
            await self._prune()

    async def patience(self) -> Duration:
        """Say how long nothing is due."""
        now = self._clock()
        due = await self._store.next_judgement()
        begins = self._silences().next_change(self._begun_at)
        known = [at for at in (due, begins) if at is not None]
        return max(min(known, default=now + TICK) - now, SHORTEST)

    async def _watch_clock(self) -> None:
        """Rows further away than the delay they came from are due now: the wall clock was set back."""
        offset = self._clock() - self._steady()
        if abs(offset - self._offset) < STEP:
            return
        self._log.warning("the wall clock was set", seconds=(offset - self._offset) / SECOND)
        self._offset = offset
        if await self._store.clock_back(self._clock()):
            self._wake()

    async def _judge_all(self) -> None:
        """Judge every firing alert again by the rules that count, in batches, and re-plan pages whose keys changed."""
        book = self.book
        self._rejudge = False
        await self._write_heard(at_once=True)  # a window judges by when an alert was heard
        await self._mark_keys(book)
        await self._revive(book)
        await self._introduce(book)
        after = -1
        while held := await self._store.firing(after, BATCH):
            if self.book is not book:
                return  # reloaded meanwhile: `_rejudge` is set again
            self._expect(held)
            await self._judge_again(held, book)
            failpoints.reached("rejudge.step")
            after = held[-1].id
            self._wake()
            await asyncio.sleep(0)
        self._rolls = None
        self._wake()

    async def _introduce(self, book: Rulebook) -> None:
        """Write down who inhibits whom by new rules: a target may be judged in an earlier batch than its source."""
        after = -1
        while book.rules.inhibit_rules and (held := await self._store.firing(after, BATCH)):
            anew = [one for one in held if inhibits_anew(one, book)]
            if anew:
                again = place_again(anew, book)
                await self._store.keep(again.lookup, partial(self._introduced, again, book))
            after = held[-1].id
            await asyncio.sleep(0)

    def _introduced(self, again: Rejudged, book: Rulebook, ledger: Ledger) -> Plan:
        return introduce(again, ledger, self._clock(), book)

    def _expect(self, held: Sequence[Held]) -> None:
        """Expect alerts that fired before a restart in the bodies of the groups they were heard in."""
        if self._rolls is None:
            return
        for one in held:
            for group_key in one.groups if not one.absent_at else ():
                if group_key:
                    self._rolls.seed((one.source, group_key), one.id)

    def _count(self, plan: Plan) -> None:
        """Count what was judged again, and log one line of it where something changed."""
        self._storms.tell(plan.folded, self._log)
        if plan.record is None:
            self._metrics.judged_again(plan, ())
            return
        self._metrics.judged_again(plan, plan.record.decisions)
        self._log.info("judged again", source=plan.record.source, **plan.record.outcomes)

    async def _judge_again(self, held: Sequence[Held], book: Rulebook) -> None:
        """Judge alerts again, those of each source by themselves: the journal's entries have one."""
        for _, some in groupby(sorted(held, key=_source_of), key=_source_of):
            again = place_again(tuple(some), book)
            plan = None
            while plan is None:
                storms = self._storms.watch(again.entries, again.lookup, book, self._clock())
                try:
                    plan = await self._store.keep(storms.lookup, partial(self._judged_again, again, book, storms))
                except StormBegins as missing:
                    self._storms.look_up(missing)
            self._count(plan)

    def _judged_again(self, again: Rejudged, book: Rulebook, storms: Watch, ledger: Ledger) -> Plan:
        found = rejudge(again, ledger, self._clock(), book, self._silences(), self._listening, storms)
        self._recall.forget(found.groups)
        return found

    async def _mark_keys(self, book: Rulebook) -> None:
        """Mark lines whose routing key is gone or back, and queue what waits for a key that is at hand now."""
        marked = await self._store.mark_keys(book.keys)
        for at in range(0, len(marked), BATCH):  # they may wait in a lane, for a refresh in hours
            numbers = tuple(marked[at : at + BATCH])
            await self._store.keep(Lookup(pages=numbers), partial(self._replan, numbers))
        after = -1
        while pages := await self._store.stalled(after, BATCH):
            numbers = tuple(page.id for page in pages)
            await self._store.keep(Lookup(pages=numbers), partial(self._replan, numbers))
            after = numbers[-1]

    async def _revive(self, book: Rulebook) -> None:
        """Have dead letters tried again that the configuration may be right for now: each is told of by itself."""
        after = -1
        while dead := await self._store.dead(after, BATCH):
            numbers = [page.id for page in dead if revived(page, book) is not page]
            plans = await asyncio.gather(*(self._revive_one(number, book) for number in numbers))
            for found in plans:
                self._count(found)
            after = dead[-1].id

    async def _revive_one(self, number: int, book: Rulebook) -> Plan:
        return await self._store.keep(
            Lookup(pages=(number,)), lambda ledger: revive(number, ledger, self._clock(), book)
        )

    def _replan(self, numbers: tuple[int, ...], ledger: Ledger) -> Plan:
        now = self._clock()
        found = [
            (ledger.pages[number], plan(ledger.pages[number], now)) for number in numbers if number in ledger.pages
        ]
        return Plan(pages=tuple(after for before, after in found if after != before))

    async def _follow_silences(self) -> None:
        """Have alerts judged again that a silence begins to keep quiet, or that one kept quiet that was changed."""
        changed, self._changed = self._changed, []
        if changed:
            await self._store.stir([silence.key for silence in changed])
        now, silences = self._clock(), self._silences()
        begins = silences.next_change(self._begun_at)
        by_itself = begins is not None and begins <= now
        self._begun_at = max(now, self._begun_at)
        if by_itself or any(silence.state(now) is SilenceState.ACTIVE for silence in changed):
            await self._silence(silences, now)

    async def _silence(self, silences: Silences, now: Instant) -> None:
        """Make every firing alert due that a silence takes; those that are quiet already learn of it as well."""
        after = -1
        while held := await self._store.firing(after, BATCH):
            taken = [one.id for one in held if not one.ours and silences.matching(labels_of(one), now)]
            if taken:
                await self._store.make_due(taken, now)
            after = held[-1].id
            await asyncio.sleep(0)

    async def _judge_due(self) -> None:
        """Judge alerts again of which time, a silence or another alert has changed what keeps them quiet."""
        while await self._store.spread(self._clock(), BATCH):
            pass  # each is a commit of its own, and others write between them
        if await self._store.due_alerts(self._clock(), 1):
            await self._write_heard(at_once=True)  # whoever was heard is not stale
        while held := await self._store.due_alerts(self._clock(), BATCH):
            await self._judge_again(held, self.book)
            self._wake()
            await asyncio.sleep(0)

    async def _look_again(self) -> None:
        """Look at the pages that something else changed."""
        while due := await self._store.due_for_judgement(self._clock(), BATCH):
            pages = (await self._seen(Lookup(pages=tuple(due)))).pages
            for number in due:
                if number in pages and pages[number].storm:
                    await self._look_at_storm(pages[number])
                else:
                    await self._look_at(number)
            self._wake()

    async def _look_at(self, number: int) -> None:
        lookup = waits_for(await self._seen(Lookup(pages=(number,), whole=(number,))), number)
        await self._store.keep(lookup, lambda ledger: look_again(number, ledger, self._clock(), self.book))

    async def _seen(self, lookup: Lookup) -> Ledger:
        """Look at the store in its turn, behind what was asked to be written before."""
        seen: list[Ledger] = []

        def peek(ledger: Ledger) -> Plan:
            seen.append(ledger)
            return Plan()

        await self._store.keep(lookup, peek)
        return seen[-1]

    # Storms

    async def _look_at_storm(self, page: Page) -> None:
        """Let alerts go whose own page is open, and see whether the storm is over; never reads all of its alerts."""
        number, after = page.id, -1
        while True:
            going = await self._store.leaving(number, after, BATCH)
            lookup = Lookup(alerts=tuple(going), pages=(number,))
            await self._store.keep(lookup, lambda ledger: look_again(number, ledger, self._clock(), self.book))
            if len(going) < BATCH:
                break
            after = going[-1]
        if page.storm_until:
            await self._end_storm(page)

    async def _end_storm(self, page: Page) -> None:
        """Once a storm is over, open the worst of what was folded and fires; else look again when it may be over."""
        homes: tuple[int, ...] = ()
        alerts: list[int] = []
        over = not self._stormy(page)
        if over:
            homes = opened_at_its_end(await self._store.homes(page.id, 2 * OPENED_AT_ITS_END), MOST_OPENED)
            alerts = await self._store.alerts_of(page.id, homes)
        lookup = Lookup(alerts=tuple(alerts), pages=(page.id, *homes))
        plan = await self._store.keep(lookup, partial(self._storm_ended, page, homes, over))
        self._count(plan)
        ended = next((one for one in plan.pages if one.id == page.id and not one.storm_until), None)
        if ended is not None:
            await self._tell_end(ended, plan)

    async def _tell_end(self, page: Page, plan: Plan) -> None:
        integration = self.book.rules.integrations.get(page.integration)
        opened = sum(not one.storm and one.wanted is Wanted.OPEN for one in plan.pages)
        name = integration.name if integration is not None else page.receiver
        self._storms.tell_end(name, page, opened, await self._store.homes_count(page.id), self._log)

    def _stormy(self, page: Page) -> bool:
        integration = self.book.rules.integrations.get(page.integration)
        return integration is not None and self._storms.lasts(integration, self._clock())

    def _storm_ended(self, page: Page, homes: Collection[int], over: bool, ledger: Ledger) -> Plan:
        now, integration = self._clock(), self.book.rules.integrations.get(page.integration)
        if over and not self._stormy(page):
            plan = storm_over(page.id, homes, ledger, now, self.book)
            self._recall.forget(plan.groups)
            return plan
        latest = ledger.pages.get(page.id)
        over_at = now if integration is None else self._storms.over_at(integration, now)
        return Plan(pages=(replace(latest, judge_at=over_at),) if latest is not None else ())

    async def _write_heard(self, *, at_once: bool = False) -> None:
        self._heard_at = self._steady()
        heard = self._recall.take_heard()
        times: dict[Instant, tuple[list[int], list[int]]] = {}
        for alert, at in heard.alerts.items():
            times.setdefault(at, ([], []))[0].append(alert)
        for page, at in heard.pages.items():
            times.setdefault(at, ([], []))[1].append(page)
        for at, (alerts, pages) in times.items():
            await self._store.heard(alerts, pages, at)
        if heard.alerts or heard.pages:
            self._wake()
        if at_once:
            await self._store.flush_heard()

    async def _prune(self) -> None:
        self._pruned_at = self._steady()
        before = self._clock() - self._retention
        gone = PRUNED_AT_ONCE
        while gone >= PRUNED_AT_ONCE and not self._stopping:
            gone = await self._store.prune(before, PRUNED_AT_ONCE)
