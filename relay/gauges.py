"""The gauges: reads off the rooms and the store how things stand, right before somebody looks at /metrics."""

import os
from collections import Counter
from collections.abc import Callable, Container, Mapping
from pathlib import Path

from relay.alert import Instant
from relay.errors import StoreError
from relay.house import House
from relay.metrics import Metrics
from relay.rules.pages import LIVE


class Gauges:
    """Brings the gauges up to date. `at_hand` has the id of every key at hand."""

    def __init__(
        self,
        house: House,
        storage_path: Path,
        *,
        at_hand: Container[str],
        clock: Callable[[], Instant],
        steady: Callable[[], Instant],
        metrics: Metrics,
    ) -> None:
        self._house = house
        self._storage_path = storage_path
        self._at_hand = at_hand
        self._clock = clock
        self._steady = steady
        self._metrics = metrics

    async def refresh(self) -> None:
        """Read everything off. Does not raise: a store that cannot be asked is a reading as well."""
        rules = self._house.intake.book.rules
        names = {one.id: one.name for one in rules.integrations.values()}
        now = self._steady()
        for integration, window in self._house.dispatcher.windows().items():
            if integration in names:
                self._metrics.budget(names[integration], window.tokens(now), circuit_open=window.closed(now))
        for integration, name in names.items():
            known = rules.integrations[integration]
            self._metrics.storming(name, on=self._house.storms.lasts(known, self._clock()))
            confirmation = self._house.confirming.standing.get(integration)
            self._metrics.confirming(name, on=confirmation is not None and confirmation.since is not None)
        for source, at in self._house.recall.sources.items():
            self._metrics.heard(source, at)
        try:
            await self._measure_store(names)
        except StoreError:
            self._metrics.stored(up=False)

    async def _measure_store(self, names: Mapping[str, str]) -> None:
        store = self._house.store
        counts = await store.counts()
        open_pages: Counter[str] = Counter()
        for kind, count in counts.pages.items():
            if kind.delivered in LIVE:
                open_pages[names.get(kind.integration, "gone")] += count
        gone = sum(count for key, count in (await store.open_lines()).items() if key not in self._at_hand)
        waiting: Counter[int] = Counter()
        for (_, lane), count in counts.waiting.items():
            waiting[int(lane)] += count
        self._metrics.queued(waiting, {int(lane): at for lane, at in counts.oldest.items()}, self._clock())
        self._metrics.held(open_pages, sum(counts.dead.values()), gone)
        self._metrics.changes_waiting(await self._house.changes.waiting())
        stale = await store.count_stale()
        self._metrics.stale(stale.alerts, stale.pages)
        disk = os.statvfs(self._storage_path)
        self._metrics.stored(up=True, size=await store.size_bytes(), free=disk.f_bavail * disk.f_frsize)
