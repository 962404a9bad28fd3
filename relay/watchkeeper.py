"""The night watch: notes who is heard, and pages when a heartbeat or a source the file names is heard no more."""

from collections.abc import Callable, Iterable
from functools import partial

from relay.alert import SECOND, Duration, Instant
from relay.logs import Log
from relay.metrics import Metrics
from relay.rounds import TICK, Rounds
from relay.rules.classify import Draft
from relay.rules.heartbeats import (
    Beat,
    Watch,
    alarm,
    all_clear,
    missing,
    next_due,
    returned,
    source_key,
    tell,
    unwatched,
    watches,
)
from relay.rules.ledger import Ledger, Plan
from relay.rules.rulebook import Rulebook
from relay.store import SqliteStore


class Watchkeeper(Rounds):
    """Keeps watch over everything that must be heard; what it says is kept as any other alert is."""

    def __init__(
        self,
        store: SqliteStore,
        book: Rulebook,
        *,
        clock: Callable[[], Instant],
        wake: Callable[[], None],
        metrics: Metrics,
        log: Log,
    ) -> None:
        super().__init__("the night watch", metrics, log)
        self._store = store
        self._clock = clock
        self._wake = wake
        self._heard: dict[str, Beat] = {}
        self._started_at = clock()
        self._told: dict[str, bool] = {}
        """By Watch.key, what was kept last: True, it is missing. Nothing is known at the start."""
        self.reloaded(book)

    def reloaded(self, book: Rulebook) -> None:
        """Watch what the new rules name; alarms of what they do not name any more are called off."""
        self._book = book
        self._watches = watches(book.rules)
        self._told.clear()
        self._look_around = True
        self.nudge()

    def hear(self, source: str, beats: Iterable[str]) -> None:
        """Note that a source was heard, and which heartbeats its alerts kept alive."""
        beat = Beat(self._clock(), source)
        for key in (source_key(source), *beats):
            self._heard[key] = beat
            if self._told.get(key):
                self.nudge()

    async def tick(self) -> None:
        """Say who is missing and who has returned, as far as that was not said."""
        if self._look_around:
            await self._call_off()
            self._look_around = False
        now = self._clock()
        for watch in missing(self._watches, self._heard, self._started_at, now):
            if self._told.get(watch.key) is not True:
                draft = alarm(watch, self._heard.get(watch.key), self._started_at, now, self._book)
                await self._keep(watch, draft, is_missing=True)
        for watch in returned(self._watches, self._heard, now):
            if self._told.get(watch.key) is not False:
                await self._keep(watch, all_clear(watch, now), is_missing=False)

    async def _keep(self, watch: Watch, draft: Draft, *, is_missing: bool) -> None:
        plan = await self._store.keep(draft.lookup, partial(self._judged, draft))
        self._told[watch.key] = is_missing
        if plan.record is not None:
            what = "what must be heard is missing" if is_missing else "what was missing is heard again"
            self._log.warning(what, watch=watch.key, source=watch.source)
            self._wake()

    def _judged(self, draft: Draft, ledger: Ledger) -> Plan:
        return tell(draft, ledger, self._clock(), self._book)

    async def _call_off(self) -> None:
        """Call off alarms whose watch is gone from the file."""
        ours = await self._store.firing_of_ours()
        for draft in unwatched(ours, self._watches, self._clock()):
            await self._store.keep(draft.lookup, partial(self._judged, draft))
            self._wake()

    async def patience(self) -> Duration:
        """Say how long nothing can be missing that is not."""
        now = self._clock()
        due = next_due(self._watches, self._heard, self._started_at, now)
        return TICK if due is None else max(due - now, SECOND // 20)
