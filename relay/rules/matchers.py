"""Alertmanager's matchers: what one says of a label set, how it is written, and how it is read."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import re2

from relay.rules.matcher_syntax import RESERVED, MatcherError, Triple, read_classic, read_classic_matcher, read_utf8
from relay.rules.quoting import go_quote

__all__ = ["Matcher", "MatcherError", "Mode", "parse_matcher", "parse_matchers", "regex_size", "valid_label_name"]

Mode = Literal["fallback", "utf8", "classic"]
"""Which parser: `fallback` is Alertmanager's default and asks both (matcher/compat/parse.go)."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """One test of one label; an absent label counts as the empty string.

    A regular expression that does not compile raises MatcherError. Regular expressions are RE2, anchored at both
    ends, and `.` does not match a newline (pkg/labels/matcher.go).
    """

    op: str
    """`=`, `!=`, `=~` or `!~`."""
    name: str
    value: str
    values: frozenset[str] | None = field(init=False, repr=False, compare=False)
    """Every value that satisfies it, where they can be listed (`=`, and `=~` over plain words); else None."""
    test: Callable[[str], bool] = field(init=False, repr=False, compare=False)
    """Whether one label value satisfies it."""

    def __post_init__(self) -> None:
        regex = self.op in ("=~", "!~")
        words = _words(self.value) if regex else frozenset((self.value,))
        accepts = words.__contains__ if words is not None else _compiled(self.value)
        negative = self.op[0] == "!"
        object.__setattr__(self, "values", None if negative else words)
        object.__setattr__(self, "test", (lambda value: not accepts(value)) if negative else accepts)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether a label set satisfies it."""
        return self.test(labels.get(self.name, ""))

    def __str__(self) -> str:
        """Write it as Alertmanager does in route keys."""
        if RESERVED.isdisjoint(self.name):
            return f'{self.name}{self.op}"{_escape(self.value)}"'
        return f"{go_quote(self.name)}{self.op}{go_quote(self.value)}"


_META = frozenset(r"\.+*?()[]{}^$")


def _words(pattern: str) -> frozenset[str] | None:
    """List what a regular expression matches when it is only plain words with `|` between them."""
    return frozenset(pattern.split("|")) if _META.isdisjoint(pattern) else None


def _compiled(pattern: str) -> Callable[[str], bool]:
    try:
        search = re2.compile(f"^(?:{pattern})$", _QUIET).search
    except re2.error as error:
        raise MatcherError(f"error parsing regexp: {_go_words(error)}") from None
    return lambda value: search(_utf8(value)) is not None


def regex_size(pattern: str) -> int:
    """Say how many instructions RE2 needs for a regular expression that compiles: what one character costs at most."""
    return int(re2.compile(f"^(?:{pattern})$", _QUIET).programsize)


def _quiet() -> re2.Options:
    options = re2.Options()
    options.log_errors = False  # else the C++ library writes to stderr by itself
    return options


_QUIET = _quiet()

# What RE2 in C++ says (re2/regexp.cc) and what Go's regexp/syntax says of the same fault.
_GO_WORDS = {
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "trailing \\": "trailing backslash at end of expression",
    "no argument for repetition operator": "missing argument to repetition operator",
    "invalid repetition size": "invalid repeat count",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid named capture group": "invalid named capture",
}


def _go_words(error: Exception) -> str:
    said = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
    fault, colon, where = said.partition(": ")
    return f"{_GO_WORDS.get(fault, fault)}: `{where}`" if colon else said


def _utf8(value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which Go reads as U+FFFD
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def parse_matchers(text: str, mode: Mode = "fallback") -> tuple[tuple[Matcher, ...], tuple[str, ...]]:
    """Read any number of matchers; answer them and the warnings worth showing. Raise MatcherError."""
    if mode == "utf8":
        return _build_utf8(text), ()
    if mode == "classic":
        return _build(read_classic(text)), ()
    return _fall_back(text, _build_utf8, lambda text: _build(read_classic(text)))


def parse_matcher(text: str, mode: Mode = "fallback") -> tuple[Matcher, tuple[str, ...]]:
    """Read exactly one matcher; answer it and the warnings worth showing. Raise MatcherError."""
    if mode == "utf8":
        return _only(_build_utf8(text))[0], ()
    if mode == "classic":
        return _build([read_classic_matcher(text)])[0], ()
    if text.startswith("{") or text.endswith("}"):
        raise MatcherError(f"unexpected open or close brace: {text}")
    found, warnings = _fall_back(
        text, lambda text: _only(_build_utf8(text)), lambda text: _build([read_classic_matcher(text)])
    )
    return found[0], warnings


def valid_label_name(name: str, mode: Mode = "fallback") -> bool:
    """Say whether it can name a label; the UTF-8 and fallback modes take any text that is not empty."""
    if mode == "classic":
        return re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) is not None
    return name != "" and not any("\ud800" <= character <= "\udfff" for character in name)


_Parser = Callable[[str], tuple[Matcher, ...]]


def _fall_back(text: str, utf8: _Parser, classic: _Parser) -> tuple[tuple[Matcher, ...], tuple[str, ...]]:
    """Ask both parsers: the classic one is believed wherever it has an answer (matcher/compat/parse.go)."""
    old = _attempt(classic, text)
    new = _attempt(utf8, text)
    if isinstance(new, MatcherError):
        if isinstance(old, MatcherError):
            raise old
        return old, (_incompatible(text, new, old),)
    if isinstance(old, MatcherError) or old == new:
        return new, ()
    return old, (_disagreement(text, old, new),)


def _attempt(parser: _Parser, text: str) -> tuple[Matcher, ...] | MatcherError:
    try:
        return parser(text)
    except MatcherError as error:
        return error


def _incompatible(text: str, error: MatcherError, matchers: tuple[Matcher, ...]) -> str:
    better = ",".join(map(str, matchers))
    return f"{text} is read by the classic parser only, the UTF-8 parser says: {error}; write {better} instead"


def _disagreement(text: str, old: tuple[Matcher, ...], new: tuple[Matcher, ...]) -> str:
    read, unread = ",".join(map(str, old)), ",".join(map(str, new))
    return f"{text} means {read} to the classic parser, which is used, and {unread} to the UTF-8 parser"


def _build(triples: Iterable[Triple]) -> tuple[Matcher, ...]:
    return tuple(Matcher(*triple) for triple in triples)


def _build_utf8(text: str) -> tuple[Matcher, ...]:
    found = []
    for triple in read_utf8(text):
        try:
            found.append(Matcher(*triple))
        except MatcherError as error:
            raise MatcherError(f"failed to create matcher: {error}") from None
    return tuple(found)


def _only(matchers: tuple[Matcher, ...]) -> tuple[Matcher, ...]:
    if not matchers:
        raise MatcherError("no matchers")
    if len(matchers) > 1:
        raise MatcherError(f"expected 1 matcher, found {len(matchers)}")
    return matchers
