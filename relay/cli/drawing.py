"""Draws a routing tree as `amtool config routes` does, with what else is known of a route behind it."""

from collections.abc import Callable, Collection, Iterator

from relay.rules.ruleset import Route

Told = Callable[[Route], str]
"""What stands behind a route; "" for nothing."""


def whole_tree(root: Route, told: Told = lambda _: "") -> Iterator[str]:
    """Draw every route with its receiver (amtool cli/routing.go, convertRouteToTree)."""

    def named(node: Route) -> str:
        goes_on = "  continue: true" if node.continue_ else ""
        return f"{goes_on}{_receiver(node)}{told(node)}"

    yield from _drawn(root, named, lambda _: True)


def matching_tree(root: Route, matched: Collection[Route]) -> Iterator[str]:
    """Draw the routes that matched and those above them; only those that matched are drawn with their receivers."""
    found = {id(node) for node in matched}

    def leads(node: Route) -> bool:
        return id(node) in found or any(map(leads, node.routes))

    yield from _drawn(root, lambda node: _receiver(node) if id(node) in found else "", leads)


def _drawn(root: Route, named: Told, shown: Callable[[Route], bool]) -> Iterator[str]:
    yield "."
    yield f"└── default-route{named(root)}"
    yield from _children(root, named, shown, "    ")


def _children(node: Route, named: Told, shown: Callable[[Route], bool], indent: str) -> Iterator[str]:
    children = [child for child in node.routes if shown(child)]
    for child in children:
        last = child is children[-1]
        own_key = child.key[len(node.key) + 1 :]
        name = "default-route" if own_key == "{}" else own_key
        yield f"{indent}{'└── ' if last else '├── '}{name}{named(child)}"
        # amtool's library (xlab/treeprint) draws a no-break space behind the bar, and again before the last blank
        yield from _children(child, named, shown, indent + ("    " if last else "│\u00a0\u00a0 "))


def _receiver(node: Route) -> str:
    return f"  receiver: {node.receiver}{' (change events)' if node.change else ''}"
