"""Plays Prometheus: tells Alertmanagers what fires and what has ended, at stated moments, and tells them again."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import aiohttp

_BATCH = 64
"""Alerts in one request, as Prometheus sends them."""
_TICK = 0.02
GROUP_BY = "[alertname, instance]"


@dataclass(frozen=True, slots=True)
class Change:
    """An alert fires, or ends."""

    at: float
    """Seconds after the beginning."""
    instance: str
    severity: str = "warning"
    fires: bool = True


def dedup_key(instance: str) -> str:
    """Name the page of an alert as Alertmanager does where each alert is a group (notify/util.go Key.Hash)."""
    return sha256(f'{{}}:{{alertname="Storm", instance="{instance}"}}'.encode()).hexdigest()


async def play(urls: Sequence[str], changes: Sequence[Change], *, again: float, seconds: float) -> Mapping[str, float]:
    """Tell every Alertmanager of each change at its moment, and of everything again every `again` seconds.

    One that cannot be reached misses what it is told, as with Prometheus. Goes on for so many seconds; returns when
    each instance was first told of, in seconds since 1970.
    """
    began = time.time()
    told: dict[str, float] = {}
    state: dict[str, Change] = {}
    waiting = sorted(changes, key=lambda change: change.at)
    next_again = again
    async with aiohttp.ClientSession() as session:
        while (now := time.time() - began) < seconds:
            due = [change for change in waiting if change.at <= now]
            waiting = waiting[len(due) :]
            state.update((change.instance, change) for change in due)
            for change in due:
                told.setdefault(change.instance, time.time())
            if now >= next_again:
                due, next_again = list(state.values()), next_again + again
            await asyncio.gather(*(_tell(session, url, due, began) for url in urls))
            await asyncio.sleep(_TICK)
    return told


async def _tell(session: aiohttp.ClientSession, url: str, changes: Sequence[Change], began: float) -> None:
    for some in _batches(changes):
        alerts = [_alert(change, began) for change in some]
        try:
            async with session.post(f"{url}/api/v2/alerts", json=alerts):
                pass
        except aiohttp.ClientError:
            return  # it is down: it is told with the next round


def _batches(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    for at in range(0, len(changes), _BATCH):
        yield changes[at : at + _BATCH]


def _alert(change: Change, began: float) -> dict[str, object]:
    now = time.time()
    return {
        "labels": {
            "alertname": "Storm",
            "instance": change.instance,
            "job": "api",
            "namespace": "shop",
            "severity": change.severity,
        },
        "annotations": {"summary": "A pod answers with errors", "description": "Look closely. " * 20},
        "generatorURL": "http://prometheus.example.com/graph",
        # Without a start Alertmanager takes the end for it (api/v2/api.go): a resolve would seem older than what fires.
        "startsAt": _time(began),
        "endsAt": _time(now + 3600 if change.fires else began + change.at),
    }


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03}Z"
