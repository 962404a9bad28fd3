"""The pause: for a while nothing is sent to some receivers, or to any, because somebody said so."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from relay.alert import DAY, SECOND, Duration, Instant
from relay.errors import RelayError
from relay.logs import Log
from relay.metrics import Metrics
from relay.rounds import TICK, Rounds
from relay.rules.rulebook import Rulebook
from relay.rules.suppression.words import clock as written
from relay.rules.suppression.words import span
from relay.store import Pause

LONGEST: Duration = DAY
EVERYTHING = ""
"""In place of a receiver's name."""


class CannotPause(RelayError):
    """It makes no sense: say why, and what would."""

    status_hint = 400


class Keeper(Protocol):
    """What the pause asks of a store."""

    async def pauses(self) -> list[Pause]:
        """List every pause there is or was, newest first."""

    async def put_pauses(self, changed: Sequence[Pause]) -> None:
        """Write pauses whole."""


class Pausing(Rounds):
    """Knows what is paused; each change is on disk before it counts. `book` is set by a reload."""

    def __init__(
        self,
        store: Keeper,
        book: Rulebook,
        *,
        clock: Callable[[], Instant],
        wake: Callable[[], None],
        ring: Callable[[str, str], None],
        quiet: Callable[[str], None],
        metrics: Metrics,
        log: Log,
    ) -> None:
        """`wake` is called when there may be something to send again."""
        super().__init__("the pause", metrics, log)
        self._store = store
        self._book = book
        self._clock = clock
        self._wake = wake
        self._ring = ring
        self._quiet = quiet
        self._known: dict[int, Pause] = {}
        self._said: Mapping[str, Pause] | None = None
        """What was last told of, by receiver."""
        self._writing = asyncio.Lock()

    async def open(self) -> None:
        """Remember what was paused before. Raises StoreError."""
        self._known = {one.id: one for one in await self._store.pauses()}
        self._tell()

    async def keep(self) -> None:
        """Write down again what is known: the store is another one. Raises StoreError."""
        async with self._writing:
            await self._store.put_pauses(tuple(self._known.values()))

    def reloaded(self, book: Rulebook) -> None:
        """Go by the receivers of another configuration."""
        self._book = book
        self._wake()

    # What is asked of it

    @property
    def current(self) -> Mapping[str, Pause]:
        """What is paused now, by receiver; EVERYTHING for all of them."""
        now = self._clock()
        return {one.receiver: one for one in self._known.values() if _counts(one, now)}

    @property
    def past(self) -> tuple[Pause, ...]:
        """What was paused and is over, newest first."""
        now = self._clock()
        return tuple(one for _, one in sorted(self._known.items(), reverse=True) if not _counts(one, now))

    def of(self, integration: str) -> Pause | None:
        """Say what keeps an integration from being sent to; None if nothing does."""
        if not self._known:
            return None
        current = self.current
        if EVERYTHING in current:
            return current[EVERYTHING]
        return next((pause for name, pause in current.items() if integration in self._integrations(name)), None)

    def why(self, integration: str) -> str:
        """Say why nothing is sent to an integration; "" where nothing keeps it."""
        pause = self.of(integration)
        return "" if pause is None else describe(pause, self._clock())

    def _integrations(self, receiver: str) -> Collection[str]:
        found = self._book.rules.receivers.get(receiver)
        return [target.integration for target in found.targets] if found is not None else ()

    # What changes it

    async def pause(self, receiver: str, length: Duration, by: str) -> Pause:
        """Send nothing to a receiver, or to any (EVERYTHING), for so long from now, in place of an earlier pause.

        Raises CannotPause, and StoreError: then nothing is paused.
        """
        self._check(receiver, length)
        async with self._writing:
            now = self._clock()
            ended = self._ended(receiver, now, by)
            made = Pause(max(self._known, default=0) + 1, receiver, now, now + length, by)
            await self._put([*ended, made])
        self._log.warning("paused", receiver=receiver or "all", by=by, lasts=span(length))
        self._tell()
        return made

    async def resume(self, receiver: str | None, by: str) -> tuple[Pause, ...]:
        """End the pause of a receiver, or (None) every pause; return those that ended. Raises StoreError."""
        async with self._writing:
            ended = self._ended(receiver, self._clock(), by)
            if ended:
                await self._put(ended)
        self._tell()
        return tuple(ended)

    def _check(self, receiver: str, length: Duration) -> None:
        if not SECOND <= length <= LONGEST:
            raise CannotPause(f"a pause lasts from 1s to {span(LONGEST)}: pause again when it is over")
        if receiver != EVERYTHING and not self._integrations(receiver):
            known = ", ".join(name for name in self._book.rules.receivers if self._integrations(name))
            raise CannotPause(
                f"there is no receiver {receiver[:80]!r} that pages anybody: the configuration has {known}"
            )

    def _ended(self, receiver: str | None, now: Instant, by: str) -> list[Pause]:
        return [
            one._replace(ended_at=now, ended_by=by)
            for name, one in self.current.items()
            if receiver is None or name == receiver
        ]

    async def _put(self, changed: Sequence[Pause]) -> None:
        await self._store.put_pauses(changed)
        self._known |= {one.id: one for one in changed}

    # What it says of itself

    async def tick(self) -> None:
        """See whether a pause is over."""
        self._tell()

    async def patience(self) -> Duration:
        """Say when the next pause is over."""
        now = self._clock()
        return max(min((one.until - now for one in self.current.values()), default=TICK), SECOND // 20)

    def _tell(self) -> None:
        """Say everywhere what is paused, as far as that changed."""
        current = self.current
        if current == self._said:
            return
        for receiver in (self._said or {}).keys() - current.keys():
            self._log.warning("resumed", receiver=receiver or "all")
        self._said = current
        self._metrics.paused([name or "all" for name in current])
        if current:
            self._ring("paused", "; ".join(describe(one, self._clock()) for one in current.values()))
        else:
            self._quiet("paused")
        self._wake()
        self.nudge()


def describe(pause: Pause, now: Instant) -> str:
    """Say what is paused as a sentence."""
    to = f"receiver {pause.receiver}" if pause.receiver else "anybody"
    return f"nothing is sent to {to}: paused until {written(pause.until, now)} by {pause.by}"


def _counts(pause: Pause, now: Instant) -> bool:
    """Say whether a pause is in force; one that begins later is none: the clock was set back since."""
    return not pause.ended_at and pause.since <= now < pause.until
