"""Alertmanager's template functions as Jinja filters (value first) and as functions (Alertmanager's own order).

Source of names and results: github.com/prometheus/alertmanager template/template.go.
"""

import base64
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import re2
from jinja2 import pass_context
from jinja2.runtime import Context

from relay.rules.gotime import ZERO, Span, Time, layout, parse, time_of

Function = Callable[..., Any]


def to_upper(text: str) -> str:
    return str(text).upper()


def to_lower(text: str) -> str:
    return str(text).lower()


_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def title(text: str) -> str:
    """Start each word with a capital, the rest of it in lower case, as golang.org/x/text/cases does for en-US."""
    return _WORD.sub(lambda word: word[0][:1].upper() + word[0][1:].lower(), str(text))


def trim_space(text: str) -> str:
    return str(text).strip()


def join(values: Sequence[Any], separator: str = "") -> str:
    return separator.join(str(value) for value in values)


def match(text: str, pattern: str) -> bool:
    """Say whether the RE2 pattern is found anywhere in the text."""
    return _pattern(pattern).search(str(text)) is not None


def re_replace_all(text: str, pattern: str, replacement: str) -> str:
    """Replace every match; `$1` and `${name}` in the replacement stand for groups, as in Go."""
    return str(_pattern(pattern).sub(lambda found: _expanded(replacement, found), str(text)))


@lru_cache(256)
def _pattern(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise ValueError(f"bad regular expression {pattern!r}: {error}") from None


_GROUP = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))", re.ASCII)


def _expanded(replacement: str, found: Any) -> str:
    return _GROUP.sub(lambda mark: "$" if mark[1] else _group(found, mark[2] or mark[3]), replacement)


def _group(found: Any, name: str) -> str:
    try:
        return found.group(int(name) if name.isdigit() else name) or ""
    except (IndexError, KeyError, ValueError, re2.error):
        return ""


def as_is(text: Any) -> Any:
    """Alertmanager marks text as safe for HTML or URLs with this; an event is neither, so it stays as it is."""
    return text


_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}", re.DOTALL)


def url_unescape(text: str) -> str:
    """Undo URL encoding, `+` being a blank; raises ValueError on a broken escape."""
    bad = _BAD_ESCAPE.search(str(text))
    if bad:
        raise ValueError(f'invalid URL escape "{bad[0]}"')
    return unquote_plus(str(text))


def string_slice(*values: Any) -> list[str]:
    return [str(value) for value in values]


def make_list(*values: Any) -> list[Any]:
    return list(values)


def append(values: Sequence[Any], *more: Any) -> list[Any]:
    return [*values, *more]


def make_dict(*pairs: Any, **named: Any) -> dict[str, Any]:
    """Build a map from `"a", 1, "b", 2`, or from `a=1, b=2` as Jinja's own `dict` does."""
    if len(pairs) == 1 and isinstance(pairs[0], Mapping):
        return {**pairs[0], **named}
    if len(pairs) % 2:
        raise ValueError("dict requires an even number of arguments")
    if not all(isinstance(name, str) for name in pairs[::2]):
        raise ValueError("dict keys must be strings")
    return {**dict(zip(pairs[::2], pairs[1::2], strict=True)), **named}


def date(moment: datetime, pattern: str) -> str:
    """Write a moment by a Go layout (`2006-01-02 15:04`), or by strftime where the pattern has a `%`."""
    return moment.strftime(pattern) if "%" in pattern else layout(moment, pattern)


def tz(moment: datetime, zone: str) -> Time:
    try:
        return time_of(moment.astimezone(ZoneInfo(zone)))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"unknown time zone {zone}") from None


@pass_context
def since(context: Context, moment: datetime) -> Span:
    """Say how long ago a moment was when the page was judged."""
    return Span(0, 0, (context["now"] - moment) // timedelta(microseconds=1))


def to_date(text: str, pattern: str) -> Time:
    """Read a moment by a Go layout; Go's zero time where it cannot be read."""
    try:
        return parse(pattern, str(text))
    except ValueError:
        return ZERO


def must_to_date(text: str, pattern: str) -> Time:
    return parse(pattern, str(text))


_FLOAT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:inf|infinity)|nan", re.IGNORECASE)


def humanize_duration(value: float | str | timedelta) -> str:
    """Write seconds as `1d 2h 3m 4s`, below one second as `12.3ms`, as Prometheus does."""
    seconds = _number(value)
    if math.isnan(seconds) or math.isinf(seconds):
        return "NaN" if math.isnan(seconds) else "+Inf" if seconds > 0 else "-Inf"
    if abs(seconds) < 1:
        return _small(seconds)
    sign, whole = ("-" if seconds < 0 else ""), int(abs(seconds))
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {whole % 60}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {whole % 60}s"
    if minutes:
        return f"{sign}{minutes}m {whole % 60}s"
    return f"{sign}{abs(seconds):.4g}s"


def _small(seconds: float) -> str:
    if seconds == 0:
        return "0s"
    for prefix in "munpfazy":
        seconds *= 1000
        if abs(seconds) >= 1 or prefix == "y":
            break
    return f"{seconds:.4g}{prefix}s"


def _number(value: float | str | timedelta) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, str) and not _FLOAT.fullmatch(value):
        raise ValueError(f'strconv.ParseFloat: parsing "{value}": invalid syntax')
    return float(value)


def to_json(value: Any) -> str:
    """Write a value as JSON without blanks, maps sorted by key."""
    return msgspec.json.encode(_sorted(value)).decode()


def _sorted(value: Any) -> Any:
    if hasattr(value, "as_json"):
        return value.as_json()
    if isinstance(value, datetime):
        return layout(value, "2006-01-02T15:04:05.999999Z07:00")
    if isinstance(value, timedelta):
        return value // timedelta(microseconds=1) * 1000
    if isinstance(value, Mapping):
        return {str(name): _sorted(value[name]) for name in sorted(value, key=str)}
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Sequence):
        return [_sorted(one) for one in value]
    return value


def base64encode(text: str) -> str:
    return base64.urlsafe_b64encode(str(text).encode("utf-8", "replace")).decode()


def base64decode(text: str) -> str:
    """Undo URL-safe base64; raises ValueError on anything else."""
    try:
        return base64.b64decode(str(text), altchars=b"-_", validate=True).decode("utf-8", "replace")
    except ValueError as error:
        raise ValueError(f"bad base64: {error}") from None


ALERTMANAGER: Mapping[str, Function] = {
    "toUpper": to_upper,
    "toLower": to_lower,
    "title": title,
    "trimSpace": trim_space,
    "join": join,
    "match": match,
    "safeHtml": as_is,
    "safeUrl": as_is,
    "urlUnescape": url_unescape,
    "reReplaceAll": re_replace_all,
    "stringSlice": string_slice,
    "date": date,
    "tz": tz,
    "since": since,
    "humanizeDuration": humanize_duration,
    "toDate": to_date,
    "mustToDate": must_to_date,
    "toJson": to_json,
    "base64encode": base64encode,
    "base64decode": base64decode,
    "list": make_list,
    "append": append,
    "dict": make_dict,
}
"""Alertmanager's names. `now` is a value here and `routeLabels` is `route_labels`."""

_MAKERS = ("stringSlice", "list", "dict")
"""These take no value to filter: functions only."""
_OWN = ("join", "list")
"""Jinja has a filter of this name that does all this one does, and more."""


def snake(name: str) -> str:
    """Turn Alertmanager's name of a function into ours: `toUpper` -> `to_upper`."""
    return re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), name)


def filters() -> dict[str, Function]:
    """The filters to add to Jinja's own, under our names and Alertmanager's."""
    chosen = {name: function for name, function in ALERTMANAGER.items() if name not in _MAKERS and name not in _OWN}
    return {**chosen, **{snake(name): function for name, function in chosen.items()}}


def functions() -> dict[str, Function]:
    """The same as functions that take their value last, as Alertmanager's do, but for `append`."""
    chosen = {name: _value_last(name, function) for name, function in ALERTMANAGER.items()}
    return {**chosen, **{snake(name): function for name, function in chosen.items()}}


def _value_last(name: str, function: Function) -> Function:
    if name in _MAKERS or name in ("append", "since"):
        return function

    def call(*arguments: Any) -> Any:
        return function(*arguments[-1:], *arguments[:-1])

    return call
