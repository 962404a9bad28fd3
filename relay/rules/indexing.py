"""Which of many lists of matchers may take a label set: an index by the values that must be there."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from relay.rules.matchers import Matcher

_FEW = 32
"""With more labels than this looked at, an alert's own labels are the shorter list to go through."""


class LookedAt:
    """The labels that any matcher looks at: alerts that agree in them get the same answers."""

    __slots__ = ("_few", "_names")

    def __init__(self, matchers: Iterable[Matcher]) -> None:
        self._names = dict.fromkeys(matcher.name for matcher in matchers)
        self._few = len(self._names) <= _FEW

    def key(self, labels: Mapping[str, str]) -> tuple[object, ...]:
        """Sum a label set up by what is looked at."""
        if self._few:
            return (*map(labels.get, self._names),)
        return tuple(item for item in labels.items() if item[0] in self._names)


Entry = tuple[int, Sequence[Matcher]]
"""The position of a sibling, and its matchers that no index above this one has used."""

_SMALL = 8
"""So few siblings are sooner tested one by one than looked up again."""


class Index:
    """Siblings by a label value that they cannot match without: label name -> value -> positions.

    Each sibling stands under one matcher whose values can be listed, the one it shares with the fewest others;
    positions that still share a value are indexed by their other equality matchers. So a look-up costs what the
    number of label names costs, not the number of siblings. A sibling without such a matcher is always a candidate.
    """

    __slots__ = ("_absent", "_always", "_by_name")

    def __init__(self, entries: Sequence[Entry], deeper: bool = False) -> None:
        self._always: list[int] = []
        shares = Counter(
            (matcher.name, value)
            for _, matchers in entries
            for matcher in matchers
            for value in _listed(matcher, deeper)
        )
        buckets: dict[tuple[str, str], list[Entry]] = defaultdict(list)
        for at, matchers in entries:
            guards = [matcher for matcher in matchers if _listed(matcher, deeper)]
            if not guards:
                self._always.append(at)
                continue
            guard = min(guards, key=lambda guard: max(shares[guard.name, value] for value in _listed(guard, deeper)))
            rest = tuple(matcher for matcher in matchers if matcher is not guard)
            for value in _listed(guard, deeper):
                buckets[guard.name, value].append((at, rest))
        self._by_name: dict[str, dict[str, list[int] | Index]] = {}
        for (name, value), bucket in buckets.items():
            self._by_name.setdefault(name, {})[value] = _bucket(bucket)
        self._absent = frozenset(name for name, by_value in self._by_name.items() if "" in by_value)

    def candidates(self, labels: Mapping[str, str]) -> list[int]:
        """Answer the positions that may match a label set, in no order, each once."""
        found = self._always.copy()
        for name in self._names(labels):
            bucket = self._by_name[name].get(labels.get(name, ""))
            if bucket is not None:
                found += bucket if isinstance(bucket, list) else bucket.candidates(labels)
        return found

    def _names(self, labels: Mapping[str, str]) -> Collection[str]:
        """The label names worth a look: the shorter list of the index's and the alert's own."""
        if len(self._by_name) <= len(labels):
            return self._by_name
        return (labels.keys() & self._by_name.keys()) | self._absent


def _listed(matcher: Matcher, deeper: bool) -> frozenset[str]:
    """The values to index a matcher by; below the first level single ones only, so that an index stays linear."""
    values = matcher.values or frozenset()
    return frozenset() if deeper and len(values) > 1 else values


def _bucket(entries: list[Entry]) -> list[int] | Index:
    more = len(entries) > _SMALL and any(_listed(matcher, True) for _, matchers in entries for matcher in matchers)
    return Index(entries, deeper=True) if more else [at for at, _ in entries]
