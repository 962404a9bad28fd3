"""Which routes an alert may take when some of its labels are known only once it fires."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from relay.rules.ruleset import Route


class Reached(NamedTuple):
    """A route that takes the alert, for certain or perhaps."""

    route: Route
    needs: frozenset[str]
    """The labels it depends on; empty where it takes the alert whatever they are."""


def reach(root: Route, labels: Mapping[str, str], unknown: Callable[[str], bool]) -> tuple[Reached, ...]:
    """Walk a tree as Alertmanager does, once for every value that an unknown label might have.

    `unknown` says of a label whether its value is open; of all others `labels` has it, and a missing one is empty.
    """
    return tuple(_walk(root, frozenset(), labels, unknown))


class _Test(NamedTuple):
    may: bool
    needs: frozenset[str]


def _test(route: Route, labels: Mapping[str, str], unknown: Callable[[str], bool]) -> _Test:
    needs: set[str] = set()
    for matcher in route.matchers:
        if unknown(matcher.name):
            needs.add(matcher.name)
        elif not matcher.matches(labels):
            return _Test(False, frozenset())
    return _Test(True, frozenset(needs))


def _walk(
    route: Route, needs: frozenset[str], labels: Mapping[str, str], unknown: Callable[[str], bool]
) -> Iterator[Reached]:
    """List what is reached at or below a route that takes the alert if `needs` have the right values."""
    open_to, itself, taken = needs, needs, False
    for child in route.routes:
        test = _test(child, labels, unknown)
        if not test.may:
            continue
        yield from _walk(child, open_to | test.needs, labels, unknown)
        taken = taken or not test.needs
        itself |= test.needs
        if not child.continue_:
            if not test.needs:
                break
            open_to |= test.needs
    if not taken:
        yield Reached(route, itself)


def others(reached: tuple[Reached, ...], chosen: tuple[Route, ...]) -> Iterator[Reached]:
    """List what is reached beside the chosen routes, each receiver once."""
    seen = {route.receiver for route in chosen}
    for one in reached:
        if one.route.receiver not in seen:
            seen.add(one.route.receiver)
            yield one
