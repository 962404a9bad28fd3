"""Doubts about time intervals: unused, never open, always open, or with months and years that cannot be meant."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC

from relay.alert import DAY, HOUR, Instant, moment
from relay.config import schema
from relay.config.doubts.look import Look
from relay.config.yaml import Path
from relay.rules.quoting import go_quote
from relay.rules.windows import Part, Range, Window

_YEARS = 9
"""Two 29ths of February are never further apart, over 2100 no more than 8 years."""
_FIRST_YEAR, _LAST_YEAR = 1970, 2200
_EPOCH: Instant = 0


def doubt_times(look: Look) -> None:
    """Warn of every named interval that cannot be meant as it stands."""
    if not look.sound("time_intervals", "mute_time_intervals"):
        return
    muting, opening = _used(look)
    for path, named in _named(look.config):
        window = look.built.windows.get(named.name)
        if window is None:
            continue
        for number, part in enumerate(window.parts):
            _doubt_numbers(look, (*path, "time_intervals", number), part)
        if look.sound("route", "pagerduty") and named.name not in {
            *muting,
            *opening,
            look.config.pagerduty.business_hours,
        }:
            message = f"nothing uses time interval {go_quote(named.name)}; name it in a route, or take it out"
            look.problems.warn(path, message, rule="interval-unused")
        _doubt_window(look, path, window, muting.get(named.name, []), opening.get(named.name, []))


def _named(config: schema.Config) -> Iterator[tuple[Path, schema.NamedInterval]]:
    for section in ("mute_time_intervals", "time_intervals"):
        for index, named in enumerate(getattr(config, section)):
            yield (section, index), named


def _used(look: Look) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """By interval: the lines of the routes that it mutes, and of those that are active in it."""
    muting: dict[str, list[int]] = {}
    opening: dict[str, list[int]] = {}
    for here in look.routes():
        for name in here.route.mute_time_intervals:
            muting.setdefault(name, []).append(here.route.line)
        for name in here.route.active_time_intervals:
            opening.setdefault(name, []).append(here.route.line)
    return muting, opening


def _doubt_window(look: Look, path: Path, window: Window, muting: Sequence[int], opening: Sequence[int]) -> None:
    if not any(_ever(part, look.now) for part in window.parts):
        told = ", so that routes active in it never page" if opening else ", so that it mutes nothing" if muting else ""
        message = f"time interval {go_quote(window.name)} is never open{told}: {_why_never(window)}"
        look.problems.warn(path, message, rule="interval-never")
        return
    for number, part in enumerate(window.parts):
        if not _ever(part, look.now) and not _all_odd(part, look.now):
            message = f"this entry is never open: {_why_part(part)}"
            look.problems.warn((*path, "time_intervals", number), message, rule="interval-never")
    if any(part.always for part in window.parts):
        told = (
            ", so that routes muted in it never page"
            if muting
            else ", so that it keeps nothing back"
            if opening
            else ""
        )
        message = (
            f"time interval {go_quote(window.name)} is always open{told}: one entry names no time, say which is meant"
        )
        look.problems.warn(path, message, rule="interval-always")


def _all_odd(part: Part, now: Instant) -> bool:
    """Say whether each of its years is doubted by itself."""
    return bool(part.years) and all(_year_doubt(span, moment(now).year) for span in part.years or ())


def _why_never(window: Window) -> str:
    if not window.parts:
        return "it has no time_intervals, write some"
    return "; ".join(dict.fromkeys(map(_why_part, window.parts)))


def _why_part(part: Part) -> str:
    if part.never:
        return "a list without items takes no time at all, leave it out or fill it"
    if _days(replace(part, years=None), _EPOCH):
        return "its years are over or do not have such a day, write others"
    return "its months, days_of_month and weekdays have no day in common, correct one of them"


def _doubt_numbers(look: Look, path: Path, part: Part) -> None:
    for index, span in enumerate(part.months or ()):
        if not 1 <= span[0] <= span[1] <= 12:
            odd = next(month for month in span if not 1 <= month <= 12)
            message = f"{odd} is no month: write a name, or 1 (january) to 12 (december)"
            look.problems.warn((*path, "months", index), message, rule="month-range")
    this_year = moment(look.now).year
    for index, span in enumerate(part.years or ()):
        if message := _year_doubt(span, this_year):
            look.problems.warn((*path, "years", index), message, rule="year-range")


def _year_doubt(span: Range, this_year: int) -> str:
    odd = next((year for year in span if not _FIRST_YEAR <= year <= _LAST_YEAR), None)
    if odd is not None:
        return f"the year {odd} cannot be meant: write all four digits, such as {this_year}"
    if span[1] < this_year:
        return f"{span[1]} is over, so this never comes again: take it out, or write {this_year}:{this_year + 1}"
    return ""


def _ever(part: Part, now: Instant) -> bool:
    return not part.never and _days(part, now)


def _days(part: Part, now: Instant) -> bool:
    """Say whether a day from yesterday on is in an entry, whatever the time of day."""
    whole = replace(part, times=None, zone=UTC)
    noon, this_year = now // DAY * DAY + 12 * HOUR, moment(now).year
    begins = [0]
    if part.years is not None:
        coming = [max(first, this_year) for first, last in part.years if this_year - 1 <= last and first <= _LAST_YEAR]
        begins = [max(0, (year - this_year) * 365 - 366) for year in coming]
    return any(whole.contains(noon + day * DAY) for begin in begins for day in range(begin - 1, begin + _YEARS * 366))
