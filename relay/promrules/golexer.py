"""Cuts a Go template into plain texts and the tokens of its actions, as text/template/parse/lex.go does."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_SPACE = " \t\r\n"
_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\n]+)
    | (?P<field>\.[^\W\d]\w*)
    | (?P<number>[+-]?(?:0[xX][0-9a-fA-F_]+|(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))
    | (?P<variable>\$\w*)
    | (?P<word>[^\W\d]\w*)
    | (?P<string>"(?:[^"\\\n]|\\.)*")
    | (?P<raw>`[^`]*`)
    | (?P<char>'(?:[^'\\\n]|\\.)+')
    | (?P<mark>:=|[=|,().])
    """,
    re.VERBOSE,
)


_CLOSED = re.compile(r"(?:[ \t\r\n]+-)?}}")
_COMMENT = re.compile(r"/\*.*?\*/([ \t\r\n]-)?}}", re.DOTALL)


class Broken(ValueError):
    """The template cannot be used: Prometheus would refuse the rule, or write the error in place of the text."""


@dataclass(slots=True)
class Piece:
    """A stretch of the template: plain text, or the tokens of one action."""

    start: int
    end: int
    text: str | None = None
    tokens: list[tuple[str, str]] = field(default_factory=list)


def pieces(text: str) -> Iterator[Piece]:
    """Cut a template into texts and actions; blanks beside `{{-` and `-}}` are dropped."""
    at, trim = 0, False
    while at < len(text):
        opened = text.find("{{", at)
        plain = text[at:] if opened < 0 else text[at:opened]
        plain = plain.lstrip(_SPACE) if trim else plain
        if opened < 0:
            yield Piece(at, len(text), plain)
            return
        inner = opened + 2
        if text[inner : inner + 1] == "-" and text[inner + 1 : inner + 2] in tuple(_SPACE):
            plain, inner = plain.rstrip(_SPACE), inner + 2
        if plain:
            yield Piece(at, opened, plain)
        piece, trim = _action(text, opened, inner)
        if piece.tokens or piece.text is None:
            yield piece
        at = piece.end


def _action(text: str, opened: int, inner: int) -> tuple[Piece, bool]:
    """Read one action from behind its `{{`; say too whether it trims what follows."""
    if text.startswith("/*", inner):
        return _comment(text, opened, inner)
    tokens: list[tuple[str, str]] = []
    at = inner
    while True:
        closed = _CLOSED.match(text, at)
        if closed:
            return Piece(opened, closed.end(), None, tokens), len(closed[0]) > 2
        found = _TOKEN.match(text, at)
        if found is None:
            raise Broken(_unread(text, at))
        assert found.lastgroup is not None
        tokens.append((found.lastgroup, found[0]))
        at = found.end()


def _comment(text: str, opened: int, begins: int) -> tuple[Piece, bool]:
    found = _COMMENT.match(text, begins)
    if found is None:
        raise Broken("unclosed comment" if "*/" not in text[begins:] else "comment ends before closing delimiter")
    return Piece(opened, found.end(), ""), found[1] is not None


def _unread(text: str, at: int) -> str:
    if at >= len(text):
        return "unclosed action"
    character = text[at]
    if character == '"':
        return "unterminated quoted string"
    if character == "`":
        return "unterminated raw quoted string"
    if character == "'":
        return "unterminated character constant"
    if character == "{":
        return 'unexpected "{" in an action: is a `}}` missing before it?'
    if character == "}":
        return 'unexpected "}" in an action: it ends with `}}`'
    return f"unrecognized character in action: U+{ord(character):04X} {character!r}"


_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"'}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL)


def literal(kind: str, text: str) -> object:
    if kind == "raw":
        return text[1:-1]
    if kind == "string":
        return _unquoted(text)
    if kind == "char":
        inner = _unquoted(text)
        if len(inner) != 1:
            raise Broken(f"malformed character constant: {text}")
        return ord(inner)
    return _number(text)


def _unquoted(text: str) -> str:
    def one(found: re.Match[str]) -> str:
        number = found[1] or found[2] or found[3]
        if number or found[4]:
            code = int(number, 16) if number else int(found[4], 8)
            if code > 0x10FFFF:
                raise Broken(f"invalid syntax: {text}")
            return chr(code)
        if found[5] not in _SIMPLE:
            raise Broken(f"invalid syntax: {text}")
        return _SIMPLE[found[5]]

    return _ESCAPE.sub(one, text[1:-1])


def _number(text: str) -> int | float:
    """Read a number: an int where Go has one, else a float64."""
    bare = text.replace("_", "")
    try:
        if bare.lower().lstrip("+-").startswith("0x"):
            return int(bare, 16)
        if re.fullmatch(r"[+-]?\d+", bare):
            return int(bare, 8) if re.fullmatch(r"[+-]?0\d+", bare) else int(bare)
        return float(bare)
    except ValueError:
        raise Broken(f"bad number syntax: {json.dumps(text)}") from None
