"""Claims the most urgent due pages that have budget, has them dressed, sends them, and settles what came of it."""

import asyncio
import traceback
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from hashlib import blake2b
from typing import Protocol

from msgspec.structs import replace

from relay import failpoints
from relay.alert import SECOND, Duration, Instant
from relay.dispatcher.budget import Window
from relay.dispatcher.dressing import Dressing, bare, carries_content, rung_of
from relay.dispatcher.refusals import Refusals
from relay.dispatcher.stormy import Standing
from relay.dispatcher.turns import Turns
from relay.errors import PageGone, StoreError
from relay.event import Action, Delivered, Event, Outcome, Rejected, Rendered, Retry
from relay.logs import Log
from relay.metrics import Metrics
from relay.page import Lane, Page, State, short_id
from relay.rendering import Renderer
from relay.rules.delivery import settle, start
from relay.rules.ladder import Barred, passed_over, rekeyed
from relay.rules.ledger import Attempt, Claim, Settled, Shown, Started, Want
from relay.rules.pages import SPACING
from relay.rules.responding import responses
from relay.rules.rulebook import Rulebook
from relay.rules.ruleset import Budget

IN_FLIGHT = 32
"""Calls that may be under way at once, per integration."""
KEPT_FOR_CRITICALS = 16
"""Calls that may be under way beyond that, for criticals alone."""
BATCH = 64
"""Pages claimed at once."""
IDLE: Duration = 60 * SECOND
"""How long the dispatcher sleeps at most without being woken."""
_CARRYING = frozenset(Lane) - {Lane.RESOLVE, Lane.REFRESH}
"""Lanes of pages with something to say."""
FREED = 1_000
"""Pages of one lane that are taken up again at once when a key changes: more than a window lets go meanwhile."""
OUTAGE = 3
"""Calls in a row that failed and make an outage: after it, whatever is worst goes first."""
_ON_ITS_WAY: Duration = SECOND
"""How long a call of an earlier process may have been on its way before PagerDuty counted it."""
_BREATH = 0.003
"""Seconds from being woken to looking for work."""
_RESETTLE = 1.0
"""Seconds between two tries to write down an outcome while the store cannot."""


class Queue(Standing, Protocol):
    """What the mail room asks of a store, or of the emergency exit while the store cannot be written."""

    async def attempts_since(self, at: Instant) -> list[tuple[str, Instant, Lane]]: ...

    async def heads(self, now: Instant) -> list[tuple[str, Lane, Instant]]: ...

    async def claim(self, wants: Sequence[Want], now: Instant, start: Callable[[Page], Started]) -> list[Claim]: ...

    async def settle(self, attempt: Attempt, settle: Callable[[Page], Settled], now: Instant) -> Page: ...

    async def hasten(self, integration: str, lanes: Sequence[Lane], now: Instant) -> None: ...


class Sender(Protocol):
    """What carries an event to PagerDuty."""

    async def send(self, event: Event, key_id: str) -> Outcome: ...


class Dispatcher:
    """Keeps PagerDuty in step. `book` is the rule book that counts, replaced by a reload."""

    def __init__(
        self,
        store: Queue,
        book: Rulebook,
        renderer: Renderer,
        sender: Sender,
        *,
        clock: Callable[[], Instant],
        steady: Callable[[], Instant],
        jitter: Callable[[], float],
        timeout: Callable[[str], Duration],
        external_url: str,
        judged: Callable[[], None],
        paused: Callable[[str], bool] = lambda integration: False,
        ring: Callable[[str, str], None] = lambda reason, because: None,
        metrics: Metrics,
        log: Log,
        windows: dict[str, Window] | None = None,
        stranded: Callable[[Page, Sequence[Shown]], None] = lambda page, members: None,
        told_elsewhere: Callable[[int], bool] = lambda page: False,
    ) -> None:
        """`told_elsewhere` says whether another mail room told PagerDuty of a page, and has not written it down yet;
        `windows` are the budgets, where another mail room sends to the same integrations; `stranded` is told of a
        page as it should be written down after a call, and who is in it, when the store cannot take that."""
        self.book = book
        self._store = store
        self._dressing = Dressing(renderer, store, steady=steady, external_url=external_url, metrics=metrics, log=log)
        self._sender = sender
        self._clock = clock
        self._steady = steady
        self._jitter = jitter
        self._timeout = timeout
        self._judged = judged
        self._paused = paused
        self._ring = ring
        self._metrics = metrics
        self._log = log
        self._windows: dict[str, Window] = {} if windows is None else windows
        self._stranded = stranded
        self._told_elsewhere = told_elsewhere
        self._flying: defaultdict[str, int] = defaultdict(int)
        self._refusals = Refusals()
        self._ailing: defaultdict[str, int] = defaultdict(int)
        """How many calls of an integration failed in a row, but for those that asked us to wait."""
        self._claiming = False
        """Whether pages are being claimed that the windows do not count yet."""
        self._rekeyed: set[str] = set()
        """Integrations whose key is another one, and whose pages still wait for what the one before came to."""
        self._turns = Turns()
        self._awake = asyncio.Event()
        self._stopping = False
        self.send_failed = ""
        """Why PagerDuty did not take the last event, and may take it yet; "" if it answered."""

    def wake(self) -> None:
        """Say that there may be something to send."""
        self._awake.set()

    def stop(self) -> None:
        """Claim nothing more; `run` returns once everything in flight is settled."""
        self._stopping = True
        self._awake.set()

    async def run(self) -> None:
        """Deliver until stopped."""
        await self._seed()
        async with asyncio.TaskGroup() as tasks:
            while not self._stopping:
                self._awake.clear()
                try:
                    until = await self._round(tasks)
                except StoreError as error:
                    self._log.error("the store cannot be asked for work", error=str(error))
                    until = self._clock() + SECOND
                except Exception:  # whatever it is: pages must go on
                    self._log.error("looking for work failed, it is tried again", error=traceback.format_exc())
                    until = self._clock() + SECOND
                if until is not None:
                    await self._sleep(until)
                    await asyncio.sleep(_BREATH)  # in a storm many wakes are one

    def rekeyed(self, integrations: Iterable[str]) -> None:
        """Take in that integrations have another key: what waits there after failures is due at once."""
        for integration in integrations:
            self._window(integration).open()
            self._refusals.forget(integration)
            self._ailing.pop(integration, None)
            self._rekeyed.add(integration)
        self.wake()

    def windows(self) -> dict[str, Window]:
        """Return the budgets in use, by integration."""
        return self._windows

    def refused(self) -> str:
        """Say which integrations' routing keys PagerDuty refuses; "" for none."""
        refused = self._refusals.refused(self.book.current_key, self._clock())
        names = sorted(self._name(integration) for integration, _ in refused)
        return f"PagerDuty refuses the routing key of {', '.join(names)}" if names else ""

    def barred(self, integration: str) -> Barred | None:
        """Say what keeps an integration from being called now; None if nothing does."""
        window, steady = self._windows.get(integration), self._steady()
        current = self.book.current_key(integration)
        since = self._refusals.since(integration, current[0], self._clock()) if current is not None else 0
        closed = window is not None and window.closed(steady)
        if not since and not closed:
            return None
        wait = window.closed_until - steady if window is not None and closed else 0
        throttled = window is not None and closed and window.throttled
        return Barred(self._clock() + wait, since, throttled)

    @contextmanager
    def counting(self, integration: str) -> Iterator[bool]:
        """Count a call that another room makes in an integration's window; False: there is no room, make none."""
        window, now = self._window(integration), self._steady()
        if window.closed(now) or not window.tokens(now):
            yield False
            return
        window.spend(Lane.CRITICAL, now, ())
        try:
            yield True
        finally:
            window.landed(Lane.CRITICAL, self._steady())

    @asynccontextmanager
    async def lowest(self, integration: str) -> AsyncIterator[bool]:
        """Count a call for a change event in an integration's window; False: there is no room, make none.

        It is never ahead of a page: there is no room while one waits that could go there. Raises StoreError.
        """
        window = self._window(integration)
        if not await self._is_idle(integration) or not window.allots_change(self._steady()):
            yield False
            return
        window.spend_change(self._steady())
        self._flying[integration] += 1
        try:
            yield True
        finally:
            self._flying[integration] -= 1
            window.landed(Lane.REFRESH, self._steady())
            self.wake()

    def throttled(self, integration: str, after: Duration | None) -> None:
        """Take in that PagerDuty asked a change event to wait: its key is that of the pages."""
        self._window(integration).close(self._steady(), after)

    async def _is_idle(self, integration: str) -> bool:
        """Say whether no page waits that could be sent to an integration now, and nothing keeps it from being used."""
        if self._stopping or self._paused(integration) or self._flying[integration] >= IN_FLIGHT:
            return False
        now = self._clock()
        waits = any(one == integration and due <= now for one, _, due in await self._store.heads(now))
        return not waits and not self._claiming

    async def _seed(self) -> None:
        """Count the calls made before this process started."""
        shift = self._steady() - self._clock()
        longest = max((one.budget.within for one in self.book.rules.integrations.values()), default=Budget().within)
        for integration, at, lane in await self._store.attempts_since(self._clock() - longest):
            self._window(integration).seed(at + shift + _ON_ITS_WAY, lane)

    async def _round(self, tasks: asyncio.TaskGroup) -> Instant | None:
        """Claim and launch what may go now. Returns when to look again; None: at once."""
        await self._free()
        now, steady = self._clock(), self._steady()
        waiting: defaultdict[str, set[Lane]] = defaultdict(set)
        later = [now + IDLE]
        for integration, lane, due in await self._store.heads(now):
            if self._paused(integration):
                continue  # it wakes us when that is over
            if due <= now:
                waiting[integration].add(lane)
            else:
                later.append(due)
        wants = [
            Want(integration, lane, min(count, BATCH))
            for integration, lanes in waiting.items()
            for lane, count in self._allot(integration, lanes, steady).items()
        ]
        if await self._pass_over(waiting, now):
            return None
        if not wants:
            later += [at for at in (self._refusals.next_turn(self.book.current_key, now),) if at is not None]
            chances = (self._window(one).next_chance(lanes, steady) for one, lanes in waiting.items())
            later += [now + chance - steady for chance in chances if chance is not None]
            return min(later)
        self._claiming = True
        try:
            claims = await self._store.claim(wants, self._clock(), self._start)
        finally:
            self._claiming = False  # what was claimed is counted before anybody else looks
        if claims:
            failpoints.reached("claim.after_commit")
        for claim in claims:
            integration = claim.attempt.integration
            self._window(integration).spend(claim.attempt.lane, steady, waiting[integration])
            self._flying[integration] += 1
        if claims:
            tasks.create_task(self._deliver(claims, tasks))
        return None

    async def _free(self) -> None:
        """Let pages go at once that waited for a key which counts no more; as often as the store needs."""
        for integration in tuple(self._rekeyed):
            now, book = self._clock(), self.book
            await self._store.hasten(integration, tuple(Lane), now)
            wants = [Want(integration, lane, FREED) for lane in Lane]
            await self._store.claim(wants, now, lambda page, book=book: Started(rekeyed(page, book), None))  # type: ignore[misc]
            self._rekeyed.discard(integration)

    def passes_over(self, integration: str, lane: Lane, now: Instant) -> bool:
        """Say whether what waits in a lane goes to the fallback: the key was refused for too long."""
        refused = integration in self._refusals.overdue(self.book.current_key, now)
        closed = refused and self._window(integration).closed(self._steady())
        return closed and lane in _CARRYING and self.book.has_fallback(integration)

    async def _pass_over(self, waiting: Mapping[str, Collection[Lane]], now: Instant) -> bool:
        """Take what waits behind a key that was refused for too long to the fallback; False: nothing does."""
        behind = [(one, lane) for one, lanes in waiting.items() for lane in lanes if self.passes_over(one, lane, now)]
        wants = [Want(integration, lane, BATCH) for integration, lane in behind]
        if wants:
            book = self.book
            await self._store.claim(wants, now, lambda page: Started(passed_over(page, now, book), None))
        return bool(wants)

    def _allot(self, integration: str, lanes: set[Lane], steady: Instant) -> dict[Lane, int]:
        room = IN_FLIGHT - self._flying[integration]
        if room <= 0:  # places that the other lanes cannot take
            lanes, room = lanes & {Lane.CRITICAL}, room + KEPT_FOR_CRITICALS
        window = self._window(integration)
        allotted = window.allot(lanes, steady, room)
        if allotted and Lane.CRITICAL not in lanes:  # one that is accepted before the claim goes with it
            left = min(window.tokens(steady) - sum(allotted.values()), KEPT_FOR_CRITICALS)
            allotted |= {Lane.CRITICAL: left} if left > 0 else {}
        return allotted

    def _window(self, integration: str) -> Window:
        known = self.book.rules.integrations.get(integration)
        budget = known.budget if known else Budget()
        window = self._windows.get(integration)
        if window is None:
            window = self._windows[integration] = Window(budget)
        window.budget = budget
        return window

    def _start(self, page: Page) -> Started:
        if self._told_elsewhere(page.id):
            return Started(replace(page, due_at=self._clock() + SPACING, delay=SPACING), None)
        return start(page, self._clock(), self.book, self._timeout(page.carrier))

    async def _sleep(self, until: Instant) -> None:
        seconds = max(0.0, (until - self._clock()) / SECOND)
        try:
            async with asyncio.timeout(min(seconds, IDLE / SECOND)):
                await self._awake.wait()
        except TimeoutError:
            pass

    # Delivery

    async def _deliver(self, claims: Sequence[Claim], tasks: asyncio.TaskGroup) -> None:
        """Render what carries content, a few pages at a time and the most urgent first; send each as it is ready."""
        dressed = [one for one in claims if carries_content(one.attempt)]
        shown = sorted((one for one in dressed if not one.page.storm), key=lambda one: one.attempt.lane)
        for claim in claims:
            if not carries_content(claim.attempt):
                tasks.create_task(self._send(claim, bare(claim)))
            elif claim.page.storm:
                tasks.create_task(self._send_storm(claim))
        while shown:
            async with self._turns.turn(urgent=shown[0].attempt.lane is Lane.CRITICAL):
                some = shown[: min(BATCH, self._dressing.at_once)]
                rendered = await self._dressing.dress(some, self.book)
            failpoints.reached("render.after")
            for claim, event in zip(some, rendered, strict=True):
                tasks.create_task(self._send(claim, event))
            shown = shown[len(some) :]

    async def _send_storm(self, claim: Claim) -> None:
        await self._send(claim, await self._dressing.storm(claim, self.book))

    async def _send(self, claim: Claim, rendered: Rendered) -> None:
        rendered, encoded = self._dressing.written(claim, rendered)
        page, attempt, event = claim.page, claim.attempt, rendered.event
        digest = blake2b(encoded, digest_size=16).hexdigest()
        attempt = replace(
            attempt,
            event=encoded if event.event_action is Action.TRIGGER else b"",
            message="; ".join(step.because for step in rendered.steps),
            rung=rung_of(attempt, rendered),
        )
        for field in rendered.failed_fields:
            self._metrics.template_failed(field)
            because = f"the template of {field} fails for receiver {page.receiver}: its pages go out with a plain text"
            self._ring("template_failing", because)
        began = self._steady()
        outcome: Outcome | None = None
        if not _equal(page, claim, digest):
            failpoints.reached("send.before")
            outcome = await self._call(event, attempt.key_id)
            failpoints.reached("send.after_answer")
        took = self._steady() - began
        recovered = self._account(claim, outcome)
        jitter, since = self._jitter(), self._refusals.since(attempt.integration, attempt.key_id, self._clock())

        def settlement(latest: Page) -> Settled:
            now = self._clock()
            return settle(
                latest, attempt, outcome, now, jitter=jitter, digest=digest, book=self.book, refused_since=since
            )

        settled = await self._settle(replace(claim, attempt=attempt), settlement)
        failpoints.reached("settle.after_commit")
        self._flying[attempt.integration] -= 1
        if recovered:
            await self._hasten(attempt.integration)
        self._tell(claim, settled, outcome, took)
        if attempt.action is Action.TRIGGER and attempt.lane is not Lane.REFRESH:
            self._judged()  # pages that waited for this one may go on
        self.wake()

    async def _call(self, event: Event, key_id: str) -> Outcome:
        try:
            return await self._sender.send(event, key_id)
        except Exception as error:  # whatever it is: nobody knows whether PagerDuty took it
            self._log.error("a call failed in an unforeseen way, it is made again", error=traceback.format_exc())
            return Retry("other", type(error).__name__)

    async def _settle(self, claim: Claim, settlement: Callable[[Page], Settled]) -> Page:
        """Write an outcome down, for as long as it takes: until then the page counts as in flight."""
        told = False
        while True:
            try:
                return await self._store.settle(claim.attempt, settlement, self._clock())
            except PageGone as error:  # the store was damaged, and this page could not be saved
                self._log.error("an outcome has no place any more", page=short_id(claim.page.id), error=str(error))
                return claim.page
            except Exception as error:  # whatever it is: what PagerDuty was told must be written down
                self._metrics.store_failed("settle")
                self._log.error("an outcome cannot be written down yet", page=short_id(claim.page.id), error=str(error))
                if not told:
                    self._stranded(settlement(claim.page).page, claim.members)
                told = True
                await asyncio.sleep(_RESETTLE)

    async def _hasten(self, integration: str) -> None:
        """PagerDuty answers again: the worst that waits goes first, not whatever back-off ends first."""
        try:
            await self._store.hasten(integration, (Lane.CRITICAL, Lane.ERROR), self._clock())
        except StoreError as error:  # then they wait for their back-off, a minute at most
            self._log.warning("pages that wait after failures could not be hastened", error=str(error))

    def _account(self, claim: Claim, outcome: Outcome | None) -> bool:
        """Take a call's outcome into budget and circuit; say whether it is the first that succeeds after an outage."""
        counts = self._counts(claim.attempt)
        if counts:
            self._refusals.note(claim.attempt, outcome, self._clock())
        window = self._window(claim.attempt.integration)
        window.landed(claim.attempt.lane, self._steady(), sent=outcome is not None)
        if outcome is not None:
            self.send_failed = outcome.reason if isinstance(outcome, Retry) else ""
        match outcome:
            case Retry(reason="rateLimited", after=after):
                window.close(self._steady(), after)
            case Retry(configuration=True, after=after) if counts:
                window.close(self._steady(), after, configuration=True)
            case None | Retry():
                pass
            case _:
                window.open()
        if outcome is None:
            return False
        if isinstance(outcome, Retry):
            self._ailing[claim.attempt.integration] += outcome.after is None and outcome.reason != "rateLimited"
            return False
        return self._ailing.pop(claim.attempt.integration, 0) >= OUTAGE

    def _counts(self, attempt: Attempt) -> bool:
        """Say whether a call says something of the key that counts; an older one may be refused on its own."""
        current = self.book.current_key(attempt.integration)
        return current is None or current[0] == attempt.key_id

    def _tell(self, claim: Claim, settled: Page, outcome: Outcome | None, took: Duration) -> None:
        """Count the attempt, and log one line of it."""
        page, attempt = claim.page, claim.attempt
        name = self._name(attempt.integration)
        waited = attempt.at - page.changed_at if page.changed_at else None
        self._metrics.attempted(name, attempt, page.severity, outcome, took, waited)
        for response in responses(page, settled, self.book.rules):
            self._metrics.responded(response)
        if settled.dead and isinstance(outcome, Rejected):
            self._metrics.dead_lettered(outcome)
        words = {
            "page": short_id(page.id),
            "dedup_key": page.dedup_key,
            "action": attempt.action.value,
            "receiver": name,
        } | ({"rung": attempt.rung} if attempt.rung else {})
        if outcome is None:
            self._log.debug("update renders equal to what is open: not sent", **words)
        elif isinstance(outcome, Delivered):
            self._log.info("delivered", severity=page.severity.value, revision=attempt.revision, **words)
        elif settled.dead and not page.dead:  # each by itself: somebody has to look at each
            self._log.warning("dead letter", error=settled.last_error, failures=settled.failures, **words)
        else:
            self._log.delivery_failed(
                (attempt.integration, settled.last_error),
                "attempt failed",
                error=settled.last_error,
                failures=settled.failures,
                **words,
            )

    def _name(self, integration: str) -> str:
        known = self.book.rules.integrations.get(integration)
        return known.name if known else "gone"


def _equal(page: Page, claim: Claim, digest: str) -> bool:
    """Say whether an update would show what is open already."""
    prior = next((line.prior for line in page.lines if line.key_id == claim.attempt.key_id), None)
    update = claim.attempt.lane is Lane.UPDATE and claim.attempt.action is Action.TRIGGER
    return update and prior is State.OPEN and digest == page.sent_digest
