"""Write and read points in time as PagerDuty does."""

from datetime import UTC, datetime

_FARTHEST = 4_102_444_800.0
"""The year 2100, in seconds since 1970."""


def iso(at: float) -> str:
    """Write seconds since 1970 as ISO 8601 in UTC with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds(at: float) -> str:
    """Write seconds since 1970 as PagerDuty's REST API does: ISO 8601 in UTC with whole seconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(text: str) -> float:
    """Read ISO 8601 as seconds since 1970; no zone means UTC. Raises ValueError, also for what is far from today."""
    read = datetime.fromisoformat(text)
    at = (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    if not 0 <= at < _FARTHEST:
        raise ValueError(text)
    return at
