"""Fills a Go template in with sample values; what they cannot tell stands in the text as it was written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from relay.promrules.functions import BEYOND, FUNCTIONS, NAMES, truth
from relay.promrules.gofmt import CannotFormat, value_text
from relay.promrules.golexer import Broken
from relay.promrules.gotemplate import Action, Block, Command, Foreign, Nodes, Pipe, Term, Text, parse, shown

_VARIABLES = ("$labels", "$externalLabels", "$externalURL", "$value")
_FIELDS = {
    "Labels": "$labels",
    "ExternalLabels": "$externalLabels",
    "ExternalURL": "$externalURL",
    "Value": "$value",
}
_LONGEST = 65_536
"""Characters that a text may come to."""


class Beyond(Exception):
    """Only a running Prometheus can tell, or it is not worked on here: the message says what."""


class Labels(Mapping[str, str]):
    """Labels whose values are known only once it fires: `<instance>` stands for the label instance."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = known

    def __getitem__(self, name: str) -> str:
        return self._known.get(name, f"<{name}>")

    def __contains__(self, name: object) -> bool:
        return True

    def __iter__(self) -> Any:
        raise Beyond("the labels of the alert, one after the other")

    def __len__(self) -> int:
        raise Beyond("the number of labels")


@dataclass(frozen=True, slots=True)
class Samples:
    """What templates are filled in with."""

    value: float = 1.0
    """What `$value` is."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What `$labels` has; of any other label its name in angle brackets."""
    external_labels: Mapping[str, str] = field(default_factory=dict)
    external_url: str = "http://prometheus.example.com"


@dataclass(frozen=True, slots=True)
class Filled:
    """A text with its template filled in."""

    text: str
    broken: str = ""
    """Why Prometheus could not use it, in Go's words; "" where it can. Then `text` is as written."""
    unfilled: tuple[str, ...] = ()
    """What stands there as it was written, and why: only a running Prometheus can tell."""


def fill(text: str, samples: Samples) -> Filled:
    """Fill a template in. Never raises for what stands in it."""
    if "{{" not in text:
        return Filled(text)
    try:
        nodes = _parsed(text)
    except Broken as error:
        return Filled(text, str(error))
    expander = _Expander(samples)
    try:
        written = expander.nodes(nodes)
    except Broken as error:
        return Filled(text, str(error))
    return Filled(written, "", tuple(dict.fromkeys(expander.unfilled)))


def shows(text: str, *names: str) -> bool:
    """Say whether what a template writes depends on one of these: a variable (`$value`), a field of the data (`Value`).

    What only an `if` asks does not count. False for a text that cannot be read.
    """
    if "{{" not in text:
        return False
    try:
        nodes = _parsed(text)
    except Broken:
        return False
    terms = (term for pipe in shown(nodes) for command in pipe.commands for term in command)
    return any(_names(term, names) for term in terms)


def _names(term: Term, names: tuple[str, ...]) -> bool:
    at_root = term.kind == "dot" or (term.kind == "variable" and term.value == "$")
    return term.value in names or (at_root and term.fields[:1] != () and term.fields[0] in names)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Nodes:
    return parse(text, NAMES, _VARIABLES)


_Data = object()
"""What `.` is at the top."""


class _Expander:
    """One filling-in: the variables, and what could not be told."""

    def __init__(self, samples: Samples) -> None:
        self.unfilled: list[str] = []
        self.samples = samples
        labels, external = Labels(samples.labels), Labels(samples.external_labels)
        self.root = {
            "$labels": labels,
            "$externalLabels": external,
            "$externalURL": samples.external_url,
            "$value": samples.value,
        }
        self.scope: list[tuple[str, Any]] = [("$", _Data), *self.root.items()]
        self.dot: Any = _Data
        self.size = 0

    def nodes(self, nodes: Nodes) -> str:
        return "".join(self.bounded(self.node(node)) for node in nodes)

    def bounded(self, text: str) -> str:
        self.size += len(text)
        if self.size > _LONGEST * 20:
            raise Broken(f"it comes to more than {_LONGEST:,} characters")
        return text

    def node(self, node: Text | Action | Block | Foreign) -> str:
        if isinstance(node, Text):
            return node.text
        try:
            if isinstance(node, Foreign):
                raise Beyond(f"{{{{ {node.kind} }}}}")
            if isinstance(node, Action):
                value = self.pipe(node.pipe)
                return "" if node.pipe.variables else value_text(value)
            return self.block(node)
        except Beyond as error:
            self.unfilled.append(f"{_short(node.source)} needs {error}")
            if not isinstance(node, Action) or not node.pipe.variables:
                return node.source
            for name in node.pipe.variables:
                self.assign(name, error, declares=node.pipe.declares)
            return ""

    def block(self, node: Block) -> str:
        known, dot = len(self.scope), self.dot
        try:
            value = self.pipe(node.pipe)
            if node.kind == "range":
                raise Beyond("a list to go through")
            if node.kind == "with" and truth(value):
                self.dot = value
            return self.nodes(node.body if truth(value) else node.otherwise)
        finally:
            self.dot = dot
            del self.scope[known:]

    def pipe(self, pipe: Pipe) -> Any:
        value: Any = None
        for stage, command in enumerate(pipe.commands):
            value = self.command(command, (value,) if stage else ())
        for name in pipe.variables:
            self.assign(name, value, declares=pipe.declares)
        return value

    def assign(self, name: str, value: Any, *, declares: bool) -> None:
        for at in range(len(self.scope) - 1, -1, -1) if not declares else ():
            if self.scope[at][0] == name:
                self.scope[at] = (name, value)
                return
        self.scope.append((name, value))

    def command(self, command: Command, piped: tuple[Any, ...]) -> Any:
        first, rest = command[0], command[1:]
        if first.kind == "function":
            return self.call(str(first.value), rest, piped, first.fields)
        if rest or piped:
            if first.kind == "nil":
                raise Broken("nil is not a command")
            raise Beyond("a value that is called") if first.fields else Broken("can't give argument to non-function")
        return self.term(first)

    def call(self, name: str, terms: Command, piped: tuple[Any, ...], fields: tuple[str, ...]) -> Any:
        if name in BEYOND:
            raise Beyond(f"the function {name}")
        if name in ("and", "or"):
            return self.junction(name, terms, piped)
        if name == "externalURL":
            return self.samples.external_url
        values = (*(self.term(term) for term in terms), *piped)
        function, least, most = FUNCTIONS[name]
        if not least <= len(values) <= most:
            wanted = str(least) if least == most else f"at least {least}"
            raise Broken(f"wrong number of args for {name}: want {wanted} got {len(values)}")
        return _fields(_called(name, function, values), fields)

    def junction(self, name: str, terms: Command, piped: tuple[Any, ...]) -> Any:
        """Answer the first that decides, as Go's `and` and `or`."""
        value: Any = None
        for term in terms:
            value = self.term(term)
            if truth(value) is (name == "or"):
                return value
        return piped[0] if piped else value

    def term(self, term: Term) -> Any:
        match term.kind:
            case "literal":
                return term.value
            case "nil":
                return None
            case "pipe":
                assert isinstance(term.value, Pipe)
                return _fields(self.pipe(term.value), term.fields)
            case "function":
                return self.call(str(term.value), (), (), term.fields)
            case "variable":
                return self.fields(self.variable(str(term.value)), term.fields)
        return self.fields(self.dot, term.fields)

    def variable(self, wanted: str) -> Any:
        for name, value in reversed(self.scope):
            if name == wanted:
                if isinstance(value, Beyond):
                    raise value
                return value
        raise Broken(f"undefined variable: {wanted}")  # it was declared in a branch that was not taken

    def fields(self, value: Any, fields: tuple[str, ...]) -> Any:
        if value is not _Data:
            return _fields(value, fields)
        if not fields:
            raise Beyond("all the data at once")
        if fields[0] not in _FIELDS:
            raise Broken(f"can't evaluate field {fields[0]} in an alert's data: it has {', '.join(_FIELDS)}")
        return _fields(self.root[_FIELDS[fields[0]]], fields[1:])


def _fields(value: Any, fields: tuple[str, ...]) -> Any:
    for name in fields:
        if not isinstance(value, Labels):
            raise Broken(f"can't evaluate field {name} in type {type(value).__name__}")
        value = value[name]
    return value


def _called(name: str, function: Callable[..., Any], values: tuple[Any, ...]) -> Any:
    try:
        return function(*values)
    except CannotFormat as error:
        raise Beyond(str(error)) from None
    except Broken as error:
        # A sample in angle brackets is no number and no duration; the label will be one.
        if any(isinstance(value, str) and "<" in value for value in values):
            raise Beyond(f"a label that {name} can read") from None
        raise Broken(f"error calling {name}: {error}") from None


def _short(source: str) -> str:
    line = " ".join(source.split())
    return line if len(line) <= 80 else f"{line[:79]}…"
