"""Reads the instant a question is about, as RFC3339 writes it."""

from datetime import UTC, datetime

from relay.alert import Instant, instant

_SHORTEST = len("2026-11-24T03:00")
_YEARS = range(1971, 3000)
"""What calendars of time intervals are worked out for."""


def read_time(text: str) -> Instant:
    """Read `2026-11-24T03:00:00Z`, with any offset. Raises ValueError, which says what may be written."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time: write 2026-11-24T03:00:00Z") from None
    if len(text) < _SHORTEST:  # a date alone, which Python takes for its midnight
        raise ValueError(f"{text!r} has no time of day: write {text[:10]}T03:00:00Z")
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone: write {text}Z, or an offset such as {text}+01:00")
    if at.year not in _YEARS:
        raise ValueError(f"{text!r} is too far away: {_YEARS[0]} to {_YEARS[-1]}")
    return instant(at.astimezone(UTC))
