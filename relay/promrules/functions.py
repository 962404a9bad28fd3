"""The functions of Prometheus' alert templates, as far as they need no Prometheus to answer.

Source: prometheus/template/template.go (NewTemplateExpander) and text/template/funcs.go.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote_plus

from relay.promrules.gofmt import printf, significant, value_text
from relay.promrules.golexer import Broken
from relay.rules.filters import humanize_duration, match, re_replace_all
from relay.rules.gotime import time_of

BEYOND = frozenset((
    "args", "call", "first", "html", "js", "label", "now", "query", "safeHtml", "slice", "sortByLabel", "strvalue",
    "tableLink", "graphLink", "tmpl", "toDuration", "toTime", "value",
))  # fmt: skip
"""What asks a Prometheus, or makes values that are not worked on here: shown as it stands."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_MILLISECONDS = (31_536_000_000, 604_800_000, 86_400_000, 3_600_000, 60_000, 1_000, 1)
_UP = ("k", "M", "G", "T", "P", "E", "Z", "Y")
_DOWN = ("m", "u", "n", "p", "f", "a", "z", "y")
_BINARY = ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")
_NUMBER = re.compile(r"[+-]?(?:(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf|infinity|nan)", re.IGNORECASE)


def number(value: object) -> float:
    """Read a number, or a text that is one. Raises Broken with Go's words."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Broken(f"can't convert {type(value).__name__} to float")
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise Broken(f'strconv.ParseFloat: parsing "{value}": invalid syntax')
    return float(value)


def humanize(value: object) -> str:
    found = number(value)
    if found == 0 or math.isnan(found) or math.isinf(found):
        return significant(found)
    return _scaled(found, _UP, 1000) if abs(found) >= 1 else _shrunk(found)


def humanize1024(value: object) -> str:
    found = number(value)
    if abs(found) <= 1 or math.isnan(found) or math.isinf(found):
        return significant(found)
    return _scaled(found, _BINARY, 1024)


def _scaled(value: float, prefixes: tuple[str, ...], step: int) -> str:
    chosen = ""
    for prefix in prefixes:
        if abs(value) < step:
            break
        chosen, value = prefix, value / step
    return significant(value) + chosen


def _shrunk(value: float) -> str:
    chosen = ""
    for prefix in _DOWN:
        if abs(value) >= 1:
            break
        chosen, value = prefix, value * 1000
    return significant(value) + chosen


def humanize_percentage(value: object) -> str:
    return significant(number(value) * 100) + "%"


def humanize_timestamp(value: object) -> str:
    found = number(value)
    if math.isnan(found) or math.isinf(found):
        return significant(found)
    try:
        return str(time_of(_EPOCH + timedelta(seconds=found)))
    except OverflowError:
        raise Broken(f"{found:g} cannot be represented as a nanoseconds timestamp") from None


def title(text: str) -> str:
    """Start each word with a capital and leave the rest of it alone (strings.Title)."""
    return re.sub(r"(?<![\w'])\w", lambda found: found[0].upper(), text)


def strip_port(text: str) -> str:
    """Take the port off `host:port` and `[address]:port`; what cannot be split stays (net.SplitHostPort)."""
    found = re.fullmatch(r"\[([^][]*)\]:[^:]*|([^:\][]*):[^:\][]*", text)
    return text if found is None else found[1] if found[1] is not None else found[2]


def strip_domain(text: str) -> str:
    """Keep the first name of a host; an address stays."""
    host, port = strip_port(text), text[len(strip_port(text)) :] if not text.startswith("[") else ""
    try:
        ip_address(host)
        return text
    except ValueError:
        return host.partition(".")[0] + port


def parse_duration(text: str) -> float:
    """Read a Prometheus duration (`1h30m`) as seconds."""
    found = _DURATION.fullmatch(text)
    if found is None or not text:
        raise Broken(f'not a valid duration string: "{text}"')
    return sum(int(part or 0) * unit for part, unit in zip(found.groups(), _MILLISECONDS, strict=True)) / 1000


def duration(value: object) -> str:
    return humanize_duration(number(value))


def replace_all(pattern: str, replacement: str, text: str) -> str:
    return str(_regular(lambda: re_replace_all(text, pattern, replacement)))


def matches(pattern: str, text: str) -> bool:
    return bool(_regular(lambda: match(text, pattern)))


def _regular(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except ValueError as error:
        raise Broken(str(error)) from None


def truth(value: object) -> bool:
    """Say whether Go's `if` takes a value for true: not nil, not zero, not empty."""
    return True if isinstance(value, Mapping) and not isinstance(value, dict) else bool(value)


def equal(first: object, *others: object) -> bool:
    """Compare as Go's `eq`: with any of several, and only what is of one kind."""
    if not others:
        raise Broken("missing argument for comparison")
    for other in others:
        _alike(first, other)
    return first in others


def _alike(first: object, second: object) -> None:
    if first is not None and second is not None and _basic(first) != _basic(second):
        raise Broken("incompatible types for comparison")


def _basic(value: object) -> str:
    kind = type(value)
    if kind not in (bool, int, float, str):
        raise Broken("invalid type for comparison")
    return kind.__name__


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[object, object], bool]:
    def ask(first: object, second: object) -> bool:
        _alike(first, second)
        if first is None or second is None or isinstance(first, bool):
            raise Broken("invalid type for comparison")
        return test(first, second)

    return ask


def length(value: object) -> int:
    if not isinstance(value, str | dict):
        raise Broken(f"len of type {type(value).__name__}")
    return len(value.encode()) if isinstance(value, str) else len(value)


def index(value: object, *names: object) -> object:
    """Look up in a map; a missing name is empty."""
    if len(names) != 1 or not isinstance(value, Mapping) or not isinstance(names[0], str):
        raise Broken("cannot index that")
    return value[names[0]]


def print_values(*values: object) -> str:
    """Write values after one another, with a blank between two that are no strings (fmt.Sprint)."""
    text = ""
    for at, value in enumerate(values):
        gap = at and not isinstance(value, str) and not isinstance(values[at - 1], str)
        text += (" " if gap else "") + value_text(value)
    return text


def _text(function: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse what is no string, as Go does when it calls a function that takes strings."""

    def ask(*values: object) -> Any:
        for value in values:
            if not isinstance(value, str):
                raise Broken(f"wrong type for value; expected string; got {_basic(value)}")
        return function(*values)

    return ask


FUNCTIONS: Mapping[str, tuple[Callable[..., Any], int, int]] = {
    "eq": (equal, 1, 99),
    "ge": (_ordered(lambda a, b: a >= b), 2, 2),
    "gt": (_ordered(lambda a, b: a > b), 2, 2),
    "humanize": (humanize, 1, 1),
    "humanize1024": (humanize1024, 1, 1),
    "humanizeDuration": (duration, 1, 1),
    "humanizePercentage": (humanize_percentage, 1, 1),
    "humanizeTimestamp": (humanize_timestamp, 1, 1),
    "index": (index, 1, 99),
    "le": (_ordered(lambda a, b: a <= b), 2, 2),
    "len": (length, 1, 1),
    "lt": (_ordered(lambda a, b: a < b), 2, 2),
    "match": (_text(matches), 2, 2),
    "ne": (lambda a, b: not equal(a, b), 2, 2),
    "not": (lambda value: not truth(value), 1, 1),
    "parseDuration": (_text(parse_duration), 1, 1),
    "print": (print_values, 0, 99),
    "printf": (lambda form, *values: _text(lambda text: printf(text, *values))(form), 1, 99),
    "println": (lambda *values: " ".join(map(value_text, values)) + "\n", 0, 99),
    "reReplaceAll": (_text(replace_all), 3, 3),
    "stripDomain": (_text(strip_domain), 1, 1),
    "stripPort": (_text(strip_port), 1, 1),
    "title": (_text(title), 1, 1),
    "toLower": (_text(str.lower), 1, 1),
    "toUpper": (_text(str.upper), 1, 1),
    "urlQueryEscape": (_text(lambda text: quote_plus(text)), 1, 1),
    "urlquery": (lambda *values: quote_plus(print_values(*values)), 1, 99),
    "pathPrefix": (lambda: "", 0, 0),
}
"""By name: the function, and the least and most arguments. `and` and `or` are the expander's own, and so is
`externalURL`."""

NAMES = frozenset((*FUNCTIONS, *BEYOND, "and", "or", "externalURL"))
"""Every function that a rule of Prometheus 3 may call."""
