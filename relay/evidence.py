"""The enquiry: asks a source's Alertmanagers about alerts nobody speaks of any more, and ends those that are gone."""

import asyncio
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from relay.alert import SECOND, Duration, Instant
from relay.alertmanager import AlertmanagerClient
from relay.errors import StoreError
from relay.logs import Log
from relay.metrics import Metrics
from relay.polling import Polling
from relay.recall import Recall
from relay.rules.gone import APART, Poll, doubt, end, gone
from relay.rules.ledger import Held, Ledger, Plan
from relay.rules.reload import Rejudged, place_again
from relay.rules.rulebook import Rulebook
from relay.rules.ruleset import Source
from relay.store import SqliteStore

TICK: Duration = 15 * SECOND
BATCH = 500
"""Alerts looked at, and ended, at once."""


class Evidence:
    """Polls every five minutes where something is stale. What was polled before is in memory: a start begins anew."""

    def __init__(
        self,
        store: SqliteStore,
        book: Rulebook,
        recall: Recall,
        client: AlertmanagerClient,
        *,
        clock: Callable[[], Instant],
        steady: Callable[[], Instant],
        wake: Callable[[], None],
        nudge: Callable[[], None] = lambda: None,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._store = store
        self._recall = recall
        self._polling = Polling(store, client, clock)
        self._clock = clock
        self._steady = steady
        self._wake = wake
        self._nudge = nudge
        self._wait = wait
        self._metrics = metrics
        self._log = log
        self._stale: Mapping[str, int] = {}
        """How many alerts of each source were stale when last looked."""
        self.reloaded(book)

    def reloaded(self, book: Rulebook) -> None:
        """Ask whom the new rules name, and begin anew."""
        self._book = book
        self._polls: dict[str, Poll] = {}
        """By source, the last poll, where it proves anything."""
        self._asked: dict[str, Instant] = {}
        """By source, when it was last asked, by the steady clock."""
        self._said: dict[str, str] = {}
        """By source, why its stale alerts were last kept."""

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            try:
                await self.tick()
            except StoreError as error:
                self._failed(error)
            except Exception:  # whatever it is: the enquiry must go on
                self._log.error("the enquiry failed, it tries again", error=traceback.format_exc())
            await self._wait(TICK / SECOND)

    async def tick(self) -> None:
        """Tell of what became stale, and ask about it where five minutes have passed since that was done last."""
        stale = await self._store.count_stale()
        for source, count in stale.alerts.items():
            if count > self._stale.get(source, 0):
                self._log.warning("alerts became stale", source=source, stale=count, stale_pages=stale.pages)
        self._stale = stale.alerts
        for source in self._asked.keys() - stale.alerts.keys():
            self._forget(source)
        async with asyncio.TaskGroup() as tasks:
            for source in stale.alerts:
                if self._is_due(source):
                    tasks.create_task(self._enquire(self._book.rules.sources[source]))

    def _is_due(self, source: str) -> bool:
        named = self._book.rules.sources.get(source)
        if named is None or not named.alertmanager_urls:
            return False
        return source not in self._asked or self._steady() - self._asked[source] >= APART

    async def _enquire(self, source: Source) -> None:
        book = self._book
        try:
            if await self._store.stale(source.name, -1, 1):
                await self._poll(source, book)
        except StoreError as error:
            self._failed(error)
        except Exception:  # whatever it is: the other sources must be asked, and this one again
            self._log.error("asking Alertmanagers failed", source=source.name, error=traceback.format_exc())

    async def _poll(self, source: Source, book: Rulebook) -> None:
        poll = await self._polling.poll(source, book)
        if book is not self._book:
            return  # reloaded meanwhile: perhaps others are to be asked
        first = self._polls.pop(source.name, None)
        self._asked[source.name] = self._steady()
        self._metrics.polled(source.name, failed=bool(poll.faults))
        kept: Counter[str] = Counter()
        ended, after = 0, -1
        while held := await self._store.stale(source.name, after, BATCH):
            found = gone(first, poll, held)
            kept.update(found.kept)
            if first is not None and found.gone:
                ended += await self._end(found.gone, first, poll, book)
            after = held[-1].id
        if not doubt(poll):
            self._polls[source.name] = poll
        self._tell(source.name, ended, kept, asked_before=first is not None)

    async def _end(self, held: Sequence[Held], first: Poll, second: Poll, book: Rulebook) -> int:
        again = place_again(held, book)
        plan = await self._store.keep(again.lookup, partial(self._ended, again, first, second, book))
        if plan.record is None:
            return 0
        self._metrics.judged_again(plan, plan.record.decisions)
        self._wake()
        self._nudge()
        return len(plan.record.decisions)

    def _ended(self, again: Rejudged, first: Poll, second: Poll, book: Rulebook, ledger: Ledger) -> Plan:
        plan = end(again, first, second, ledger, self._clock(), book)
        self._recall.forget(plan.groups)
        return plan

    def _tell(self, source: str, ended: int, kept: Mapping[str, int], *, asked_before: bool) -> None:
        """Log what is gone; and why others are kept, where that is news."""
        if ended:
            self._log.info("stale alerts are gone", source=source, resolved=ended)
        because = max(kept, key=lambda why: kept[why], default="")
        if not because:
            self._said.pop(source, None)
        elif because != self._said.get(source) and (asked_before or source not in self._polls):
            self._said[source] = because
            self._log.info("stale alerts are kept", source=source, stale=sum(kept.values()), because=because)

    def _forget(self, source: str) -> None:
        """Nothing of a source is stale any more."""
        for known in (self._polls, self._asked, self._said):
            known.pop(source, None)

    def _failed(self, error: StoreError) -> None:
        self._metrics.store_failed("schedule")
        self._log.error("the enquiry cannot use the store, it tries again", error=str(error))
