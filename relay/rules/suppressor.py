"""What keeps the alerts of one judgement quiet, where they inhibit others, and when they must be judged again."""

from collections.abc import Iterable

from msgspec.structs import replace

from relay.alert import SECOND, Duration, Instant
from relay.page import Member, Suppression
from relay.rules.classify import Entry, Placement
from relay.rules.ledger import Held, Inhibitor, Ledger, Link, Role
from relay.rules.rulebook import Rulebook
from relay.rules.silences import Silences
from relay.rules.staleness import Listening, look_again_at
from relay.rules.suppression import holds, inhibition, registry
from relay.rules.suppression.case import Case

SHORTEST: Duration = SECOND // 10
"""Least time between two judgements of an alert that only time asks for."""

_Strength = tuple[bool, bool, bool, bool]


class Suppressor:
    """Asks every kind of suppression about the firing alerts of one judgement, against who inhibits by then."""

    def __init__(self, ledger: Ledger, book: Rulebook, now: Instant, silences: Silences, listening: Listening) -> None:
        self.linked: list[tuple[int, Link]] = []
        self.unlinked: list[tuple[int, Link]] = []
        self._now = now
        self._book = book
        self._silences = silences
        self._listening = listening
        self.idle = not book.suppresses and not silences
        """Whether nothing can keep an alert quiet but what did so before."""
        self._before = ledger.inhibitors
        self._inhibitors: dict[int, dict[int, Inhibitor]] = {}
        self._spoken_for: dict[int, tuple[Inhibitor, ...]] = {}
        self._unseen: set[int] = set()
        """Keys that an alert leaves and that nobody looked up: nobody knows who else inhibits there."""
        self._again: dict[int, Instant] = {}
        self._stale_at: dict[str, Instant] = {}
        """By source, when an alert becomes stale that is heard now."""

    def meet(self, entry: Entry, held: Held) -> None:
        """Take in that an alert fires or not, before anything is judged by who fires."""
        links = _linked(entry, held)
        for link in held.links:
            if link.role is not Role.WATCHER and link not in links:
                self._leave(link.key, entry.id)
        for link in links:
            self._at(link.key)[entry.id] = Inhibitor(entry.id, link.role, link.name, link.absent_at)

    def held_until(self, entry: Entry, place: Placement) -> Instant:
        """Say until when an alert that joins a page now is held; 0: not at all."""
        if self.idle or entry.ours:
            return 0
        inhibited = inhibition.judge(self._case(entry, place, self._now, 0, self._now)).suppression is not None
        until = holds.held_until(self._now, place.route, place.severity, entry.targets, inhibited)
        return until if until > self._now else 0

    def quiet(self, entry: Entry, place: Placement) -> tuple[Suppression, ...]:
        """Say what keeps an alert quiet that is in no page, by the route that takes it; () where nothing does."""
        if self.idle or entry.ours:
            return ()
        return registry.judge(self._case(entry, place, self._now, 0, self._now)).suppressions

    def judged(self, member: Member, entry: Entry, place: Placement, heard_at: Instant | None = None) -> Member:
        """Judge a firing member by the route that brings it; `heard_at` None: a body names it now."""
        untouched = not member.suppressions and not member.held_until and not member.lowered
        if entry.ours or (self.idle and untouched):
            return member
        case = self._case(
            entry, place, member.joined_at, member.held_until, self._now if heard_at is None else heard_at
        )._replace(never_loud=member.never_loud)
        found = registry.judge(case)
        if found.again is not None:
            self._again[entry.id] = min(found.again, self._again.get(entry.id, found.again))
        return replace(
            member,
            suppressions=found.suppressions,
            severity=found.severity,
            lowered=found.lowered,
            never_loud=member.never_loud and bool(found.suppressions),
        )

    def remember(self, entry: Entry, held: Held) -> Held:
        """Say what an alert's row must hold so that it is judged again when it must be."""
        if self.idle and not held.links:
            due = None if held.ours or not held.firing else self.stale_by(held.source, held.lasts)
            if held.judge_at == due:
                return held
        links = (*_linked(entry, held), *self._watched(entry)) if held.firing else ()
        judge_at = self._judge_at(entry, held) if held.firing and not entry.ours else None
        if judge_at is not None and held.judge_at is not None and self._now < held.judge_at < judge_at:
            judge_at = held.judge_at  # early does no harm, and a repeat that puts it off need not be written
        self.linked += [(entry.id, link) for link in links if link not in held.links]
        kept = {(link.key, link.role) for link in links}
        self.unlinked += [(entry.id, link) for link in held.links if (link.key, link.role) not in kept]
        same = links == held.links and judge_at == held.judge_at
        return held if same else replace(held, links=links, judge_at=judge_at)

    def stale_by(self, source: str, lasts: Duration) -> Instant:
        """Say when an alert that is heard now becomes stale, or counts as resolved, unless it is heard again."""
        due = self._stale_at.get(source)
        if due is None:
            due = self._stale_at[source] = self._now + self._book.rules.stale_after(source)
        return min(due, self._now + lasts) if lasts else due

    def _judge_at(self, entry: Entry, held: Held) -> Instant:
        """Say when to judge an alert again: what keeps it quiet may end, or it becomes stale."""
        stale_after = self._book.rules.stale_after(entry.alert.source)
        due = look_again_at(held, self._listening, stale_after, self._now)
        return max(min(due, self._again.get(entry.id, due)), self._now + SHORTEST)

    def stirred(self) -> tuple[int, ...]:
        """Name the keys at which it changed who inhibits, so that those who watch them must be judged again."""
        changed = [
            key
            for key, there in self._inhibitors.items()
            if _strength(self._before.get(key, ())) != _strength(there.values())
        ]
        return (*changed, *self._unseen)

    def _case(self, entry: Entry, place: Placement, joined_at: Instant, held_until: Instant, heard_at: Instant) -> Case:
        inhibitors = {target.key: self._strongest(target.key) for target in entry.targets}
        return Case(
            now=self._now,
            windows=self._book.rules.windows,
            route=place.route,
            source=entry.alert.source,
            labels=entry.alert.labels,
            severity=place.severity,
            joined_at=joined_at,
            held_until=held_until,
            heard_at=heard_at,
            silences=self._silences,
            targets=entry.targets,
            inhibitors=inhibitors,
        )

    def _strongest(self, key: int) -> tuple[Inhibitor, ...]:
        """Return those who speak for all who inhibit at a key; asked once everybody was met."""
        known = self._spoken_for.get(key)
        if known is None:
            known = self._spoken_for[key] = inhibition.strongest(self._at(key).values())
        return known

    def _at(self, key: int) -> dict[int, Inhibitor]:
        """Return who inhibits at a key by now."""
        there = self._inhibitors.get(key)
        if there is None:
            there = self._inhibitors[key] = {one.alert: one for one in self._before.get(key, ())}
        return there

    def _leave(self, key: int, alert: int) -> None:
        if key not in self._before:
            self._unseen.add(key)
        else:
            self._at(key).pop(alert, None)

    def _watched(self, entry: Entry) -> tuple[Link, ...]:
        keys = [target.key for target in entry.targets]
        if self._silences and not entry.ours:
            keys += [silence.key for silence in self._silences.matching(entry.alert.labels, self._now)]
        return tuple(Link(key, Role.WATCHER) for key in dict.fromkeys(keys))


def _linked(entry: Entry, held: Held) -> tuple[Link, ...]:
    """Say where an alert inhibits: nowhere once it is resolved or stale."""
    if not held.firing or held.stale_at or not entry.sources:
        return ()
    return tuple(replace(link, absent_at=held.absent_at) for link in entry.sources) if held.absent_at else entry.sources


def _strength(there: Iterable[Inhibitor]) -> _Strength:
    """Say all that a target may ask of those who inhibit at a key."""
    seen = {(one.role, one.absent_at > 0) for one in there}
    return (
        (Role.SOURCE, False) in seen,
        (Role.SOURCE, True) in seen,
        (Role.TWO_SIDED, False) in seen,
        (Role.TWO_SIDED, True) in seen,
    )


def dropped(member: Member) -> bool:
    """Say whether a window keeps a member quiet: with `outside: drop` it pages only once it is heard again."""
    return any(one.kind.windowed for one in member.suppressions)
