"""Says what PagerDuty would be sent of pages as a judgement leaves them, by the same steps as the mail room's."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from relay.alert import Instant
from relay.answers.explained import EventAnswer
from relay.answers.words import clock
from relay.event import Action, Event, Rendered
from relay.page import Do, Lane, Member, Page, short_id
from relay.pagerduty.encoding import encode
from relay.rules.dressed import REFUSED, addressed, notes_of, texts_of
from relay.rules.ledger import Attempt, Changed, Claim, Held, Ledger, Plan, Shown
from relay.rules.pages import next_step
from relay.rules.render import minimal
from relay.rules.rulebook import Rulebook
from relay.rules.ruleset import Texts
from relay.rules.view import PageView, view
from relay.store import SqliteStore

MOST = 20
"""Pages of one answer whose events are made."""
_MEMBERS = 1_000

Render = Callable[[Sequence[tuple[PageView, Texts]]], Awaitable[list[Rendered]]]

_SENDS = {
    Do.TRIGGER: "trigger",
    Do.REOPEN: "trigger",
    Do.UPDATE: "update",
    Do.RESOLVE: "resolve",
    Do.ACKNOWLEDGE: "acknowledge",
}


async def previews(
    pages: Iterable[int],
    plan: Plan,
    ledger: Ledger,
    store: SqliteStore,
    book: Rulebook,
    render: Render,
    *,
    now: Instant,
    external_url: str,
) -> tuple[EventAnswer, ...]:
    """Make the events of pages, and of the change events of the plan. Raises StoreError."""
    rows = {**ledger.pages, **{page.id: page for page in plan.pages}}
    claims = [await _claim(rows[one], plan, ledger, store, now) for one in list(pages)[:MOST] if one in rows]
    shown = [one for one in claims if _is_rendered(one.page)]
    jobs = [(_view(one, external_url), texts_of(one.page, book)) for one in shown]
    rendered = dict(zip((one.page.id for one in shown), await render(jobs), strict=True))
    found = [_answer(one, rendered.get(one.page.id)) for one in claims]
    return (*found, *(_change(one, book) for one in plan.changes[: MOST - len(found)]))


def _is_rendered(page: Page) -> bool:
    return not page.storm and not page.minimal and next_step(page) is not Do.RESOLVE


def _view(claim: Claim, external_url: str) -> PageView:
    now = claim.attempt.at
    return view(claim, now=now, external_url=external_url, notes=notes_of(claim.page, now))


async def _claim(page: Page, plan: Plan, ledger: Ledger, store: SqliteStore, now: Instant) -> Claim:
    """Put a page together as it would be claimed once the plan is written: its row, and who is in it."""
    rows = await _stored(page, plan, store)
    alerts: Mapping[int, Held] = {**ledger.alerts, **{held.id: held for held in plan.alerts}}
    counted = [sum(1 for one in rows.shown.values() if one.member.firing is firing) for firing in (True, False)]
    beyond = [max(0, there - here) for there, here in zip((rows.firing, rows.resolved), counted, strict=True)]
    for alert, one in list(rows.shown.items()):
        rows.shown[alert] = Shown(one.member, alerts.get(alert, one.alert))
    for member in plan.members:
        if member.page == page.id and (held := alerts.get(member.alert)) is not None:
            rows.shown[member.alert] = Shown(member, held)
    for left, alert in plan.left:
        if left == page.id:
            rows.shown.pop(alert, None)
    there = sorted(rows.shown.values(), key=_order)
    firing = sum(1 for one in there if one.member.firing)
    at = max(now, page.due_at) if page.lane is not None else now
    return Claim(page, _attempt(page, at), tuple(there[:_MEMBERS]), firing + beyond[0], len(there) - firing + beyond[1])


class _Stored(msgspec.Struct):
    """Who the store has in a page, by alert, and how many there are in all."""

    shown: dict[int, Shown]
    firing: int
    resolved: int


async def _stored(page: Page, plan: Plan, store: SqliteStore) -> _Stored:
    """Read who is in a page: also those that move to it, and without those that a new episode forgets."""
    found = _Stored({}, 0, 0)
    for number in (*(old for old, new in plan.moved if new == page.id), page.id):
        seen = await store.page(number)
        if seen is None:
            continue
        forgets = number in plan.cleared
        for one in seen.members:
            if one.member.firing or not forgets:
                found.shown[one.member.alert] = Shown(replace(one.member, page=page.id), one.alert)
        found.firing += seen.firing
        found.resolved += 0 if forgets else seen.resolved
    return found


def _order(one: Shown) -> tuple[bool, int, int, Instant, int]:
    """As the store orders who is shown (store/sql/delivery.sql shown_members)."""
    member: Member = one.member
    return not member.firing, member.severity.rank, member.order, one.alert.starts_at, member.alert


def _attempt(page: Page, at: Instant) -> Attempt:
    return Attempt(
        id=0,
        page=page.id,
        integration=page.integration,
        key_id="",
        lane=Lane.WARNING if page.lane is None else page.lane,
        action=Action.TRIGGER,
        revision=page.revision,
        episode=page.episode,
        at=at,
    )


def _answer(claim: Claim, rendered: Rendered | None) -> EventAnswer:
    page = claim.page
    steps = rendered.steps if rendered is not None else ()
    return EventAnswer(
        page=short_id(page.id),
        receiver=page.fallback or page.receiver,
        sends=_SENDS.get(next_step(page), "") if page.lane is not None else "",
        due_at=clock(page.due_at) if page.lane is not None else None,
        firing=claim.firing,
        event=_event(claim, rendered),
        notes=tuple(step.because for step in steps),
    )


def _event(claim: Claim, rendered: Rendered | None) -> Mapping[str, Any] | None:
    page = claim.page
    if page.storm:
        return None  # relay/dispatcher/stormy.py writes it, of more alerts than are read here
    if next_step(page) is Do.RESOLVE:
        return _written(Event(Action.RESOLVE, page.dedup_key))
    event = minimal(view(claim, now=claim.attempt.at), REFUSED) if rendered is None else rendered.event
    if page.fallback:
        event = replace(event, summary=addressed(event.summary, page.receiver))
    return _written(event)


def _written(event: Event) -> Mapping[str, Any] | None:
    try:
        found: dict[str, Any] = msgspec.json.decode(encode(event, None))
    except (ValueError, TypeError, RecursionError):  # the mail room sends it plain then
        return None
    return found


def _change(one: Changed, book: Rulebook) -> EventAnswer:
    integration = book.rules.integrations.get(one.integration)
    return EventAnswer(
        page="",
        receiver=integration.name if integration is not None else "",
        sends="change",
        due_at=clock(one.at),
        firing=0,
        event=msgspec.json.decode(one.event),
    )
