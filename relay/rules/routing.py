"""Which routes take an alert: Alertmanager's walk through the tree, with an index over siblings and a memory."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from relay.decision import Step
from relay.rules.matchers import Matcher
from relay.rules.memo import ENTRIES, Memo
from relay.rules.ruleset import Route

_FEW = 32
"""With more labels than this in the tree, an alert's own labels are the shorter list to go through."""


class Router:
    """Finds the routes of an alert. Two alerts that agree in the labels any matcher looks at share one answer."""

    def __init__(self, root: Route, entries: int = ENTRIES) -> None:
        """Index a tree; the memory never holds more than `entries` answers."""
        self._root = root
        self._tree = _Node(root)
        self._labels = dict.fromkeys(matcher.name for route in walk(root) for matcher in route.matchers)
        self._few = len(self._labels) <= _FEW
        self._known: Memo[tuple[Route, ...]] = Memo(entries)

    def match(self, labels: Mapping[str, str]) -> tuple[Route, ...]:
        """Answer the routes that take an alert, in tree order (dispatch/route.go Match).

        Depth first; a matching child without `continue` ends its siblings; a node counts itself only where no child
        of it matched. Empty only for a root with matchers, which no configuration that loads has.
        """
        if self._few:
            key: tuple[object, ...] = (*map(labels.get, self._labels),)
        else:
            key = tuple(item for item in labels.items() if item[0] in self._labels)
        known = self._known.get(key)
        if known is not None:
            return known
        return self._known.keep(key, len(str(key)), self._tree.match(labels))

    def trace(self, labels: Mapping[str, str]) -> tuple[Step, ...]:
        """Say of every route that was tried whether it matched, and if not, which matcher failed first and why."""
        steps: list[Step] = []
        _trace(self._root, labels, steps)
        return tuple(steps)


def walk(root: Route) -> Iterator[Route]:
    """Go through a tree depth first, parents before their children."""
    yield root
    for child in root.routes:
        yield from walk(child)


class _Node:
    """One route with its tests unpacked and its children indexed."""

    __slots__ = ("_children", "_index", "_itself", "_tests", "ends")

    def __init__(self, route: Route) -> None:
        self._itself = (route,)
        self._tests = tuple((matcher.name, matcher.test) for matcher in route.matchers)
        self._children = tuple(map(_Node, route.routes))
        self._index = _Index([(at, child.matchers) for at, child in enumerate(route.routes)])
        self.ends = not route.continue_
        """Whether a match here ends the siblings that follow."""

    def match(self, labels: Mapping[str, str]) -> tuple[Route, ...]:
        """Answer the routes at or below this one that take a label set; () when this one does not match."""
        for name, test in self._tests:
            if not test(labels.get(name, "")):
                return ()
        found: tuple[Route, ...] = ()
        for at in sorted(self._index.candidates(labels)):
            child = self._children[at]
            below = child.match(labels)
            found += below
            if below and child.ends:
                break
        return found or self._itself


_Entry = tuple[int, Sequence[Matcher]]
"""The position of a sibling, and its matchers that no index above this one has used."""

_SMALL = 8
"""So few siblings are sooner tested one by one than looked up again."""


class _Index:
    """Siblings by a label value that they cannot match without: label name -> value -> positions.

    Each sibling stands under one matcher whose values can be listed, the one it shares with the fewest others;
    positions that still share a value are indexed by their other equality matchers. So a look-up costs what the
    number of label names costs, not the number of siblings. A sibling without such a matcher is always a candidate.
    """

    __slots__ = ("_absent", "_always", "_by_name")

    def __init__(self, entries: Sequence[_Entry], deeper: bool = False) -> None:
        self._always: list[int] = []
        shares = Counter(
            (matcher.name, value)
            for _, matchers in entries
            for matcher in matchers
            for value in _listed(matcher, deeper)
        )
        buckets: dict[tuple[str, str], list[_Entry]] = defaultdict(list)
        for at, matchers in entries:
            guards = [matcher for matcher in matchers if _listed(matcher, deeper)]
            if not guards:
                self._always.append(at)
                continue
            guard = min(guards, key=lambda guard: max(shares[guard.name, value] for value in _listed(guard, deeper)))
            rest = tuple(matcher for matcher in matchers if matcher is not guard)
            for value in _listed(guard, deeper):
                buckets[guard.name, value].append((at, rest))
        self._by_name: dict[str, dict[str, list[int] | _Index]] = {}
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


def _bucket(entries: list[_Entry]) -> list[int] | _Index:
    more = len(entries) > _SMALL and any(_listed(matcher, True) for _, matchers in entries for matcher in matchers)
    return _Index(entries, deeper=True) if more else [at for at, _ in entries]


def _trace(route: Route, labels: Mapping[str, str], steps: list[Step]) -> bool:
    failed = next((matcher for matcher in route.matchers if not matcher.matches(labels)), None)
    if failed is not None:
        steps.append(Step("route", f"{_place(route)} does not match: {_failure(failed, labels)}"))
        return False
    steps.append(Step("route", f"{_place(route)} matches"))
    matched = False
    for child in route.routes:
        if _trace(child, labels, steps):
            matched = True
            if not child.continue_:
                break
    if not matched:
        why = "none of its routes matched, so " if route.routes else ""
        steps.append(Step("route", f"{_place(route)}: {why}receiver {route.receiver} is chosen"))
    return True


def _place(route: Route) -> str:
    line = f" (line {route.line})" if route.line else ""
    return f"route {route.id}{line}"


_SHOWN = 80


def _failure(matcher: Matcher, labels: Mapping[str, str]) -> str:
    value = labels.get(matcher.name, "")
    shown = value if len(value) <= _SHOWN else value[:_SHOWN] + "…"
    actual = f'is "{shown}"' if value else "is missing"
    return f"{matcher} is wanted, and {matcher.name} {actual}"
