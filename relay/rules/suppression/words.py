"""How reasons write down when something ends."""

from relay.alert import Instant, moment


def clock(at: Instant, now: Instant) -> str:
    """Write an instant as people say it: `12:05:00 UTC`, with the date in front where that is not the day of `now`."""
    when = moment(at)
    shape = "%H:%M:%S UTC" if when.date() == moment(now).date() else "%Y-%m-%d %H:%M:%S UTC"
    return when.strftime(shape)
