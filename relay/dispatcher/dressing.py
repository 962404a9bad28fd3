"""Makes the event of a claimed page: by templates, without them, or as a storm; and always some event that can go."""

import traceback
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from relay.alert import SECOND, Instant
from relay.decision import Step
from relay.dispatcher.stormy import Standing, rendered_storm
from relay.event import Action, Event, Rendered
from relay.logs import Log, clean
from relay.metrics import Metrics
from relay.pagerduty.encoding import encode
from relay.rendering import Renderer
from relay.rules.dressed import REFUSED, addressed, notes_of, texts_of
from relay.rules.ladder import FALLBACK, MINIMAL
from relay.rules.ledger import Attempt, Claim
from relay.rules.render import minimal
from relay.rules.rulebook import Rulebook
from relay.rules.ruleset import Texts
from relay.rules.view import PageView, view

_RENDER_AT_ONCE = 0.25
"""Seconds of rendering after which somebody more urgent may have a turn."""
_PACE = 0.06
"""Seconds a page takes to render, until it is known better."""
_FASTEST = _RENDER_AT_ONCE / 64
"""Seconds a page counts at least: no turn is for more pages than are claimed at once."""


class Dressing:
    """Has pages rendered, and knows how many may be at once."""

    def __init__(
        self,
        renderer: Renderer,
        store: Standing,
        *,
        steady: Callable[[], Instant],
        external_url: str,
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._renderer = renderer
        self._store = store
        self._steady = steady
        self._external_url = external_url
        self._metrics = metrics
        self._log = log
        self._pace = _PACE

    @property
    def at_once(self) -> int:
        """How many pages are dressed before somebody more urgent may have a turn."""
        return max(1, int(_RENDER_AT_ONCE / self._pace))

    async def dress(self, claims: Sequence[Claim], book: Rulebook) -> list[Rendered]:
        """Render pages with their receivers' templates. Does not raise: what cannot be rendered goes out plain."""
        began = self._steady()
        try:
            rendered = await self._renderer.render([self._job(claim, book) for claim in claims])
        except Exception as error:  # whatever it is: a page that cannot be dressed goes as it is
            if len(claims) > 1:  # and spoils no other
                return [one for claim in claims for one in await self.dress([claim], book)]
            self._log.error("rendering failed, pages go out plain", error=traceback.format_exc())
            rendered = [_undressed(claim, type(error).__name__) for claim in claims]
        seconds = (self._steady() - began) / SECOND / len(claims)
        self._pace = (self._pace + max(seconds, _FASTEST)) / 2
        for _ in claims:
            self._metrics.rendered(seconds)
        return rendered

    def _job(self, claim: Claim, book: Rulebook) -> tuple[PageView, Texts]:
        page = claim.page
        shown = view(
            claim, now=claim.attempt.at, external_url=self._external_url, notes=notes_of(page, claim.attempt.at)
        )
        return shown, texts_of(page, book)

    async def storm(self, claim: Claim, book: Rulebook) -> Rendered:
        """Write a storm page: it has its own text, of more alerts than a claim carries. Does not raise."""
        try:
            return Rendered(await rendered_storm(self._store, claim.page, book, self._external_url))
        except Exception as error:  # whatever it is: it goes as it is
            self._log.error("a storm page cannot be rendered, it goes out plain", error=repr(error))
            return _undressed(claim, type(error).__name__)

    def written(self, claim: Claim, rendered: Rendered) -> tuple[Rendered, bytes]:
        """Write the event as people may see it: the bytes that name it, and that are kept."""
        rendered = _addressed(claim, rendered)
        try:
            return rendered, encode(rendered.event, None)
        except (ValueError, TypeError, RecursionError) as error:
            self._log.error("an event cannot be written as JSON, it goes out plain", error=repr(error))
            rendered = _addressed(claim, _undressed(claim, type(error).__name__))
            return rendered, encode(rendered.event, None)


def carries_content(attempt: Attempt) -> bool:
    """Say whether templates make the event."""
    return attempt.action is Action.TRIGGER and MINIMAL not in attempt.rung


def rung_of(attempt: Attempt, rendered: Rendered) -> str:
    """Name the rung an event stands on: one that could not be rendered at all went out as a minimal one."""
    undressed = "event" in rendered.failed_fields and MINIMAL not in attempt.rung
    return f"{attempt.rung} {MINIMAL}".strip() if undressed else attempt.rung


def bare(claim: Claim) -> Rendered:
    """Make what needs no template: a resolve or acknowledge says only whom it means, a minimal event what fires."""
    if claim.attempt.action is Action.TRIGGER:
        return Rendered(minimal(view(claim, now=claim.attempt.at), REFUSED))
    return Rendered(Event(event_action=claim.attempt.action, dedup_key=claim.page.dedup_key))


def _addressed(claim: Claim, rendered: Rendered) -> Rendered:
    """Say to a fallback receiver whose page it gets."""
    if claim.attempt.action is not Action.TRIGGER or not claim.attempt.rung.startswith(FALLBACK):
        return rendered
    summary = addressed(rendered.event.summary, claim.page.receiver)
    return replace(rendered, event=replace(rendered.event, summary=summary))


def _undressed(claim: Claim, reason: str) -> Rendered:
    """Say what fires without templates, without anything that could fail again."""
    page = claim.page
    summary = f"[{page.severity}] {claim.firing} alerts fire in group {page.group_key}"[:1000] + f" ({reason})"
    event = Event(Action.TRIGGER, page.dedup_key, summary=clean(summary), source="pagerelay", severity=page.severity)
    return Rendered(event, (Step("template", f"rendering failed: {reason}"),), ("event",))
