"""What a translated value is: the Jinja that makes it, and of what kind it is, since Go treats kinds apart."""

from dataclasses import dataclass
from enum import StrEnum

from relay.rules.templates import NAMES


class Untranslatable(ValueError):
    """There is no Jinja that is sure to say the same; the text says what stands in the way."""


class Kind(StrEnum):
    """The kinds of values in an Alertmanager template (template/template.go)."""

    DATA = "the whole notification"
    ALERTS = "a list of alerts"
    ALERT = "an alert"
    MAP = "a map of labels"
    PAIRS = "a list of pairs"
    PAIR = "a pair"
    STRINGS = "a list of strings"
    STRING = "a string"
    BOOLEAN = "a boolean"
    INTEGER = "a whole number"
    DECIMAL = "a number"
    TIME = "a time"
    SPAN = "a length of time"


class Tight(StrEnum):
    """How tightly the outermost operator of an expression binds."""

    LOOSE = "or, and, not, a comparison"
    JOINED = "~"
    FILTERED = "a filter"
    NAMED = "a name, a call, a literal"


_ORDER = list(Tight)


@dataclass(frozen=True, slots=True)
class Value:
    """A Jinja expression."""

    code: str
    kind: Kind
    tight: Tight = Tight.NAMED
    literal: str | None = None
    """The text of a string literal."""

    def at_least(self, tight: Tight) -> str:
        """Write it so that what stands around it takes it as a whole."""
        return self.code if _ORDER.index(self.tight) >= _ORDER.index(tight) else f"({self.code})"

    def filtered(self, name: str, *arguments: "Value", kind: Kind | None = None) -> "Value":
        """Write this value, filtered."""
        given = ", ".join(argument.code for argument in arguments)
        code = f"{self.at_least(Tight.FILTERED)} | {name}" + (f"({given})" if arguments else "")
        return Value(code, kind or self.kind, Tight.FILTERED)

    def field(self, name: str, kind: Kind) -> "Value":
        """Write a field of this value."""
        return Value(f"{self.at_least(Tight.NAMED)}.{name}", kind)


def quoted(text: str) -> str:
    """Write a string literal as Jinja reads it; never with `{{` or `}}` in it, which other readers would cut at."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    for pair in ("{{", "}}", "{%", "%}", "{#", "#}"):
        escaped = escaped.replace(pair, f"{pair[0]}\\x{ord(pair[1]):02x}")
    return f'"{escaped}"'


def string(text: str) -> Value:
    """Make a string literal."""
    return Value(quoted(text), Kind.STRING, literal=text)


_LABEL_METHODS = frozenset(("sorted_pairs", "SortedPairs", "names", "Names", "values", "Values", "remove", "Remove"))
_PYTHON_METHODS = frozenset(("items", "keys", "get"))


def label(labels: Value, name: str) -> Value:
    """Write a look-up in a map of labels, where a label without a value is empty."""
    if name == "get":
        raise Untranslatable("a label of the name get cannot be told from Python's get")
    if name in _LABEL_METHODS | _PYTHON_METHODS:
        return Value(f"{labels.at_least(Tight.NAMED)}.get({quoted(name)})", Kind.STRING)
    if name.isascii() and name.isidentifier():
        return labels.field(name, Kind.STRING)
    return Value(f"{labels.at_least(Tight.NAMED)}[{quoted(name)}]", Kind.STRING)


_RESERVED = frozenset((
    "and", "block", "break", "call", "caller", "continue", "context", "cycler", "define", "dict", "do", "elif", "else",
    "end", "extends", "false", "filter", "for", "from", "if", "ignore", "import", "in", "include", "is", "joiner",
    "kwargs", "list", "loop", "macro", "missing", "namespace", "none", "not", "or", "range", "recursive", "self", "set",
    "template", "true", "varargs", "with", "without",
))  # fmt: skip
"""What means something to Jinja, or makes the reader of the file take a template for Go's."""


class NameGiver:
    """Give out names of variables that nothing else has."""

    def __init__(self) -> None:
        self._taken = set(NAMES) | _RESERVED

    def fresh(self, wish: str) -> str:
        """Return the name that is wished for, or one like it."""
        name, number = wish.lower(), 1
        while name in self._taken:
            number += 1
            name = f"{wish.lower()}_{number}"
        self._taken.add(name)
        return name
