"""Coverage: which routes and inhibit rules of a routing file some case reached."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from relay.rules.routing import walk
from relay.rules.ruleset import RuleSet


@dataclass(slots=True)
class Hits:
    """What cases reached of one routing file."""

    routes: set[str] = field(default_factory=set)
    """Route.id of those that an alert which fired came to."""
    rules: set[int] = field(default_factory=set)
    """Places of the inhibit rules that kept an alert quiet."""


@dataclass(frozen=True, slots=True)
class Place:
    """One route or inhibit rule that no case reached."""

    line: int
    what: str


class Coverage:
    """What cases reached of one routing file, and what not."""

    def __init__(self, file: Path, rules: RuleSet) -> None:
        self.file = file
        self.hits = Hits()
        self._rules = rules

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Routes reached, routes, inhibit rules at work, inhibit rules."""
        routes = list(walk(self._rules.root))
        return len(self.hits.routes), len(routes), len(self.hits.rules), len(self._rules.inhibit_rules)

    def missed(self) -> Iterator[Place]:
        """Go through what no case reached, in the order of the file."""
        for route in walk(self._rules.root):
            if route.id not in self.hits.routes:
                yield Place(route.line, f"route {route.key} to receiver {route.receiver}: no alert of a case ends here")
        for at, rule in enumerate(self._rules.inhibit_rules):
            if at not in self.hits.rules:
                yield Place(rule.line, f"{rule.title}: it keeps no alert of a case quiet")


def percent(covered: Sequence[Coverage]) -> float:
    """Say how much of all routes and inhibit rules was reached, in percent."""
    counts = [one.counts for one in covered]
    there = sum(routes + rules for _, routes, _, rules in counts)
    return 100 * sum(routes + rules for routes, _, rules, _ in counts) / there if there else 100.0
