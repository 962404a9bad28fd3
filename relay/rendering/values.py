"""A rendered detail read as data: JSON, a YAML list or map, or a whole number; anything else stays the text it is."""

import re
from typing import Any

import msgspec
import yaml

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NUMBER = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,17})")
# A list or map in block style, JSON, or YAML in flow style. Most texts are none and never reach a parser.
_STRUCTURED = re.compile(r"\s*(?:[\[{]|- |-\n)|(?:\A|.*?\n)\s*[^\s#][^\n]*?:(?:\s|\Z)", re.DOTALL)

_DEEPEST = 20


class _Loader(_Base):  # type: ignore[misc]
    """YAML in which a bare whole number is a number, and every other scalar is the text that was written."""


_Loader.yaml_implicit_resolvers = {}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(f"{_NUMBER.pattern}\\Z"), list("+-0123456789"))


def read_value(text: str) -> Any:
    """Read a rendered detail as Alertmanager >= 0.30 does, with one difference.

    Alertmanager makes `1.10` a 1.1, `yes` a true and `2026-01-01` a date; here they stay text. Inside JSON,
    numbers, booleans and null are what they are. Text that cannot be read is text.
    """
    if _NUMBER.fullmatch(text.strip()):
        return int(text)
    if not _STRUCTURED.match(text):
        return text
    try:
        value = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        value = _yaml(text)
    return value if isinstance(value, dict | list) else text


def _yaml(text: str) -> Any:
    try:
        return yaml.load(text, _Loader) if _harmless(text) else text  # noqa: S506 - a SafeLoader that knows fewer types
    except (yaml.YAMLError, ValueError, RecursionError, TypeError):
        return text


def _harmless(text: str) -> bool:
    """Say whether a text is safe to load: an alias can stand for a thousand copies, and depth overflows the stack."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if getattr(event, "tag", None) or getattr(event, "anchor", None):
            return False
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            return False
    return True
