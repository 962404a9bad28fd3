"""Doubts about routes: those that no alert can reach, and those that say nothing new."""

from collections.abc import Iterator, Sequence
from dataclasses import fields

from relay.config.doubts.look import Look, Placed, lines
from relay.rules.covering import contradiction, covers, together_cover
from relay.rules.matchers import Matcher
from relay.rules.ruleset import Route

_MOST_TOGETHER = 40
"""Earlier siblings that are asked whether they leave nothing together."""
_OF_ITS_PLACE = frozenset({"id", "key", "order", "line", "continue_", "routes"})


def doubt_routes(look: Look) -> None:
    """Warn of routes that are never reached; of those under one nothing is said."""
    for here in look.routes():
        inherited = tuple(matcher for route in (*here.above, here.route) for matcher in route.matchers)
        if contradiction(inherited):
            continue
        siblings = _Siblings(inherited)
        for index, route in enumerate(here.route.routes):
            path = (*here.path, "routes", index)
            if message := _nobody(inherited, route):
                look.problems.warn(path, message, rule="route-contradiction")
            elif takers := siblings.takers(route):
                look.problems.warn(path, _unreachable(takers), rule="route-unreachable")
            elif (twin := _twin(route, here, index)) is not None:
                message = (
                    f"says the same as the route in line {twin.line}: its alerts are in that page already, take one out"
                )
                look.problems.warn(path, message, rule="route-duplicate")
            siblings.add(route)


class _Siblings:
    """The earlier routes below one parent that keep what they take."""

    def __init__(self, inherited: tuple[Matcher, ...]) -> None:
        self._inherited = inherited
        self._all: list[Route] = []
        self._by_value: dict[tuple[str, str], list[Route]] = {}
        """Those that ask for one of some values of a label, by the first label they ask so."""
        self._others: list[Route] = []

    def add(self, route: Route) -> None:
        if route.continue_:
            return
        self._all.append(route)
        asked = next((matcher for matcher in route.matchers if matcher.values is not None), None)
        if asked is None or not asked.values:
            self._others.append(route)
        else:
            for value in asked.values:
                self._by_value.setdefault((asked.name, value), []).append(route)

    def takers(self, route: Route) -> list[Route]:
        """Return the earlier routes that take all this one could get; [] if that cannot be shown."""
        wanted = (*self._inherited, *route.matchers)
        for earlier in self._near(wanted):
            if covers(earlier.matchers, wanted):
                return [earlier]
        if len(self._all) <= _MOST_TOGETHER and together_cover([one.matchers for one in self._all], wanted):
            return _needed(self._all, wanted)
        return []

    def _near(self, wanted: Sequence[Matcher]) -> Iterator[Route]:
        """List the routes that may take it all alone, without going through thousands."""
        yield from self._others
        for matcher in wanted:
            for value in matcher.values or ():
                yield from self._by_value.get((matcher.name, value), ())


def _needed(takers: list[Route], wanted: Sequence[Matcher]) -> list[Route]:
    """Leave out the routes without which the others take everything as well."""
    kept = list(takers)
    for route in takers:
        rest = [one for one in kept if one is not route]
        if together_cover([one.matchers for one in rest], wanted):
            kept = rest
    return kept


def _nobody(inherited: Sequence[Matcher], route: Route) -> str:
    found = contradiction((*inherited, *route.matchers))
    if not found:
        return ""
    said = " and ".join(map(str, found))
    where = ", counting the routes above it" if any(matcher in inherited for matcher in found) else ""
    return (
        f"no alert can come here: {said} leave no value of {found[0].name}{where}; correct one, or take the route out"
    )


def _unreachable(takers: list[Route]) -> str:
    where = lines([route.line for route in takers])
    which = f"the route in {where} takes" if len(takers) == 1 else f"the routes in {where} take between them"
    one = "it" if len(takers) == 1 else "them"
    remedy = f"put this route above {one}, write continue: true there, or take this one out"
    return f"never reached: {which} every alert that would come here; {remedy}"


def _twin(route: Route, parent: Placed, index: int) -> Route | None:
    """Find an earlier sibling that differs in nothing but its place."""
    if route.routes:
        return None
    earlier = (one for one in parent.route.routes[:index] if one.key == route.key and not one.routes)
    return next((one for one in earlier if _said(one) == _said(route)), None)


def _said(route: Route) -> list[object]:
    return [getattr(route, one.name) for one in fields(route) if one.name not in _OF_ITS_PLACE]
