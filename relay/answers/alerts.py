"""Answers what fires now, in the words of Alertmanager's API v2."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
from msgspec import UNSET

from relay import __version__
from relay.alert import Instant
from relay.answers.alertmanager import (
    NEVER,
    AlertGroup,
    AlertmanagerStatus,
    AlertStatus,
    ClusterStatus,
    ConfigText,
    GettableAlert,
    Named,
    VersionInfo,
    clock,
)
from relay.answers.config_text import config_text
from relay.page import Member, SuppressionKind
from relay.rules.grouping import group_labels
from relay.rules.matchers import Matcher
from relay.rules.rulebook import Rulebook
from relay.rules.ruleset import Route
from relay.rules.silences import Silences
from relay.store.firing import Firing

MOST = 10_000
"""Alerts in one answer."""
_AT_ONCE = 500
"""Alerts read at once; between two reads others get their turn."""


class Reader(Protocol):
    """What is asked of a store."""

    async def firing_with_members(self, after_id: int, limit: int) -> list[Firing]:
        """List firing alerts by id, from the first one after `after_id`."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which alerts are asked for."""

    filters: Sequence[Matcher] = ()
    receiver: Matcher | None = None
    """Only alerts with a receiver whose name satisfies it."""
    active: bool = True
    silenced: bool = True
    inhibited: bool = True
    muted: bool = True


class _Stated(msgspec.Struct):
    """What an alert says of itself."""

    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    generatorURL: str = ""


_decode = msgspec.json.Decoder(_Stated).decode


class AlertAnswers:
    """Looks only; every method raises StoreError where the store cannot."""

    def __init__(
        self,
        store: Reader,
        book: Callable[[], Rulebook],
        silences: Callable[[], Silences],
        *,
        clock: Callable[[], Instant],
    ) -> None:
        self._store = store
        self._book = book
        self._silences = silences
        self._clock = clock
        self._started_at = clock()

    async def alerts(self, asked: Asked) -> tuple[tuple[GettableAlert, ...], bool]:
        """List the alerts that fire by fingerprint; and say whether there are more than the 10,000 listed."""
        found: list[GettableAlert] = []
        async for alert, _ in self._shown(asked):
            if not any(_goes_to(asked, receiver.name) for receiver in alert.receivers):
                continue
            if len(found) == MOST:
                return _sorted(found), True
            found.append(alert)
        return _sorted(found), False

    async def groups(self, asked: Asked) -> tuple[tuple[AlertGroup, ...], bool]:
        """List the alerts that fire as the routes of the configuration group them, at most 10,000 in all."""
        groups: dict[tuple[str, int, tuple[tuple[str, str], ...]], list[GettableAlert]] = {}
        count = 0
        async for alert, routes in self._shown(asked):
            for route in routes:
                if _goes_to(asked, route.receiver) and (count := count + 1) <= MOST:
                    labels = tuple(group_labels(route, alert.labels).items())
                    groups.setdefault((route.receiver, route.order, labels), []).append(alert)
            if count > MOST:
                break
        shown = [
            AlertGroup(alerts=_sorted(alerts), labels=dict(labels), receiver=Named(name=receiver))
            for (receiver, _, labels), alerts in sorted(groups.items(), key=lambda item: (item[0][2], item[0][:2]))
        ]
        return tuple(shown), count > MOST

    def receivers(self) -> tuple[Named, ...]:
        """List the receivers of the configuration."""
        return tuple(Named(name=name) for name in self._book().rules.receivers)

    def status(self) -> AlertmanagerStatus:
        """Say what runs here, since when, and with which configuration."""
        return AlertmanagerStatus(
            cluster=ClusterStatus(),
            config=ConfigText(original=config_text(self._book().rules)),
            uptime=clock(self._started_at),
            version_info=VersionInfo(
                branch="pagerelay", build_date="", build_user="", go_version="", revision="", version=__version__
            ),
        )

    async def _shown(self, asked: Asked) -> AsyncIterator[tuple[GettableAlert, tuple[Route, ...]]]:
        """Go through the alerts that fire and are asked for, each with the routes that take it now."""
        after = -1
        while some := await self._store.firing_with_members(after, _AT_ONCE):
            after = some[-1].alert.id
            book, silences, now = self._book(), self._silences(), self._clock()
            for firing in some:
                stated = _stated(firing.alert.raw)
                if not all(matcher.matches(stated.labels) for matcher in asked.filters):
                    continue
                status = _status(firing, stated.labels, book, silences, now)
                if _is_wanted(asked, status):
                    # No rule routes what the relay says itself.
                    routes = () if firing.alert.ours else book.router.match(stated.labels)
                    yield _alert(firing, stated, status, routes), routes
            if len(some) < _AT_ONCE:
                return


def _stated(raw: bytes) -> _Stated:
    try:
        return _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Stated()


def _alert(firing: Firing, stated: _Stated, status: AlertStatus, routes: Sequence[Route]) -> GettableAlert:
    held = firing.alert
    receivers = [one.receiver for one in (firing.members if held.ours else routes)]
    return GettableAlert(
        annotations=stated.annotations,
        ends_at=clock(held.heard_at + held.lasts) if held.lasts else NEVER,
        fingerprint=held.fingerprint,
        receivers=tuple(Named(name=name) for name in dict.fromkeys(receivers)),
        starts_at=clock(held.starts_at),
        status=status,
        updated_at=clock(max(held.changed_at, held.heard_at)),
        generator_url=stated.generatorURL or UNSET,
        labels=stated.labels,
    )


def _status(firing: Firing, labels: Mapping[str, str], book: Rulebook, silences: Silences, now: Instant) -> AlertStatus:
    found = () if firing.alert.ours else silences.matching(labels, now)
    silenced = tuple(sorted(one.id for one in found))
    quiet = bool(firing.members) and all(one.suppressions and not one.waits for one in firing.members)
    return AlertStatus(
        inhibited_by=firing.inhibited_by,
        muted_by=tuple(sorted({name for one in firing.members for name in _muted_by(one, book, now)})),
        silenced_by=silenced,
        state="suppressed" if silenced or firing.inhibited_by or quiet else "active",
    )


def _muted_by(member: Member, book: Rulebook, now: Instant) -> Iterable[str]:
    """Name the time intervals of a member's route that keep it quiet."""
    route = book.routes.get(member.route)
    kinds = {one.kind for one in member.suppressions}
    if route is None:
        return
    if SuppressionKind.MUTE_TIME_INTERVAL in kinds:
        windows = book.rules.windows
        yield from (name for name in route.mute_time_intervals if name in windows and windows[name].contains(now))
    if SuppressionKind.ACTIVE_TIME_INTERVAL in kinds:
        yield from route.active_time_intervals


def _is_wanted(asked: Asked, status: AlertStatus) -> bool:
    return (
        (asked.active or status.state != "active")
        and (asked.silenced or not status.silenced_by)
        and (asked.inhibited or not status.inhibited_by)
        and (asked.muted or not status.muted_by)
    )


def _goes_to(asked: Asked, receiver: str) -> bool:
    return asked.receiver is None or asked.receiver.test(receiver)


def _sorted(alerts: Iterable[GettableAlert]) -> tuple[GettableAlert, ...]:
    return tuple(sorted(alerts, key=lambda one: one.fingerprint))
