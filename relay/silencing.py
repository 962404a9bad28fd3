"""The front desk for silences: makes, changes and ends them, each on disk before it counts."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import uuid4

from relay.alert import Instant, moment
from relay.logs import Log
from relay.rules.matchers import Matcher
from relay.rules.silences import (
    RETENTION,
    Change,
    Posted,
    Silence,
    Silences,
    SilenceState,
    UnknownSilence,
    expired,
    put,
)


class Keeper(Protocol):
    """What the desk asks of a store."""

    async def put_silences(self, silences: Sequence[Silence], stirred: Sequence[int]) -> None:
        """Write silences, and mark the alerts that wait at these keys to be judged again; in one commit."""

    async def silences(self) -> list[Silence]:
        """List them all."""

    async def forget_silences(self, before: Instant) -> int:
        """Delete those that ended before then."""


class Silencer:
    """Holds the silences that count. Its methods raise StoreError where the store cannot; then nothing has changed."""

    def __init__(
        self,
        store: Keeper,
        *,
        clock: Callable[[], Instant],
        log: Log,
        began: Callable[[Silence], None] = lambda _: None,
    ) -> None:
        """`began` is told of each silence that was made, changed or ended, once that counts."""
        self.current = Silences()
        """Replaced as a whole, never changed."""
        self.began = began
        self._store = store
        self._clock = clock
        self._log = log
        self._writing = asyncio.Lock()

    async def open(self) -> None:
        """Load them, without those that ended long ago."""
        async with self._writing:
            self.current = Silences(await self._store.silences())
            await self._forget()

    async def put(self, posted: Posted, by: str = "") -> Silence:
        """Make a silence or change one; `by` says who, for the log. Raises BadSilence and UnknownSilence."""
        async with self._writing:
            await self._forget()
            change = put(self.current, posted, self._clock(), str(uuid4()))
            await self._write(change)
        self._tell("silence changed" if posted.id == change.silence.id else "silence made", change.silence, by)
        return change.silence

    async def expire(self, id_: str, by: str = "") -> Silence:
        """End a silence now; one that has ended stays as it is. Raises UnknownSilence."""
        async with self._writing:
            before = self.current.get(id_)
            if before is None:
                raise UnknownSilence
            ended = expired(before, self._clock())
            if ended is before:
                return before
            await self._write(Change(ended))
        self._tell("silence expired", ended, by)
        return ended

    def now(self) -> Instant:
        """Say what time it is: silences are shown as they stand."""
        return self._clock()

    def get(self, id_: str) -> Silence | None:
        """Find one by its id."""
        return self.current.get(id_)

    def list(self, filters: Sequence[Matcher] = ()) -> list[Silence]:
        """List those that have every one of these matchers, word for word, in Alertmanager's order.

        Active ones first, the next to end at the top; then those to come, the next to begin at the top; then those
        that have ended, the last at the top (api/v2/api.go SortSilences, CheckSilenceMatchesFilterLabels).
        """
        now = self._clock()
        found = [one for one in self.current if all(wanted in one.matchers for wanted in filters)]
        return sorted(found, key=lambda one: _place(one, now))

    async def _forget(self) -> None:
        before = self._clock() - RETENTION
        kept = self.current.without(before)
        if kept is not self.current:
            await self._store.forget_silences(before)
            self.current = kept

    async def _write(self, change: Change) -> None:
        changed = [one for one in (change.ended, change.silence) if one is not None]
        known = [one.key for one in changed if self.current.get(one.id) is not None]
        await self._store.put_silences(changed, known)
        self.current = self.current.changed(*changed)
        for one in changed:
            self.began(one)

    def _tell(self, what: str, silence: Silence, by: str) -> None:
        self._log.info(
            what,
            silence=silence.id,
            by=by,
            author=silence.created_by,
            comment=silence.comment,
            matchers="{" + ",".join(map(str, silence.matchers)) + "}",
            starts_at=moment(silence.starts_at).isoformat(),
            ends_at=moment(silence.ends_at).isoformat(),
        )


_ORDER = {SilenceState.ACTIVE: 0, SilenceState.PENDING: 1, SilenceState.EXPIRED: 2}


def _place(silence: Silence, now: Instant) -> tuple[int, Instant, str]:
    state = silence.state(now)
    match state:
        case SilenceState.ACTIVE:
            at = silence.ends_at
        case SilenceState.PENDING:
            at = silence.starts_at
        case SilenceState.EXPIRED:
            at = -silence.ends_at
    return _ORDER[state], at, silence.id
