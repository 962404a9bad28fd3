"""Who may inhibit whom: the keys at which sources and targets of inhibit rules meet."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from relay.alert import stable_id
from relay.rules.cleaning import cut
from relay.rules.indexing import Index, LookedAt
from relay.rules.ledger import Link, Role
from relay.rules.matchers import Matcher
from relay.rules.memo import ENTRIES, Memo
from relay.rules.quoting import go_quote
from relay.rules.ruleset import InhibitRule


class Target(NamedTuple):
    """An alert's place on the target side of a rule."""

    key: int
    rule: InhibitRule
    is_source: bool
    """Whether the rule's source side takes it as well: then two-sided sources do not inhibit it."""


class Inhibition:
    """The inhibit rules, indexed by the values their matchers test for equality.

    A source and a target meet at a key: the rule, the `source` they come from, the values of the rule's equal labels.
    A rule that says the same as one above it adds nothing, and is left out.
    """

    def __init__(self, rules: Sequence[InhibitRule], entries: int = ENTRIES) -> None:
        """Index rules; the memory never holds more than `entries` answers."""
        distinct: dict[str, _Rule] = {}
        for rule in rules:
            one = _Rule(rule)
            distinct.setdefault(one.identity, one)
        self._rules = tuple(distinct.values())
        self._source_sides = Index([(at, one.rule.source) for at, one in enumerate(self._rules)])
        self._target_sides = Index([(at, one.rule.target) for at, one in enumerate(self._rules)])
        self._looked_at = LookedAt(matcher for rule in rules for matcher in (*rule.source, *rule.target))
        self._known: Memo[_Sides] = Memo(entries)

    def sources(self, labels: Mapping[str, str], source: str) -> tuple[Link, ...]:
        """Say where a firing alert inhibits: a link for each rule whose source side takes it, SOURCE or TWO_SIDED."""
        if not self._rules:
            return ()
        return tuple(
            [Link(one.key(labels, source), role, one.name(labels)) for one, role in self._sides(labels).sources]
        )

    def targets(self, labels: Mapping[str, str], source: str) -> tuple[Target, ...]:
        """Say where an alert may be inhibited: one for each rule whose target side takes it, in the file's order."""
        if not self._rules:
            return ()
        return tuple([Target(one.key(labels, source), one.rule, both) for one, both in self._sides(labels).targets])

    def _sides(self, labels: Mapping[str, str]) -> "_Sides":
        key = self._looked_at.key(labels)
        known = self._known.get(key)
        if known is not None:
            return known
        return self._known.keep(key, len(str(key)), self._work_out(labels))

    def _work_out(self, labels: Mapping[str, str]) -> "_Sides":
        rules = self._rules
        sources = [at for at in sorted(self._source_sides.candidates(labels)) if _take(rules[at].rule.source, labels)]
        targets = [at for at in sorted(self._target_sides.candidates(labels)) if _take(rules[at].rule.target, labels)]
        both = {*sources} & {*targets}
        return _Sides(
            tuple([(rules[at], Role.TWO_SIDED if at in both else Role.SOURCE) for at in sources]),
            tuple([(rules[at], at in both) for at in targets]),
        )


class _Rule:
    """One rule with what names it, and what names the alerts it meets."""

    __slots__ = ("_known", "identity", "rule")

    def __init__(self, rule: InhibitRule) -> None:
        self.rule = rule
        self.identity = _identity(rule)
        single = {matcher.name for matcher in rule.source if len(matcher.values or ()) == 1}
        self._known = frozenset({"alertname", *rule.equal, *single})

    def key(self, labels: Mapping[str, str], source: str) -> int:
        """Name where an alert stands: two meet if they agree in the rule's equal labels; a missing one is empty."""
        values = [labels.get(name, "") for name in self.rule.equal]
        return stable_id(
            "inhibit",
            self.identity,
            "" if self.rule.across_sources else source,
            *[f"{len(value)} {value}" for value in values],  # a value may hold what separates the parts
        )

    def name(self, labels: Mapping[str, str]) -> str:
        """Name a source: its alertname, and the labels that the rule does not say of every source."""
        return _named(labels, self._known)


class _Sides(NamedTuple):
    """What the rules say of a label set, as far as they look at it."""

    sources: tuple[tuple[_Rule, Role], ...]
    targets: tuple[tuple[_Rule, bool], ...]


def _take(matchers: Sequence[Matcher], labels: Mapping[str, str]) -> bool:
    return all(matcher.test(labels.get(matcher.name, "")) for matcher in matchers)


def _identity(rule: InhibitRule) -> str:
    """Write down what a rule says, without its name, place and holds: what stands after a restart and a reload."""
    sides = [",".join(sorted({str(matcher) for matcher in side})) for side in (rule.source, rule.target)]
    equal = ",".join(sorted({go_quote(name) for name in rule.equal}))
    return "\n".join((*sides, equal, "across" if rule.across_sources else "within"))


_LONGEST = 120
_LONGEST_VALUE = 60
_FIRST = {name: at for at, name in enumerate(("instance", "pod", "node", "host", "service", "job"))}
"""What most often tells two alerts of one rule apart."""


def _named(labels: Mapping[str, str], known: frozenset[str]) -> str:
    text = cut(go_quote(labels.get("alertname", ""))[1:-1], _LONGEST_VALUE)
    told: list[str] = []
    room = _LONGEST - len(text) - len("{…}")
    for label in sorted(labels.keys() - known, key=lambda label: (_FIRST.get(label, len(_FIRST)), label)):
        if not labels[label]:
            continue
        name = label if label.isidentifier() else go_quote(label)
        pair = f"{name}={go_quote(cut(labels[label], _LONGEST_VALUE))}"
        if len(pair) + len(", ") > room:
            told.append("…")
            break
        told.append(pair)
        room -= len(pair) + len(", ")
    return f"{text}{{{', '.join(told)}}}" if told else text or "{}"
