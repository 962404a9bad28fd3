"""What explain answers: what would become of alerts, by which rules, and what PagerDuty would be sent."""

from collections.abc import Mapping
from typing import Any

import msgspec


class PlaceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One page an alert would belong to."""

    receiver: str
    route: str
    severity: str
    """As its route, or the receiver's entry, decides it."""
    dedup_key: str
    group_key: str
    page: str
    """Short id."""
    state: str
    """The page's state now; `none` where there never was one."""
    open: bool
    """Whether PagerDuty may hold it open now."""
    says: str
    """The same in a sentence."""
    joins: str = ""
    """Short id of the page it would stand in: another one where that is folded or was taken over; "" for none."""
    suppressed: tuple[str, ...] = ()
    """Everything that keeps it quiet there."""
    lowered: str = ""
    """Why it pages with a milder severity; "" when it does not."""


class InhibitorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One inhibit rule whose target side takes the alert."""

    rule: str
    equal: Mapping[str, str]
    """The labels that a source must share, with this alert's values."""
    by: tuple[str, ...]
    """Who fires there and counts, as far as is known; at most four of those in the store."""
    says: str


class WindowAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One time interval of a route that takes the alert."""

    receiver: str
    route: str
    name: str
    kind: str
    """mute or active."""
    inside: bool
    """Whether the instant lies in it."""
    until: str | None
    """When that changes; null: not before the end of the next year but one."""
    says: str


class HoldAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One delay before the alert pages for the first time."""

    receiver: str
    kind: str
    """hold_trigger, inhibit_hold or group_wait."""
    seconds: float
    until: str | None
    """When it ends; null: it does not hold this alert."""
    says: str


class ExplainedAlert(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of one alert if its message came."""

    alertname: str
    fingerprint: str
    source: str
    status: str
    labels: Mapping[str, str]
    severity: str
    """The worst over its pages; "" where nobody is paged."""
    held: str
    """What the relay holds of it now: firing, resolved, or "" for nothing."""
    routes: tuple[str, ...]
    """Every route that was tried, and why it matched or did not."""
    verdict: str = ""
    """What would become of it: opens, joins, repeats, suppressed ..."""
    steps: tuple[str, ...]
    """Each reason, those of rules that keep it quiet included."""
    pages: tuple[PlaceAnswer, ...]
    silences: tuple[str, ...] = ()
    """The silences that match it at that instant, the one that ends last first."""
    inhibitors: tuple[InhibitorAnswer, ...] = ()
    windows: tuple[WindowAnswer, ...] = ()
    holds: tuple[HoldAnswer, ...] = ()


class EventAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What PagerDuty would be sent of one page, or of one change."""

    page: str
    """Short id; "" for a change event."""
    receiver: str
    sends: str
    """trigger, update, resolve, acknowledge or change; "" while nothing is sent: then `event` is what it would say."""
    due_at: str | None
    """When it is due; null: nothing is."""
    firing: int
    """Alerts that would fire in the page."""
    event: Mapping[str, Any] | None
    """Exactly what is posted, without the routing key; null: it has a text of its own that is not made here."""
    notes: tuple[str, ...] = ()
    """What went wrong with its templates."""


class ExplainAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of a webhook body; nothing was written."""

    alerts: tuple[ExplainedAlert, ...]
    more: int
    """Alerts of the body that are not listed."""
    notes: tuple[str, ...]
    """What had to be salvaged to read the body."""
    at: str | None = None
    """When the body would come."""
    silences: bool = True
    """Whether the silences of now are looked at."""
    events: tuple[EventAnswer, ...] = ()
    """What PagerDuty would be sent of those pages, where that was asked for; of the first 20."""
