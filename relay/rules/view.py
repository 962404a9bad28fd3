"""All that a template may see of a page: plain frozen values that can cross a pipe."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from relay.alert import Instant, Status
from relay.event import Severity
from relay.page import short_id
from relay.rules.cleaning import cut
from relay.rules.ledger import Claim, Shown
from relay.rules.sent import event_of

LONGEST_VALUE = 8_192
"""Characters of one label or annotation that are shown; the rest is cut with an ellipsis."""

MOST_LABELS = 256
"""Labels (and annotations) of one alert that are shown, in order of name."""

MOST_BYTES = 4_000_000
"""Alerts beyond this many bytes of JSON are counted, not shown."""


class MemberView(msgspec.Struct, frozen=True, array_like=True):
    """One alert of a page."""

    status: Status
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: Instant
    ends_at: Instant
    """Meaningful for resolved alerts only."""
    generator_url: str = ""
    fingerprint: str = ""
    severity: Severity = Severity.ERROR
    suppressed: str = ""
    """Why it is kept quiet although it fires; "" when it is not."""
    event: Mapping[str, Any] = {}
    """The Events API event it came as: payload, links, images, client, client_url; {} where it did not."""


class PageView(msgspec.Struct, frozen=True, array_like=True):
    """One page as its texts are made from: no key, no other page, no clock."""

    page: str
    """Short id."""
    dedup_key: str
    receiver: str
    source: str
    severity: Severity
    group_key: str
    group_labels: Mapping[str, str]
    alertmanager_url: str
    """Alertmanager's externalURL; "" if unknown."""
    relay_url: str
    """Address of this page on the relay's own screens; "" if the relay does not know its external URL."""
    now: Instant
    """When the page was judged."""
    members: tuple[MemberView, ...]
    """Worst first; perhaps not all of them."""
    firing: int
    """Members that fire, shown or not."""
    resolved: int
    """Members that are resolved, shown or not."""
    notes: tuple[str, ...] = ()
    """Sentences a person should read: "fired again"."""
    notification_reason: str = ""
    """Alertmanager's notificationReason (0.34) where known."""
    route_labels: Mapping[str, str] = {}
    """Alertmanager's routeLabels (0.34) where known."""


def view(
    claim: Claim,
    *,
    now: Instant,
    external_url: str = "",
    notes: tuple[str, ...] = (),
    notification_reason: str = "",
    route_labels: Mapping[str, str] | None = None,
) -> PageView:
    """Show a claimed page to its templates; `external_url` is the relay's own, without `/pages/...`.

    Never raises: an alert that cannot be read is shown by its fingerprint.
    """
    page, name = claim.page, short_id(claim.page.id)
    return PageView(
        page=name,
        dedup_key=page.dedup_key,
        receiver=_readable(page.receiver),
        source=_readable(page.source),
        severity=page.severity,
        group_key=_readable(page.group_key),
        group_labels=_bounded(page.group_labels),
        alertmanager_url=_readable(page.alertmanager_url),
        relay_url=f"{external_url.rstrip('/')}/pages/{name}" if external_url else "",
        now=now,
        members=_members(claim.members),
        firing=claim.firing,
        resolved=claim.resolved,
        notes=notes,
        notification_reason=notification_reason,
        route_labels=_bounded(route_labels or {}),
    )


def _members(shown: tuple[Shown, ...]) -> tuple[MemberView, ...]:
    members: list[MemberView] = []
    total = 0
    for one in shown:
        total += len(one.alert.raw)
        if total > MOST_BYTES and members:
            break
        members.append(member(one))
    return tuple(members)


def member(shown: Shown) -> MemberView:
    """Show one member with what its alert says; never raises: what cannot be read is left out."""
    alert, stated = shown.alert, read(shown.alert.raw)
    short = len(alert.raw) <= LONGEST_VALUE
    return MemberView(
        status=Status.FIRING if shown.member.firing else Status.RESOLVED,
        labels=stated.labels if short else _bounded(stated.labels),
        annotations=stated.annotations if short else _bounded(stated.annotations),
        starts_at=alert.starts_at,
        ends_at=alert.ends_at,
        generator_url=stated.generatorURL,
        fingerprint=alert.fingerprint,
        severity=shown.member.severity,
        suppressed=shown.member.suppressed,
        event=event_of(alert.raw) if alert.sent is not None else {},
    )


class Stated(msgspec.Struct):
    """The part of Alertmanager's v4 alert that templates see, by its names there."""

    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    generatorURL: str = ""


_DECODER = msgspec.json.Decoder(Stated)


def read(raw: bytes) -> Stated:
    """Read what an alert says of itself, as far as it can be read."""
    try:
        return _DECODER.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _salvaged(raw)


def _salvaged(raw: bytes) -> Stated:
    # Lone surrogates and values that are no strings get here; whatever can be read is shown.
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return Stated()
    if not isinstance(document, dict):
        return Stated()
    return Stated(
        labels=_strings(document.get("labels")),
        annotations=_strings(document.get("annotations")),
        generatorURL=_readable(str(document.get("generatorURL") or "")),
    )


def _strings(values: Any) -> dict[str, str]:
    if not isinstance(values, dict):
        return {}
    return {_readable(str(name)): _readable(str(value)) for name, value in values.items()}


def _bounded(values: Mapping[str, str]) -> dict[str, str]:
    names = sorted(values)[:MOST_LABELS] if len(values) > MOST_LABELS else values
    return {cut(_readable(name), 256): cut(_readable(values[name]), LONGEST_VALUE) for name in names}


def _readable(text: str) -> str:
    # Half a surrogate pair is legal in JSON and in no other encoding.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
