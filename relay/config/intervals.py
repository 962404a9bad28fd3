"""Read time intervals by Alertmanager's own rules (timeinterval/timeinterval.go), with its texts where it has them."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, tzinfo
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import TypeVar
from zoneinfo import ZoneInfo

from relay.config.problems import Problems
from relay.config.schema import Config, TimeInterval, TimeRange
from relay.config.yaml import Path
from relay.rules.quoting import go_quote
from relay.rules.windows import Part, Range, Window

_CLOCK = re.compile("(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)", re.ASCII)
_NUMBER = re.compile("[+-]?[0-9]{1,9}", re.ASCII)
_MIDNIGHT = 24 * 60
_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_OVER_MIDNIGHT = (
    "goes over midnight and ends on the day after the one it belongs to; Alertmanager itself would refuse it: "
    "there it takes two entries"
)
_AT_MIDNIGHT = "ends at midnight; Alertmanager itself would refuse it: there that is 24:00"

_Spec = TypeVar("_Spec", str, TimeRange)


def read_windows(config: Config, environ: Mapping[str, str], problems: Problems) -> dict[str, Window]:
    """Read every named interval; both lists share one name space, as in Alertmanager."""
    found: dict[str, Window] = {}
    zones = _Zones(environ)
    for section, what in (("mute_time_intervals", "mute time interval"), ("time_intervals", "time interval")):
        for index, named in enumerate(getattr(config, section)):
            path: Path = (section, index)
            if not named.name:
                if not problems.gone((*path, "name")):
                    problems.error(path, f"missing name in {what}")
            elif named.name in found:
                problems.error((*path, "name"), f"{what} {go_quote(named.name)} is not unique")
            parts = (
                _Reader(zones, problems, (*path, "time_intervals", number)).part(interval)
                for number, interval in enumerate(named.time_intervals)
            )
            found.setdefault(named.name, Window(named.name, tuple(parts)))
    return found


class _Zones:
    """The time zones a file may name; each is looked up once."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._known: dict[str, tzinfo] = {"": UTC, "UTC": UTC}

    def find(self, name: str) -> tzinfo:
        """Return a zone; ValueError with Alertmanager's text where there is none of that name."""
        if name not in self._known:
            self._known[name] = self._local() if name == "Local" else self._named(name)
        return self._known[name]

    def _named(self, name: str) -> tzinfo:
        try:
            return ZoneInfo(name)
        except (OSError, ValueError, KeyError):
            raise ValueError(
                f"unknown time zone {name}: write it as the IANA database does, such as Europe/Berlin"
            ) from None

    def _local(self) -> tzinfo:
        """Find the machine's own zone as Go does: TZ if it is set, else /etc/localtime, else UTC.

        Source: time/zoneinfo_unix.go initLocal.
        """
        name = self._environ.get("TZ", "/etc/localtime").removeprefix(":")
        try:
            if not name.startswith("/"):
                return ZoneInfo(name) if name else UTC
            with FilePath(name).open("rb") as file:
                return ZoneInfo.from_file(file)
        except (OSError, ValueError, KeyError):
            return UTC


class _Reader:
    """Reads one interval; what is wrong is reported at its place and left out."""

    def __init__(self, zones: _Zones, problems: Problems, path: Path) -> None:
        self.zones = zones
        self.problems = problems
        self.path = path

    def part(self, spec: TimeInterval) -> Part:
        """Read the whole interval."""
        return Part(
            times=self._each("times", spec.times, _times),
            weekdays=self._each("weekdays", spec.weekdays, _weekdays),
            days_of_month=self._each("days_of_month", spec.days_of_month, _days),
            months=self._each("months", spec.months, _months),
            years=self._each("years", spec.years, _years),
            zone=self._zone(spec.location or ""),
        )

    def _each(
        self, name: str, specs: Sequence[_Spec] | None, read: Callable[[_Spec], Range]
    ) -> tuple[Range, ...] | None:
        if specs is None:
            return None
        found = []
        for index, spec in enumerate(specs):
            place = (*self.path, name, index)
            try:
                span = read(spec)
            except ValueError as error:
                self.problems.error(place, str(error))
                continue
            if name == "times" and span[0] > span[1]:
                self.problems.warn(place, _OVER_MIDNIGHT if span[1] else _AT_MIDNIGHT, rule="over-midnight")
            found.append(span)
        return tuple(found)

    def _zone(self, name: str) -> tzinfo:
        try:
            return self.zones.find(name)
        except ValueError as error:
            self.problems.error((*self.path, "location"), str(error))
            return UTC


def _times(span: TimeRange) -> Range:
    if not span.start_time or not span.end_time:
        raise ValueError("both start and end times must be provided")
    start, end = _minute(span.start_time), _minute(span.end_time)
    if start == end:
        raise ValueError("start time cannot be equal or greater than end time; a whole day is 00:00 to 24:00")
    if start == _MIDNIGHT:
        raise ValueError("start time cannot be equal or greater than end time; a day begins at 00:00")
    return start, end


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


def _weekdays(text: str) -> Range:
    start, end, _, _ = _range(text, _weekday)
    if start > end:
        raise ValueError("start day cannot be before end day; the week begins with sunday, so this takes two entries")
    return start, end


def _weekday(text: str) -> int:
    if text not in _WEEKDAYS:
        raise ValueError(f"{text} is not a valid weekday{_meant(text, _WEEKDAYS)}")
    return _WEEKDAYS.index(text)


def _days(text: str) -> Range:
    start, end, first, last = _range(text, _day)
    if start < 0 < end:
        raise ValueError("end day must be negative if start day is negative")
    # Alertmanager counts negative days from the 28th, the end of the shortest month (timeinterval.go).
    if (end if end > 0 else 28 + end) < (start if start > 0 else 28 + start):
        raise ValueError(f"end day {last} is always before start day {first}")
    return start, end


def _day(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{go_quote(text)} is not a valid day of the month")
    day = int(text)
    if day == 0 or not -31 <= day <= 31:
        raise ValueError(f"{day} is not a valid day of the month: out of range")
    return day


def _months(text: str) -> Range:
    start, end, first, last = _range(text, _month)
    if start > end:
        raise ValueError(f"end month {last} is before start month {first}")
    return start, end


def _month(text: str) -> int:
    if text in _MONTHS:
        return _MONTHS.index(text) + 1
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text} is not a valid month{_meant(text, _MONTHS)}")
    return int(text)


def _meant(text: str, words: Sequence[str]) -> str:
    near = get_close_matches(text, words, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def _years(text: str) -> Range:
    start, end, first, last = _range(text, _year)
    if start > end:
        raise ValueError(f"end year {last} is before start year {first}")
    return start, end


def _year(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{go_quote(text)} is not a valid year")
    return int(text)
