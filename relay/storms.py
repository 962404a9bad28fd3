"""Counts new pages in a sliding window per integration, and says which of them fold."""

from collections import deque
from collections.abc import Callable, Collection, Iterable
from itertools import islice
from threading import Lock

from msgspec.structs import replace

from relay import failpoints
from relay.alert import Duration, Instant
from relay.logs import Log
from relay.page import Page, short_id
from relay.rules.classify import Entry
from relay.rules.ledger import Folded, Lookup
from relay.rules.rulebook import Rulebook
from relay.rules.ruleset import Integration
from relay.rules.storms import StormBegins, storm_id
from relay.store import SqliteStore

_Row = tuple[int, int]
"""(page, revision): one state of one page."""


class Storms:
    """The count of new pages by integration; asked on the writing thread, and by whoever shows it.

    It is in memory, and bounded by the rules' `pages`. A row that was counted is remembered with what was said of it:
    a judgement that is made again, or whose transaction failed and whose body comes again, counts nothing twice. What
    never comes again slides out of the window.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._windows: dict[str, _Window] = {}
        self._asked: set[int] = set()
        """Storm pages that were missing in a judgement: they are looked up from then on."""
        self._kept: dict[str, tuple[int, int]] = {}
        """By receiver, (pages, alerts) that its storm folded so far, or since the start; on the event loop."""

    def go_on(self, integration: str, until: Instant) -> None:
        """Let a storm go on that began before this process did."""
        with self._lock:
            self._windows.setdefault(integration, _Window()).until = until

    async def resume(self, store: SqliteStore, book: Rulebook, now: Instant) -> None:
        """Let the storms go on whose pages are open: at a start, before anything is judged."""
        found = await store.look(Lookup(pages=tuple(map(storm_id, book.rules.integrations))))
        for page in found.pages.values():
            if page.storm_until > now:
                self.go_on(page.integration, page.storm_until)

    def lasts(self, integration: Integration, now: Instant) -> bool:
        """Say whether a storm is on: one more new page would fold."""
        with self._lock:
            window = self._windows.get(integration.id)
            return window is not None and window.lasts(integration, now)

    def over_at(self, integration: Integration, now: Instant) -> Instant:
        """Say when a storm is over if no new page comes; `now` where there is none."""
        with self._lock:
            window = self._windows.get(integration.id)
            return now if window is None else window.over_at(integration, now)

    def folds(self, integration: Integration, page: Page, now: Instant) -> bool:
        """Count a new page, and say whether it folds."""
        if integration.storm is None:
            return False
        with self._lock:
            window = self._windows.get(integration.id)
            if window is None:
                window = self._windows[integration.id] = _Window()
            folded = window.folds((page.id, page.revision), integration, now)
        if folded:
            failpoints.reached("storm.fold")
        return folded

    def watch(self, entries: Iterable[Entry], lookup: Lookup, book: Rulebook, now: Instant) -> "Watch":
        """Prepare a judgement: its lookup names the storm pages that it may fold something into."""
        placed = {place.integration for entry in entries for place in entry.placements}
        known = [book.rules.integrations.get(one) for one in placed]
        near = [storm_id(one.id) for one in known if one is not None and self._near(one, len(lookup.pages), now)]
        near += self._asked
        return Watch(self.folds, self.over_at, replace(lookup, pages=(*lookup.pages, *near)) if near else lookup, near)

    def look_up(self, missing: StormBegins) -> None:
        """Have a storm page looked up that was missing."""
        self._asked.add(missing.page)

    def tell(self, folded: Iterable[Folded], log: Log) -> None:
        """Note what was folded and is on disk by now, and log where a storm begins with it."""
        for one in folded:
            pages, alerts = (0, 0) if one.begins else self._kept.get(one.receiver, (0, 0))
            self._kept[one.receiver] = pages + one.pages, alerts + one.alerts
            if one.begins:
                log.warning("a storm begins", receiver=one.receiver, folded_pages=one.pages, folded_alerts=one.alerts)

    def tell_end(self, receiver: str, page: Page, opened: int, stay: int, log: Log) -> None:
        """Log that a storm is over: how many folded pages open by themselves, and how many stay in the storm page."""
        pages, alerts = self._kept.pop(receiver, (0, 0))
        log.info(
            "the storm is over",
            receiver=receiver,
            page=short_id(page.id),
            folded_pages=pages,
            folded_alerts=alerts,
            opened_pages=opened,
            staying_pages=stay,
        )

    def rehearse(self, entries: Iterable[Entry], lookup: Lookup, book: Rulebook, now: Instant) -> "Watch":
        """The same for a judgement of which nothing is kept: it counts in a copy."""
        copy = Storms()
        with self._lock:
            copy._windows = {name: window.copy() for name, window in self._windows.items()}
        return copy.watch(entries, lookup, book, now)

    def _near(self, integration: Integration, new: int, now: Instant) -> bool:
        """Say whether so many new pages could reach the storm."""
        if integration.storm is None:
            return False
        with self._lock:
            window = self._windows.get(integration.id)
            known = 0 if window is None else window.count(integration.storm.within, now)
            return known + new > integration.storm.pages or (window is not None and now < window.until)


class Watch:
    """The count as one judgement sees it, and what that judgement must look up."""

    def __init__(
        self,
        folds: Callable[[Integration, Page, Instant], bool],
        over_at: Callable[[Integration, Instant], Instant],
        lookup: Lookup,
        pages: Collection[int],
    ) -> None:
        self.folds = folds
        self.over_at = over_at
        self.lookup = lookup
        self._pages = frozenset(pages)

    def knows(self, page: int) -> bool:
        """Say whether a storm page was looked up."""
        return page in self._pages


class _Window:
    """When the newest new pages of one integration came, as many as make a storm, and what was said of each."""

    __slots__ = ("_folded", "_opened", "_times", "until")

    def __init__(self) -> None:
        self.until: Instant = 0
        """A storm that began before this process lasts until then."""
        self._times: deque[Instant] = deque()
        self._opened: dict[_Row, Instant] = {}
        self._folded: dict[_Row, Instant] = {}

    def copy(self) -> "_Window":
        twin = _Window()
        twin.until, twin._times = self.until, self._times.copy()
        twin._opened, twin._folded = self._opened.copy(), self._folded.copy()
        return twin

    def folds(self, row: _Row, integration: Integration, now: Instant) -> bool:
        storm = integration.storm
        if storm is None:
            return False
        self._slide(storm.within, now)
        if row in self._opened:
            return False
        if row in self._folded:
            return True
        folds = len(self._times) >= storm.pages or now < self.until
        said = self._folded if folds else self._opened
        said[row] = now
        self._times.append(now)
        # More than make a storm say nothing more. Those that opened are no more than that by themselves.
        while len(self._times) > storm.pages:
            self._times.popleft()
        while len(self._folded) > storm.pages:
            del self._folded[next(iter(self._folded))]
        return folds

    def count(self, within: Duration, now: Instant) -> int:
        self._slide(within, now)
        return len(self._times)

    def lasts(self, integration: Integration, now: Instant) -> bool:
        storm = integration.storm
        return storm is not None and (now < self.until or self.count(storm.within, now) >= storm.pages)

    def over_at(self, integration: Integration, now: Instant) -> Instant:
        storm = integration.storm
        if storm is None:
            return now
        over = max(now, self.until)
        surplus = self.count(storm.within, now) - storm.pages
        if surplus >= 0:  # the first of the newest ones that make it a storm has yet to slide out
            over = max(over, next(islice(self._times, surplus, None)) + storm.within)
        return over

    def _slide(self, within: Duration, now: Instant) -> None:
        """Forget what is over, and what lies ahead: the wall clock was set back."""
        times = self._times
        while times and not now - within < times[0] <= now + within:
            times.popleft()
        while times and times[-1] > now + within:
            times.pop()
        for said in (self._opened, self._folded):
            while said:
                row = next(iter(said))
                if now - within < said[row] <= now + within:
                    break
                del said[row]
