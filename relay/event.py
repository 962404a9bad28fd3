"""One Events API v2 call, and what one attempt to make it came to."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from relay.decision import Step


class Severity(StrEnum):
    """PagerDuty's four words, worst first."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for the worst, 3 for the mildest."""
        return _RANK[self]

    @property
    def urgent(self) -> bool:
        """Whether it is high urgency at PagerDuty (support.pagerduty.com/docs/dynamic-notifications)."""
        return _RANK[self] <= 1


_RANK = {severity: rank for rank, severity in enumerate(Severity)}


class Action(StrEnum):
    """PagerDuty's event_action, as far as the relay sends it."""

    TRIGGER = "trigger"
    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"


class Link(msgspec.Struct, frozen=True, omit_defaults=True):
    href: str
    text: str = ""


class Image(msgspec.Struct, frozen=True, omit_defaults=True):
    src: str
    href: str = ""
    alt: str = ""


class Event(msgspec.Struct, frozen=True):
    """What one call says, without the routing key: that is added by the sender on the way out."""

    event_action: Action
    dedup_key: str
    summary: str = ""
    source: str = ""
    severity: Severity = Severity.ERROR
    timestamp: str = ""
    component: str = ""
    group: str = ""
    class_: str = ""
    custom_details: Mapping[str, Any] = {}
    links: tuple[Link, ...] = ()
    images: tuple[Image, ...] = ()
    client: str = ""
    client_url: str = ""


class Rendered(msgspec.Struct, frozen=True):
    """An event with what went wrong on the way to it."""

    event: Event
    steps: tuple[Step, ...] = ()
    failed_fields: tuple[str, ...] = ()
    """Template fields that fell back to plain text."""


class Delivered(msgspec.Struct, frozen=True, tag="delivered"):
    """PagerDuty answered 202."""


class Retry(msgspec.Struct, frozen=True, tag="retry"):
    """It may work later."""

    reason: str
    """rateLimited, serverError, timeout, tls, dns, network, clientError, authError or configuration."""
    message: str = ""
    """The far end's own words, redacted and shortened."""
    after: int | None = None
    """Microseconds the far end asked us to wait."""
    ambiguous: bool = True
    """Whether PagerDuty may have taken the event all the same (5xx, time-out, broken connection)."""
    configuration: bool = False
    """Whether a person must mend something first: the key, the URL, a proxy in the way. Retried slowly, for ever."""


class Rejected(msgspec.Struct, frozen=True, tag="rejected"):
    """It can never work as it stands (400 or 413 about the event); PagerDuty did not take it."""

    reason: str
    message: str = ""


Outcome = Delivered | Retry | Rejected
