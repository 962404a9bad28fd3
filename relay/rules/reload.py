"""Judge again what fires already: after a reload, at a start, and when another page's delivery changed something."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from relay.alert import Alert, Instant, Status, WebhookMessage
from relay.page import Member, Page, Wanted
from relay.rules.classify import Classifier, Entry, Placement, truncation_fingerprint
from relay.rules.desk import Desk
from relay.rules.ledger import Held, Ledger, Lookup, Plan
from relay.rules.pages import reached
from relay.rules.rulebook import Rulebook

UNROUTED = "no route sends it to PagerDuty any more"


class Rejudged(msgspec.Struct, frozen=True):
    """Alerts that fire, placed anew by the rules that count now."""

    entries: tuple[Entry, ...]
    lookup: Lookup


def place_again(held: Sequence[Held], book: Rulebook) -> Rejudged:
    """Route firing alerts from the store by the current rules."""
    entries = tuple(_entry(one, book) for one in held if not _stands_for_truncation(one))
    pages = {place.page: None for entry in entries for place in entry.placements}
    return Rejudged(entries, Lookup(alerts=tuple(entry.id for entry in entries), pages=tuple(pages)))


def _stands_for_truncation(held: Held) -> bool:
    """Such an alert was placed by its group's worst member; it stays where it is."""
    return any(held.fingerprint == truncation_fingerprint(group) for group in held.groups)


class _Labels(msgspec.Struct):
    labels: dict[str, str] = {}


def _entry(held: Held, book: Rulebook) -> Entry:
    alert = Alert(
        source=held.source,
        fingerprint=held.fingerprint,
        status=Status.FIRING,
        labels=msgspec.json.decode(held.raw, type=_Labels).labels,
        annotations={},
        starts_at=held.starts_at,
        ends_at=held.ends_at,
        generator_url="",
        digest=held.digest,
        raw=held.raw,
    )
    placed: dict[int, Placement] = {}
    for group_key in held.groups or ("",):
        message = WebhookMessage(held.source, group_key, "", "", (alert,), b"")
        for place in Classifier(message, book).place(alert).placements:
            placed.setdefault(place.page, place)
    return Entry(held.id, alert, tuple(placed.values()), ())


def rejudge(again: Rejudged, ledger: Ledger, now: Instant, book: Rulebook) -> Plan:
    """Say what changes for alerts that fire already. An edit of the rules never re-pages everyone.

    Same integration: an alert stays in its open page, whatever its key is now. Other integration: it joins the new page
    and leaves the old one after that one's 202. Routed to nobody: it is suppressed.
    """
    desk = Desk(ledger, book, now)
    for entry in again.entries:
        held = ledger.alerts.get(entry.id)
        if held is not None and held.firing:
            _settle_in(entry, held, desk)
    desk.transition()
    plan = desk.plan()
    return replace(plan, groups=_groups(again, ledger) if plan.pages else ())


def _settle_in(entry: Entry, held: Held, desk: Desk) -> None:
    places = {place.integration: place for place in reversed(entry.placements)}
    members = [member for member in desk.memberships(entry.id) if member.firing]
    heir: int | None = None
    for integration, place in places.items():
        stays = [member for member in members if desk.pages[member.page].integration == integration]
        for member in stays:
            _stay(member, _same(entry, member, integration) or place, desk)
        heir = stays[0].page if stays else desk.join(entry.id, place, held.source).page
    for member in members:
        if desk.pages[member.page].integration not in places:
            _go(member, heir, desk)


def _same(entry: Entry, member: Member, integration: str) -> Placement | None:
    exact = [one for one in entry.placements if one.page == member.home and one.integration == integration]
    return exact[0] if exact else None


def _stay(member: Member, place: Placement, desk: Desk) -> None:
    kept = replace(
        member,
        home=place.page,
        severity=place.severity,
        route=place.route.id,
        order=place.route.order,
        receiver=place.receiver,
        target=place.target,
        suppressed="" if member.suppressed == UNROUTED else member.suppressed,
        leaving=None,
    )
    if kept != member:
        desk.put(kept)


def _go(member: Member, heir: int | None, desk: Desk) -> None:
    """Suppress a member that is routed to nobody, or let it leave once its new page is open."""
    gone = replace(member, suppressed=member.suppressed or UNROUTED) if heir is None else replace(member, leaving=heir)
    if gone == member:
        return
    desk.put(gone)
    if heir is not None:
        desk.write(replace(desk.pages[member.page], judge_at=desk.now))


def _groups(again: Rejudged, ledger: Ledger) -> tuple[tuple[str, str], ...]:
    held = (ledger.alerts.get(entry.id) for entry in again.entries)
    return tuple({(one.source, group): None for one in held if one is not None for group in one.groups})


def waits_for(ledger: Ledger, page: int) -> Lookup:
    """Name what must be known to look at a page again: its successor and the pages its members are leaving for."""
    heirs = {member.leaving: None for member in ledger.whole.get(page, ()) if member.leaving is not None}
    return Lookup(pages=(page, *heirs), whole=(page,))


def look_again(number: int, ledger: Ledger, now: Instant, book: Rulebook) -> Plan:
    """Let go of what has moved on: a page whose successor is open, members whose new page is open."""
    page = ledger.pages.get(number)
    if page is None or page.judge_at is None:
        return Plan()
    desk = Desk(ledger, book, now)
    desk.write(replace(page, judge_at=None, handed_over=page.handed_over and not _taken_over(page, ledger)))
    for member in ledger.whole.get(number, ()):
        heir = ledger.pages.get(member.leaving) if member.leaving is not None else None
        if heir is not None and reached(heir):
            desk.drop(member)
    desk.transition()
    return desk.plan()


def _taken_over(page: Page, ledger: Ledger) -> bool:
    heir = ledger.pages.get(page.successor) if page.successor is not None else None
    return heir is None or reached(heir) or heir.wanted is Wanted.CLOSED
