"""Asks the store and the rules, and puts what they say into view models."""

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from relay import __version__
from relay.alert import MINUTE, SECOND, Instant
from relay.answers import show
from relay.answers.explained import ExplainAnswer
from relay.answers.explaining import NOW, Asked, Asking, explain
from relay.answers.models import (
    Decisions,
    IntegrationAnswer,
    LaneAnswer,
    PageAnswer,
    PageLine,
    Pages,
    SourceAnswer,
    StatusAnswer,
)
from relay.answers.previewing import Render
from relay.answers.words import Standing
from relay.answers.words import clock as written
from relay.answers.words import lane as lane_word
from relay.page import Lane, Page, State, Wanted
from relay.rendering import read_sources
from relay.rendering.aside import Aside
from relay.rules.ladder import Barred
from relay.rules.rulebook import Rulebook
from relay.rules.silences import NO_SILENCES, Silences
from relay.rules.storms import beyond
from relay.store import Counts, Needed, SqliteStore
from relay.store.answers import DECISIONS_AT_ONCE
from relay.storms import Storms

_ATTEMPTS_LOOKED_AT = 10
"""Of a storm page in a list, to find what it said last."""


class Answers:
    """Everything that can be asked of the relay. Looks only; every method raises StoreError where the store cannot."""

    def __init__(
        self,
        store: SqliteStore,
        book: Callable[[], Rulebook | None],
        *,
        clock: Callable[[], Instant],
        sources: Mapping[str, Instant],
        store_name: str = "",
        silences: Callable[[], Silences] = lambda: NO_SILENCES,
        storms: Storms | None = None,
        trouble: Callable[[], Mapping[str, str]] = dict,
        paused: Callable[[str], str] = lambda integration: "",
        barred: Callable[[str], Barred | None] = lambda integration: None,
        confirmed: Callable[[str], str] = lambda integration: "",
        silenced: Callable[[int], str] = lambda page: "",
        render: Render | None = None,
        external_url: str = "",
    ) -> None:
        """`book` gives the rule book that counts, None where no configuration is loaded; `sources`: when each was
        last heard, kept up to date by the intake; `store_name` says where the store is; `trouble`: what the relay
        pages about itself, by reason; `paused` says of an Integration.id why nothing is sent to it, "" if something is;
        `barred` says of one what keeps it from being called, None if nothing does; `confirmed`, whether its triggers
        are awaited to be confirmed; `silenced` says of a page how far its alerts are silenced in Alertmanager;
        `render` makes events for people who ask, by the default templates where it is None; `external_url` is the
        relay's own.
        """
        self._store = store
        self._book = book
        self._clock = clock
        self._sources = sources
        self._store_name = store_name
        self._silences = silences
        self._storms = storms
        self._trouble = trouble
        self._paused = paused
        self._barred = barred
        self._confirmed = confirmed
        self._silenced = silenced
        self._render = render or Aside(read_sources).render
        self._external_url = external_url
        self._started_at = clock()

    async def page(self, number: int) -> PageAnswer | None:
        """Show one page with its members and attempts; None if there is none."""
        seen = await self._store.page(number)
        if seen is None:
            return None
        attempts = await self._store.attempts(number)
        names = await self._names()
        name = names.get(seen.page.integration, show.GONE)
        acts = await self._store.acts(number)
        shown = show.page(seen, attempts, name, self._clock(), self._standing(seen.page), acts)
        return replace(shown, why=self._why(seen.page, shown.why))

    def _why(self, page: Page, why: str) -> str:
        """Say first of all that nothing is sent, where that is so; and last what is silenced in Alertmanager."""
        return "; ".join(filter(None, (self._paused(page.via or page.integration), why, self._silenced(page.id))))

    def _line(self, page: Page, names: Mapping[str, str], now: Instant) -> PageLine:
        shown = show.line(page, names.get(page.integration, show.GONE), now, self._standing(page))
        return replace(shown, why=self._why(page, shown.why))

    def _standing(self, page: Page) -> Standing:
        """Say what the mail room and the configuration know of a page."""
        book = self._book()
        fallback = book.fallback(page.fallback or page.receiver) if book else None
        integration = book.rules.integrations.get(page.integration) if book else None
        return Standing(
            barred=self._barred(page.carrier),
            fallback=fallback.receiver if fallback else "",
            beyond=beyond(integration) if integration else "",
        )

    async def pages_by_need(
        self,
        *,
        dead: bool = False,
        due: bool = False,
        wanted: Wanted | None = None,
        delivered: State | None = None,
        receiver: str | None = None,
        limit: int = 100,
    ) -> Pages:
        """List pages as a person needs them: dead letters, what should be or is open, worst first, what is muted, what
        was folded, and what is closed, newest first; and count all of them. Each argument that is given narrows both.

        `due`: has something to send that is due, or within a minute, or has failed.
        """
        names, now = await self._names(), self._clock()
        asked = Needed(dead, now + MINUTE if due else None, wanted, delivered, receiver, limit)
        found, counts = await self._store.pages_by_need(asked)
        lines = [await self._titled(page, self._line(page, names, now)) for page in found]
        return Pages(pages=tuple(lines), next=None, counts=counts)

    async def _titled(self, page: Page, line: PageLine) -> PageLine:
        if not page.storm:
            return line
        return replace(line, title=show.storm_title(await self._store.attempts(page.id, _ATTEMPTS_LOOKED_AT)))

    async def due(self) -> Mapping[str, int]:
        """Count the pages that have something to send by now, by the Integration.id that carries it."""
        return await self._store.due(self._clock())

    async def pages(
        self,
        *,
        dedup_key: str | None = None,
        fingerprint: str | None = None,
        incident: str | None = None,
        wanted: Wanted | None = None,
        delivered: State | None = None,
        waiting: bool | None = None,
        dead: bool | None = None,
        receiver: str | None = None,
        limit: int = 100,
        after: int | None = None,
    ) -> Pages:
        """List pages by id, from the first one after `after`; each argument that is given narrows the list.

        `fingerprint` and `incident` stand alone: the pages that alert is a member of, that incident (its id
        or number) stands for. `waiting`: has something to send and is not in flight; `dead`: is a dead letter that
        nobody let go of.
        """
        names, now = await self._names(), self._clock()
        if fingerprint is not None or incident is not None:
            if fingerprint is not None:
                held = await self._store.pages_holding(fingerprint, limit)
            else:
                held = await self._store.pages_of_incident(incident or "")
            lines = [self._line(page, names, now) for page in held]
            return Pages(pages=tuple(lines), next=None)
        found: list[Page] = []
        more = True
        while more and len(found) <= limit:
            if dead:
                some = await self._store.dead(-1 if after is None else after, limit + 1)
            else:
                some = await self._store.pages(dedup_key, wanted, delivered, waiting, limit=limit + 1, after=after)
            found += [page for page in some if _fits(page, receiver, dedup_key, wanted, delivered, waiting)]
            more = len(some) > limit
            after = some[-1].id if some else after
        lines = [self._line(page, names, now) for page in found[:limit]]
        return Pages(pages=tuple(lines), next=lines[-1].id if len(found) > limit else None)

    async def decisions(
        self,
        *,
        page: int | None = None,
        fingerprint: str | None = None,
        source: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> Decisions:
        """List decisions of the newest messages first; `limit` counts messages, none of which is cut in two."""
        entries = await self._store.decisions(limit, before, source, fingerprint, page)
        decisions = [show.decision(entry, one) for entry in entries for one in entry.record.decisions]
        more = len(entries) == limit or len(decisions) >= DECISIONS_AT_ONCE
        return Decisions(decisions=tuple(decisions), next=entries[-1].id if more and entries else None)

    async def status(self) -> StatusAnswer:
        """Say how the relay is doing."""
        counts, names, now = await self._store.counts(), await self._names(), self._clock()
        book = self._book()
        pages = dict.fromkeys((word.value for word in Wanted), 0)
        for kind, count in counts.pages.items():
            pages[kind.wanted.value] += count
        return StatusAnswer(
            version=__version__,
            started_at=written(self._started_at),
            uptime_seconds=(now - self._started_at) / SECOND,
            config=book.rules.fingerprint if book else "",
            store=self._store_name,
            store_bytes=await self._store.size_bytes(),
            sources=tuple(SourceAnswer(source=one, heard_at=written(at)) for one, at in sorted(self._sources.items())),
            queue={str(lane_word(lane)): _lane(lane, counts, now) for lane in Lane},
            integrations=_integrations(counts, names, await self._store.doubted(), self._confirmed),
            pages=pages,
            in_flight=sum(counts.in_flight.values()),
            dead_letters=sum(counts.dead.values()),
            trouble=self._trouble(),
            paused=tuple(filter(None, dict.fromkeys(self._paused(one) for one in ("", *names)))),
        )

    async def explain(self, body: bytes, source: str, *, receiver: str = "", asking: Asking = NOW) -> ExplainAnswer:
        """Say what would become of a webhook body if it came: the first 100 alerts, or all. Writes nothing.

        Raises BadBody for what can never work, and NotTaken where no configuration is loaded.
        """
        asked = Asked(
            self._store,
            self._book(),
            self._silences(),
            self._storms or Storms(),
            self._render,
            self._external_url,
        )
        return await explain(asked, body, source, receiver=receiver, asking=asking, now=self._clock())

    async def _names(self) -> dict[str, str]:
        """Name integrations as metrics do: by the configuration, or as the store remembers it."""
        remembered = {known.id: show.integration_name(known) for known in await self._store.integrations()}
        book = self._book()
        current = {one.id: one.name for one in book.rules.integrations.values()} if book else {}
        return remembered | current


def _fits(
    page: Page,
    receiver: str | None,
    dedup_key: str | None,
    wanted: Wanted | None,
    delivered: State | None,
    waiting: bool | None,
) -> bool:
    return (
        receiver in (None, page.receiver)
        and dedup_key in (None, page.dedup_key)
        and wanted in (None, page.wanted)
        and delivered in (None, page.delivered)
        and waiting in (None, page.lane is not None and not page.in_flight)
    )


def _lane(lane: Lane, counts: Counts, now: Instant) -> LaneAnswer:
    oldest = counts.oldest.get(lane)
    return LaneAnswer(
        waiting=sum(count for (_, one), count in counts.waiting.items() if one is lane),
        oldest_at=written(oldest) if oldest else None,
        oldest_age_seconds=max(0, now - oldest) / SECOND if oldest else None,
    )


def _integrations(
    counts: Counts, names: Mapping[str, str], doubted: Mapping[str, int], confirmed: Callable[[str], str]
) -> tuple[IntegrationAnswer, ...]:
    return tuple(
        IntegrationAnswer(
            name=name,
            waiting=sum(count for (one, _), count in counts.waiting.items() if one == id_),
            in_flight=counts.in_flight.get(id_, 0),
            dead_letters=counts.dead.get(id_, 0),
            open=sum(
                count for kind, count in counts.pages.items() if kind.integration == id_ and kind.delivered == "open"
            ),
            unconfirmed=doubted.get(id_, 0),
            confirmation=confirmed(id_),
        )
        for id_, name in sorted(names.items(), key=lambda item: item[1])
    )
