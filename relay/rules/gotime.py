"""Moments and layouts as Go's time package writes and reads them, since Alertmanager's templates do."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]

_TOKEN = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|2006|Z07:00:00|Z07:00|Z070000|Z0700|Z07"
    r"|-07:00:00|-07:00|-070000|-0700|-07|002|01|02|03|04|05|06|__2|_2(?!006)|15|PM|pm"
    r"|[.,]0+(?![0-9])|[.,]9+(?![0-9])|1|2|3|4|5"
)


class Time(datetime):
    """An aware moment that prints as Go prints it: `2024-01-01 09:15:30 +0100 CET`."""

    def __str__(self) -> str:
        return layout(self, "2006-01-02 15:04:05.999999 -0700 MST")


class Span(timedelta):
    """A length of time that prints as Go prints it: `1h0m0s`."""

    def __str__(self) -> str:
        total = abs(self.total_seconds())
        hours, minutes, seconds = int(total // 3600), int(total % 3600 // 60), total % 60
        text = f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"
        if hours or minutes:
            text = f"{minutes}m{text}"
        return ("-" if self.total_seconds() < 0 else "") + (f"{hours}h" if hours else "") + text


ZERO = Time(1, 1, 1, tzinfo=UTC)
"""Go's zero time."""


def time_of(moment: datetime) -> Time:
    """Turn an aware datetime into a Time in the same zone."""
    return Time.combine(moment.date(), moment.timetz())


def layout(moment: datetime, pattern: str) -> str:
    """Write a moment by a Go layout (`2006-01-02 15:04:05`)."""
    return _TOKEN.sub(lambda found: _written(moment, found[0]), pattern)


def _written(at: datetime, token: str) -> str:
    if token[0] in ".,":
        return _fraction(at, token)
    if token[0] in "-Z":
        return _offset(at, token)
    hour12 = at.hour % 12 or 12
    words = {
        "January": _MONTHS[at.month - 1],
        "Jan": _MONTHS[at.month - 1][:3],
        "Monday": _DAYS[at.weekday()],
        "Mon": _DAYS[at.weekday()][:3],
        "MST": _zone(at),
        "2006": f"{at.year:04d}",
        "06": f"{at.year % 100:02d}",
        "01": f"{at.month:02d}",
        "1": str(at.month),
        "02": f"{at.day:02d}",
        "2": str(at.day),
        "_2": f"{at.day:2d}",
        "002": f"{at.timetuple().tm_yday:03d}",
        "__2": f"{at.timetuple().tm_yday:3d}",
        "15": f"{at.hour:02d}",
        "03": f"{hour12:02d}",
        "3": str(hour12),
        "04": f"{at.minute:02d}",
        "4": str(at.minute),
        "05": f"{at.second:02d}",
        "5": str(at.second),
        "PM": "PM" if at.hour >= 12 else "AM",
        "pm": "pm" if at.hour >= 12 else "am",
    }
    return words[token]


def _zone(at: datetime) -> str:
    name = at.tzname() or "UTC"
    # Python names a bare offset `UTC+05:30`; Go writes the offset once more.
    return _offset(at, "-0700") if name.startswith("UTC") and name != "UTC" else name


def _fraction(at: datetime, token: str) -> str:
    digits = f"{at.microsecond:06d}000"[: len(token) - 1].ljust(len(token) - 1, "0")
    if token[1] == "9":
        digits = digits.rstrip("0")
    return token[0] + digits if digits else ""


def _offset(at: datetime, token: str) -> str:
    seconds = int((at.utcoffset() or timedelta()).total_seconds())
    if token[0] == "Z":
        if not seconds:
            return "Z"
        token = "-" + token[1:]
    sign, rest = ("-" if seconds < 0 else "+"), abs(seconds)
    parts = [f"{rest // 3600:02d}", f"{rest // 60 % 60:02d}", f"{rest % 60:02d}"]
    count = {2: 1, 4: 2, 6: 3}[len(token.replace(":", "")) - 1]
    return sign + (":" if ":" in token else "").join(parts[:count])


class _Reading(NamedTuple):
    pattern: str
    field: str


_READ = {
    "January": _Reading("|".join(_MONTHS), "month_name"),
    "Jan": _Reading("|".join(month[:3] for month in _MONTHS), "month_name"),
    "Monday": _Reading("|".join(_DAYS), ""),
    "Mon": _Reading("|".join(day[:3] for day in _DAYS), ""),
    "MST": _Reading("[A-Z]{3,5}", "zone"),
    "2006": _Reading(r"\d{4}", "year"),
    "06": _Reading(r"\d{2}", "year2"),
    "01": _Reading(r"\d{2}", "month"),
    "1": _Reading(r"\d{1,2}", "month"),
    "02": _Reading(r"\d{2}", "day"),
    "2": _Reading(r"\d{1,2}", "day"),
    "_2": _Reading(r" ?\d{1,2}", "day"),
    "002": _Reading(r"\d{3}", "yearday"),
    "__2": _Reading(r" {0,2}\d{1,3}", "yearday"),
    "15": _Reading(r"\d{2}", "hour"),
    "03": _Reading(r"\d{2}", "hour"),
    "3": _Reading(r"\d{1,2}", "hour"),
    "04": _Reading(r"\d{2}", "minute"),
    "4": _Reading(r"\d{1,2}", "minute"),
    "05": _Reading(r"\d{2}(?:[.,]\d+)?", "second"),
    "5": _Reading(r"\d{1,2}(?:[.,]\d+)?", "second"),
    "PM": _Reading("AM|PM", "half"),
    "pm": _Reading("am|pm", "half"),
}
_OFFSET = _Reading(r"Z|[+-]\d{2}(?::?\d{2}){0,2}", "offset")
_FRACTION = _Reading(r"[.,]\d+|", "")


def parse(pattern: str, text: str) -> Time:
    """Read a moment by a Go layout, in UTC where the text names no offset.

    Raises ValueError in Go's words: `parsing time "x" as "2006": cannot parse "x" as "2006"`.
    """
    fields: dict[str, str] = {}
    rest, at = text, 0
    for token in _TOKEN.finditer(pattern):
        rest = _literal(text, pattern, rest, pattern[at : token.start()])
        reading = _READ.get(token[0]) or (_FRACTION if token[0][0] in ".," else _OFFSET)
        found = re.match(reading.pattern, rest)
        if found is None:
            raise ValueError(_complaint(text, pattern, rest, token[0]))
        fields[reading.field] = found[0]
        rest, at = rest[found.end() :], token.end()
    rest = _literal(text, pattern, rest, pattern[at:])
    if rest:
        raise ValueError(f'parsing time "{text}": extra text: "{rest}"')
    try:
        return _moment(fields)
    except (ValueError, OverflowError):
        raise ValueError(f'parsing time "{text}": value out of range') from None


def _literal(text: str, pattern: str, rest: str, literal: str) -> str:
    if not rest.startswith(literal):
        raise ValueError(_complaint(text, pattern, rest, literal))
    return rest[len(literal) :]


def _complaint(text: str, pattern: str, rest: str, wanted: str) -> str:
    return f'parsing time "{text}" as "{pattern}": cannot parse "{rest}" as "{wanted}"'


def _moment(fields: dict[str, str]) -> Time:
    seconds, _, fraction = fields.get("second", "0").replace(",", ".").partition(".")
    moment = datetime(
        _year(fields),
        _month(fields),
        int(fields.get("day", "1")),
        _hour(fields),
        int(fields.get("minute", "0")),
        int(seconds),
        int(fraction[:6].ljust(6, "0")) if fraction else 0,
        tzinfo=_tzinfo(fields.get("offset", "Z")),
    )
    if "yearday" in fields:
        moment = moment.replace(month=1, day=1) + timedelta(days=int(fields["yearday"]) - 1)
    return time_of(moment)


def _year(fields: dict[str, str]) -> int:
    if "year2" in fields:
        # Go: 69-99 are of the twentieth century, 00-68 of this one.
        year = int(fields["year2"])
        return year + (1900 if year >= 69 else 2000)
    return int(fields.get("year", "1")) or 1


def _month(fields: dict[str, str]) -> int:
    if "month_name" in fields:
        return next(i for i, name in enumerate(_MONTHS, 1) if name.startswith(fields["month_name"][:3]))
    return int(fields.get("month", "1"))


def _hour(fields: dict[str, str]) -> int:
    hour, half = int(fields.get("hour", "0")), fields.get("half", "").upper()
    if half == "PM" and hour < 12:
        return hour + 12
    return 0 if half == "AM" and hour == 12 else hour


def _tzinfo(offset: str) -> timezone:
    if offset == "Z":
        return UTC
    digits = offset[1:].replace(":", "").ljust(6, "0")
    length = timedelta(hours=int(digits[:2]), minutes=int(digits[2:4]), seconds=int(digits[4:6]))
    return timezone(-length if offset[0] == "-" else length)
