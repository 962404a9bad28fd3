"""Reads the instants that people write on a command line: RFC3339, or a time of day that is to come."""

import re
import time
from datetime import UTC, datetime, timedelta

import click

from relay.alert import Instant, instant, moment

_TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_ONE_DAY = timedelta(days=1)
_NO_TIME = "{!r} is no time: write 2026-11-24T03:00:00Z, or 03:00 for the next time it is that in UTC"


class When(click.ParamType[Instant]):
    """An instant; its value is a relay.alert.Instant."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Instant:
        """Read it by the clock of now; what is none is a usage error."""
        if isinstance(value, int):
            return value
        try:
            return read_instant(str(value), time.time_ns() // 1000)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def read_instant(text: str, now: Instant) -> Instant:
    """Read `2026-11-24T03:00:00Z`, with any offset, or `03:00`: the next time it is that late, in UTC.

    Raises ValueError, which says what may be written.
    """
    if clock := _TIME_OF_DAY.fullmatch(text):
        today = moment(now)
        at = today.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0)
        return instant(at if at >= today else at + _ONE_DAY)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(_NO_TIME.format(text)) from None
    if len(text) < len("2026-11-24T03:00"):  # a date alone, which Python takes for its midnight
        raise ValueError(_NO_TIME.format(text))
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone: write {text}Z, or an offset such as {text}+01:00")
    try:
        return instant(at.astimezone(UTC))
    except OverflowError:
        raise ValueError(f"{text!r} is no time that a calendar has in UTC") from None
