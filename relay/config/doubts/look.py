"""What doubts look at: a file, what it comes to, the time, and perhaps the alerts that were recorded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from relay.alert import Instant
from relay.config import schema
from relay.config.build import Built
from relay.config.problems import Problems
from relay.config.yaml import Path
from relay.rules.ruleset import Route


@dataclass(frozen=True, slots=True)
class Traffic:
    """The labels of recorded alerts."""

    alerts: tuple[Mapping[str, str], ...]
    values: Mapping[str, frozenset[str]] = field(init=False, repr=False)
    """By label: every value it has in some alert."""

    def __post_init__(self) -> None:
        values: dict[str, set[str]] = {}
        for labels in self.alerts:
            for name, value in labels.items():
                values.setdefault(name, set()).add(value)
        object.__setattr__(self, "values", {name: frozenset(some) for name, some in values.items()})


class Placed(NamedTuple):
    """A route as it is written, and what it comes to."""

    path: Path
    spec: schema.Route
    route: Route
    above: tuple[Route, ...]
    """The routes over it, the root first."""


@dataclass(frozen=True, slots=True)
class Look:
    """Everything that a doubt may rest on."""

    config: schema.Config
    built: Built
    problems: Problems
    now: Instant
    traffic: Traffic | None = None

    def sound(self, *sections: str) -> bool:
        """Say whether there is nothing wrong with these sections of the file."""
        return not any(self.problems.failed((section,)) for section in sections)

    def routes(self) -> Iterator[Placed]:
        """Go through the tree, parents first; through nothing where something is wrong with it."""
        if self.config.route is not None and self.built.root is not None and self.sound("route"):
            yield from _walk(Placed(("route",), self.config.route, self.built.root, ()))


def _walk(here: Placed) -> Iterator[Placed]:
    yield here
    for index, (spec, route) in enumerate(zip(here.spec.routes, here.route.routes, strict=True)):
        yield from _walk(Placed((*here.path, "routes", index), spec, route, (*here.above, here.route)))


def lines(numbers: list[int]) -> str:
    """Name lines for people: `line 4`, `lines 4 and 7`."""
    if len(numbers) == 1:
        return f"line {numbers[0]}"
    return f"lines {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
