"""The bell: pages about the relay itself, past every rule, template, pause and broken store."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from msgspec.structs import replace

from relay.alert import HOUR, MINUTE, SECOND, Duration, Instant, moment
from relay.errors import StoreError
from relay.event import Action, Delivered, Event, Outcome, Retry, Severity
from relay.logs import Log, clean
from relay.metrics import Metrics
from relay.page import State
from relay.rounds import TICK, Rounds
from relay.rules.pages import LIVE
from relay.rules.rulebook import Rulebook
from relay.store import SelfPage

APART: Duration = MINUTE
"""Least time between two events for one reason."""
REMIND: Duration = 4 * HOUR
"""A reason that lasts is told again, for somebody may have closed its incident."""
HAPPENED: Duration = HOUR
"""For how long a reason counts that happens rather than lasts."""
UNHEARD: Duration = 3 * MINUTE
"""A reason that was open before a restart, and that nobody rings again for so long, is over."""
_WRITING = 3.0
"""Seconds to wait for the store: what is wrong may be the store itself."""
_SUMMARY = 1_000
_CRITICAL = frozenset({"store_failing", "dead_letters"})
_HAPPENS = frozenset(
    {
        "store_corrupt",
        "body_too_large",
        "body_refused",
        "unknown_source",
        "auth_failures",
        "clock_back",
        "template_failing",
    }
)


class Keeper(Protocol):
    """What the bell asks of a store."""

    async def bells(self) -> list[SelfPage]:
        """List what may be open."""

    async def put_bell(self, told: SelfPage) -> None:
        """Write what PagerDuty was told."""

    async def drop_bell(self, reason: str, key_id: str) -> None:
        """Forget what is over."""


class Beside(Protocol):
    """A second place to remember what was told, which outlives the store. Its methods wait for the disk."""

    def read(self) -> Sequence[SelfPage]:
        """List what may be open."""

    def keep(self, told: Sequence[SelfPage]) -> None:
        """Write what may be open. Raises OSError."""


@dataclass(frozen=True, slots=True)
class Rung:
    """A reason there is now."""

    because: str
    since: Instant
    lasts: Duration | None = None
    """None: until somebody says that it is over."""

    def over(self, now: Instant) -> bool:
        """Say whether its time has passed; also where the clock was set back since, or it would never end."""
        return self.lasts is not None and not 0 <= now - self.since < self.lasts


class Bell(Rounds):
    """Brings PagerDuty in step with the reasons there are. `book` is the rule book that counts, set by a reload.

    `ring` and `quiet` never raise, and may be called from any thread and before `open`.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], Instant],
        send: Callable[[Event, str], Awaitable[Outcome]],
        at_hand: Callable[[str], bool],
        counting: Callable[[str], AbstractContextManager[bool]],
        external_url: str,
        metrics: Metrics,
        log: Log,
        beside: Beside | None = None,
    ) -> None:
        """`send` makes one call under a key id, which is `at_hand` or not; `counting` has a call counted in an
        integration's window, and says whether there is room for one."""
        super().__init__("the bell", metrics, log)
        self.book: Rulebook | None = None
        self._clock = clock
        self._send = send
        self._at_hand = at_hand
        self._counting = counting
        self._external_url = external_url.rstrip("/")
        self._store: Keeper | None = None
        self._beside = beside
        self._filing: asyncio.Task[None] | None = None
        self._unfiled = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._rung: dict[str, Rung] = {}
        self._told: dict[tuple[str, str], SelfPage] = {}
        """By (reason, key id): what may be open at PagerDuty."""

    # What other rooms call

    def ring(self, reason: str, because: str, lasts: Duration | None = None) -> None:
        """Say that there is a reason to page about the relay itself, and why, as a sentence without secrets.

        It stays until `quiet`, or until `lasts` is over, which is HAPPENED for reasons that happen rather than last.
        """
        lasts = HAPPENED if lasts is None and reason in _HAPPENS else lasts
        before = self._rung.get(reason)
        since = before.since if before is not None and lasts is None else self._clock()
        self._rung[reason] = Rung(because, since, lasts)
        if before is None:
            self._metrics.self_page(reason, rung=True)
            self._log.error("the relay has trouble", reason=reason, because=because)
        if before is None or before.because != because:
            self._nudge()

    def quiet(self, reason: str) -> None:
        """Say that a reason is over; nothing happens if there was none."""
        if self._rung.pop(reason, None) is not None:
            self._metrics.self_page(reason, rung=False)
            self._log.info("the relay's trouble is over", reason=reason)
            self._nudge()

    def ring_while(self, reason: str, because: str) -> None:
        """Ring while something is said of a reason; "" means that it is over."""
        if because:
            self.ring(reason, because)
        else:
            self.quiet(reason)

    @property
    def reasons(self) -> dict[str, str]:
        """Every reason there is now, with its sentence."""
        return {reason: rung.because for reason, rung in sorted(dict(self._rung).items())}

    @property
    def keys(self) -> frozenset[str]:
        """Ids of the routing keys under which a self-page may be open."""
        return frozenset(told.key_id for told in self._told.values() if told.state in LIVE)

    async def open(self, store: Keeper, book: Rulebook) -> None:
        """Remember what PagerDuty was told before; the reasons of then count until it is clear that they are over."""
        self._loop = asyncio.get_running_loop()
        self.book, self._store = book, store
        known = [] if self._beside is None else list(await asyncio.to_thread(self._beside.read))
        with suppress(StoreError):  # it may be the reason to ring; then it knows what stands beside it
            known += await store.bells()
        for told in sorted(known, key=lambda one: one.at, reverse=True):  # of two that differ the later one is true
            if (told.reason, told.key_id) not in self._told:
                self._told[told.reason, told.key_id] = told
                self._recall(told)

    def _recall(self, told: SelfPage) -> None:
        if told.reason in self._rung or told.state is State.UNKNOWN_RESOLVE:
            return
        happened = told.lasts is not None and told.reason in _HAPPENS
        lasting = Rung(told.because, self._clock(), UNHEARD)
        self._rung[told.reason] = Rung(told.because, told.since, told.lasts) if happened else lasting
        self._metrics.self_page(told.reason, rung=True)

    def _nudge(self) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: the relay ends
                self._loop.call_soon_threadsafe(self.nudge)

    # Its rounds

    async def tick(self) -> None:
        """Tell PagerDuty what is due."""
        now = self._clock()
        for reason in [reason for reason, rung in dict(self._rung).items() if rung.over(now)]:
            self.quiet(reason)
        for line in [line for line, told in self._told.items() if told.state not in LIVE and not _just(told, now)]:
            del self._told[line]
        for told in list(self._told.values()):
            await self._renew(told)
        meta, reasons = self._meta(), [reason for reason in self._reasons() if self._may(reason, now)]
        await asyncio.gather(*(self._converge(reason, meta, now) for reason in reasons))

    async def _renew(self, told: SelfPage) -> None:
        """Write down that what happens went on happening: after a restart it counts from then."""
        rung = self._rung.get(told.reason)
        if rung is None or rung.lasts is None or told.reason not in _HAPPENS or told.state is State.UNKNOWN_RESOLVE:
            return
        if told.because == rung.because and rung.since - told.since >= rung.lasts // 8:
            renewed = replace(told, since=rung.since, lasts=rung.lasts)
            self._told[told.reason, told.key_id] = renewed
            await self._write(renewed)

    async def patience(self) -> Duration:
        """Look again each second while something waits to be told."""
        meta, now = self._meta(), self._clock()
        waits = any(self._due(reason, meta, now) for reason in self._reasons())
        return SECOND if waits else TICK

    def _reasons(self) -> Iterable[str]:
        return sorted({*dict(self._rung), *(reason for reason, _ in self._told)})

    def _may(self, reason: str, now: Instant) -> bool:
        """Say whether the last event for a reason is long enough ago."""
        return not any(_just(told, now) for told in self._lines(reason))

    def _lines(self, reason: str) -> list[SelfPage]:
        return [told for (one, _), told in self._told.items() if one == reason]

    def _meta(self) -> tuple[str, str] | None:
        """Return (integration, key id) of the meta receiver; None where there is none."""
        rules = self.book.rules if self.book is not None else None
        receiver = rules.receivers.get(rules.meta_receiver) if rules is not None else None
        if rules is None or receiver is None or not receiver.targets:
            return None
        integration = receiver.targets[0].integration
        return integration, rules.integrations[integration].key_id

    def _due(self, reason: str, meta: tuple[str, str] | None, now: Instant) -> tuple[Action, str, str] | None:
        """Say what PagerDuty must hear next of a reason: (action, integration, key id)."""
        rung = self._rung.get(reason)
        lines = self._lines(reason)
        if rung is not None and meta is not None:
            told = self._told.get((reason, meta[1]))
            if told is None or not _says(told, rung, now):
                return Action.TRIGGER, *meta
            lines.remove(told)
        elif rung is not None:
            return None  # nobody is named to hear of it; what is open stays open
        over = next((one for one in lines if one.state in LIVE), None)
        return None if over is None else (Action.RESOLVE, over.integration, over.key_id)

    async def _converge(self, reason: str, meta: tuple[str, str] | None, now: Instant) -> None:
        due = self._due(reason, meta, now)
        if due is None:
            return
        action, integration, key_id = due
        if action is Action.RESOLVE and not self._at_hand(key_id):
            self._log.error("a self-page stays open: the routing key it was sent with is gone", reason=reason)
            await self._write(self._told.pop((reason, key_id)), keep=False)
            return
        with self._counting(integration) as room:
            if room:
                await self._tell(reason, action, integration, key_id)

    async def _tell(self, reason: str, action: Action, integration: str, key_id: str) -> None:
        rung, before = self._rung.get(reason), self._told.get((reason, key_id))
        trigger = action is Action.TRIGGER
        if rung is None:  # it is over: a resolve says nothing of its own
            rung = Rung("", 0)
        state = State.UNKNOWN_TRIGGER if trigger else State.UNKNOWN_RESOLVE
        told = SelfPage(reason, key_id, integration, state, self._clock(), rung.because, rung.since, rung.lasts)
        self._told[reason, key_id] = told
        await self._write(told)
        outcome = await self._send(self._event(reason, action, rung), key_id)
        settled = replace(told, state=_settled(told.state, State.NEVER if before is None else before.state, outcome))
        self._told[reason, key_id] = settled
        await self._write(settled, keep=settled.state in LIVE)
        self._say(told, action, outcome)

    def _say(self, told: SelfPage, action: Action, outcome: Outcome) -> None:
        if isinstance(outcome, Delivered):
            self._log.info("self-page delivered", reason=told.reason, action=action.value)
            return
        self._log.delivery_failed(
            (told.reason, outcome.reason, outcome.message),
            "a self-page was not taken, it is tried again",
            reason=told.reason,
            error=f"{outcome.reason}: {outcome.message}",
        )

    async def _write(self, told: SelfPage, *, keep: bool = True) -> None:
        """Remember it beyond a crash, where the disk can; the bell must not wait for what it rings about."""
        if self._store is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_WRITING):
                await self._write_beside()
        writing = self._store.put_bell(told) if keep else self._store.drop_bell(told.reason, told.key_id)
        try:
            async with asyncio.timeout(_WRITING):
                await writing
        except (StoreError, TimeoutError) as error:
            self._log.warning("a self-page is kept in memory only", reason=told.reason, error=str(error) or "too slow")

    async def _write_beside(self) -> None:
        """Have the file say what may be open; it is written by one at a time, and never older after newer."""
        self._unfiled = True
        if self._beside is not None and (self._filing is None or self._filing.done()):
            self._filing = asyncio.create_task(self._keep_beside(self._beside))
        if self._filing is not None:
            await asyncio.shield(self._filing)

    async def _keep_beside(self, beside: Beside) -> None:
        while self._unfiled:
            self._unfiled = False
            live = [told for told in self._told.values() if told.state in LIVE]
            try:
                await asyncio.to_thread(beside.keep, live)
            except OSError as error:
                self._log.warning("self-pages are not kept beside the database", error=str(error))

    def _event(self, reason: str, action: Action, rung: Rung) -> Event:
        return Event(
            event_action=action,
            dedup_key=f"pagerelay/{reason} {self._external_url}".strip()[:255],
            summary=clean(f"[pagerelay] {rung.because}")[:_SUMMARY],
            source=urlsplit(self._external_url).hostname or "pagerelay",
            severity=Severity.CRITICAL if reason in _CRITICAL else Severity.ERROR,
            timestamp=moment(rung.since).isoformat(timespec="seconds") if rung.since else "",
            component="pagerelay",
            class_=reason,
            client="Pagerelay" if self._external_url else "",
            client_url=f"{self._external_url}/api/v1/status" if self._external_url else "",
        )


def _says(told: SelfPage, rung: Rung, now: Instant) -> bool:
    """Say whether PagerDuty shows a reason as it is."""
    return told.state is State.OPEN and told.because == rung.because and 0 <= now - told.at < REMIND


def _just(told: SelfPage, now: Instant) -> bool:
    """Say whether an event was sent too short a time ago for another."""
    return 0 <= now - told.at < APART


def _settled(started: State, before: State, outcome: Outcome) -> State:
    """Say what PagerDuty has been told after an event with this outcome."""
    match outcome:
        case Delivered():
            return State.OPEN if started is State.UNKNOWN_TRIGGER else State.CLOSED
        case Retry(ambiguous=True):
            return started
        case _:
            return before
