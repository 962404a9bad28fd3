"""Time intervals as Alertmanager has them: whether an instant lies in one, and when that changes."""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import NamedTuple

from relay.alert import DAY, MINUTE, Duration, Instant, instant, moment

Range = tuple[int, int]
"""Two ends. Of a time of day: minutes, the second excluded; of all else both count."""

_SPANS = 8
_MINUTES_OF_A_DAY = 24 * 60
_MICROSECOND = timedelta(microseconds=1)
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Part:
    """One `time_intervals` entry: everything it names must hold; None: not named, takes all; (): takes nothing.

    Source: timeinterval/timeinterval.go ContainsTime, negative days by the calendar of the zone (Alertmanager #5447).
    """

    times: tuple[Range, ...] | None = None
    """Minutes of the day. A range that ends before it begins goes over midnight and belongs to the day it began on;
    that is the relay's own, Alertmanager refuses it."""
    weekdays: tuple[Range, ...] | None = None
    """0 is Sunday."""
    days_of_month: tuple[Range, ...] | None = None
    """-1 is the last."""
    months: tuple[Range, ...] | None = None
    years: tuple[Range, ...] | None = None
    zone: tzinfo = UTC

    @property
    def never(self) -> bool:
        """Whether no instant can lie in it."""
        return () in (self.times, self.weekdays, self.days_of_month, self.months, self.years)

    @property
    def always(self) -> bool:
        """Whether it names nothing, so that every instant lies in it."""
        return self.times is self.weekdays is self.days_of_month is self.months is self.years is None

    def reaches(self, first: int, last: int) -> bool:
        """Say whether an instant of these years (in any zone) may lie in it."""
        years = self.years
        return not self.never and (years is None or any(begin <= last and first <= end for begin, end in years))

    def contains(self, at: Instant) -> bool:
        """Say whether an instant lies in it."""
        local = moment(at).astimezone(self.zone)
        day, minute = local.date(), local.hour * 60 + local.minute
        if self.times is None:
            return self._names(day)
        return any(self._covers(start, end, day, minute) for start, end in self.times)

    def changes(self, begin: Instant) -> Iterator[Instant]:
        """List every instant of the 24 hours from `begin` at which its answer may change, in no order."""
        marks = {0, *(minute % _MINUTES_OF_A_DAY for span in self.times or () for minute in span)}
        for start, end, offset in _steady(self.zone, begin, begin + DAY):
            yield start
            midnight = (start + offset) // DAY * DAY - offset
            for day in range((end - midnight) // DAY + 1):
                for minute in marks:
                    at = midnight + day * DAY + minute * MINUTE
                    if start < at < end:
                        yield at

    def _covers(self, start: int, end: int, day: date, minute: int) -> bool:
        if start < end:
            return start <= minute < end and self._names(day)
        return (minute >= start and self._names(day)) or (minute < end and self._names(day - _ONE_DAY))

    def _names(self, day: date) -> bool:
        """Say whether a day is one of those it names."""
        return (
            _in(self.weekdays, day.isoweekday() % 7)
            and _in(self.months, day.month)
            and _in(self.years, day.year)
            and (self.days_of_month is None or any(_in_month(span, day) for span in self.days_of_month))
        )


class _Span(NamedTuple):
    """A time through which the answer is the same."""

    begin: Instant
    end: Instant
    inside: bool
    edge: Instant | None
    """`end` where the answer changes there; None: it does not, and nothing is known of later."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A named time interval: an instant lies in it if it lies in any of its parts."""

    name: str
    parts: tuple[Part, ...] = ()
    _known: list[_Span] = field(default_factory=list, init=False, repr=False)
    """The last spans worked out, which thousands of alerts ask for; the answers are the same without them."""

    def contains(self, at: Instant) -> bool:
        """Say whether an instant lies in it."""
        for span in self._known:
            if span.begin <= at < span.end:
                return span.inside
        return any(not part.never and part.contains(at) for part in self.parts)

    def next_edge(self, after: Instant) -> Instant | None:
        """Say when `contains` next changes its answer; None: not before the end of the next year but one."""
        for span in self._known:
            if span.begin <= after < span.end:
                return span.edge
        span = self._span(after)
        self._known[:] = [span, *self._known[: _SPANS - 1]]
        return span.edge

    def _span(self, at: Instant) -> _Span:
        inside, since, year = self.contains(at), at, moment(at).year
        parts = [part for part in self.parts if part.reaches(year - 1, year + 3)]
        if parts and not any(part.always for part in parts):
            for begin in range(at // DAY * DAY, _new_year(year + 3), DAY):
                for edge in sorted({change for part in parts for change in part.changes(begin)}):
                    if edge <= at:
                        since = edge
                    elif any(part.contains(edge) for part in parts) is not inside:
                        return _Span(since, edge, inside, edge)
        return _Span(since, _new_year(year + 1), inside, None)


def _new_year(year: int) -> Instant:
    return instant(datetime(year, 1, 1, tzinfo=UTC))


def _in(ranges: tuple[Range, ...] | None, value: int) -> bool:
    return ranges is None or any(first <= value <= last for first, last in ranges)


def _in_month(span: Range, day: date) -> bool:
    """Say whether a day lies between two days of its month, of which negative ones count from its end.

    Ends beyond the month need no clamping: no day lies there.
    """
    length = monthrange(day.year, day.month)[1]
    first, last = (end if end > 0 else length + end + 1 for end in span)
    return first <= day.day <= last


def _steady(zone: tzinfo, begin: Instant, end: Instant) -> Iterator[tuple[Instant, Instant, Duration]]:
    """Cut a day where the zone's clock is put forward or back: (begin, end, what is added to UTC)."""
    before, after = _offset(zone, begin), _offset(zone, end - 1)
    if before == after:  # no zone changes its clock twice in a day
        yield begin, end, before
        return
    low, high = begin, end - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(zone, middle) == before else (low, middle)
    yield begin, high, before
    yield high, end, after


def _offset(zone: tzinfo, at: Instant) -> Duration:
    offset = moment(at).astimezone(zone).utcoffset()
    return 0 if offset is None else offset // _MICROSECOND
