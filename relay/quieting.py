"""The quiet room: silences in Alertmanager what a person has at PagerDuty, and asks it itself when that is over."""

import asyncio
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from relay.alert import MINUTE, SECOND, Duration, Instant
from relay.alertmanager import AlertmanagerClient, Fault
from relay.alertmanager.silences import beside, end, ours, put
from relay.errors import StoreError
from relay.logs import Log
from relay.metrics import Metrics
from relay.page import Page
from relay.polling import Polling
from relay.recall import Recall
from relay.rounds import Rounds
from relay.rules.gone import Poll, evidence, let_go
from relay.rules.ledger import Held, Ledger, Lookup, Plan
from relay.rules.quieting import (
    MOST_ALERTS,
    REMEMBERED,
    Acts,
    Key,
    Missing,
    Put,
    Standing,
    Target,
    hides,
    is_over,
    missing,
    plan,
    silent_about,
    since,
    unheard,
)
from relay.rules.reload import Rejudged, labels_of, place_again
from relay.rules.rulebook import Rulebook
from relay.rules.ruleset import Source
from relay.store import SqliteStore

EVERY: Duration = 30 * SECOND
"""How often a source's Alertmanagers are asked while a silence is in force."""
SELDOM: Duration = 5 * MINUTE
"""The same while only silences that ended may have hidden something."""
RESTS = 20
"""How many times as long as the asking took it rests at least: with many alerts an answer is large."""
MOST_PAGES = 500
"""Pages whose alerts are silenced at once."""

TOO_MANY = f"only {MOST_ALERTS} alerts of a page are"
UNKNOWN = "Alertmanager does not know them, or not any more"


@dataclass
class _Watch:
    """What is known of one source."""

    due: Instant = 0
    """When it is to be visited again, by the steady clock."""
    seen: dict[tuple[str, str], Instant] = field(default_factory=dict)
    """When an Alertmanager (URL) last knew an alert (fingerprint) that is looked after."""
    missing: dict[int, Missing] = field(default_factory=dict)
    """By alert, since when nobody knows it."""
    silenced: Counter[int] = field(default_factory=Counter)
    """How many alerts of a page are silenced."""
    left: defaultdict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """How many alerts of a page are not, by the reason."""
    said: str = ""
    """What was last in the way."""


class Quieting(Rounds):
    """Makes no silence without an end, and looks after each that it made until nothing can be hidden by it any more.

    What was seen is in memory: a start begins anew, and finds the silences of before by what they say of themselves.
    """

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
        judged: Callable[[], None] = lambda: None,
        metrics: Metrics,
        log: Log,
    ) -> None:
        """`judged` is called when other pages may have to be judged anew, since an alert is over."""
        super().__init__("the quiet room", metrics, log)
        self._store = store
        self._recall = recall
        self._client = client
        self._polling = Polling(store, client, clock)
        self._clock = clock
        self._steady = steady
        self._wake = wake
        self._judged = judged
        self._pages: frozenset[int] = frozenset()
        """The pages whose alerts were to be silenced when last looked."""
        self._left: Mapping[int, Counter[str]] = {}
        """By page, how many alerts no Alertmanager can be asked about, by the reason."""
        self._watches: dict[str, _Watch] = {}
        self.reloaded(book)

    def reloaded(self, book: Rulebook) -> None:
        """Go by other rules. Where there may be silences of ours, that is looked at soon."""
        self._book = book
        uses = any(route.on_acknowledge == "silence" for route in book.routes.values())
        # Where none are wanted any more there may still be some, which hide resolves until they end.
        sources = [one for one in book.rules.sources.values() if uses or one.name in self._watches]
        seen = {name: watch.seen for name, watch in self._watches.items()}
        self._watches = {one.name: _Watch(seen=seen.get(one.name, {})) for one in sources if one.alertmanager_urls}
        self.nudge()

    def of(self, page: int) -> str:
        """Say how far a page's alerts are silenced; "" where they are not to be."""
        if page not in self._pages:
            return ""
        silenced = sum(watch.silenced[page] for watch in self._watches.values())
        left = Counter(self._left.get(page, {}))
        for watch in self._watches.values():
            left.update(watch.left.get(page, {}))
        parts = (
            [f"{_are(silenced, ' of its alerts')} silenced in Alertmanager while somebody has it"] if silenced else []
        )
        return "; ".join([*parts, *(f"{_are(count)} not silenced: {why}" for why, count in left.items())])

    async def tick(self) -> None:
        """Visit the sources whose turn it is, and all of them when pages are new or no more."""
        book, pages = self._book, await self._store.quieted(MOST_PAGES)
        these = frozenset(page.id for page in pages)
        changed = these != self._pages
        if not changed and all(watch.due > self._steady() for watch in self._watches.values()):
            return
        targets = await self._targets(pages, book)
        for name in targets:
            self._watches.setdefault(name, _Watch())
        self._pages = these
        async with asyncio.TaskGroup() as tasks:
            for name, watch in tuple(self._watches.items()):
                if changed or watch.due <= self._steady():
                    tasks.create_task(self._visited(book.rules.sources[name], watch, targets.get(name, ()), book))

    async def patience(self) -> Duration:
        """Say how long there is nothing to do."""
        due = min((watch.due for watch in self._watches.values()), default=self._steady() + EVERY)
        return max(due - self._steady(), SECOND)

    async def _targets(self, pages: Iterable[Page], book: Rulebook) -> dict[str, list[Target]]:
        """List by source the alerts to silence; note of the others why not."""
        found: defaultdict[str, list[Target]] = defaultdict(list)
        left: defaultdict[int, Counter[str]] = defaultdict(Counter)
        for page in pages:
            members = await self._store.firing_members(page.id, MOST_ALERTS)
            if (more := page.firing + page.quiet - len(members)) > 0:
                left[page.id][TOO_MANY] += more
            for held in (one.alert for one in members if one.alert.sent is None):  # no Alertmanager knows an event
                source = book.rules.sources.get(held.source)
                if source is not None and source.alertmanager_urls and not held.ours:
                    found[held.source].append(Target(page, held, frozenset(labels_of(held).items())))
                else:
                    left[page.id][f"source {held.source or 'default'} names no alertmanager_url"] += 1
        self._left = left
        return found

    async def _visited(self, source: Source, watch: _Watch, targets: Sequence[Target], book: Rulebook) -> None:
        began = self._steady()
        try:
            rest = await self._visit(source, watch, targets, book)
        except StoreError as error:
            self._metrics.store_failed("schedule")
            self._log.error("the quiet room cannot use the store, it tries again", error=str(error))
            rest = EVERY
        except Exception:  # whatever it is: the other sources must be visited, and this one again
            self._log.error("silencing in Alertmanager failed", source=source.name, error=traceback.format_exc())
            rest = EVERY
        now = self._steady()
        watch.due = now + max(rest or 0, RESTS * (now - began))
        if rest is None and self._watches.get(source.name) is watch:
            del self._watches[source.name]

    async def _visit(self, source: Source, watch: _Watch, targets: Sequence[Target], book: Rulebook) -> Duration | None:
        """Do what is to be done at a source's Alertmanagers; return when to look again, None: nothing is left."""
        poll, listed = await asyncio.gather(self._polling.poll(source, book), self._list(source))
        if book is not self._book:
            return EVERY  # reloaded meanwhile: another watch goes on
        now = self._clock()
        standing = [one for some in listed.values() if not isinstance(some, Fault) for one in some]
        standing = [one for one in standing if not one.over or now - one.ends_at <= REMEMBERED]
        pages = (await self._store.look(Lookup(pages=tuple({one.page for one in standing})))).pages
        known = {
            url: answer.known for url, answer in poll.answers.items() if not isinstance(listed.get(url), Fault | None)
        }
        acts = plan(targets, known, standing, pages.keys(), now)
        failed = await self._carry_out(source, acts)
        self._tell(source, watch, [*self._faults(poll, listed), *failed.values()])
        there = {one.key: "" for one in standing if not one.over} | {one.target.key: "" for one in acts.put}
        self._count(watch, targets, known.values(), there | failed)
        looked_after = {one.alert.id: one.alert for one in targets}
        looked_after |= {held.id: held for held in await self._hidden(standing, pages.keys(), now)}
        await self._look_after(source, watch, looked_after.values(), poll, book)
        await self._hear(targets, poll)
        if targets or watch.missing or any(not one.over for one in standing if one.page in pages):
            return EVERY
        if any(isinstance(one, Fault) for one in listed.values()):
            return EVERY  # there may be some of ours
        return SELDOM if looked_after else None

    async def _list(self, source: Source) -> dict[str, tuple[Standing, ...] | Fault]:
        urls = source.alertmanager_urls
        found = await asyncio.gather(*(ours(self._client, url) for url in urls))
        return dict(zip(urls, found, strict=True))

    def _faults(self, poll: Poll, listed: Mapping[str, tuple[Standing, ...] | Fault]) -> list[str]:
        said = {url: one.because for url, one in listed.items() if isinstance(one, Fault)} | dict(poll.faults)
        return [silent_about(url, because) for url, because in said.items()]

    async def _carry_out(self, source: Source, acts: Acts) -> dict[Key, str]:
        """Do it; say of what could not be done why."""
        ended = await asyncio.gather(*(end(self._client, one) for one in acts.ended))
        made = await asyncio.gather(*(self._put(one) for one in acts.put))
        failed: dict[Key, str] = {}
        done: Counter[str] = Counter()
        for silence, fault in zip(acts.ended, ended, strict=True):
            done["failed" if fault else "ended"] += 1
            failed |= {silence.key: silent_about(silence.url, fault.because)} if fault else {}
        for one, fault in zip(acts.put, made, strict=True):
            done["failed" if fault else "extended" if one.extends else "made"] += 1
            failed |= {one.target.key: silent_about(one.url, fault.because)} if fault else {}
        for act, count in done.items():
            self._metrics.silenced(source.name, act, count)
        return failed

    async def _put(self, one: Put) -> Fault | None:
        others = await beside(self._client, one.url, one.target.alert.fingerprint, one.target.labels)
        return others if isinstance(others, Fault) else await put(self._client, one, others)

    def _tell(self, source: Source, watch: _Watch, in_the_way: Collection[str]) -> None:
        because = "; ".join(dict.fromkeys(in_the_way))
        if because and because != watch.said:
            self._log.warning("silences in Alertmanager cannot be looked after", source=source.name, error=because)
        watch.said = because

    def _count(
        self,
        watch: _Watch,
        targets: Iterable[Target],
        known: Collection[Collection[str]],
        there: Mapping[Key, str],
    ) -> None:
        """Note how far the alerts of each page are silenced, for people. `there`: what went wrong with each silence."""
        watch.silenced, watch.left = Counter(), defaultdict(Counter)
        for target in targets:
            page = target.page.id
            wrong = there.get(target.key, UNKNOWN if known else watch.said)
            if wrong:
                watch.left[page][wrong] += 1
            else:
                watch.silenced[page] += 1

    # The end that a silence would hide

    async def _hidden(self, standing: Iterable[Standing], ours: Collection[int], now: Instant) -> list[Held]:
        """List alerts whose resolve a silence of ours may hide, or have hidden."""
        by_page: defaultdict[int, list[Standing]] = defaultdict(list)
        for one in standing:
            if one.page in ours:
                by_page[one.page].append(one)
        found = []
        for page, silences in by_page.items():
            for held in (one.alert for one in await self._store.firing_members(page, MOST_ALERTS)):
                labels = frozenset(labels_of(held).items())
                if any(one.labels == labels and hides(one, held, now) for one in silences):
                    found.append(held)
        return found

    async def _look_after(
        self, source: Source, watch: _Watch, alerts: Collection[Held], poll: Poll, book: Rulebook
    ) -> None:
        """Let alerts count as over that no Alertmanager knows any more."""
        prints = {held.fingerprint for held in alerts}
        watch.seen = {key: at for key, at in watch.seen.items() if key[1] in prints} | {
            (url, one): poll.at for url, answer in poll.answers.items() for one in prints & answer.known
        }
        over: dict[int, Missing] = {}
        before, watch.missing = watch.missing, {}
        for held in alerts:
            now = missing(held.fingerprint, poll, watch.seen)
            if now is not None:
                first = watch.missing[held.id] = since(before.get(held.id), now)
                over |= {held.id: first} if is_over(first, now) else {}
        if over:
            await self._end(source, [held for held in alerts if held.id in over], over, poll, book)

    async def _hear(self, targets: Iterable[Target], poll: Poll) -> None:
        """Let an Alertmanager that knows an alert stand for the bodies that its silence keeps back: it is not stale."""
        known = set[str]().union(*(answer.known for answer in poll.answers.values()))
        heard = [one.alert.id for one in targets if one.alert.fingerprint in known]
        if heard:
            await self._store.heard(heard, (), poll.at)

    async def _end(
        self, source: Source, alerts: Sequence[Held], over: Mapping[int, Missing], poll: Poll, book: Rulebook
    ) -> None:
        await self._store.flush_heard()  # who was named by a body meanwhile is not over
        again = place_again(alerts, book)
        plan = await self._store.keep(again.lookup, partial(self._ended, again, over, poll, book))
        if plan.record is None:
            return
        self._log.info("silenced alerts are over", source=source.name, resolved=len(plan.record.decisions))
        self._metrics.judged_again(plan, plan.record.decisions)
        self._wake()
        self._judged()

    def _ended(self, again: Rejudged, over: Mapping[int, Missing], poll: Poll, book: Rulebook, ledger: Ledger) -> Plan:
        first = Poll(max(one.at for one in over.values()), poll.asked, {})
        because = f"{evidence(first, poll)}, while it was silenced there"
        plan = let_go(
            again,
            because,
            lambda held: held is not None and held.id in over and unheard(held, over[held.id]),
            ledger=ledger,
            now=self._clock(),
            book=book,
        )
        self._recall.forget(plan.groups)
        return plan


def _are(count: int, of: str = "") -> str:
    return f"{count}{of} {'is' if count == 1 else 'are'}"
