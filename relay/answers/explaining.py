"""Says what would become of a webhook body: reads and classifies it as the intake does, and writes nothing."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from relay.alert import Instant, Status
from relay.answers.explained import EventAnswer, ExplainAnswer, ExplainedAlert, PlaceAnswer
from relay.answers.previewing import Render, previews
from relay.answers.reasons import holds_of, inhibitors_of, windows_of
from relay.answers.words import PageState, clock, state
from relay.decision import Decision, Verdict
from relay.errors import NotTaken
from relay.event import Severity
from relay.ingress import alertmanager, pagerduty
from relay.page import Member, Page, short_id
from relay.rules.classify import Classifier, Draft, Entry, Placement
from relay.rules.judge import judge
from relay.rules.ledger import Ledger, Plan
from relay.rules.pages import LIVE
from relay.rules.rulebook import Rulebook
from relay.rules.silences import NO_SILENCES, Silences
from relay.rules.suppression.silence import because
from relay.store import SqliteStore
from relay.storms import Storms

SHOWN = 100
"""Alerts of a body that are explained, unless all are asked for."""
_SLICE = 100
"""Alerts explained before the event loop gets a turn."""


class Asking(NamedTuple):
    """How something is to be explained."""

    at: Instant | None = None
    """As if it came then; None: now. What the store holds is what it holds now."""
    silences: bool = True
    """Whether the silences of now are looked at."""
    events: bool = False
    """Whether to make what PagerDuty would be sent; that starts a process."""
    everything: bool = False
    """Whether all alerts of a body are explained."""


NOW = Asking()


class Asked(NamedTuple):
    """Whom an explanation is asked of: the store, the rules, and what else a judgement looks at."""

    store: SqliteStore
    book: Rulebook | None
    silences: Silences
    storms: Storms
    render: Render
    external_url: str


async def explain(
    asked: Asked, body: bytes, source: str, *, receiver: str, asking: Asking, now: Instant
) -> ExplainAnswer:
    """Explain the alerts of a body. Raises BadBody, StoreError, and NotTaken where there is no rule book.

    Of an Events API event `receiver` is the one whose own routing key it has, "" for a virtual key.
    Each is judged as the intake would judge it, with the others of the body; nothing is written.
    """
    book, now = asked.book, now if asking.at is None else asking.at
    if book is None:
        raise NotTaken("no configuration is loaded, so nothing can be said of a body: name one with --config.file")
    if pagerduty.is_event(body):
        message = pagerduty.parse(body, source, receiver, now, "(a new one)")
    else:
        message = await asyncio.to_thread(alertmanager.parse, body, source)
    classifier = Classifier(message, book)
    shown = message.alerts if asking.everything else message.alerts[:SHOWN]
    for at in range(0, len(shown), _SLICE):
        classifier.feed(shown[at : at + _SLICE])
        await asyncio.sleep(0)
    draft = classifier.draft()
    silences = asked.silences if asking.silences else NO_SILENCES
    watch = asked.storms.rehearse(draft.entries, draft.lookup, book, now)
    ledger = await asked.store.look(watch.lookup)
    plan = await asyncio.to_thread(judge, draft, ledger, now, book, silences, watch)
    desk = _Desk(asked.store, book, silences, now, draft, ledger, plan)
    return ExplainAnswer(
        alerts=tuple([await _alert(entry, desk) for entry in desk.entries]),
        more=len(message.alerts) - len(shown),
        notes=tuple(note.because for note in message.notes),
        at=clock(now),
        silences=asking.silences,
        events=await _events(desk, asked) if asking.events else (),
    )


class _Desk:
    """Everything that was looked up and judged for one explanation."""

    def __init__(
        self,
        store: SqliteStore,
        book: Rulebook,
        silences: Silences,
        now: Instant,
        draft: Draft,
        ledger: Ledger,
        plan: Plan,
    ) -> None:
        self.store, self.book, self.silences, self.now = store, book, silences, now
        self.draft, self.ledger, self.plan = draft, ledger, plan
        self.decided = {(one.fingerprint, one.status): one for one in plan.decisions}
        self.entries = draft.entries
        if draft.truncation is not None and draft.truncation.placements:
            self.entries = (*self.entries, draft.truncation)
        self._members: dict[int, dict[int, Member]] = {}
        for alert, rows in ledger.members.items():
            self._members[alert] = {one.home: one for one in rows if one.firing}
        for one in plan.members:
            rows_of = self._members.setdefault(one.alert, {})
            if one.firing:
                rows_of[one.home] = one
            elif one.home in rows_of and rows_of[one.home].page == one.page:
                del rows_of[one.home]

    def members(self, entry: Entry) -> Mapping[int, Member]:
        """Where an alert would fire, by the page that routing puts it in."""
        return self._members.get(entry.id, {})

    @property
    def touched(self) -> tuple[int, ...]:
        """The pages it is all about: where the alerts would fire, then where they would not any more."""
        firing = [one.page for entry in self.entries for one in self.members(entry).values()]
        return tuple(dict.fromkeys((*firing, *(page.id for page in self.plan.pages))))


async def _events(desk: _Desk, asked: Asked) -> tuple[EventAnswer, ...]:
    return await previews(
        desk.touched,
        desk.plan,
        desk.ledger,
        desk.store,
        desk.book,
        asked.render,
        now=desk.now,
        external_url=asked.external_url,
    )


async def _alert(entry: Entry, desk: _Desk) -> ExplainedAlert:
    alert, store, book = entry.alert, desk.store, desk.book
    decision = desk.decided.get((alert.fingerprint, alert.status.value))
    held = next((one for one in await store.alerts(alert.fingerprint) if one.source == alert.source), None)
    firing = alert.status is Status.FIRING
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
        pages=tuple([await _place(place, entry, decision, desk) for place in entry.placements]),
        silences=tuple(because(one) for one in desk.silences.matching(alert.labels, desk.now)) if firing else (),
        inhibitors=tuple(inhibitors_of(entry, desk.entries, desk.ledger)) if firing else (),
        windows=tuple(windows_of(entry, book, desk.now)) if firing else (),
        holds=tuple(holds_of(entry, desk.members(entry), desk.now)) if firing else (),
    )


async def _place(place: Placement, entry: Entry, decision: Decision | None, desk: _Desk) -> PlaceAnswer:
    page = await _current(place.page, desk.store)
    verdict = None if decision is None else decision.verdict
    member = desk.members(entry).get(place.page)
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
        says=_told(place, page, verdict, entry.alert.status, member),
        joins="" if member is None else short_id(member.page),
        suppressed=() if member is None else tuple(one.because for one in member.suppressions),
        lowered="" if member is None else member.lowered,
    )


def _told(place: Placement, page: Page | None, verdict: Verdict | None, status: Status, member: Member | None) -> str:
    if verdict is Verdict.SUPPRESSED:
        return _quietly(place, page)
    if verdict is Verdict.FOLDED:
        return _folds(place, page)
    return _says(place, page, status, place.severity if member is None else member.severity)


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


def _says(place: Placement, page: Page | None, status: Status, severity: Severity) -> str:
    name = short_id(place.page if page is None else page.id)
    if status is Status.RESOLVED:
        if page is None or not page.firing + page.quiet:
            return f"page {name} holds nothing that fires, so there is nothing to resolve"
        return f"it resolves in page {name}, which PagerDuty hears of once nothing else fires there"
    if page is not None and state(page) is PageState.FOLDED and page.folded is not None:
        into = short_id(page.folded)
        return f"its page {name} at receiver {place.receiver} is folded into page {into}: what fires stands there"
    if page is None or state(page) in (PageState.CLOSED, PageState.SUPERSEDED, PageState.LEFT_OPEN):
        return f"it opens page {name} at receiver {place.receiver} as {severity}"
    return f"it belongs to page {name} at receiver {place.receiver}, which is {state(page)}"
