"""Reads the instants that people write on a command line: RFC3339, or a time of day that is to come."""

import re
import time
from datetime import timedelta

import click

from relay.alert import Instant, instant, moment
from relay.answers.times import read_time

_TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_ONE_DAY = timedelta(days=1)


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
    clock = _TIME_OF_DAY.fullmatch(text)
    if clock is None:
        try:
            return read_time(text)
        except ValueError as error:
            raise ValueError(f"{error}, or 03:00 for the next time it is that in UTC") from None
    today = moment(now)
    at = today.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0)
    return instant(at if at >= today else at + _ONE_DAY)
