"""What Alertmanager tells us: alerts, the webhook message that brings them, and the units of time."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import blake2b

import msgspec

from relay.decision import Step

Instant = int
"""Wall-clock time in microseconds since 1970-01-01T00:00:00Z. Year 1 is negative and legal; 0 means unknown."""

Duration = int
"""A length of time in microseconds."""

SECOND: Duration = 1_000_000
MINUTE: Duration = 60 * SECOND
HOUR: Duration = 60 * MINUTE
DAY: Duration = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def instant(moment: datetime) -> Instant:
    """Turn an aware datetime into an Instant."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(at: Instant) -> datetime:
    """Turn an Instant into an aware datetime in UTC."""
    return _EPOCH + timedelta(microseconds=at)


class Status(StrEnum):
    """What one alert of a webhook says of itself; anything else counts as firing."""

    FIRING = "firing"
    RESOLVED = "resolved"


class Sent(msgspec.Struct, frozen=True, gc=False):
    """What names an alert that came as an Events API event: its identity and its page go by this, not by its labels.

    The event itself stands in the alert's `raw`, under `event`.
    """

    dedup_key: str
    """As its sender gave it, or as it was minted; at most 255 characters."""
    receiver: str = ""
    """The receiver whose own routing key its sender used; "" for a virtual key."""
    said: int = 0
    """Names all it says but its timestamp, with 63 bits: where that changes, its page is updated."""


class Alert(msgspec.Struct, frozen=True, gc=False):
    """One labelled alert as a message states it; its identity is (source, fingerprint)."""

    source: str
    fingerprint: str
    """16 lower-case hex digits, Alertmanager's FNV-1a of the labels."""
    status: Status
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: Instant
    ends_at: Instant
    """Meaningful for resolved alerts only; a firing one carries year 1."""
    generator_url: str
    digest: bytes
    """16 bytes that name this exact statement: equal digests say the same thing."""
    raw: bytes
    """This alert as one JSON object in Alertmanager's v4 form; what the store keeps."""
    notes: tuple[Step, ...] = ()
    """What had to be salvaged to read it."""
    expires_at: Instant = 0
    """When a firing alert counts as resolved unless it is sent again; 0: never, only a resolve ends it."""
    sent: Sent | None = None
    """Where it came as an Events API event; None: from an Alertmanager or a Prometheus."""

    @property
    def id(self) -> int:
        """The store's name for (source, fingerprint)."""
        return alert_id(self.source, self.fingerprint)


class WebhookMessage(msgspec.Struct, frozen=True):
    """One accepted v4 body, field for field, as far as it says anything new."""

    source: str
    group_key: str
    """Alertmanager's groupKey; "" where the sender has none."""
    receiver: str
    """Alertmanager's receiver name, unescaped."""
    status: str
    alerts: tuple[Alert, ...]
    """The alerts whose statement the caller did not already know."""
    digest: bytes
    """16 bytes of the whole body."""
    repeated: tuple[bytes, ...] = ()
    """Digests of the alerts that were left out of `alerts` because the ledger already says them."""
    truncated_alerts: int = 0
    group_labels: Mapping[str, str] = {}
    common_labels: Mapping[str, str] = {}
    common_annotations: Mapping[str, str] = {}
    external_url: str = ""
    notification_reason: str = ""
    route_labels: Mapping[str, str] = {}
    notes: tuple[Step, ...] = ()
    """What had to be salvaged to read the envelope."""
    refused: tuple[str, ...] = ()
    """What was left out though the sender should hear of it, in words: the rest was taken."""

    @property
    def grouped(self) -> bool:
        """Whether an Alertmanager put these alerts together, and waited for them, before it sent them."""
        return bool(self.group_key)


def alert_id(source: str, fingerprint: str) -> int:
    """Name (source, fingerprint) with 63 bits; stable across processes."""
    return stable_id(source, fingerprint)


def stable_id(*parts: str) -> int:
    """Name a tuple of strings with 63 bits; stable across processes."""
    text = "\x00".join(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big") >> 1


def fingerprint_of(labels: Mapping[str, str]) -> str:
    """Compute Alertmanager's fingerprint: FNV-1a 64 over `name 0xff value 0xff`, sorted by name.

    Source: github.com/prometheus/common model/signature.go.
    """
    value = 0xCBF29CE484222325
    for name in sorted(labels):
        for part in (name, labels[name]):
            for byte in part.encode("utf-8", "surrogatepass") + b"\xff":
                value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"
