"""View models of Alertmanager's API v2, field for field as api/v2/openapi.yaml names them."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from relay.alert import Instant, moment
from relay.rules.silences import Silence

_NAMES = {"generator_url": "generatorURL", "silence_id": "silenceID"}


def _named(name: str) -> str:
    first, *rest = name.split("_")
    return _NAMES.get(name) or first + "".join(word.capitalize() for word in rest)


class _Model(msgspec.Struct, frozen=True, kw_only=True, rename=_named):
    """In Go's spelling."""


class Named(_Model, frozen=True, kw_only=True):
    """A receiver."""

    name: str


class AlertStatus(_Model, frozen=True, kw_only=True):
    """Whether an alert is kept quiet, and by what."""

    inhibited_by: tuple[str, ...] = ()
    """Fingerprints of alerts."""
    muted_by: tuple[str, ...] = ()
    """Names of time intervals."""
    silenced_by: tuple[str, ...] = ()
    """Ids of silences."""
    state: str
    """`active` or `suppressed`."""


class GettableAlert(_Model, frozen=True, kw_only=True):
    """One alert that fires."""

    annotations: Mapping[str, str]
    ends_at: str
    fingerprint: str
    receivers: tuple[Named, ...]
    starts_at: str
    status: AlertStatus
    updated_at: str
    generator_url: str | UnsetType = UNSET
    labels: Mapping[str, str]


class AlertGroup(_Model, frozen=True, kw_only=True):
    """The alerts of one route that agree in the labels it groups by."""

    alerts: tuple[GettableAlert, ...]
    labels: Mapping[str, str]
    receiver: Named


class MatcherModel(_Model, frozen=True, kw_only=True):
    """One matcher of a silence."""

    is_equal: bool
    is_regex: bool
    name: str
    value: str


class SilenceStatus(_Model, frozen=True, kw_only=True):
    """Where a silence stands."""

    state: str


class GettableSilence(_Model, frozen=True, kw_only=True):
    """One silence."""

    id: str
    status: SilenceStatus
    updated_at: str
    comment: str
    created_by: str
    ends_at: str
    matchers: tuple[MatcherModel, ...]
    starts_at: str


class SilenceMade(_Model, frozen=True, kw_only=True):
    """The answer to a posted silence."""

    silence_id: str


class ClusterStatus(_Model, frozen=True, kw_only=True):
    """A relay has no peers."""

    peers: tuple[Any, ...] = ()
    status: str = "disabled"


class ConfigText(_Model, frozen=True, kw_only=True):
    """The configuration, as far as Alertmanager's own language can say it."""

    original: str


class VersionInfo(_Model, frozen=True, kw_only=True):
    """What runs here."""

    branch: str
    build_date: str
    build_user: str
    go_version: str
    revision: str
    version: str


class AlertmanagerStatus(_Model, frozen=True, kw_only=True):
    """What runs here, since when, and with which configuration."""

    cluster: ClusterStatus
    config: ConfigText
    uptime: str
    version_info: VersionInfo


def silence(one: Silence, now: Instant) -> GettableSilence:
    """Show a silence as it stands now."""
    return GettableSilence(
        id=one.id,
        status=SilenceStatus(state=one.state(now).value),
        updated_at=clock(one.updated_at),
        comment=one.comment,
        created_by=one.created_by,
        ends_at=clock(one.ends_at),
        matchers=tuple(
            MatcherModel(
                is_equal=matcher.op[0] == "=", is_regex="~" in matcher.op, name=matcher.name, value=matcher.value
            )
            for matcher in one.matchers
        ),
        starts_at=clock(one.starts_at),
    )


NEVER = "0001-01-01T00:00:00.000Z"
"""Go's zero time: unknown, or not yet."""


def clock(at: Instant) -> str:
    """Write an instant as RFC3339 in UTC with milliseconds; 0 as Go's zero time."""
    return NEVER if at == 0 else moment(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")
