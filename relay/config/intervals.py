"""Check time intervals by Alertmanager's own rules (timeinterval/timeinterval.go), with its texts where it has them."""

import re
from collections.abc import Callable, Iterator
from zoneinfo import ZoneInfo

from relay.config.schema import TimeInterval, TimeRange
from relay.config.yaml import Path
from relay.rules.quoting import go_quote

_CLOCK = re.compile("(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)", re.ASCII)
_NUMBER = re.compile("[+-]?[0-9]{1,9}", re.ASCII)
_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)


def faults(interval: TimeInterval) -> Iterator[tuple[Path, str]]:
    """Say what is wrong with one interval, each with its place inside it."""
    for index, span in enumerate(interval.times):
        yield from _told(("times", index), lambda span=span: _times(span))  # type: ignore[misc]
    checks: tuple[tuple[str, list[str], Callable[[str], None]], ...] = (
        ("weekdays", interval.weekdays, _weekdays),
        ("days_of_month", interval.days_of_month, _days),
        ("months", interval.months, _months),
        ("years", interval.years, _years),
    )
    for name, texts, check in checks:
        for index, text in enumerate(texts):
            yield from _told((name, index), lambda check=check, text=text: check(text))  # type: ignore[misc]
    if interval.location is not None:
        yield from _told(("location",), lambda: _location(interval.location or ""))


def _told(path: Path, check: Callable[[], None]) -> Iterator[tuple[Path, str]]:
    try:
        check()
    except ValueError as error:
        yield path, str(error)


def _times(span: TimeRange) -> None:
    if not span.start_time or not span.end_time:
        raise ValueError("both start and end times must be provided")
    if _minute(span.start_time) >= _minute(span.end_time):
        raise ValueError("start time cannot be equal or greater than end time; over midnight takes two entries")


def _minute(text: str) -> int:
    if not _CLOCK.fullmatch(text):
        raise ValueError(f"couldn't parse timestamp {text}, invalid format")
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def _range(text: str, value: Callable[[str], int]) -> tuple[int, int, str, str]:
    """Read `a` or `a:b`; Alertmanager compares without case."""
    parts = text.lower().split(":")
    if len(parts) > 2:
        raise ValueError(
            f"couldn't parse range {text}, invalid format: write one value, or two with a colon between them"
        )
    return value(parts[0]), value(parts[-1]), parts[0], parts[-1]


def _weekdays(text: str) -> None:
    start, end, _, _ = _range(text, _weekday)
    if start > end:
        raise ValueError("start day cannot be before end day; the week begins with sunday, so this takes two entries")


def _weekday(text: str) -> int:
    if text not in _WEEKDAYS:
        raise ValueError(f"{text} is not a valid weekday")
    return _WEEKDAYS.index(text)


def _days(text: str) -> None:
    start, end, first, last = _range(text, _day)
    if start < 0 < end:
        raise ValueError("end day must be negative if start day is negative")
    # Alertmanager counts negative days from the 28th, the end of the shortest month (timeinterval.go).
    if (end if end > 0 else 28 + end) < (start if start > 0 else 28 + start):
        raise ValueError(f"end day {last} is always before start day {first}")


def _day(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{go_quote(text)} is not a valid day of the month")
    day = int(text)
    if day == 0 or not -31 <= day <= 31:
        raise ValueError(f"{day} is not a valid day of the month: out of range")
    return day


def _months(text: str) -> None:
    start, end, first, last = _range(text, _month)
    if start > end:
        raise ValueError(f"end month {last} is before start month {first}")


def _month(text: str) -> int:
    if text in _MONTHS:
        return _MONTHS.index(text) + 1
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text} is not a valid month")
    return int(text)


def _years(text: str) -> None:
    start, end, first, last = _range(text, _year)
    if start > end:
        raise ValueError(f"end year {last} is before start year {first}")


def _year(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{go_quote(text)} is not a valid year")
    return int(text)


def _location(name: str) -> None:
    if name in ("", "UTC", "Local"):
        return
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ValueError(
            f"unknown time zone {name}: write it as the IANA database does, such as Europe/Berlin"
        ) from None
