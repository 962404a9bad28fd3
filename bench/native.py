"""P5, N1, N2: the relay against Alertmanager's own `pagerduty_configs`: in a storm, at its end, and when killed."""

import asyncio
import statistics
import threading
import time
from collections.abc import Iterator, Mapping, Sequence

from bench.figures import Row, Scale, Target
from bench.processes import Bench
from bench.prometheus import Change, dedup_key, play
from bench.sandbox import Call
from bench.sides import RATE, Side, by_itself, has_alertmanager, with_relay, with_relays

BANDS = ((0.0, 2.5), (3.0, 10.0), (15.0, 30.0), (45.0, 60.0))
"""Seconds after the storm's beginning between which criticals arrive."""
IN_BAND = 8
"""Criticals in each band."""
SCALED_INTERVAL = 10.0
"""Seconds of `group_interval` where an end is waited for: time is scaled by ten, so it stands for under two minutes."""
RESEND = 6.0
"""Seconds after which Prometheus tells everything again: one minute, scaled by ten."""
_NEVER = 3600.0
_ALONE, _RELAY, _FOLDING = "Alertmanager alone", "Alertmanager + relay", "Alertmanager + relay that folds storms"


# P5


def p5(bench: Bench, scale: Scale) -> list[Row]:
    """Criticals that arrive at stated moments of a storm of 2,000 warnings on the same routing key."""
    if not has_alertmanager("P5"):
        return []
    warnings = scale.of(2_000, 30)
    criticals = list(_criticals(scale))
    native = by_itself(bench, "5m")
    relay, folding = with_relays(bench, "5m", ["off", "{pages: 60, within: 1m}"])
    storm = [Change(0.0, f"w{number}") for number in range(warnings)]
    changes = storm + [change for some in criticals for change in some]
    ideal = len(changes) / RATE
    told = _play([native, relay], changes, seconds=ideal, patience=10 * ideal + 20, pages=len(changes))
    ours, theirs = (_waits(side.stand_in.calls(), told, criticals) for side in (relay, native))
    return [
        *_bands(ours, theirs),
        *_worst(ours, theirs),
        *(row for side, who in ((native, _ALONE), (relay, _RELAY)) for row in _posts(side, who, told, len(changes))),
        *_incidents([(native, _ALONE), (relay, _RELAY), (folding, _FOLDING)]),
    ]


def _criticals(scale: Scale) -> Iterator[list[Change]]:
    """Spread the criticals of each band evenly over it."""
    for band, (start, end) in enumerate(BANDS):
        step = (end - start) / IN_BAND
        moments = [(start + (place + 0.5) * step) * scale.share for place in range(IN_BAND)]
        yield [Change(moment, f"c{band}-{place}", "critical") for place, moment in enumerate(moments)]


def _waits(
    calls: Sequence[Call], told: Mapping[str, float], criticals: Sequence[Sequence[Change]]
) -> list[tuple[float, ...]]:
    """Say for each band how many seconds passed from telling Alertmanager of each critical to its page."""
    arrived = first_pages(calls)
    return [
        tuple(arrived.get(dedup_key(one.instance), told[one.instance] + _NEVER) - told[one.instance] for one in band)
        for band in criticals
    ]


def first_pages(calls: Sequence[Call]) -> dict[str, float]:
    """Say when each page was first taken, by dedup key."""
    arrived: dict[str, float] = {}
    for call in calls:
        if call.result == "triggered":
            arrived.setdefault(call.dedup_key, call.at)
    return arrived


def _bands(ours: Sequence[tuple[float, ...]], theirs: Sequence[tuple[float, ...]]) -> Iterator[Row]:
    for (start, end), mine, other in zip(BANDS, ours, theirs, strict=True):
        what = f"time to page of criticals that arrive {start:g}-{end:g} s into a storm of 2,000 warnings"
        yield Row("P5", f"{what}: {_ALONE}", other, unit=" s")
        yield Row("P5", f"the same: {_RELAY}", mine, unit=" s")
        ratio = statistics.median(mine) / statistics.median(other)
        yield Row("P5", "the same: ratio of the medians", (ratio,), Target(1 / 50) if start == 0 else None)


def _worst(ours: Sequence[tuple[float, ...]], theirs: Sequence[tuple[float, ...]]) -> Iterator[Row]:
    mine, other = max(map(max, ours)), max(map(max, theirs))
    yield Row("P5", f"the slowest of all criticals: {_RELAY}", (mine * 1000,), Target(3000 / RATE, unit=" ms"), " ms")
    yield Row("P5", f"the same against {_ALONE} ({other:.1f} s)", (mine / other,), Target(1 / 50))


def _posts(side: Side, who: str, told: Mapping[str, float], pages: int) -> Iterator[Row]:
    calls = side.stand_in.calls()
    taken = [call for call in calls if call.taken]
    refused = sum(call.status == 429 for call in calls)
    took = max((call.at for call in taken), default=0.0) - min(told.values())
    ideal = pages / RATE
    relay = who == _RELAY
    yield Row("P5", f"posts for each page: {who}", (len(calls) / len(taken),))
    yield Row("P5", f"posts refused (429) for each that was taken: {who}", (refused / len(taken),), _if(relay, 0.01))
    yield Row("P5", f"all pages out, against pages / rate: {who}", (took / ideal,), _if(relay, 1.05))
    if relay:
        what = "the same, against pages / three quarters of the rate, which is what pages that are not critical may use"
        yield Row("P5", what, (took / ideal * 0.75,), Target(1.05))


def _if(relay: bool, limit: float) -> Target | None:
    return Target(limit) if relay else None


def _incidents(sides: Sequence[tuple[Side, str]]) -> Iterator[Row]:
    for side, who in sides:
        seen = sum(call.result == "triggered" for call in side.stand_in.calls())
        yield Row("P5", f"incidents that people see: {who}", (seen,))


# N1


def n1(bench: Bench, scale: Scale) -> list[Row]:
    """A storm that is over while most of it still waits behind the rate limit."""
    if not has_alertmanager("N1"):
        return []
    warnings, ends = scale.of(1_000, 16), 15 * scale.share
    sides = ((by_itself(bench, _interval(scale)), _ALONE), (with_relay(bench, _interval(scale)), _RELAY))
    names = [f"w{number}" for number in range(warnings)]
    changes = [Change(0.0, name) for name in names] + [Change(ends, name, fires=False) for name in names]
    told = _play([side for side, _ in sides], changes, seconds=_settling(scale, warnings), again=RESEND)
    over = min(told.values()) + ends
    return [row for side, who in sides for row in _aftermath(side, who, over)]


def _aftermath(side: Side, who: str, over: float) -> Iterator[Row]:
    calls = side.stand_in.calls()
    late = [call for call in calls if call.result == "triggered" and call.at > over + 1]
    told = max((call.at for call in calls if call.taken), default=over) - over
    yield Row("N1", f"incidents opened more than a second after all of a storm had ended: {who}", (len(late),))
    yield Row(
        "N1", f"incidents left open once nothing was sent any more: {who}", (len(side.stand_in.open()),), _none(who)
    )
    yield Row("N1", f"until PagerDuty knew that all was over: {who}", (told,), unit=" s")
    yield Row("N1", f"posts in all: {who}", (len(calls),))


# N2


def n2(bench: Bench, scale: Scale) -> list[Row]:
    """`kill -9` in the middle of a storm, of Alertmanager alone and of the relay; each comes back after 2 s."""
    if not has_alertmanager("N2"):
        return []
    alerts, kill = scale.of(600, 12), 10 * scale.share
    sides = ((by_itself(bench, _interval(scale)), _ALONE), (with_relay(bench, _interval(scale)), _RELAY))
    changes = list(_ending(alerts, kill))
    killers = [threading.Thread(target=_kill, args=(bench, side, kill)) for side, _ in sides]
    for killer in killers:
        killer.start()
    _play([side for side, _ in sides], changes, seconds=_settling(scale, alerts), again=RESEND * max(scale.share, 0.1))
    for killer in killers:
        killer.join()
    firing = {change.instance for change in changes} - {change.instance for change in changes if not change.fires}
    return [row for side, who in sides for row in _lost(side, who, {dedup_key(name) for name in firing})]


def _ending(alerts: int, kill: float) -> Iterator[Change]:
    """Of three alerts one ends before the kill, one while nobody is there to hear of it, and one fires on."""
    for number in range(alerts):
        yield Change(0.0, f"w{number}")
        if number % 3 < 2:
            yield Change(0.8 * kill if number % 3 == 0 else kill + 1, f"w{number}", fires=False)


def _kill(bench: Bench, side: Side, after: float) -> None:
    time.sleep(after)
    side.sender.process.kill()
    time.sleep(2)
    bench.again(side.sender)


def _lost(side: Side, who: str, firing: set[str]) -> Iterator[Row]:
    still_open, again = side.stand_in.open(), sum(call.result == "triggered again" for call in side.stand_in.calls())
    yield Row(
        "N2",
        f"killed in a storm: alerts that fire and have no incident: {who}",
        (len(firing - still_open),),
        _none(who),
    )
    yield Row("N2", f"the same: incidents that never resolve: {who}", (len(still_open - firing),), _none(who))
    yield Row("N2", f"the same: triggers of what was open already: {who}", (again,))


def _none(who: str) -> Target | None:
    return _if(who == _RELAY, 0)


# All of them


def _interval(scale: Scale) -> str:
    return f"{max(1, int(SCALED_INTERVAL * scale.share))}s"


def _settling(scale: Scale, alerts: int) -> float:
    """Say for how long all is watched: until every alert was opened and closed, and some rounds of updates more."""
    return 2 * alerts / RATE / 0.75 + 3 * SCALED_INTERVAL * max(scale.share, 0.1)


def _play(
    sides: Sequence[Side],
    changes: Sequence[Change],
    *,
    seconds: float,
    again: float = 60.0,
    patience: float = 0.0,
    pages: int = 0,
) -> Mapping[str, float]:
    """Play for so many seconds; with `patience`, go on until every side has so many pages out."""
    urls = [side.alertmanager.url for side in sides]
    told = asyncio.run(play(urls, changes, again=again, seconds=seconds))
    until = time.monotonic() + patience
    while time.monotonic() < until and any(len(first_pages(side.stand_in.calls())) < pages for side in sides):
        time.sleep(0.2)
    return told
