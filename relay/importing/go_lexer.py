"""Cut a Go template into text and the tokens of its actions, trimming blanks where it says so.

Source of the grammar: Go's text/template (package documentation, and lex.go).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

_BLANKS = " \t\r\n"
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_TOKEN = re.compile(
    r"""
    (?P<blank>[ \t\r\n]+)
  | (?P<string>"(?:\\.|[^"\\\n])*")
  | (?P<raw>`[^`]*`)
  | (?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|[0-9]+(?:\.[0-9]+)?))(?![\w.])
  | (?P<variable>\$\w*)
  | (?P<field>\.[A-Za-z_]\w*)
  | (?P<dot>\.)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<sign>:=|[=|(),])
    """,
    re.VERBOSE,
)
_HARD_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|U[0-9a-fA-F]{8}|[0-7]{3}|[av'])")
_SOFT = {"a": "\a", "v": "\v", "'": "'"}


class GoTemplateError(ValueError):
    """This is no Go template, or none that could be read."""


@dataclass(frozen=True, slots=True)
class Token:
    """One word of an action."""

    kind: str
    """string, number, variable, field, dot, name or sign."""
    text: str
    """Strings are without their quotes and escapes, fields and variables without their `.` and `$`."""
    spaced: bool
    """Whether a blank stands before it: `.A.B` is one operand, `.A .B` are two."""


@dataclass(frozen=True, slots=True)
class Action:
    """What stands between `{{` and `}}`."""

    tokens: tuple[Token, ...]
    source: str


def pieces(text: str) -> Iterator[str | Action]:
    """Yield texts and actions in turn, trimmed as `{{-` and `-}}` say; comments are left out.

    Raises GoTemplateError.
    """
    at, trim = 0, False
    while (start := text.find("{{", at)) >= 0:
        inside = start + 2
        before = text[at:start]
        if text.startswith("-", inside) and text[inside + 1 : inside + 2] in tuple(_BLANKS):
            before, inside = before.rstrip(_BLANKS), inside + 2
        yield from _text(before, trim)
        comment = _COMMENT.match(text, inside + len(text[inside:]) - len(text[inside:].lstrip(_BLANKS)))
        tokens, end = ((), _close(text, comment.end())) if comment else _tokens(text, inside)
        trim = end > inside and text[end - 1] == "-" and text[end - 2].strip(_BLANKS) == ""
        at = end + 2
        if not comment:
            yield Action(tuple(tokens), text[start:at])
    yield from _text(text[at:], trim)


def _text(text: str, trim: bool) -> Iterator[str]:
    # The left side was trimmed by the action before, the right side already by the action after.
    found = text.lstrip(_BLANKS) if trim else text
    if found:
        yield found


def _close(text: str, at: int) -> int:
    end = text.find("}}", at)
    if end < 0:
        raise GoTemplateError("a comment is not closed")
    return end


def _tokens(text: str, at: int) -> tuple[list[Token], int]:
    """Read tokens up to `}}`; return them and where that stands."""
    tokens: list[Token] = []
    spaced = False
    while not text.startswith("}}", at):
        if text.startswith("-}}", at) and spaced:
            return tokens, at + 1
        found = _TOKEN.match(text, at)
        if found is None:
            what = text[at : at + 10].split("\n")[0]
            raise GoTemplateError(f"{what!r} is not understood" if what else "an action is not closed with }}")
        at = found.end()
        kind = str(found.lastgroup)
        if kind != "blank":
            tokens.append(_token(kind, found[0], spaced))
        spaced = kind == "blank"
    return tokens, at


def _token(kind: str, text: str, spaced: bool) -> Token:
    match kind:
        case "string":
            return Token("string", _unquoted(text), spaced)
        case "raw":
            return Token("string", text[1:-1], spaced)
        case "variable" | "field":
            return Token(kind, text[1:], spaced)
        case _:
            return Token(kind, text, spaced)


def _unquoted(text: str) -> str:
    """Undo a Go string literal: JSON's escapes and a few more."""
    plain = _HARD_ESCAPE.sub(_character, text.replace("\\\\", "\\u005c"))
    try:
        return str(json.loads(plain, strict=False))
    except ValueError:
        raise GoTemplateError(f"the string {text} is not understood") from None


def _character(found: re.Match[str]) -> str:
    escape = found[1]
    if escape in _SOFT:
        return json.dumps(_SOFT[escape])[1:-1]
    code = int(escape[1:], 16) if escape[0] in "xU" else int(escape, 8)
    if code > 0x10FFFF or (escape[0] != "U" and code > 0x7F):
        raise GoTemplateError(f"the escape \\{escape} is not understood")
    return json.dumps(chr(code))[1:-1]
