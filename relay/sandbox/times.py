"""Write and read points in time as PagerDuty does."""

from datetime import UTC, datetime


def iso(at: float) -> str:
    """Write seconds since 1970 as ISO 8601 in UTC with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds(at: float) -> str:
    """Write seconds since 1970 as PagerDuty's REST API does: ISO 8601 in UTC with whole seconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(text: str) -> float:
    """Read ISO 8601 as seconds since 1970; no zone means UTC. Raises ValueError."""
    read = datetime.fromisoformat(text)
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
