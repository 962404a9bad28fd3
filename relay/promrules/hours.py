"""Says in words which hours a time interval covers: `monday to friday 09:00-17:00 (Europe/Berlin)`."""

from collections.abc import Callable
from datetime import UTC

from relay.rules.windows import Part, Range, Window

_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS = (
    *("", "january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)


def hours(window: Window) -> str:
    """Write all that a window covers on one line."""
    parts = [_part(part) for part in window.parts if not part.never]
    return "; ".join(parts) or "never"


def _part(part: Part) -> str:
    if part.always:
        return "always"
    words = [
        _ranges(part.weekdays, lambda day: _DAYS[day % 7]),
        _ranges(part.days_of_month, _day_of_month),
        _ranges(part.months, lambda month: _MONTHS[month]),
        _ranges(part.years, str),
        _ranges(part.times, _clock, "-"),
    ]
    zone = "" if part.zone is UTC else f" ({part.zone})"
    return " ".join(word for word in words if word) + zone


def _ranges(ranges: tuple[Range, ...] | None, name: Callable[[int], str], between: str = " to ") -> str:
    named = ((name(first), name(last)) for first, last in ranges or ())
    return ", ".join(first if first == last else f"{first}{between}{last}" for first, last in named)


def _day_of_month(day: int) -> str:
    return f"day {day}" if day > 0 else "the last day" if day == -1 else f"day {day} from the end"


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
