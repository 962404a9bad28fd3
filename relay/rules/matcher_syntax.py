"""The two grammars in which Alertmanager reads matchers: the classic one and the UTF-8 one."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import re2

Triple = tuple[str, str, str]
"""Operator, label name, unescaped value."""

# Go's unicode.IsSpace; Python's str.isspace also counts U+001C to U+001F.
SPACE = frozenset(
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
RESERVED = SPACE | frozenset("{}!=~,\\\"'`")
"""What an unquoted name or value of the UTF-8 grammar may not contain (matcher/parse/lexer.go)."""

_CLASSIC = re2.compile(r"^\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(=~|=|!=|!~)\s*((?s).*?)\s*$")


class MatcherError(ValueError):
    """A matcher cannot be read; the text is Alertmanager's own."""


def read_classic(text: str) -> Iterator[Triple]:
    """Read a comma-separated list by the classic grammar (pkg/labels/parse.go); raise MatcherError."""
    for part in _split(text.removeprefix("{").removesuffix("}")):
        yield read_classic_matcher(part)


def _split(text: str) -> list[str]:
    """Split on commas outside quotes; what follows the last comma counts unless it is blank."""
    parts, start = [], 0
    quoted = escaped = False
    for at, character in enumerate(text):
        if character == "," and not quoted:
            parts.append(text[start:at])
            start = at + 1
        elif character == '"':
            quoted ^= not escaped
            escaped = False
        elif character == "\\":
            escaped = not escaped
        elif character != ",":
            escaped = False
    last = text[start:].strip("".join(SPACE))
    return [*parts, last] if last else parts


def read_classic_matcher(text: str) -> Triple:
    """Read exactly one matcher by the classic grammar; raise MatcherError."""
    found = _CLASSIC.search(text)
    if found is None:
        raise MatcherError(f"bad matcher format: {text}")
    name, op, raw = found.groups()
    return op, name, _classic_value(raw)


def _classic_value(raw: str) -> str:
    r"""Undo `\"`, `\n` and `\\`; any other backslash stands for itself."""
    quoted = raw.startswith('"')
    body = raw[1:] if quoted else raw
    out: list[str] = []
    escaped = closed = False
    for at, character in enumerate(body):
        last = at == len(body) - 1
        if escaped:
            escaped = False
            out.append({"n": "\n", '"': '"', "\\": "\\"}.get(character, "\\" + character))
        elif character == "\\" and not last:
            escaped = True
        elif character != '"':
            out.append(character)
        elif quoted and last:
            closed = True
        else:
            raise MatcherError(f"matcher value contains unescaped double quote: {raw}")
    if quoted and not closed:
        raise MatcherError(f"matcher value contains unescaped double quote: {raw}")
    return "".join(out)


def read_utf8(text: str) -> Iterator[Triple]:
    """Read matchers by the UTF-8 grammar (matcher/parse); braces stand on both sides or on neither.

    Error texts carry `start:end:` columns, counted in characters from 0, as Alertmanager's do.
    """
    tokens = _Tokens(text)
    token = tokens.peek()
    opened = token is not None and token.kind == "{"
    if opened:
        tokens.take()
        token = tokens.peek()
    more = token is not None and token.kind != "}"
    while more:
        yield _matcher(tokens)
        more = _separator(tokens)
    _close(tokens, opened)


class _Token(NamedTuple):
    kind: str
    """`{`, `}`, `,`, `op`, `quoted` or `word`."""
    text: str
    start: int
    end: int


_NAMES = ("quoted", "word")


def _matcher(tokens: "_Tokens") -> Triple:
    name = tokens.require(_NAMES, "expected label name")
    name_text = _unquote(name)
    op = tokens.require(("op",), "expected an operator such as '=', '!=', '=~' or '!~'")
    value = tokens.require(_NAMES, "expected label value")
    return op.text, name_text, _unquote(value)


def _separator(tokens: "_Tokens") -> bool:
    """Read what stands between two matchers; say whether another one follows."""
    token = tokens.expect((",", "}"), "expected a comma or close brace")
    if token is None or token.kind == "}":
        return False
    tokens.take()
    token = tokens.expect(("}", *_NAMES), "expected a matcher or close brace after comma")
    return token is not None and token.kind != "}"


def _close(tokens: "_Tokens", opened: bool) -> None:
    token = tokens.peek()
    if opened and token is None:
        raise MatcherError(f"0:{tokens.at}: end of input: expected close brace")
    if token is not None:
        tokens.take()
        if not opened:
            raise MatcherError(f"0:{tokens.at}: }}: expected opening brace")
    rest = tokens.peek("expected end of input")
    if rest is not None:
        raise MatcherError(f"{rest.start}:{rest.end}: {rest.text}: expected end of input")


class _Tokens:
    """The tokens of one input, with one token of look-ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0
        """The column after the last token taken."""

    def peek(self, wanted: str = "") -> _Token | None:
        """Say what comes next, None at the end; `wanted` is added to the text of an error."""
        try:
            return _scan(self._text, self.at)
        except MatcherError as error:
            raise MatcherError(f"{error}: {wanted}" if wanted else str(error)) from None

    def take(self) -> None:
        """Step over the next token."""
        token = self.peek()
        assert token is not None
        self.at = token.end

    def expect(self, kinds: tuple[str, ...], wanted: str) -> _Token | None:
        """Say what comes next if it is of these kinds or the end, else raise."""
        token = self.peek(wanted)
        if token is not None and token.kind not in kinds:
            raise MatcherError(f"{token.start}:{token.end}: unexpected {token.text}: {wanted}")
        return token

    def require(self, kinds: tuple[str, ...], wanted: str) -> _Token:
        """Take the next token; it must be of these kinds."""
        token = self.expect(kinds, wanted)
        if token is None:
            raise MatcherError(f"end of input: {wanted}")
        self.at = token.end
        return token


def _scan(text: str, at: int) -> _Token | None:
    """Read the token that starts at or after a column."""
    while at < len(text) and text[at] in SPACE:
        at += 1
    if at == len(text):
        return None
    character = text[at]
    if character in "{},":
        return _Token(character, character, at, at + 1)
    if character in "=!":
        return _operator(text, at)
    if character == '"':
        return _quoted(text, at)
    if character in RESERVED:
        raise MatcherError(f"{at}:{at + 1}: {character}: invalid input")
    return _word(text, at)


def _operator(text: str, at: int) -> _Token:
    pair = text[at : at + 2]
    if pair in ("!=", "!~", "=~"):
        return _Token("op", pair, at, at + 2)
    if pair[0] == "=":
        return _Token("op", "=", at, at + 1)
    if len(pair) == 1:
        raise MatcherError(f"{at}:{at + 1}: unexpected end of input, expected one of '=~'")
    raise MatcherError(f"{at}:{at + 1}: !: expected one of '=~'")


def _quoted(text: str, start: int) -> _Token:
    at = start + 1
    while at < len(text) and text[at] != '"':
        at += 2 if text[at] == "\\" else 1
    if at >= len(text):
        raise MatcherError(f'{start}:{len(text)}: {text[start:]}: missing end "')
    return _Token("quoted", text[start : at + 1], start, at + 1)


def _word(text: str, start: int) -> _Token:
    at = start
    while at < len(text) and text[at] not in RESERVED:
        at += 1
    return _Token("word", text[start:at], start, at)


def _unquote(token: _Token) -> str:
    if token.kind == "word":
        return token.text
    try:
        return _go_unquote(token.text[1:-1])
    except ValueError:
        raise MatcherError(f"{token.start}:{token.end}: {token.text}: invalid input") from None


_SIMPLE = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34}
_NUMERIC: dict[str, tuple[int, Callable[[int], bytes]]] = {
    "x": (2, lambda code: bytes([code])),
    "u": (4, lambda code: chr(code).encode()),
    "U": (8, lambda code: chr(code).encode()),
}


def _go_unquote(body: str) -> str:
    """Undo Go's escapes as strconv.Unquote does for double quotes; raise ValueError."""
    if "\n" in body:
        raise ValueError("a quoted string holds no raw newline")
    out, at = bytearray(), 0
    while at < len(body):
        if body[at] == "\\":
            at = _unescape(body, at + 1, out)
        else:
            out += body[at].encode()
            at += 1
    return out.decode()


def _unescape(body: str, at: int, out: bytearray) -> int:
    """Append what the escape whose letter stands at a column means; answer the column after it."""
    letter = body[at]
    if letter in _SIMPLE:
        out.append(_SIMPLE[letter])
        return at + 1
    if letter in "01234567":
        out += bytes([_digits(body[at : at + 3], 3, 8)])
        return at + 3
    if letter not in _NUMERIC:
        raise ValueError(f"unknown escape {letter}")
    width, encode = _NUMERIC[letter]
    out += encode(_digits(body[at + 1 : at + 1 + width], width, 16))
    return at + 1 + width


def _digits(text: str, width: int, base: int) -> int:
    """Read exactly that many digits; int() alone would also take signs, spaces and underscores."""
    allowed = "0123456789abcdefABCDEF" if base == 16 else "01234567"
    if len(text) != width or any(digit not in allowed for digit in text):
        raise ValueError("bad digits")
    return int(text, base)
