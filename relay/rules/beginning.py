"""Say what a route's rules do with an alert that begins to fire at an instant, when nothing else is known to fire."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from relay.alert import Instant
from relay.event import Severity
from relay.page import Suppression
from relay.rules import severity as severities
from relay.rules.rulebook import Rulebook
from relay.rules.ruleset import Route
from relay.rules.silences import NO_SILENCES, Silences
from relay.rules.suppression import holds, registry
from relay.rules.suppression.case import Case


class Then(StrEnum):
    """What would become of it, in a word."""

    PAGES = "pages"
    CHANGE = "change event"
    DOWNGRADED = "downgraded"
    HELD = "held"
    """It pages later, if it still fires."""
    MUTED = "muted"
    NOBODY = "pages nobody"
    """Its receiver has no PagerDuty entry."""


class Beginning(NamedTuple):
    """What a route would do with an alert that begins to fire."""

    then: Then
    severity: Severity
    """The worst it would page with at first."""
    because: tuple[str, ...]
    """Why it is quiet, later or milder; else what its severity was decided by, where that is worth a word."""


def begins(
    route: Route,
    labels: Mapping[str, str],
    now: Instant,
    book: Rulebook,
    *,
    source: str = "",
    silences: Silences = NO_SILENCES,
) -> Beginning:
    """Ask every kind of suppression. No alert inhibits it: but it waits for those that might."""
    targets = book.targets(route)
    decided, default = severities.decide(route, labels)
    if not targets:
        return Beginning(Then.NOBODY, decided, (f"receiver {route.receiver} has no pagerduty_configs",))
    severity = min((target.severity or decided for target in targets), key=lambda one: one.rank)
    case = _case(route, labels, severity, now, book, source, silences)
    found = registry.judge(case)
    quiet = [one for one in found.suppressions if not (route.change and one.kind.waits)]
    if quiet:
        then = Then.HELD if all(_comes_later(one, route) for one in quiet) else Then.MUTED
        because = [one.because for one in quiet] + ([found.lowered] if found.lowered else [])
        return Beginning(then, found.severity, tuple(because))
    if route.change:
        return Beginning(Then.CHANGE, severity, ())
    if found.lowered:
        return Beginning(Then.DOWNGRADED, found.severity, (found.lowered,))
    said = default is not None and any(target.severity is None for target in targets)
    return Beginning(Then.PAGES, severity, (default.because,) if said and default is not None else ())


def _comes_later(one: Suppression, route: Route) -> bool:
    """Say whether it pages once this has ended, without being heard of again."""
    return one.kind.waits or (route.outside == "hold" and one.kind.windowed)


def _case(
    route: Route,
    labels: Mapping[str, str],
    severity: Severity,
    now: Instant,
    book: Rulebook,
    source: str,
    silences: Silences,
) -> Case:
    targets = book.inhibition.targets(labels, source)
    return Case(
        now=now,
        windows=book.rules.windows,
        route=route,
        source=source,
        labels=labels,
        severity=severity,
        joined_at=now,
        held_until=holds.held_until(now, route, severity, targets, inhibited=False),
        heard_at=now,
        silences=silences,
        targets=targets,
        inhibitors={},
    )
