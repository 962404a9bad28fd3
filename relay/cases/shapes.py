"""Reads YAML nodes into lists, mappings and texts; what is wrong is noted, and something harmless stands in for it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import TypeVar

from relay.config import yaml
from relay.config.problems import Problems
from relay.config.schema import duration

T = TypeVar("T")
Node = yaml.Node
At = yaml.Path
"""Where a node stands in its file."""


class Shapes:
    """Reads the nodes of one file."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems

    def mapping(self, node: Node, at: At, known: Sequence[str] | None = None) -> Mapping[str, Node]:
        """Read a mapping; its keys are among the known ones, where those are given."""
        if not isinstance(node, yaml.Mapping):
            self.problems.error(at, "here a mapping is needed, `key: value`")
            return {}
        found = {}
        for name, (_, value) in node.pairs.items():
            if known is None or name in known:
                found[name] = value
                continue
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
            self.problems.error((*at, name), f"unknown key {name}: {hint}", key=True)
        return found

    def one_of(self, node: Node, at: At, words: Mapping[str, Sequence[str]]) -> tuple[str, Mapping[str, Node]]:
        """Read a mapping that has exactly one of these keys, `at`, and what goes with that key."""
        own = self.mapping(
            node, at, list(dict.fromkeys(("at", *words, *(one for some in words.values() for one in some))))
        )
        found = [word for word in words if word in own]
        if len(found) != 1:
            if isinstance(node, yaml.Mapping):
                self.problems.error(at, f"say one of {', '.join(words)} here, and only one")
            return "", own
        for name in own:
            if name not in ("at", found[0], *words[found[0]]):
                self.problems.error((*at, name), f"`{name}` does not go with `{found[0]}`", key=True)
        return found[0], own

    def items(self, node: Node | None, at: At) -> Iterator[tuple[Node, At]]:
        """Go through a list, each item with its place; None is an empty one."""
        if node is None:
            return
        if not isinstance(node, yaml.Sequence):
            self.problems.error(at, "here a list is needed, `[]` for none")
            return
        for number, item in enumerate(node.items):
            yield item, (*at, number)

    def text(self, node: Node, at: At, *, empty: bool = False) -> str:
        """Read a text; `empty`: it may be one of no length."""
        if isinstance(node, yaml.Scalar) and node.value is not None and (node.value or empty):
            return node.value
        self.problems.error(at, "here a text is needed")
        return ""

    def read(self, node: Node, at: At, parse: Callable[[str], T], instead: T) -> T:
        """Read a text that `parse` understands; it raises ValueError with what is wrong."""
        text = self.text(node, at)
        if not text:
            return instead
        try:
            return parse(text)
        except ValueError as error:
            self.problems.error(at, str(error))
            return instead

    def time(self, own: Mapping[str, Node], at: At) -> int:
        """Read `at`, the time since the case began."""
        return self.read(own["at"], (*at, "at"), duration, 0) if "at" in own else 0
