"""Says by which inhibit rules, time intervals, holds and silences an alert is judged, whether they hold it or not."""

from collections.abc import Iterator, Mapping, Sequence

from relay.alert import MINUTE, SECOND, Duration, Instant, Status
from relay.answers.explained import HoldAnswer, InhibitorAnswer, WindowAnswer
from relay.answers.words import clock, span
from relay.page import Member
from relay.rules.classify import Entry, Placement
from relay.rules.inhibiting import Target
from relay.rules.ledger import Inhibitor, Ledger
from relay.rules.quoting import go_quote
from relay.rules.rulebook import Rulebook
from relay.rules.suppression.inhibition import inhibits


def inhibitors_of(entry: Entry, entries: Sequence[Entry], ledger: Ledger) -> Iterator[InhibitorAnswer]:
    """Go through the inhibit rules whose target side takes an alert, in the order of the file."""
    for target in entry.targets:
        by = tuple(one.name for one in _there(entry, target, entries, ledger) if inhibits(one, target))
        equal = {name: entry.alert.labels.get(name, "") for name in target.rule.equal}
        agreeing = ", ".join(f"{name}={go_quote(value)}" for name, value in equal.items())
        same = f" with the same {agreeing}" if agreeing else ""
        fires = f"{by[0]} fires" if by else "no alert fires that it names as a source"
        yield InhibitorAnswer(
            rule=target.rule.title, equal=equal, by=by, says=f"{target.rule.title} may inhibit it: {fires}{same}"
        )


def _there(entry: Entry, target: Target, entries: Sequence[Entry], ledger: Ledger) -> Iterator[Inhibitor]:
    """Go through who inhibits at a key: those of the store that the body says nothing of, then those of the body."""
    said = {one.id for one in entries}
    yield from (one for one in ledger.inhibitors.get(target.key, ()) if one.alert not in said)
    for one in entries:
        if one.id != entry.id and one.alert.status is Status.FIRING:
            yield from (Inhibitor(one.id, link.role, link.name) for link in one.sources if link.key == target.key)


def windows_of(entry: Entry, book: Rulebook, now: Instant) -> Iterator[WindowAnswer]:
    """Go through the time intervals of the routes that take an alert to a PagerDuty entry."""
    routes = {place.route.id: place for place in (*entry.placements, *entry.changes)}
    for place in routes.values():
        route = place.route
        for kind, names in (("mute", route.mute_time_intervals), ("active", route.active_time_intervals)):
            for name in names:
                window = book.rules.windows[name]
                inside, edge = window.contains(now), window.next_edge(now)
                until = f"until {clock(edge)}" if edge is not None else "with no end in sight"
                where = f"{'inside' if inside else 'outside of'} {kind} time interval {go_quote(name)} {until}"
                yield WindowAnswer(
                    receiver=place.receiver,
                    route=route.id,
                    name=name,
                    kind=kind,
                    inside=inside,
                    until=None if edge is None else clock(edge),
                    says=f"receiver {place.receiver}: {where}; outside its hours: {route.outside}",
                )


def holds_of(entry: Entry, members: Mapping[int, Member], now: Instant) -> Iterator[HoldAnswer]:
    """Go through the delays of an alert's first page; `members` are its own, by the page that routing put it in."""
    for place in entry.placements:
        member = members.get(place.page)
        held = member is not None and bool(member.held_until) and now < member.held_until
        joined = member.joined_at if member is not None else now
        own = place.route.hold_trigger.of(place.severity)
        if own:
            yield _hold(place, "hold_trigger", own, joined + own if held and joined + own > now else None, "its route")
        for target in entry.targets:
            length = target.rule.hold.of(place.severity)
            if length:
                until = joined + length if held and joined + length > now else None
                yield _hold(place, "inhibit_hold", length, until, target.rule.title)
        if place.group_wait:
            yield _hold(place, "group_wait", place.group_wait, None, "its route, where it opens the page")


def _hold(place: Placement, kind: str, length: Duration, until: Instant | None, whose: str) -> HoldAnswer:
    held = f"held until {clock(until)}" if until is not None else "not held by it"
    if kind == "group_wait":
        held = "the first trigger waits"
    said = f"{length / SECOND:g} s" if length < 2 * MINUTE else span(length)
    return HoldAnswer(
        receiver=place.receiver,
        kind=kind,
        seconds=length / SECOND,
        until=None if until is None else clock(until),
        says=f"receiver {place.receiver}: {kind} {said} of {whose}: {held}",
    )
