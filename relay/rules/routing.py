"""Which routes take an alert: Alertmanager's walk through the tree, with an index over siblings and a memory."""

from collections.abc import Iterator, Mapping

from relay.decision import Step
from relay.rules.indexing import Index, LookedAt
from relay.rules.matchers import Matcher
from relay.rules.memo import ENTRIES, Memo
from relay.rules.ruleset import Route


class Router:
    """Finds the routes of an alert. Two alerts that agree in the labels any matcher looks at share one answer."""

    def __init__(self, root: Route, entries: int = ENTRIES) -> None:
        """Index a tree; the memory never holds more than `entries` answers."""
        self._root = root
        self._tree = _Node(root)
        self._looked_at = LookedAt(matcher for route in walk(root) for matcher in route.matchers)
        self._known: Memo[tuple[Route, ...]] = Memo(entries)

    def match(self, labels: Mapping[str, str]) -> tuple[Route, ...]:
        """Answer the routes that take an alert, in tree order (dispatch/route.go Match).

        Depth first; a matching child without `continue` ends its siblings; a node counts itself only where no child
        of it matched. Empty only for a root with matchers, which no configuration that loads has.
        """
        key = self._looked_at.key(labels)
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
        self._index = Index([(at, child.matchers) for at, child in enumerate(route.routes)])
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
