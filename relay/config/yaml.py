"""Read YAML as Alertmanager does: every scalar is text, every node keeps its place, no key may come twice."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

MAX_BYTES = 4 * 1024 * 1024
MAX_NODES = 200_000
"""How many nodes a document may come to, each alias counted as often as it is used."""
MAX_DEPTH = 120

Path = tuple[str | int, ...]
"""Where a value stands in the document: `("route", "routes", 2, "matchers")`."""

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = frozenset(_TAG + kind for kind in ("str", "int", "float", "bool", "timestamp"))
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
# PyYAML's wheels carry libyaml; the pure Python reader is the same language, only slower.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with the YAML itself; line and column count from 1."""

    line: int
    column: int
    message: str


class BadYaml(Exception):
    """The text is not a document that can be worked on."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = faults


@dataclass(slots=True, eq=False)
class Node:
    """A value and its place."""

    line: int
    column: int
    size: int = 1
    """Nodes it comes to when written out; never more than MAX_NODES + 1."""
    height: int = 1

    def hold(self, child: "Node") -> None:
        """Count a child in."""
        self.size = min(self.size + child.size, MAX_NODES + 1)
        self.height = max(self.height, child.height + 1)


@dataclass(slots=True, eq=False)
class Scalar(Node):
    value: str | None = None
    """The text as written; None for `~`, `null` and nothing at all."""
    plain: bool = True


@dataclass(slots=True, eq=False)
class Sequence(Node):
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Mapping(Node):
    pairs: dict[str, tuple[Scalar, Node]] = field(default_factory=dict)


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet."""

    node: Sequence | Mapping
    anchor: str | None
    key: Scalar | None = None
    merges: list[Node] = field(default_factory=list)


def read(text: str) -> tuple[Node, tuple[Fault, ...]]:
    """Read the first document of a text; return its root and what is wrong but can be worked around (double keys).

    Raises BadYaml where there is no telling what was meant.
    """
    composer = _Composer()
    for event in _events(text):
        composer.take(event)
    return composer.finish()


def read_all(text: str) -> list[tuple[Node, tuple[Fault, ...]]]:
    """Read every document of a text as `read` does; one with nothing in it is left out. Raises BadYaml."""
    composers: list[_Composer] = []
    for event in _events(text):
        if isinstance(event, DocumentStartEvent):
            composers.append(_Composer())
        if composers:
            composers[-1].take(event)
    return [composer.finish() for composer in composers if composer.nodes]


def _events(text: str) -> Iterator[Event]:
    """Parse a text; raise BadYaml where it is none."""
    bad = _UNPRINTABLE.search(text)
    if bad:
        raise BadYaml((_fault_at(text, bad.start(), f"the character U+{ord(bad[0]):04X} may not stand in YAML"),))
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        raise BadYaml((_explain(text, error),)) from None
    except yaml.YAMLError as error:
        raise BadYaml((Fault(1, 1, f"not YAML: {error}"),)) from None


def plain(node: Node) -> Any:
    """Write a node out as dicts, lists, strings and None; aliases become copies."""
    match node:
        case Scalar():
            return node.value
        case Sequence():
            return [plain(item) for item in node.items]
        case Mapping():
            return {key: plain(value) for key, (_, value) in node.pairs.items()}
    raise TypeError(node)


def place(root: Node, path: Path, *, key: bool = False) -> tuple[int, int]:
    """Find line and column of the value at a path (or of its key); of the nearest thing above it if it is not there."""
    node, at = root, (root.line, root.column)
    for number, part in enumerate(path, 1):
        match node, part:
            case Mapping(), str() if part in node.pairs:
                name, node = node.pairs[part]
                empty = isinstance(node, Scalar) and node.value is None
                at = (name.line, name.column) if empty or (key and number == len(path)) else (node.line, node.column)
            case Sequence(), int() if part < len(node.items):
                node = node.items[part]
                at = (node.line, node.column)
            case _:
                break
    return at


class _Composer:
    """Put nodes together from the parser's events, without recursion."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self.stack: list[_Open] = []
        self.anchors: dict[str, Node] = {}
        self.faults: list[Fault] = []
        self.documents = 0
        self.nodes = 0

    def take(self, event: Event) -> None:
        match event:
            case DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    raise self._bad(event, "a second document begins here: only one is read, take the `---` away")
            case ScalarEvent():
                self._add(self._scalar(event), event.anchor)
            case AliasEvent():
                self._add(self._alias(event), None)
            case SequenceStartEvent() | MappingStartEvent():
                self._open(event)
            case SequenceEndEvent() | MappingEndEvent():
                self._close()

    def finish(self) -> tuple[Node, tuple[Fault, ...]]:
        return self.root or Scalar(1, 1), tuple(self.faults)

    def _scalar(self, event: ScalarEvent) -> Scalar:
        line, column = _mark(event)
        tag, value = event.tag, event.value
        unquoted = not event.style
        if tag not in (None, "!", _TAG + "null") and tag not in _TEXT_TAGS:
            self.faults.append(Fault(line, column, f"the tag {tag} means nothing here: leave it out"))
        if _SURROGATE.search(value):
            raise self._bad(event, "half of a surrogate pair is not a character")
        null = tag == _TAG + "null" or (tag is None and unquoted and value in _NULLS)
        return Scalar(line, column, value=None if null else value, plain=unquoted)

    def _alias(self, event: AliasEvent) -> Node:
        if any(opened.anchor == event.anchor for opened in self.stack):
            raise self._bad(event, f"the alias *{event.anchor} stands inside what it names")
        if event.anchor not in self.anchors:
            raise self._bad(event, f"nothing is named &{event.anchor} above this alias")
        return self.anchors[event.anchor]

    def _open(self, event: SequenceStartEvent | MappingStartEvent) -> None:
        line, column = _mark(event)
        if event.tag not in (None, "!", _TAG + "map", _TAG + "seq"):
            self.faults.append(Fault(line, column, f"the tag {event.tag} means nothing here: leave it out"))
        if len(self.stack) >= MAX_DEPTH:
            raise self._bad(event, f"nested more than {MAX_DEPTH} levels deep")
        node = Mapping(line, column) if isinstance(event, MappingStartEvent) else Sequence(line, column)
        self.stack.append(_Open(node, event.anchor))

    def _close(self) -> None:
        opened = self.stack.pop()
        if isinstance(opened.node, Mapping):
            self._merge(opened.node, opened.merges)
        self._add(opened.node, opened.anchor)

    def _add(self, node: Node, anchor: str | None) -> None:
        """Give a finished node to what is open around it."""
        self._count(1, node)
        if anchor is not None:
            self.anchors[anchor] = node
        if not self.stack:
            self.root = node
            return
        opened = self.stack[-1]
        if isinstance(opened.node, Sequence):
            opened.node.items.append(node)
        elif opened.key is None:
            opened.key = self._key(node)
            return
        else:
            self._pair(opened, opened.key, node)
            opened.key = None
        opened.node.hold(node)
        self._bound(opened.node)

    def _key(self, node: Node) -> Scalar:
        if not isinstance(node, Scalar):
            raise BadYaml((Fault(node.line, node.column, "a key must be text, not a list or a mapping"),))
        return node

    def _pair(self, opened: _Open, key: Scalar, value: Node) -> None:
        assert isinstance(opened.node, Mapping)
        name = key.value or ""
        if name == "<<" and key.plain:
            opened.merges.append(value)
        elif name in opened.node.pairs:
            first = opened.node.pairs[name][0]
            self.faults.append(Fault(key.line, key.column, f'key "{name}" is already set in line {first.line}'))
        else:
            opened.node.pairs[name] = (key, value)

    def _merge(self, node: Mapping, merges: list[Node]) -> None:
        """Fill in what `<<` brings; what is written out wins, and of several sources the first."""
        for source in _sources(merges):
            if not isinstance(source, Mapping):
                raise BadYaml((Fault(source.line, source.column, "`<<` takes a mapping or a list of mappings"),))
            self._count(len(source.pairs), source)
            for name, pair in source.pairs.items():
                if name not in node.pairs:
                    node.pairs[name] = pair
                    node.hold(pair[1])
        self._bound(node)

    def _count(self, more: int, node: Node) -> None:
        self.nodes += more
        if self.nodes > MAX_NODES:
            raise BadYaml((Fault(node.line, node.column, f"more than {MAX_NODES:,} values"),))

    def _bound(self, node: Node) -> None:
        if node.size > MAX_NODES:
            message = f"more than {MAX_NODES:,} values when every alias is written out"
            raise BadYaml((Fault(node.line, node.column, message),))
        if node.height > MAX_DEPTH:
            raise BadYaml((Fault(node.line, node.column, f"nested more than {MAX_DEPTH} levels deep"),))

    def _bad(self, event: Event, message: str) -> BadYaml:
        return BadYaml((*self.faults, Fault(*_mark(event), message)))


def _sources(merges: list[Node]) -> Iterator[Node]:
    for merge in merges:
        if isinstance(merge, Sequence):
            yield from merge.items
        else:
            yield merge


def _mark(event: Event) -> tuple[int, int]:
    assert event.start_mark is not None
    return event.start_mark.line + 1, event.start_mark.column + 1


def _explain(text: str, error: yaml.MarkedYAMLError) -> Fault:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Fault(1, 1, f"not YAML: {error.problem or error.context}")
    lines = text.splitlines() or [""]
    line, column = mark.line, mark.column
    if line >= len(lines):  # the parser stands behind the last line
        line, column = len(lines) - 1, len(lines[-1])
    before = lines[line][: column + 1]
    if "\t" in before and not before.strip():
        return Fault(line + 1, column + 1, "not YAML: a tab: indent with spaces")
    context = (
        f" ({error.context} in line {error.context_mark.line + 1})" if error.context and error.context_mark else ""
    )
    return Fault(line + 1, column + 1, f"not YAML: {error.problem}{context}")


def _fault_at(text: str, offset: int, message: str) -> Fault:
    before = text[:offset]
    return Fault(before.count("\n") + 1, offset - before.rfind("\n"), message)
