"""Time windows: an alert outside the hours of its own route is dropped, held until they begin, or pages more mildly."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from relay.alert import Instant, moment
from relay.event import Severity
from relay.page import Suppression, SuppressionKind
from relay.rules.quoting import go_quote
from relay.rules.ruleset import Route
from relay.rules.suppression.case import NOTHING, Case, Found
from relay.rules.windows import Window

_Windows = tuple[Window, ...]
_MOST_EDGES = 200
"""How many changes of its windows are looked at for the end of a mute; two windows may take turns for ever."""


def judge(case: Case) -> Found:
    """Keep an alert quiet while a mute interval of its route contains now, or none of its active ones does.

    `outside` says what that means. `drop`: quiet, and after the end as well until it was heard again, as Alertmanager
    says nothing at the end either (its issue 3367). `hold`: quiet until the end. `downgrade`: at most a warning.
    """
    mute, active = _named(case, case.route.mute_time_intervals), _named(case, case.route.active_time_intervals)
    if not mute and not active:
        return NOTHING
    again = _next_edge((*mute, *active), case.now)
    muting = _muting(mute, active, case.now)
    if muting is None:
        return Found(_dropped(case, mute, active), again=again)
    if case.route.outside == "downgrade":
        if not case.severity.urgent:
            return Found(again=again)
        ends = _ends(_end(mute, active, again))
        because = f"{_title(*muting)} {ends}; outside: downgrade, so it pages as warning for so long"
        return Found(severity=Severity.WARNING, because=because, again=again)
    return Found(_quiet(case, *muting, _end(mute, active, again), _muting(mute, active, case.joined_at)), again=again)


def muted(route: Route, windows: Mapping[str, Window], at: Instant) -> str:
    """Say what keeps a route's alerts quiet, or milder, at an instant, and how; "" if nothing does."""
    mute = tuple(windows[name] for name in route.mute_time_intervals)
    active = tuple(windows[name] for name in route.active_time_intervals)
    muting = _muting(mute, active, at)
    if muting is None:
        return ""
    ends = _ends(_end(mute, active, _next_edge((*mute, *active), at)))
    return f"{_title(*muting)} {ends}; outside: {route.outside}"


_Muting = tuple[SuppressionKind, Sequence[Window]]


def _named(case: Case, names: Sequence[str]) -> _Windows:
    return tuple(case.windows[name] for name in names)


def _muting(mute: _Windows, active: _Windows, at: Instant) -> _Muting | None:
    """Say what mutes at an instant; of the two kinds, mute intervals win (notify/mute.go)."""
    inside = [window for window in mute if window.contains(at)]
    if inside:
        return SuppressionKind.MUTE_TIME_INTERVAL, inside
    if active and not any(window.contains(at) for window in active):
        return SuppressionKind.ACTIVE_TIME_INTERVAL, active
    return None


def _quiet(
    case: Case, kind: SuppressionKind, windows: Sequence[Window], end: Instant | None, joined: _Muting | None
) -> Suppression:
    ends = _ends(end)
    if case.route.outside == "hold":
        return Suppression(kind, f"{_title(kind, windows)} {ends}; outside: hold, so it pages then if it fires", end)
    if joined is None:
        because = f"{_title(kind, windows)} {ends}; outside: drop, but it fired before, so it counts again then"
        return Suppression(kind, because, end)
    because = f"{_title(kind, windows)} {ends}; outside: drop, so it pages only if it is heard again after that"
    return Suppression(kind, because)


def _dropped(case: Case, mute: _Windows, active: _Windows) -> Suppression | None:
    """Say whether the alert began in a mute that is over by now, and was heard last in one."""
    if case.route.outside != "drop" or not case.never_loud or _muting(mute, active, case.joined_at) is None:
        return None
    heard_at = max(case.heard_at, case.joined_at)
    muting = _muting(mute, active, heard_at)
    if muting is None:
        return None
    end = _end(mute, active, _next_edge((*mute, *active), heard_at))
    ended = "" if end is None else f" until {_when(end)}"
    return Suppression(
        muting[0],
        f"{_title(*muting)}{ended}; outside: drop, and it was not heard again since: it pages once it is",
    )


def _next_edge(windows: _Windows, after: Instant) -> Instant | None:
    return min((edge for window in windows if (edge := window.next_edge(after)) is not None), default=None)


@lru_cache(maxsize=256)
def _end(mute: _Windows, active: _Windows, edge: Instant | None) -> Instant | None:
    """Say when a mute ends that lasts until `edge` at least; None: not within what can be looked at."""
    for _ in range(_MOST_EDGES):
        if edge is None or _muting(mute, active, edge) is None:
            return edge
        edge = _next_edge((*mute, *active), edge)
    return None


def _title(kind: SuppressionKind, windows: Sequence[Window]) -> str:
    names = " and ".join(go_quote(window.name) for window in windows)
    if kind is SuppressionKind.MUTE_TIME_INTERVAL:
        return f"muted by time interval {names}"
    return f"outside of active time interval {names}"


def _ends(end: Instant | None) -> str:
    return f"until {_when(end)}" if end is not None else "with no end in sight"


def _when(at: Instant) -> str:
    when = moment(at)
    return when.strftime("%Y-%m-%d %H:%M:%S UTC" if when.second else "%Y-%m-%d %H:%M UTC")
