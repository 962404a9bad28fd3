"""Says what would become of a webhook body: reads and classifies it as the intake does, and writes nothing."""

import asyncio

from relay.alert import Instant, Status
from relay.answers.models import ExplainAnswer, ExplainedAlert, PlaceAnswer
from relay.answers.words import PageState, state
from relay.decision import Decision, Verdict
from relay.errors import NotTaken
from relay.ingress import alertmanager, pagerduty
from relay.page import Page, short_id
from relay.rules.classify import Classifier, Entry, Placement
from relay.rules.judge import judge
from relay.rules.pages import LIVE
from relay.rules.rulebook import Rulebook
from relay.rules.silences import NO_SILENCES, Silences
from relay.store import SqliteStore
from relay.storms import Storms

SHOWN = 100
"""Alerts of a body that are explained, unless all are asked for."""
_SLICE = 100
"""Alerts explained before the event loop gets a turn."""


async def explain(
    store: SqliteStore,
    book: Rulebook | None,
    body: bytes,
    source: str,
    *,
    receiver: str = "",
    everything: bool,
    now: Instant,
    silences: Silences = NO_SILENCES,
    storms: Storms | None = None,
) -> ExplainAnswer:
    """Explain the alerts of a body. Raises BadBody, StoreError, and NotTaken where there is no rule book.

    Of an Events API event `receiver` is the one whose own routing key it has, "" for a virtual key.
    Each is judged as the intake would judge it, with the others of the body; nothing is written.
    """
    if book is None:
        raise NotTaken("no configuration is loaded, so nothing can be said of a body: name one with --config.file")
    if pagerduty.is_event(body):
        message = pagerduty.parse(body, source, receiver, now, "(a new one)")
    else:
        message = await asyncio.to_thread(alertmanager.parse, body, source)
    classifier = Classifier(message, book)
    shown = message.alerts if everything else message.alerts[:SHOWN]
    for at in range(0, len(shown), _SLICE):
        classifier.feed(shown[at : at + _SLICE])
        await asyncio.sleep(0)
    draft = classifier.draft()
    watch = (storms or Storms()).rehearse(draft.entries, draft.lookup, book, now)
    ledger = await store.look(watch.lookup)
    plan = await asyncio.to_thread(judge, draft, ledger, now, book, silences, watch)
    decided = {(one.fingerprint, one.status): one for one in plan.decisions}
    entries = draft.entries
    if draft.truncation is not None and draft.truncation.placements:
        entries = (*entries, draft.truncation)
    found = [await _alert(entry, decided.get(_named(entry)), store, book) for entry in entries]
    return ExplainAnswer(
        alerts=tuple(found),
        more=len(message.alerts) - len(shown),
        notes=tuple(note.because for note in message.notes),
    )


def _named(entry: Entry) -> tuple[str, str]:
    return entry.alert.fingerprint, entry.alert.status.value


async def _alert(entry: Entry, decision: Decision | None, store: SqliteStore, book: Rulebook) -> ExplainedAlert:
    alert = entry.alert
    held = next((one for one in await store.alerts(alert.fingerprint) if one.source == alert.source), None)
    quiet = decision is not None and decision.verdict is Verdict.SUPPRESSED
    folds = decision is not None and decision.verdict is Verdict.FOLDED
    places = [await _place(place, alert.status, store, quiet=quiet, folds=folds) for place in entry.placements]
    return ExplainedAlert(
        alertname=alert.labels.get("alertname", ""),
        fingerprint=alert.fingerprint,
        source=alert.source,
        status=alert.status.value,
        labels=alert.labels,
        severity=min((place.severity for place in entry.placements), key=lambda word: word.rank, default=""),
        held="" if held is None else "firing" if held.firing else "resolved",
        routes=tuple(step.because for step in book.router.trace(alert.labels)),
        verdict="" if decision is None else decision.verdict.value,
        steps=tuple(step.because for step in (entry.steps if decision is None else decision.steps)),
        pages=tuple(places),
    )


async def _place(place: Placement, status: Status, store: SqliteStore, *, quiet: bool, folds: bool) -> PlaceAnswer:
    page = await _current(place.page, store)
    word = "none" if page is None else state(page).value
    return PlaceAnswer(
        receiver=place.receiver,
        route=place.route.id,
        severity=place.severity.value,
        dedup_key=place.dedup_key if page is None else page.dedup_key,
        group_key=place.group_key,
        page=short_id(place.page if page is None else page.id),
        state=word,
        open=page is not None and page.delivered in LIVE,
        says=_quietly(place, page) if quiet else _folds(place, page) if folds else _says(place, page, status),
    )


async def _current(number: int, store: SqliteStore) -> Page | None:
    """Follow a page's chain (`/2`, `/3` ...) to the one that is live now."""
    page, after = await _row(number, store), number
    while page is not None and page.successor is not None and after != page.successor:
        after = page.successor
        heir = await _row(page.successor, store)
        if heir is None or (page.delivered in LIVE and not page.handed_over):
            break
        page = heir
    return page


async def _row(number: int, store: SqliteStore) -> Page | None:
    found = await store.pages(limit=1, after=number - 1)
    return found[0] if found and found[0].id == number else None


def _quietly(place: Placement, page: Page | None) -> str:
    name = short_id(place.page if page is None else page.id)
    return f"it is kept quiet in page {name} at receiver {place.receiver}, whatever that page is for others"


def _folds(place: Placement, page: Page | None) -> str:
    name = short_id(place.page if page is None else page.id)
    return f"its page {name} at receiver {place.receiver} would not open: it folds into the storm page"


def _says(place: Placement, page: Page | None, status: Status) -> str:
    name = short_id(place.page if page is None else page.id)
    if status is Status.RESOLVED:
        if page is None or not page.firing + page.quiet:
            return f"page {name} holds nothing that fires, so there is nothing to resolve"
        return f"it resolves in page {name}, which PagerDuty hears of once nothing else fires there"
    if page is not None and state(page) is PageState.FOLDED and page.folded is not None:
        into = short_id(page.folded)
        return f"its page {name} at receiver {place.receiver} is folded into page {into}: what fires stands there"
    if page is None or state(page) in (PageState.CLOSED, PageState.SUPERSEDED, PageState.LEFT_OPEN):
        return f"it opens page {name} at receiver {place.receiver} as {place.severity}"
    return f"it belongs to page {name} at receiver {place.receiver}, which is {state(page)}"
