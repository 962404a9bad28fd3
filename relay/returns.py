"""The desk where news from PagerDuty arrives: keeps each piece once, and has what it changes followed up."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from relay.alert import HOUR, MINUTE, Duration, Instant
from relay.errors import RelayError
from relay.logs import Log
from relay.metrics import Metrics
from relay.page import Page, short_id
from relay.rounds import TICK, Rounds
from relay.rules.acts import judged
from relay.rules.news import Judged, News, Taken
from relay.rules.responding import responses
from relay.rules.ruleset import RuleSet
from relay.store import SqliteStore

SEEN_FOR: Duration = 72 * HOUR
"""How long a signed event is known again. PagerDuty sends one again for 48 h (webhooks, "Behavior")."""
ASK_AGAIN: Duration = 1 * MINUTE
"""After PagerDuty's REST API gave no answer."""
_AT_ONCE = 100
_HOPELESS = ("not_found", "forbidden")
"""Answers that another try will not change."""
_OF_ONE = ("server", "bad_answer")
"""Answers that may be about one incident alone: it waits by itself, unless several in a row get none."""
_IN_A_ROW = 3
ASK_LATER: Duration = 10 * MINUTE
"""The same about one incident: longer, so that those that come first do not take every turn."""

T = TypeVar("T")
Keys = Callable[[str], Awaitable[Sequence[str]]]
"""Asks for the dedup keys of an incident's alerts. Raises RelayError, which says in `reason` why it got no answer."""
Leads = Callable[[], Awaitable[Mapping[str, str]]]
"""Asks in which service the incidents of each integration are, by Integration.id. Raises RelayError as Keys does."""


async def nobody_to_ask(incident: str) -> Sequence[str]:
    """Know of no incident: there is no token."""
    return ()


async def nowhere() -> Mapping[str, str]:
    """Know of no service: there is no token."""
    return {}


class Returns(Rounds):
    """Takes news; what the store cannot place waits for the REST API, which is asked in the background."""

    def __init__(
        self,
        store: SqliteStore,
        *,
        clock: Callable[[], Instant],
        changed: Callable[[], None],
        asks: Callable[[], bool] = lambda: False,
        keys: Keys = nobody_to_ask,
        leads: Leads = nowhere,
        rules: Callable[[], RuleSet] | None = None,
        metrics: Metrics,
        log: Log,
    ) -> None:
        """`changed` is called when pages may have something to send by now, or later; `asks` says whether there is
        somebody to ask for `keys` and `leads`; `rules` are those that count, for what is counted of how people respond.
        """
        super().__init__("the desk for news from PagerDuty", metrics, log)
        self._store = store
        self._clock = clock
        self._changed = changed
        self._asks = asks
        self._keys = keys
        self._leads = leads
        self._rules = rules
        self._services: dict[str, str] = {}
        """By Integration.id, the service that its incidents were seen in."""
        self._ask_at: Instant = 0
        self._ailing: dict[str, Instant] = {}
        """By incident, when to ask again, where PagerDuty gave no answer about it."""
        self._forget_at: Instant = 0

    async def take(self, news: News) -> Taken:
        """Take a piece of news, once it is on disk. Raises StoreError where it cannot be kept: it must come again."""
        now = self._clock()
        taken = await self._store.take_news(news, now, self._judge(now), dict(self._services), ask=self._asks())
        self._tell(news, taken)
        if taken.outcome == "waiting":
            self.nudge()
        return taken

    async def tick(self) -> None:
        """Place what waits, and forget what was seen long ago."""
        now = self._clock()
        if now >= self._ask_at and self._asks():
            await self._place_waiting()
        if now >= self._forget_at:
            while await self._store.forget_news(now - SEEN_FOR):
                pass
            self._forget_at = now + HOUR

    async def patience(self) -> Duration:
        """Say how long nothing is due."""
        return TICK

    async def _place_waiting(self) -> None:
        """Ask which pages the news that waits is about, in the order it came."""
        now, in_a_row = self._clock(), 0
        self._ailing = {incident: at for incident, at in self._ailing.items() if at > now}
        while waiting := [one for one in await self._store.waiting_news(_AT_ONCE) if one.incident not in self._ailing]:
            for news in waiting:
                if news.incident in self._ailing:
                    continue  # what happened first is placed first
                reason = await self._place(news)
                in_a_row = in_a_row + 1 if reason else 0
                if reason in _OF_ONE:
                    self._ailing[news.incident] = self._clock() + ASK_LATER
                if (reason and reason not in _OF_ONE) or in_a_row >= _IN_A_ROW:
                    self._ask_at = self._clock() + ASK_AGAIN
                    return

    async def _place(self, news: News) -> str:
        """Ask which pages a piece of news is about, and place it; return why there was no answer, "" if there was."""
        try:
            keys = await _asked(self._keys(news.incident), ())
            services = await self._seen_in(news.service) if keys else {}
        except RelayError as error:
            self._log.warning("PagerDuty was not asked about an incident", incident=news.incident, error=str(error))
            return str(getattr(error, "reason", "")) or "unknown"
        now = self._clock()
        placed = await self._store.place_news(news, keys, now, self._judge(now), services)
        self._tell(news, placed)
        return ""

    async def _seen_in(self, service: str) -> Mapping[str, str]:
        """Say which integrations are known to be in a service, beside what was seen: of pages at several integrations
        with one dedup key it says which is meant. Only for it: an open page may be at a key from before."""
        if not service or service in self._services.values():
            return dict(self._services)
        leads = await _asked(self._leads(), {})
        return {name: there for name, there in leads.items() if there == service} | self._services

    def _judge(self, now: Instant) -> Callable[[News, Page], Judged]:
        return partial(_judged, now)

    def _tell(self, news: News, taken: Taken) -> None:
        """Count a piece of news, log it in one line, and have the rooms look that it may concern."""
        self._metrics.returned(taken.outcome)
        for act in taken.acts:
            self._metrics.acted(act.kind)
        if self._rules is not None:
            for before, after in zip(taken.before, taken.pages, strict=True):
                for response in responses(before, after, self._rules()):
                    self._metrics.responded(response)
        pages = ",".join(short_id(page.id) for page in taken.pages)
        about = {"type": news.type, "incident": news.incident, "page": pages, "by": news.who}
        self._log.info(
            "news from PagerDuty", became=taken.outcome, **{name: said for name, said in about.items() if said}
        )
        if taken.sure and news.service:
            self._services.update(_served(taken.pages, news.service))
        if taken.pages:
            self._changed()


async def _asked(answer: Awaitable[T], nothing: T) -> T:
    """Return what PagerDuty answers, `nothing` where another try will not change that it does not."""
    try:
        return await answer
    except RelayError as error:
        if getattr(error, "reason", "") not in _HOPELESS:
            raise
        return nothing


def _judged(now: Instant, news: News, page: Page) -> Judged:
    return judged(news, page, now)


def _served(pages: Sequence[Page], service: str) -> Mapping[str, str]:
    """Say in which service the integrations of pages are seen; a page at its fallback says nothing of its own."""
    return {page.integration: service for page in pages if not page.fallback_to}
