"""Judge again what fires already: after a reload, at a start, and when another page's delivery changed something."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from relay.alert import Alert, Instant, Status, WebhookMessage
from relay.decision import Decision, Step, Verdict
from relay.page import Member, Page, Wanted, short_id
from relay.rules.classify import Classifier, Entry, Placement, keys_of, truncation_fingerprint
from relay.rules.desk import Desk
from relay.rules.ending import Ended, ended, groups_of, record
from relay.rules.ledger import Held, Ledger, Lookup, Plan, Recorded, Role
from relay.rules.pages import LIVE, reached
from relay.rules.rulebook import Rulebook
from relay.rules.silences import NO_SILENCES, Silences
from relay.rules.staleness import DEAF, Listening, ends, is_stale, stale_at
from relay.rules.storms import CALM, Storming
from relay.rules.tallies import UNROUTED


class Rejudged(msgspec.Struct, frozen=True):
    """Alerts that fire, placed anew by the rules that count now."""

    entries: tuple[Entry, ...]
    lookup: Lookup


def place_again(held: Sequence[Held], book: Rulebook) -> Rejudged:
    """Route firing alerts from the store by the current rules."""
    entries = tuple([_entry(one, book) for one in held if not _ours(one)])
    pages = {place.page: None for entry in entries for place in entry.placements}
    return Rejudged(entries, Lookup(tuple(one.id for one in held), tuple(pages), keys=keys_of(entries)))


def _ours(held: Held) -> bool:
    """What the relay itself says stays where it was placed."""
    return held.ours or any(held.fingerprint == truncation_fingerprint(group) for group in held.groups)


class _Labels(msgspec.Struct):
    labels: dict[str, str] = {}


def labels_of(held: Held) -> Mapping[str, str]:
    """Read the labels of an alert from the store."""
    return msgspec.json.decode(held.raw, type=_Labels).labels


def _entry(held: Held, book: Rulebook) -> Entry:
    alert = Alert(
        source=held.source,
        fingerprint=held.fingerprint,
        status=Status.FIRING,
        labels=labels_of(held),
        annotations={},
        starts_at=held.starts_at,
        ends_at=held.ends_at,
        generator_url="",
        digest=held.digest,
        raw=held.raw,
        sent=held.sent,
    )
    placed: dict[int, Placement] = {}
    for group_key in held.groups or ("",):
        message = WebhookMessage(held.source, group_key, "", "", (alert,), b"")
        for place in Classifier(message, book).place(alert).placements:
            placed.setdefault(place.page, place)
    entry = Classifier(WebhookMessage(held.source, "", "", "", (), b""), book).place(alert)
    return replace(entry, placements=tuple(placed.values()), steps=())


def rejudge(
    again: Rejudged,
    ledger: Ledger,
    now: Instant,
    book: Rulebook,
    silences: Silences = NO_SILENCES,
    listening: Listening = DEAF,
    storms: Storming = CALM,
) -> Plan:
    """Say what changes for alerts that fire already. An edit of the rules never re-pages everyone.

    Same integration: an alert stays in its open page, whatever its key is now. Other integration: it joins the new page
    and leaves the old one after that one's 202. Routed to nobody: it is suppressed. Not heard of for too long: it is
    stale, and perhaps counts as over. Raises StormBegins where it needs a storm page that was not looked up.
    """
    desk = Desk(ledger, book, now, silences, listening, storms=storms)
    entries = [entry for entry in again.entries if (held := ledger.alerts.get(entry.id)) is not None and held.firing]
    over = [one for entry in entries if (one := _grown_old(entry, desk, book, listening)) is not None]
    for entry in entries:
        desk.meet(entry)
    fires = [entry for entry in entries if desk.alerts[entry.id].firing]
    for entry in fires:
        settle_in(entry, desk)
    for entry in entries:
        desk.remember(entry)
    desk.leave_alone(ledger.alerts.keys() - {entry.id for entry in entries})
    desk.transition()
    plan = desk.plan()
    told = over or plan.pages or desk.noticed
    groups = groups_of(ledger.alerts.get(entry.id) for entry in again.entries) if told else ()
    return replace(plan, groups=groups, record=record(fires, over, desk))


def _grown_old(entry: Entry, desk: Desk, book: Rulebook, listening: Listening) -> Ended | None:
    """Say whether an alert counts as over; else note whether it is stale."""
    held = desk.alerts[entry.id]
    stale_after = book.rules.stale_after(held.source)
    members = [member for member in desk.memberships(entry.id) if member.firing]
    routes = [book.routes.get(member.route) for member in members]
    resolves = bool(routes) and all(route is not None and route.on_stale == "resolve" for route in routes)
    shown = any(desk.pages[one.page].wanted is Wanted.OPEN or desk.pages[one.page].delivered in LIVE for one in members)
    because = ends(held, listening, stale_after, desk.now, resolves=resolves, shown=shown)
    if because:
        forgotten = not shown and not held.lasts
        return ended(entry, Verdict.FORGOTTEN if forgotten else Verdict.RESOLVES, because, desk)
    stale = stale_at(held, listening, stale_after) if is_stale(held, listening, stale_after, desk.now) else 0
    if bool(stale) is not bool(held.stale_at):
        desk.noticed = True
        desk.hold(replace(held, stale_at=stale))
    return None


def settle_in(entry: Entry, desk: Desk) -> None:
    """Have a firing alert be where its placements say, and leave where they do not."""
    places = {place.integration: place for place in reversed(entry.placements)}
    members = [member for member in desk.memberships(entry.id) if member.firing]
    heir: int | None = None
    for integration, place in places.items():
        stays = [member for member in members if desk.pages[member.page].integration == integration]
        there = {member.page for member in stays}
        for member in stays:
            _stay(member, entry, _same(entry, member, integration) or place, desk, there)
        heir = stays[0].page if stays else desk.join(entry, place).page
    for member in members:
        if desk.pages[member.page].integration not in places:
            _go(member, entry, heir, desk)


def _same(entry: Entry, member: Member, integration: str) -> Placement | None:
    exact = [one for one in entry.placements if one.page == member.home and one.integration == integration]
    return exact[0] if exact else None


def _stay(member: Member, entry: Entry, place: Placement, desk: Desk, there: Collection[int]) -> None:
    """Let a member stay in its page; `there` are all pages of this integration it is in: it may leave one for another
    (a storm page for its own)."""
    moved = replace(
        member,
        home=place.page,
        severity=place.severity,
        route=place.route.id,
        order=place.route.order,
        receiver=place.receiver,
        target=place.target,
        leaving=member.leaving if member.leaving in there else None,
        said=entry.alert.sent.said if entry.alert.sent is not None else 0,
    )
    kept = desk.judged(moved, entry, place)
    if kept != member:
        desk.put(kept)
    else:
        desk.follow(kept)


def _go(member: Member, entry: Entry, heir: int | None, desk: Desk) -> None:
    """Suppress a member that is routed to nobody, or let it leave once its new page is open.

    Until then it is as quiet as it is where it goes: else a page that is muted there would stay open here.
    """
    if heir is None:
        gone = replace(member, suppressions=(UNROUTED,))
    else:
        there = desk.judged(member, entry, entry.placements[0])
        gone = replace(member, leaving=heir, suppressions=there.suppressions)
    if gone == member:
        return
    desk.put(gone)
    if heir is not None:
        desk.write(replace(desk.pages[member.page], judge_at=desk.now))


def inhibits_anew(held: Held, book: Rulebook) -> bool:
    """Say whether a firing alert inhibits elsewhere by these rules than is written down."""
    if held.ours or held.stale_at:
        return False
    known = {(link.key, link.role) for link in held.links if link.role is not Role.WATCHER}
    return known != {(link.key, link.role) for link in book.inhibition.sources(labels_of(held), held.source)}


def introduce(again: Rejudged, ledger: Ledger, now: Instant, book: Rulebook) -> Plan:
    """Write down where alerts inhibit by new rules, before anybody is judged by them; judging follows."""
    desk = Desk(ledger, book, now)
    entries = [entry for entry in again.entries if (held := ledger.alerts.get(entry.id)) is not None and held.firing]
    for entry in entries:
        desk.meet(entry)
    for entry in entries:
        desk.remember(entry)
    return desk.plan()


def waits_for(ledger: Ledger, page: int) -> Lookup:
    """Name what must be known to look at a page again: its successor and the pages its members are leaving for."""
    heirs = {member.leaving: None for member in ledger.whole.get(page, ()) if member.leaving is not None}
    return Lookup(pages=(page, *heirs), whole=(page,))


def _held_by(page: int, ledger: Ledger) -> Sequence[Member]:
    """Return the members of a page: all of them, or (of a storm page) those of the alerts that were looked up."""
    if page in ledger.whole:
        return ledger.whole[page]
    return [one for rows in ledger.members.values() for one in rows if one.page == page]


def look_again(number: int, ledger: Ledger, now: Instant, book: Rulebook) -> Plan:
    """Let go of what has moved on: a page whose successor is open, members whose new page is open."""
    page = ledger.pages.get(number)
    if page is None or (page.judge_at is None and not page.storm):
        return Plan()
    desk = Desk(ledger, book, now)
    successor = ledger.pages.get(page.successor) if page.successor is not None else None
    over = successor is None or reached(successor) or successor.wanted is Wanted.CLOSED
    if page.handed_over and successor is not None and reached(successor):
        desk.moved_on(number)
    looked_at = page.storm_until or None  # a storm page is looked at for what has moved on, and for its storm's end
    desk.write(replace(page, judge_at=looked_at, handed_over=page.handed_over and not over))
    for member in _held_by(number, ledger):
        heir = ledger.pages.get(member.leaving) if member.leaving is not None else None
        if heir is not None and reached(heir):
            desk.moved_on(number)
            desk.drop(member)
    desk.transition()
    return desk.plan()


def storm_over(number: int, homes: Collection[int], ledger: Ledger, now: Instant, book: Rulebook) -> Plan:
    """End a storm: open these folded pages by themselves. Their alerts leave the storm page once PagerDuty has them.

    The other alerts stay in the storm page, which closes when all of its alerts are resolved.
    """
    page = ledger.pages.get(number)
    if page is None or not page.storm_until:
        return Plan()
    desk = Desk(ledger, book, now)
    desk.write(replace(page, storm_until=0, judge_at=now))
    going = [one for rows in ledger.members.values() for one in rows if _goes(one, number, homes, desk)]
    opened = [(member, desk.unfold(member)) for member in going]
    desk.transition()
    alerts = [ledger.alerts[member.alert] for member, _ in opened]
    return replace(desk.plan(), groups=groups_of(alerts), record=_opened(page, opened, desk))


def _goes(member: Member, storm: int, homes: Collection[int], desk: Desk) -> bool:
    there = member.page == storm and member.firing and member.leaving is None
    return there and member.home in homes and member.home in desk.pages


def _opened(storm: Page, opened: Sequence[tuple[Member, int]], desk: Desk) -> Recorded | None:
    """Write into the journal what the end of a storm opened."""
    if not opened:
        return None
    told = Step("page", f"the storm is over: its own page opens, and then page {short_id(storm.id)} lets go of it")
    decisions = []
    for member, page in opened:
        held = desk.alerts[member.alert]
        name = labels_of(held).get("alertname", "")
        quiet = member.suppressions
        steps = (told, *(Step("suppression", one.because) for one in quiet))
        verdict = Verdict.SUPPRESSED if quiet else Verdict.OPENS
        shown = (short_id(page), short_id(storm.id))
        decisions.append(Decision(held.source, held.fingerprint, name, "firing", verdict, shown, steps))
    outcomes = Counter(one.verdict.value for one in decisions)
    return Recorded(desk.now, decisions[0].source, "", "", dict(outcomes), tuple(decisions))
