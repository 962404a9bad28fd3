"""Write YAML as people do: strings quoted where they must be, short lists on one line, blocks for long texts."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*|[0-9]+(?:ms|[smhdwy])")
_WORDS = frozenset(("y", "n", "yes", "no", "true", "false", "on", "off", "null", "none", ""))
_SINGLE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff]+")
_BOOLEANS = ("true", "false")
_SHORT = 100

_AS_WRITTEN = re.compile(r"[A-Za-z0-9_/.~+][^\s,\[\]{}#:&*!|>'\"%@`]*")


class AsWritten(str):
    """A text that stood in a file without quotes, where they may make a difference: `true`, `10`."""

    __slots__ = ()


def scalar(text: str | None) -> str:
    """Write one text so that it is read back as that text, whatever it looks like."""
    if text is None:
        return "null"
    if isinstance(text, AsWritten) and _AS_WRITTEN.fullmatch(text):
        return str(text)
    if text in _BOOLEANS or (_PLAIN.fullmatch(text) and text.lower() not in _WORDS):
        return text
    if _SINGLE.fullmatch(text):
        return "'" + text.replace("'", "''") + "'"
    return json.dumps(text)


def pair(key: str, value: Any, indent: int) -> list[str]:
    """Write `key: value` as lines, `indent` blanks in."""
    name = f"{' ' * indent}{scalar(key)}:"
    flat = flow(value)
    if flat is not None and len(flat) + len(name) < _SHORT:
        return [f"{name} {flat}"]
    if isinstance(value, str) and "\n" in value and _may_be_block(value):
        chomp = "" if value.endswith("\n") else "-"
        return [f"{name} |{chomp}", *(f"{' ' * (indent + 2)}{line}".rstrip() for line in value.splitlines())]
    if not isinstance(value, Mapping | list):
        return [f"{name} {scalar(value)}"]
    return [name, *lines(value, indent + 2)]


def lines(value: Any, indent: int) -> list[str]:
    """Write a mapping or a list as lines."""
    if isinstance(value, Mapping):
        return [line for key, item in value.items() for line in pair(key, item, indent)]
    written: list[str] = []
    for item in value:
        if isinstance(item, Mapping | list) and item:
            written += itemised(lines(item, indent + 2), indent)
        else:
            written.append(f"{' ' * indent}- {flow(item) or scalar(item)}")
    return written


def itemised(block: list[str], indent: int) -> list[str]:
    """Make a block (indented by two more) an item of a list: put the dash before its first line that is no comment."""
    first = next(number for number, line in enumerate(block) if not line.lstrip().startswith("#"))
    dashed = f"{' ' * indent}- {block[first][indent + 2 :]}"
    return [*(line[2:] for line in block[:first]), dashed, *block[first + 1 :]]


def flow(value: Any) -> str | None:
    """Write it on one line, where that can be read; None where it cannot."""
    if isinstance(value, Mapping):
        if not value:
            return "{}"
        if all(isinstance(item, str) and "\n" not in item for item in value.values()) and len(value) <= 6:
            return "{" + ", ".join(f"{_inner(key)}: {_inner(item)}" for key, item in value.items()) + "}"
        return None
    if isinstance(value, list):
        inner: Iterable[str | None] = [_inner(item) if isinstance(item, str) else None for item in value]
        return None if None in inner else "[" + ", ".join(map(str, inner)) + "]"
    return scalar(value) if value is None or "\n" not in value else None


def _inner(text: str) -> str:
    return scalar(text)


def _may_be_block(text: str) -> bool:
    """Whether a block says it as it is: no blanks at the ends of lines, none before the first, no odd characters."""
    all_lines = text.removesuffix("\n").split("\n")
    odd = any(line != line.rstrip() or (line and not _SINGLE.fullmatch(line)) for line in all_lines)
    return not odd and bool(all_lines[0]) and not all_lines[0].startswith(" ") and not text.endswith("\n\n")
