"""How reasons write down when something ends."""

from relay.alert import DAY, HOUR, MINUTE, SECOND, Duration, Instant, moment


def clock(at: Instant, now: Instant) -> str:
    """Write an instant as people say it: `12:05:00 UTC`, with the date in front where that is not the day of `now`."""
    when = moment(at)
    shape = "%H:%M:%S UTC" if when.date() == moment(now).date() else "%Y-%m-%d %H:%M:%S UTC"
    return when.strftime(shape)


def span(length: Duration) -> str:
    """Write a length of time as the configuration does: `1h30m`; of less than a second nothing is said."""
    text = ""
    for unit, letter in ((DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s")):
        count, length = divmod(length, unit)
        text += f"{count}{letter}" if count else ""
    return text or "0s"
