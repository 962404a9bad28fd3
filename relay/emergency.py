"""The emergency exit: pages while the store cannot be written, and writes it down once it can.

Senders are told to come again (503), so nothing is accepted here. What is judged is kept in memory; a mail room of its
own delivers from there as the other does from the store: budgets, lanes, back-off and the delivery ladder are the same.
"""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from msgspec.structs import replace

from relay import failpoints
from relay.alert import SECOND, Duration, Instant, Status
from relay.errors import StoreError
from relay.logs import Log
from relay.metrics import Metrics
from relay.page import Do, Lane, Page, short_id
from relay.rules.classify import Draft, lookup_of
from relay.rules.judge import judge
from relay.rules.ledger import Attempt, Claim, Ledger, Lookup, Plan, Settled, Shown, Started, Want
from relay.rules.pages import next_step
from relay.rules.recovery import drafted, recovered, told_of, told_of_linked
from relay.rules.reload import place_again
from relay.rules.rulebook import Rulebook
from relay.rules.silences import Silences
from relay.rules.slate import NEW, NOTHING, STARTED, Slate
from relay.rules.storms import Stood
from relay.store import Noted, Seen

SLICE = 250
"""Alerts judged, or written at recovery, before others have a turn."""
PATIENCE = 1.0
"""Seconds that a look at the store may take."""
BLIND: Duration = 5 * SECOND
"""How long the store is not looked at after a look that failed."""
HANGS = 15.0
"""Seconds after which a write that does not end counts as failed."""
LEAVING = 2.0
"""Seconds that the last recovery may take, when the relay ends."""
DUE_AT_ONCE = 200
"""Pages of one lane taken over from the store at once."""


class Vault(Protocol):
    """What the exit asks of a store that may be broken."""

    async def look(self, lookup: Lookup) -> Ledger: ...

    async def heads(self, now: Instant) -> list[tuple[str, Lane, Instant]]: ...

    async def waiting_for(self, wants: Sequence[Want], now: Instant) -> list[Seen]: ...

    async def stood(self, page: int, after: int, limit: int) -> list[Stood]: ...

    async def keep(self, lookup: Lookup, judge: Callable[[Ledger], Plan]) -> Plan: ...

    async def check(self) -> None: ...

    def stuck_for(self) -> float: ...


class Beside(Protocol):
    """A file that outlives the process where the store takes no writes. Its methods wait for the disk."""

    def read(self) -> list[Noted]: ...

    def append(self, noted: Sequence[Noted]) -> None: ...

    def clear(self) -> None: ...


class Emergency:
    """One per process. To its mail room it is a store."""

    def __init__(
        self,
        store: Vault,
        *,
        clock: Callable[[], Instant],
        silences: Callable[[], Silences],
        prove: Callable[[], Awaitable[None]],
        forget: Callable[[Iterable[tuple[str, str]]], None] = lambda groups: None,
        wake: Callable[[], None] = lambda: None,
        metrics: Metrics,
        log: Log,
        beside: Beside | None = None,
    ) -> None:
        """`prove` writes something that is in the store already, and raises StoreError where that fails.

        `forget` makes void what is remembered of groups' bodies; `wake` tells the mail room that there is work.
        `beside` keeps what is sent for a relay that is started after this one was killed.
        """
        self.wake = wake
        self.written: Callable[[], None] = lambda: None
        """Called once everything is in the store again: what is written there may be due."""
        self._store = store
        self._clock = clock
        self._silences = silences
        self._prove = prove
        self._forget = forget
        self._metrics = metrics
        self._log = log
        self._beside = beside
        self._noting = asyncio.Lock()
        self._noted = False
        """Whether there may be something in that file."""
        self._slate = Slate()
        self._flying: dict[int, Page] = {}
        """By attempt, the page as it was started: the slate may be wiped before the answer is there."""
        self._attempts = 0
        self._blind_until: Instant = 0
        self._unnoted_until: Instant = 0

    @property
    def in_use(self) -> bool:
        """Whether anything was paged that is not written down yet."""
        return bool(self._slate.paged())

    def told(self, page: int) -> bool:
        """Say whether PagerDuty may have been told of a page, and that is not written down yet."""
        here = self._slate.pages.get(page)
        return here is not None and any(line.state in STARTED for line in here.lines)

    @property
    def trouble(self) -> Mapping[str, str]:
        """Say for the status that it is in use."""
        pages = len(self._slate.paged())
        what = f"{pages} pages were sent while the store takes no writes; they are written down once it does"
        return {"emergency_exit": what} if pages else {}

    # The store's health

    async def look_after(self, trouble: str | None, book: Rulebook) -> str | None:
        """Say why the store takes no writes; None if it does, and all that was paged past it is written down.

        `trouble` is what is known of that already. To be called once a second.
        """
        if trouble is None and not self._slate:
            trouble = await self._failure(self._store.check()) or await self._failure(self._wipe())
            if trouble is None and not self._slate:
                return None
            if trouble is not None:
                self._log.error(
                    "the store takes no writes: pages go out past it, and senders come again", error=trouble
                )
        await self.take_over()
        self._metrics.past_the_store(in_use=self.in_use)
        again = await self._failure(self._recover(book))
        if again is not None:
            return again
        self._metrics.past_the_store(in_use=False)
        self._log.warning("the store takes writes again")
        self.written()
        return None

    async def _failure(self, act: Coroutine[Any, Any, None]) -> str | None:
        """Do something with the store; say why it failed, or that it hangs."""
        doing = asyncio.ensure_future(act)
        try:
            while not (await asyncio.wait({doing}, timeout=1))[0]:
                if self._store.stuck_for() > HANGS:
                    return f"a write has not ended for {HANGS:.0f} s: does the disk hang?"
            await doing
        except StoreError as error:
            return str(error)
        except Exception as error:  # whatever it is: it is tried again
            self._log.error("the store could not be looked after", error=traceback.format_exc())
            return f"{type(error).__name__}: see the log"
        finally:
            doing.cancel()
        return None

    async def leave(self, book: Rulebook) -> None:
        """Write down what was paged past the store, now that the relay ends, or say that it cannot be. Never raises."""
        if not self.in_use:
            return
        pages = len(self._slate.paged())
        try:
            async with asyncio.timeout(LEAVING):
                await self._recover(book)
        except Exception as error:  # whatever it is: the relay must end
            self._log.error(
                "what was paged past the store is not written down: "
                "what of it resolves while no relay runs stays open at PagerDuty, close it there",
                pages=pages,
                error=str(error) or type(error).__name__,
            )

    async def _recover(self, book: Rulebook) -> None:
        await self._prove()
        await self.recover(book)
        await self._wipe()

    # A relay that was killed

    async def resume(self, book: Rulebook) -> None:
        """Write down what a relay before this one paged past the store and could not write down. Raises StoreError."""
        known = [] if self._beside is None else await asyncio.to_thread(self._beside.read)
        if not known:
            return
        self._noted = True
        for one in known:
            self._slate.adopt(replace(one.page, in_flight=False), one.members)
        held = {shown.alert.id: (shown.alert, one.page) for one in known for shown in one.members}
        for entry in place_again([alert for alert, _ in held.values()], book).entries:
            alert, page = held[entry.id]
            group_key = alert.groups[-1] if alert.groups else ""
            self._slate.state(entry, (alert.source, group_key, "", page.alertmanager_url))
        self._log.warning("pages went out past the store before this start: they are written down", pages=len(known))
        await self._recover(book)

    async def _note(self, claims: Sequence[Claim]) -> None:
        """Note what is about to be sent. Does not raise: where the disk takes nothing, pages go out all the same."""
        if self._beside is None or not claims or self._clock() < self._unnoted_until:
            return
        noted = [Noted(claim.page, claim.members) for claim in claims]
        self._noted = True
        try:
            async with asyncio.timeout(PATIENCE), self._noting:
                await asyncio.to_thread(self._beside.append, noted)
        except (OSError, ValueError, TimeoutError) as error:
            self._unnoted_until = self._clock() + BLIND
            because = "if the relay is killed before it is, what resolves meanwhile stays open at PagerDuty"
            self._log.error(f"what is paged past the store cannot be noted either: {because}", error=repr(error))

    async def _wipe(self) -> None:
        """Forget the notes: all of them are in the store."""
        if self._beside is None or not self._noted:
            return
        async with self._noting:
            if self._slate.paged():
                return
            try:
                await asyncio.to_thread(self._beside.clear)
            except OSError as error:
                raise StoreError(f"the notes of what was paged past the store cannot be removed: {error}") from error
            self._noted = False

    # Judging

    async def page(self, draft: Draft, book: Rulebook) -> None:
        """Have what a message says paged as far as it must be, without waiting for PagerDuty. Does not raise.

        Resolves are left to their sender, who comes again.
        """
        try:
            for part in _slices(draft):
                await self._judge(part, book)
        except Exception:  # whatever it is: the sender must have its answer
            self._log.error("the emergency exit cannot judge a message", error=traceback.format_exc())
        self.wake()

    async def _judge(self, part: Draft, book: Rulebook) -> None:
        stored = await self._look(part.lookup)
        now = self._clock()
        try:
            plan = judge(part, self._slate.ledger(part.lookup, stored), now, book, self._silences())
        except Exception:  # whatever a damaged store says: the rules alone know what to do
            self._log.error("what the store says cannot be judged, the rules alone are", error=traceback.format_exc())
            plan = judge(part, self._slate.ledger(part.lookup, NOTHING), now, book, self._silences())
        self._slate.take(plan, part)

    async def _look(self, lookup: Lookup) -> Ledger:
        """Show what can be read; nothing where that fails or takes too long."""
        if self._clock() < self._blind_until:
            return NOTHING
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._store.look(lookup)
        except Exception as error:  # whatever it is: the rules alone know what to do
            self._cannot_look(error)
            return NOTHING

    def _cannot_look(self, error: Exception) -> None:
        self._blind_until = self._clock() + BLIND
        self._log.warning("the store cannot even be read: pages go by the rules alone", error=repr(error))

    async def take_over(self) -> None:
        """Take over what waits in the store to be opened, as far as that can be read. Does not raise."""
        now = self._clock()
        if now < self._blind_until:
            return
        try:
            async with asyncio.timeout(PATIENCE):
                heads = await self._store.heads(now)
                wants = [Want(one, lane, DUE_AT_ONCE) for one, lane, due in heads if lane in NEW and due <= now]
                found = await self._store.waiting_for(wants, now) if wants else []
        except Exception as error:  # whatever it is: there is nothing to take over then
            self._cannot_look(error)
            return
        for seen in found:
            self._slate.adopt(seen.page, seen.members)
        if found:
            self.wake()

    def strand(self, page: Page, members: Sequence[Shown]) -> None:
        """Take over a page that was in hand when the store failed: there it stands as in hand, and nobody tries it."""
        if page.lane in NEW and next_step(page) in (Do.TRIGGER, Do.REOPEN):
            self._slate.adopt(page, members)
            self.wake()

    # The store, as the mail room knows it

    async def attempts_since(self, at: Instant) -> list[tuple[str, Instant, Lane]]:
        """Know of no calls: the windows are those of the other mail room."""
        return []

    async def heads(self, now: Instant) -> list[tuple[str, Lane, Instant]]:
        """Say when the first waiting page of each (integration, lane) is due."""
        first: dict[tuple[str, Lane], Instant] = {}
        for page in self._slate.waiting:
            if page.lane is not None:
                place = page.carrier, page.lane
                first[place] = min(page.due_at, first.get(place, page.due_at))
        return [(integration, lane, due) for (integration, lane), due in first.items()]

    async def claim(self, wants: Sequence[Want], now: Instant, start: Callable[[Page], Started]) -> list[Claim]:
        """Take the most urgent due pages in hand."""
        claims = []
        for want in wants:
            due = [page for page in self._slate.waiting if _is_meant(page, want, now)]
            for page in sorted(due, key=lambda one: one.due_at)[: want.limit]:
                started = start(page)
                self._slate.put(started.page)
                if started.attempt is not None:
                    claims.append(self._claim(started.page, started.attempt))
        await self._note(claims)
        return claims

    def _claim(self, page: Page, attempt: Attempt) -> Claim:
        self._attempts += 1
        attempt = replace(attempt, id=self._attempts)
        self._flying[attempt.id] = page
        shown = tuple(self._slate.members(page.id))
        firing = sum(one.member.firing for one in shown)
        return Claim(page, attempt, shown, max(firing, page.firing), len(shown) - firing)

    async def hasten(self, integration: str, lanes: Sequence[Lane], now: Instant) -> None:
        """Let pages of these lanes be due now that wait for nothing but their back-off after a failure."""
        for page in self._slate.waiting:
            if page.carrier == integration and page.lane in lanes and page.failures and page.due_at > now:
                self._slate.put(replace(page, due_at=now))

    async def settle(self, attempt: Attempt, settle: Callable[[Page], Settled], now: Instant) -> Page:
        """Note how a call ended."""
        failpoints.reached("emergency.sent")
        started = self._flying.pop(attempt.id)
        here = self._slate.pages.get(attempt.page)
        settled = settle(here if here is not None else started)
        if here is not None:
            self._slate.put(settled.page)
        if settled.attempt.outcome == "delivered":
            self._metrics.paged_past_the_store()
            self._metrics.past_the_store(in_use=self.in_use)
            self._log.warning(
                "paged while the store cannot be written",
                page=short_id(attempt.page),
                dedup_key=attempt.dedup_key,
                severity=settled.page.severity.value,
            )
        return settled.page

    async def stood(self, page: int, after: int, limit: int) -> list[Stood]:
        """List who is in a storm page: no storm begins here, so that only the store has one. Raises StoreError."""
        return await self._store.stood(page, after, limit)

    # Recovery

    async def recover(self, book: Rulebook) -> int:
        """Write down what was paged, now that the store takes writes; return how many pages. Raises StoreError.

        What is paged meanwhile is written as well: nothing is forgotten before it is on disk.
        """
        written: dict[int, Page] = {}
        while news := [page for page in self._slate.paged() if written.get(page.id) is not page]:
            failpoints.reached("recovery.before_commit")
            for at in range(0, len(news), SLICE):
                some = {page.id: page for page in news[at : at + SLICE]}
                await self._write(some, book)
                written.update(some)
        self._tell(len(written))
        self._slate = Slate()
        return len(written)

    async def _write(self, paged: Mapping[int, Page], book: Rulebook) -> None:
        for group, entries in self._slate.said(paged).items():
            for at in range(0, len(entries), SLICE):
                draft = drafted(group, entries[at : at + SLICE])
                await self._store.keep(draft.lookup, partial(self._recovered, draft, tuple(paged.values()), book))
        firsts = [page for page in paged.values() if page.predecessor is None]
        shown = {page.id: (page, self._slate.members(page.id)) for page in firsts}
        alerts = dict.fromkeys(one.alert.id for _, members in shown.values() for one in members)
        lookup = Lookup(alerts=tuple(alerts), pages=tuple(shown))
        await self._store.keep(lookup, lambda ledger: told_of(shown, ledger, self._clock()))
        for page in sorted(paged.values(), key=lambda one: one.seq):
            if page.predecessor is not None:
                await self._write_linked(page, page.predecessor, book)

    async def _write_linked(self, page: Page, predecessor: int, book: Rulebook) -> None:
        shown = self._slate.members(page.id)
        lookup = Lookup(alerts=tuple(one.alert.id for one in shown), pages=(page.id, predecessor))
        await self._store.keep(lookup, lambda ledger: told_of_linked(page, shown, ledger, self._clock(), book))

    def _recovered(self, draft: Draft, paged: Sequence[Page], book: Rulebook, ledger: Ledger) -> Plan:
        plan = recovered(draft, paged, ledger, self._clock(), book, self._silences())
        self._forget(plan.groups)
        return plan

    def _tell(self, pages: int) -> None:
        if self._slate.forgotten:
            self._log.error(
                "more was paged while the store could not be written than could be remembered: "
                "what of it resolved meanwhile stays open at PagerDuty, close it there",
                pages=self._slate.forgotten,
            )
        if pages:
            self._log.warning("what was paged while the store could not be written is written down", pages=pages)


def _slices(draft: Draft) -> Iterator[Draft]:
    """Cut what fires into parts; whatever inhibits others comes first, so that it is known when they are judged."""
    firing = [entry for entry in draft.entries if entry.alert.status is Status.FIRING]
    firing.sort(key=lambda entry: not entry.sources)
    cut = draft.truncation if draft.truncation and draft.truncation.alert.status is Status.FIRING else None
    for at in range(0, max(len(firing), 1), SLICE):
        entries = tuple(firing[at : at + SLICE])
        last = cut if at + SLICE >= len(firing) else None
        lookup = lookup_of(entries if last is None else (*entries, last))
        yield replace(draft, entries=entries, truncation=last, lookup=lookup)


def _is_meant(page: Page, want: Want, now: Instant) -> bool:
    return page.carrier == want.integration and page.lane is want.lane and page.due_at <= now
