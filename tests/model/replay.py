"""The plain model: what keeps each alert quiet, worked out anew from everything that ever happened.

Nothing is kept from one question to the next, nothing is indexed and nothing is due: every question replays the whole
history. Routing, grouping and severities are the relay's own, and so is whether an instant lies in a window: those have
tests of their own.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from relay.alert import HOUR, Alert, Instant, Status, WebhookMessage, alert_id, fingerprint_of
from relay.event import Severity
from relay.page import SuppressionKind
from relay.rules.classify import Classifier, Placement
from relay.rules.matchers import Matcher
from relay.rules.rulebook import Rulebook
from relay.rules.ruleset import InhibitRule, Route
from relay.rules.silences import Silence

Labels = Mapping[str, str]
Place = tuple[int, str]
"""(alert id, integration)."""


class Body(NamedTuple):
    """A body that was accepted."""

    at: Instant
    source: str
    group_key: str
    stated: tuple[tuple[Labels, bool], ...]
    """Each alert that it names, and whether it fires."""
    told: Mapping[Place, Severity]
    """Where an alert joined a page that PagerDuty may know of: with which severity that one was opened."""


class Reload(NamedTuple):
    """Other rules count from now on."""

    at: Instant
    book: Rulebook
    told: Mapping[Place, Severity]
    gone: frozenset[Place]
    """Where alerts have left for another page, since that one was delivered."""


class Silenced(NamedTuple):
    """A silence as it stands from now on."""

    at: Instant
    silence: Silence


class Restart(NamedTuple):
    """The relay stopped at once and began again."""

    at: Instant
    heard_at: Mapping[int, Instant]
    """When each alert was last heard as far as that was written down: of a mere repeat it may not be."""


class Looked(NamedTuple):
    """The clockwork did all that was due."""

    at: Instant


Event = Body | Reload | Silenced | Restart | Looked


@dataclass
class Joined:
    """An alert in an integration."""

    at: Instant
    held_until: Instant
    leaving: bool = False
    loud: bool = False
    """Whether it was seen kept quiet by nothing since it joined."""


@dataclass
class Fact:
    """An alert as the bodies told of it."""

    source: str
    group_key: str
    labels: Labels
    firing: bool = False
    heard_at: Instant = 0
    absent_at: Instant = 0
    joined: dict[str, Joined] = field(default_factory=dict)

    @property
    def id(self) -> int:
        return alert_id(self.source, fingerprint_of(self.labels))


class Said(NamedTuple):
    """What must be true of an alert in an integration."""

    kinds: tuple[SuppressionKind, ...]
    """What keeps it quiet, in the order in which reasons are told."""
    severity: Severity | None
    """None: nothing is said of it."""


class World:
    """What is true after a history."""

    def __init__(self, history: Sequence[Event]) -> None:
        self.facts: dict[int, Fact] = {}
        self.silences: dict[str, Silence] = {}
        for event in history:
            match event:
                case Body():
                    self._hear(event)
                case Reload():
                    self._reload(event)
                case Looked():
                    self._look(event.at)
                case Restart():
                    for number, heard_at in event.heard_at.items():
                        self.facts[number].heard_at = heard_at
                case Silenced():
                    self.silences[event.silence.id] = event.silence

    def firing(self) -> list[Fact]:
        """List what fires."""
        return [fact for fact in self.facts.values() if fact.firing]

    def places(self, fact: Fact) -> dict[str, Placement]:
        """Say where an alert belongs, by integration."""
        return _places(self.book, fact.source, fact.group_key, tuple(sorted(fact.labels.items())))

    def all_said(self, now: Instant) -> dict[Place, Said]:
        """Say it of every alert, wherever it fires and is not leaving."""
        return {
            (fact.id, integration): self.said(fact, integration, now)
            for fact in self.firing()
            for integration, joined in fact.joined.items()
            if not joined.leaving
        }

    def said(self, fact: Fact, integration: str, now: Instant) -> Said:
        """Say what keeps a firing alert quiet in an integration, and how bad it is."""
        place = self.places(fact).get(integration)
        if place is None:
            return Said((SuppressionKind.UNROUTED,), None)
        joined = fact.joined[integration]
        kinds = [
            *([SuppressionKind.SILENCE] if self._silenced(fact, now) else []),
            *([SuppressionKind.INHIBITION] if self._inhibited(fact, now) else []),
            *self._by_window(fact, joined, place.route, now),
            *([SuppressionKind.HOLD] if now < joined.held_until else []),
        ]
        severity = place.severity
        if place.route.outside == "downgrade" and self._muting(place.route, now) and severity.urgent:
            severity = Severity.WARNING
        return Said(tuple(kinds), severity)

    # What happened

    def _hear(self, body: Body) -> None:
        named = {}
        for labels, fires in body.stated:
            number = alert_id(body.source, fingerprint_of(labels))
            fact = named[number] = self.facts.setdefault(number, Fact(body.source, body.group_key, labels))
            if fires and not fact.firing:
                fact.joined.clear()
            if fires:
                fact.heard_at, fact.absent_at = body.at, 0
            fact.firing = fires
        for fact in self.facts.values():
            if (fact.source, fact.group_key) == body[1:3] and fact.id not in named and not fact.absent_at:
                fact.absent_at = body.at
        for fact in named.values():
            self._join(fact, body.at, body.told)

    def _reload(self, reload: Reload) -> None:
        self.book = reload.book
        for fact in self.firing():
            places = self.places(fact)
            for integration, joined in list(fact.joined.items()):
                if (fact.id, integration) in reload.gone:
                    del fact.joined[integration]
                else:
                    joined.leaving = integration not in places if places else joined.leaving
            self._join(fact, reload.at, reload.told)

    def _look(self, now: Instant) -> None:
        for fact in self.firing():
            for integration, joined in fact.joined.items():
                if not (joined.loud or joined.leaving):
                    joined.loud = not self.said(fact, integration, now).kinds

    def _join(self, fact: Fact, at: Instant, told: Mapping[Place, Severity]) -> None:
        for integration, place in self.places(fact).items() if fact.firing else ():
            if integration not in fact.joined:
                known = told.get((fact.id, integration))
                nobody_is_paged = known is not None and (known.urgent or not place.severity.urgent)
                hold = 0 if nobody_is_paged else self._hold(fact, place, at)
                fact.joined[integration] = Joined(at, at + hold)

    def _hold(self, fact: Fact, place: Placement, at: Instant) -> int:
        inhibiting = [rule for rule in self.book.rules.inhibit_rules if _takes(rule.target, fact.labels)]
        waits = [] if self._inhibited(fact, at) else [rule.hold.of(place.severity) for rule in inhibiting]
        return max([place.route.hold_trigger.of(place.severity), *waits])

    # What keeps quiet

    def _silenced(self, fact: Fact, now: Instant) -> bool:
        return any(
            one.starts_at <= now < one.ends_at and _takes(one.matchers, fact.labels) for one in self.silences.values()
        )

    def _inhibited(self, fact: Fact, now: Instant) -> bool:
        return any(
            self._inhibits(other, fact, rule, now)
            for rule in self.book.rules.inhibit_rules
            for other in self.facts.values()
        )

    def _inhibits(self, source: Fact, target: Fact, rule: InhibitRule, now: Instant) -> bool:
        two_sided = _takes(rule.source, target.labels) and _takes(rule.target, source.labels)
        return (
            source.firing
            and (rule.across_sources or source.source == target.source)
            and _takes(rule.source, source.labels)
            and _takes(rule.target, target.labels)
            and all(source.labels.get(name, "") == target.labels.get(name, "") for name in rule.equal)
            and not two_sided
            and (not source.absent_at or now < source.absent_at + HOUR)
        )

    def _by_window(self, fact: Fact, joined: Joined, route: Route, now: Instant) -> Iterator[SuppressionKind]:
        muting = self._muting(route, now)
        if route.outside != "downgrade" and muting:
            yield muting
        elif route.outside == "drop" and not joined.loud and self._muting(route, joined.at):
            heard = self._muting(route, max(fact.heard_at, joined.at))  # a reload brings it where no body did
            if heard:
                yield heard

    def _muting(self, route: Route, at: Instant) -> SuppressionKind | None:
        windows = self.book.rules.windows
        if any(windows[name].contains(at) for name in route.mute_time_intervals):
            return SuppressionKind.MUTE_TIME_INTERVAL
        active = [windows[name].contains(at) for name in route.active_time_intervals]
        return SuppressionKind.ACTIVE_TIME_INTERVAL if active and not any(active) else None


def _takes(matchers: Sequence[Matcher], labels: Labels) -> bool:
    return all(_matches(one, labels.get(one.name, "")) for one in matchers)


def _matches(matcher: Matcher, value: str) -> bool:
    match matcher.op:
        case "=":
            return value == matcher.value
        case "!=":
            return value != matcher.value
        case "=~":
            return re.fullmatch(matcher.value, value) is not None
        case _:
            return re.fullmatch(matcher.value, value) is None


@lru_cache(maxsize=50_000)
def _places(book: Rulebook, source: str, group_key: str, labels: tuple[tuple[str, str], ...]) -> dict[str, Placement]:
    named = dict(labels)
    alert = Alert(source, fingerprint_of(named), Status.FIRING, named, {}, 0, 0, "", b"", b"")
    found = Classifier(WebhookMessage(source, group_key, "", "", (alert,), b""), book).place(alert).placements
    places = {place.integration: place for place in found}
    assert len(places) == len(found), "the model knows one page an integration"
    return places
