"""What the ledger is known to say already, so that an unchanged repeat costs about a hash.

An entry maps (source, group_key) to the bodies and alerts accepted since the last change of any alert, member or page
of that group. It answers only "the ledger already says this". Every commit that changes something calls `forget` from
the writing thread before it commits; entries are filled on the event loop after the commit.
"""

from collections.abc import Iterable, Mapping

import msgspec
from aiocache import SimpleMemoryCache

from relay.alert import Duration, Instant

Group = tuple[str, str]
"""(source, group_key)."""


class Known(msgspec.Struct, frozen=True, gc=False):
    """What is known of one group, as of one generation."""

    generation: int
    bodies: frozenset[bytes]
    """Digests of whole bodies."""
    alerts: Mapping[bytes, int]
    """Digest of each alert's statement, with the alert's id."""
    pages: tuple[int, ...]
    """Pages its firing alerts are in."""
    firing: frozenset[int] = frozenset()
    """Ids of those that fire."""
    beats: Mapping[int, tuple[str, ...]] = {}
    """By alert, the heartbeats it keeps alive (rules.heartbeats.Watch.key); without those that keep none."""


class Heard(msgspec.Struct, frozen=True):
    """Alerts and pages named by bodies since the last flush."""

    alerts: dict[int, Instant]
    pages: dict[int, Instant]


class Recall:
    """The memory cache of unchanged bodies, and what was heard through it."""

    def __init__(self, alerts_kept: int = 200_000) -> None:
        self._cache = SimpleMemoryCache(timeout=0)  # a time-out would cost a timer per call
        self._generation: dict[Group, int] = {}
        self._epoch = 0
        self._size = 0
        self._room = alerts_kept
        self._heard: dict[Group, tuple[Known, Instant]] = {}
        self.sources: dict[str, Instant] = {}
        """When each source was last heard."""
        self.since: dict[str, Instant] = {}
        """Since when each source is heard without a silence."""

    async def known(self, group: Group) -> Known | None:
        """Return what is known of a group, if nothing of it has changed since."""
        found: Known | None = await self._cache.get(group)
        return found if found is not None and found.generation == self.generation(group) else None

    def generation(self, group: Group) -> int:
        """Name the current state of a group: it grows with every change. Safe from any thread."""
        return self._epoch + self._generation.get(group, 0)

    def forget(self, groups: Iterable[Group]) -> None:
        """Make what is known of these groups void. Called from the writing thread, before its commit."""
        for group in groups:
            self._generation[group] = self._generation.get(group, 0) + 1

    async def learn(self, group: Group, known: Known) -> None:
        """Remember what a group's body came to. A later change has made it void already if its generation is old."""
        if known.generation != self.generation(group):
            return
        self._size += len(known.alerts) + 1
        if self._size > self._room:
            await self.clear()
            return
        await self._cache.set(group, known)

    async def clear(self) -> None:
        """Forget everything, as after a reload."""
        self._epoch += 1 + max(self._generation.values(), default=0)
        self._generation.clear()
        self._size = 0
        await self._cache.clear()

    def listen(self, source: str, now: Instant, silent_after: Duration) -> None:
        """Note that something was heard from a source, which is silent when nothing is for so long."""
        if now - self.sources.get(source, now - silent_after) >= silent_after:
            self.since[source] = now
        self.sources[source] = now

    def hear(self, group: Group, known: Known, now: Instant) -> None:
        """Mark a group's alerts and pages as heard."""
        self._heard[group] = (known, now)

    def take_heard(self) -> Heard:
        """Hand over everything heard since the last call, and start anew."""
        taken, self._heard = self._heard, {}
        alerts: dict[int, Instant] = {}
        pages: dict[int, Instant] = {}
        for known, at in taken.values():
            alerts.update(dict.fromkeys(known.alerts.values(), at))
            pages.update(dict.fromkeys(known.pages, at))
        return Heard(alerts, pages)
