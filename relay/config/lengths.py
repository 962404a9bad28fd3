"""Writes lengths of time as Prometheus does."""

from relay.alert import DAY, HOUR, MINUTE, SECOND, Duration

_UNITS = (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", SECOND // 1000))


def written(length: Duration) -> str:
    """Write a length of time as people do in the routing YAML: `1h30m`, `0s`."""
    text = ""
    for unit, size in _UNITS:
        count, length = divmod(length, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"
