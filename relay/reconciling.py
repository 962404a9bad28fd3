"""The reconciling room: compares pages, Alertmanagers and PagerDuty now and then, and puts right what is certain."""

import asyncio
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import NamedTuple

from relay.alert import MINUTE, SECOND, Duration, Instant
from relay.errors import NotTaken, StoreError
from relay.logs import Log
from relay.metrics import Metrics
from relay.page import short_id
from relay.pagerduty.rest import Rest, RestError
from relay.rules.drift import Drift, Kind, Marks, Repair, ripe
from relay.rules.gone import APART
from relay.rules.ledger import Ledger, Lookup, Plan
from relay.rules.news import Returned
from relay.rules.repairs import MOST, NOTE, repaired, stands
from relay.rules.rulebook import Rulebook
from relay.rules.suppression.words import span
from relay.store import SqliteStore
from relay.surveying import Survey, Surveyor

TICK: Duration = 15 * SECOND
FIRST: Duration = 1 * MINUTE
"""How long after a start pages are compared first: what is due goes out before."""
AT_ONCE = 50
"""Differences put right by one look; the others wait for the next."""
SHOWN = 500
"""Differences that a report lists."""
REMEMBERED = 10_000
"""Pages that were put right of which it is remembered how often."""

ALWAYS = frozenset({Repair.CLOSE, Repair.CLOSED})
"""What is done in every mode: no event can close such a page, and the REST API is the only way left."""


class Found(NamedTuple):
    """A difference, and what came of it."""

    drift: Drift
    outcome: str
    """In words."""
    repaired: bool = False


class Report(NamedTuple):
    """What one comparison came to."""

    at: Instant
    took: Duration
    fix: bool
    """Whether what is certain was to be put right."""
    failed: str = ""
    """Why nothing could be compared; "" if it could."""
    pages: int = 0
    open_there: int = 0
    not_ours: int = 0
    counts: Counter[str] = Counter()
    """By kind, without what the configuration wants so."""
    found: tuple[Found, ...] = ()
    notes: tuple[str, ...] = ()


class CannotReconcile(NotTaken):
    """There is nobody to compare with."""

    status_hint = 409


class Reconciling:
    """Compares at intervals, and when asked. What was seen before is in memory: a start begins anew."""

    def __init__(
        self,
        store: SqliteStore,
        book: Rulebook,
        rest: Rest,
        surveyor: Surveyor,
        *,
        clock: Callable[[], Instant],
        steady: Callable[[], Instant],
        wake: Callable[[], None],
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
        metrics: Metrics,
        log: Log,
    ) -> None:
        """`wake` is called once there is something to send."""
        self._store = store
        self._rest = rest
        self._surveyor = surveyor
        self._clock = clock
        self._steady = steady
        self._wake = wake
        self._wait = wait
        self._metrics = metrics
        self._log = log
        self._turn = asyncio.Lock()
        self._due = steady() + FIRST
        self._repairs: Counter[tuple[int, int, Repair]] = Counter()
        """How often what was done, by page and episode."""
        self._said = ""
        self.last: Report | None = None
        """The last report; None: there was none since the start."""
        self.reloaded(book)

    def reloaded(self, book: Rulebook) -> None:
        """Go by another configuration, and begin anew."""
        self._book = book
        self._seen: Marks = {}

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            try:
                await self.tick()
            except StoreError as error:
                self._metrics.store_failed("schedule")
                self._log.error("pages cannot be compared: the store cannot be used", error=str(error))
            except Exception:  # whatever it is: the next comparison may work
                self._log.error("comparing pages failed, it is tried again", error=traceback.format_exc())
            await self._wait(TICK / SECOND)

    async def tick(self) -> None:
        """Compare if it is time to."""
        account = self._book.rules.account
        if account.reconcile == "off" or not self._rest.has_token or self._steady() < self._due:
            return
        await self.reconcile(fix=account.reconcile == "fix")

    async def reconcile(self, *, fix: bool) -> Report:
        """Compare now; `fix` puts right what is certain. Raises CannotReconcile and StoreError."""
        if not self._rest.has_token:
            raise CannotReconcile(
                "there is no PagerDuty REST API token: set pagerduty.api_token_file in the routing file"
            )
        async with self._turn:
            began, steady = self._clock(), self._steady()
            try:
                report = await self._compared(began, steady, fix=fix)
            except RestError as error:
                report = self._not_compared(began, steady, str(error), fix=fix)
            except BaseException:
                self._seen = {}
                raise
            finally:
                self._due = self._steady() + self._book.rules.account.reconcile_every
            self.last = report
            return report

    def _not_compared(self, began: Instant, steady: Instant, why: str, *, fix: bool) -> Report:
        """Nothing was seen: what was seen before counts no more."""
        self._seen = {}
        self._metrics.not_compared()
        if why != self._said:
            self._said = why
            self._log.warning("pages cannot be compared with PagerDuty", error=why)
        return Report(began, self._steady() - steady, fix, failed=why)

    async def _compared(self, began: Instant, steady: Instant, *, fix: bool) -> Report:
        book = self._book
        survey = await self._surveyor.survey(book)
        if book is not self._book:
            return self._not_compared(began, steady, "the configuration was reloaded meanwhile", fix=fix)
        self._seen, certain = ripe(self._seen, survey.drifts, steady)
        due = {drift.mark: drift for drift in certain if fix or drift.repair in ALWAYS}
        going = dict(list(due.items())[:AT_ONCE])
        outcomes = {mark: await self._put_right(drift) for mark, drift in going.items()}
        found = [outcomes.get(one.mark) or Found(one, self._left(one, steady)) for one in survey.drifts]
        if any(one.repaired for one in found):
            self._wake()
        counts = Counter(one.drift.kind.value for one in found if not one.drift.expected)
        self._tell(survey, counts, found)
        took = self._steady() - steady
        there = sum(map(len, survey.look.open.values()))
        return Report(
            began, took, fix, "", survey.pages, there, survey.not_ours, counts, tuple(found[:SHOWN]), survey.notes
        )

    # Putting right

    async def _put_right(self, drift: Drift) -> Found:
        assert drift.repair is not None, "only what is certain is put right"
        assert drift.stamp is not None, "it is a page"
        done = (drift.page, drift.stamp[0], drift.repair)
        if self._repairs[done] >= MOST.get(drift.repair, AT_ONCE):
            return Found(drift, "left: it was put right before in this episode, and PagerDuty lost it again")
        try:
            if drift.repair is Repair.CLOSE and (why := await self._close(drift)):
                return Found(drift, f"left: {why}")
            now = self._clock()
            plan = await self._store.put_right(drift.page, partial(self._decided, drift, now), now)
        except RestError as error:
            return Found(drift, f"could not be put right: {error}")
        if plan.record is None:
            return Found(drift, "left: something happened to the page meanwhile")
        if len(self._repairs) >= REMEMBERED:
            self._repairs.clear()
        self._repairs[done] += 1
        self._metrics.put_right(drift.kind.value)
        self._metrics.judged_again(plan, plan.record.decisions)
        (step,) = plan.record.decisions[0].steps
        self._log.info(
            "put right", page=short_id(drift.page), dedup_key=drift.dedup_key, kind=drift.kind.value, why=step.because
        )
        return Found(drift, "put right", repaired=True)

    def _decided(self, drift: Drift, now: Instant, ledger: Ledger) -> tuple[Plan, Returned | None]:
        return repaired(drift, ledger, now)

    async def _close(self, drift: Drift) -> str:
        """Close the incident of a page whose key is gone over the REST API; say why not, "" if it was done."""
        assert drift.incident is not None, "it was found open"
        if stands(drift, await self._store.look(Lookup(pages=(drift.page,)))) is None:
            return "something happened to the page meanwhile"
        alerts = [one for one in await self._rest.alerts(drift.incident.id) if one.status != "resolved"]
        if any((one.key, one.integration) != (drift.dedup_key, drift.integration) for one in alerts):
            return "its incident has other open alerts, which would be closed with it"
        closed = await self._rest.act(drift.incident.id, "resolved")
        if closed.status != "resolved":
            return f"PagerDuty left its incident {closed.status}"
        try:
            await self._rest.note(drift.incident.id, NOTE)
        except RestError as error:
            self._log.warning("an incident that was closed got no note", incident=drift.incident.id, error=str(error))
        return ""

    # Telling

    def _left(self, drift: Drift, steady: Instant) -> str:
        """Say why nothing was done about a difference."""
        if drift.expected:
            return f"as configured: {drift.expected}"
        if drift.repair is None or drift.doubt:
            return f"left: {drift.doubt or 'nothing that could be done about it is certain'}"
        if steady - self._seen[drift.mark] < APART:
            return f"seen once: what is certain must be seen twice, {span(APART)} apart"
        return f"certain: --fix, or pagerduty.reconcile: fix, would {_WOULD[drift.repair]}"

    def _tell(self, survey: Survey, counts: Counter[str], found: Iterable[Found]) -> None:
        self._metrics.compared({kind.value: counts[kind.value] for kind in Kind}, survey.not_ours, self._clock())
        said = ", ".join(f"{kind}={count}" for kind, count in sorted(counts.items()))
        if said != self._said:
            self._said = said
            if counts:
                fixed = sum(one.repaired for one in found)
                self._log.warning("pages differ from what PagerDuty has", drift=said, put_right=fixed)


_WOULD = {
    Repair.RESOLVE: "send its resolve again",
    Repair.TRIGGER: "send its trigger again",
    Repair.ELSEWHERE: "count it as closed elsewhere, so that it opens again as on_pd_resolve says",
    Repair.CLOSE: "close its incident over the REST API",
    Repair.CLOSED: "count it as closed",
}
