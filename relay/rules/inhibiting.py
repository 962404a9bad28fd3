"""Who may inhibit whom: the keys at which sources and targets of inhibit rules meet."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from relay.rules.ledger import Link
from relay.rules.ruleset import InhibitRule


class Target(NamedTuple):
    """An alert's place on the target side of a rule."""

    key: int
    rule: InhibitRule
    is_source: bool
    """Whether the rule's source side takes it as well: then two-sided sources do not inhibit it."""


class Inhibition:
    """The inhibit rules, indexed by the values their matchers test for equality."""

    def __init__(self, rules: Sequence[InhibitRule]) -> None:
        self._rules = tuple(rules)

    def sources(self, labels: Mapping[str, str], source: str) -> tuple[Link, ...]:
        """Say where a firing alert inhibits: a link for each rule whose source side takes it, SOURCE or TWO_SIDED."""
        raise RuntimeError

    def targets(self, labels: Mapping[str, str], source: str) -> tuple[Target, ...]:
        """Say where an alert may be inhibited: one for each rule whose target side takes it, in the file's order."""
        raise RuntimeError
