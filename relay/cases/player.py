"""Plays one case: what is given happens at its time, and what is expected is looked at in its time."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from relay.alert import Instant, fingerprint_of, moment
from relay.cases.case import (
    Case,
    Expected,
    Expires,
    Fields,
    Fires,
    Given,
    OfAlert,
    Resolves,
    Sends,
    Silenced,
    Stands,
    Stated,
)
from relay.cases.checking import Comparison, Failure, shown
from relay.cases.coverage import Hits
from relay.cases.engine import Engine
from relay.cases.seen import Seen, Witness
from relay.errors import RelayError
from relay.rules.silences import Silence

Group = dict[str, dict[str, Any]]
"""The alerts of one group as its bodies name them, by fingerprint."""
_NEVER = "0001-01-01T00:00:00Z"


async def play(case: Case, engine: Engine, hits: Hits) -> list[Failure]:
    """Play a case on an engine that stands at its start; note in `hits` what it reached of the routing file."""
    player = _Player(case, engine, hits)
    steps: list[Given | Expected] = sorted([*case.given, *case.then], key=lambda step: step.at)  # given comes first
    for step in steps:
        await player.wait(case.start + step.at)
        if isinstance(step, Expected):
            await player.check(step)
            continue
        try:
            await player.happen(step.what)
        except RelayError as error:
            return [*player.failures, Failure(step.line, 1, step.at, "what is given", "it happens", str(error))]
        await player.look()
    return player.failures


class _Player:
    """One case while it is played, with the Alertmanager that tells of its alerts."""

    def __init__(self, case: Case, engine: Engine, hits: Hits) -> None:
        self.failures: list[Failure] = []
        self._case = case
        self._engine = engine
        self._hits = hits
        self._witness = Witness(engine, case.source)
        self._comparison = Comparison(case.start)
        self._groups: dict[str, Group] = {}
        self._again: dict[str, Instant] = {}
        """When a group that still fires is told of again."""
        self._silences: dict[str, Silence] = {}

    async def wait(self, until: Instant) -> None:
        """Let time pass: what becomes due on the way is done at its own instant."""
        while self._engine.now < until:
            again = min(self._again.values(), default=until)
            now = await self._engine.move(min(until, again))
            for group in [name for name, at in self._again.items() if at <= now]:
                await self._tell(group)
            await self.look()

    async def look(self) -> None:
        """Note what is at work now."""
        self._hits.rules |= await self._witness.inhibited()

    async def happen(self, what: Fires | Resolves | Silenced | Expires) -> None:
        """Have something happen now. Raises RelayError where it cannot."""
        match what:
            case Fires(alerts, group):
                for one in alerts:
                    self._hits.routes |= {route.id for route in self._engine.book.router.match(one.labels)}
                await self._tell_each(self._fire(one, group) for one in alerts)
            case Resolves(alerts):
                await self._tell_each(self._resolve(one) for one in alerts)
            case Silenced():
                self._silences[what.name] = await self._engine.silence(what)
            case Expires(name):
                await self._engine.expire(self._silences[name])

    def _fire(self, one: Stated, named: str) -> str:
        name = self._group_of(one) or named or _by_alertname(one)
        group = self._groups.setdefault(name, {})
        before = group.get(fingerprint_of(one.labels), {})
        group[fingerprint_of(one.labels)] = {
            "status": "firing",
            "labels": dict(one.labels),
            "annotations": dict(one.annotations),
            "startsAt": before.get("startsAt") or _rfc3339(self._engine.now),
            "endsAt": _NEVER,
            "generatorURL": "http://prometheus.example/graph",
            "fingerprint": fingerprint_of(one.labels),
        }
        return name

    def _resolve(self, one: Stated) -> str:
        name = self._group_of(one) or _by_alertname(one)
        group = self._groups.setdefault(name, {})
        fingerprint = fingerprint_of(one.labels)
        known = group.get(fingerprint) or {
            "labels": dict(one.labels),
            "annotations": dict(one.annotations),
            "startsAt": _rfc3339(self._engine.now),
            "fingerprint": fingerprint,
        }
        group[fingerprint] = {**known, "status": "resolved", "endsAt": _rfc3339(self._engine.now)}
        return name

    def _group_of(self, one: Stated) -> str:
        return next((name for name, group in self._groups.items() if fingerprint_of(one.labels) in group), "")

    async def _tell_each(self, groups: Iterable[str]) -> None:
        for group in dict.fromkeys(groups):
            await self._tell(group)

    async def _tell(self, name: str) -> None:
        """Post a group as Alertmanager does: all that fires in it, and what just resolved."""
        group = self._groups[name]
        alerts = list(group.values())
        body = {"version": "4", "groupKey": name, "receiver": "relay", "alerts": alerts, **_common(alerts)}
        self._groups[name] = {key: one for key, one in group.items() if one["status"] == "firing"}
        self._again.pop(name, None)
        if self._groups[name] and self._case.repeat_interval is not None:
            self._again[name] = self._engine.now + self._case.repeat_interval
        await self._engine.deliver(json.dumps(body).encode(), self._case.source)

    async def check(self, expected: Expected) -> None:
        """Compare with what is expected now."""
        match expected.what:
            case OfAlert(alert, named, fields):
                await self._check_alert(expected, alert, named or alert.labels.get("alertname", ""), fields)
            case Sends(events):
                seen = self._witness.sent()
                await self._check_pages(expected, "events sent", events, seen)
            case Stands(pages):
                await self._check_pages(expected, "open at PagerDuty", pages, self._witness.open())

    async def _check_alert(self, expected: Expected, alert: Stated, name: str, fields: Fields) -> None:
        seen = await self._witness.alert(alert)
        for miss in self._comparison.misses(fields, seen):
            why = self._witness.routes(alert) if miss.name == "receivers" else seen.why
            what = f"alert {name}: {miss.name}"
            line, column = miss.value.line, miss.value.column
            said = shown(miss.value.says) or "nothing"
            self.failures.append(Failure(line, column, expected.at, what, said, miss.got, why))

    async def _check_pages(self, expected: Expected, what: str, events: Sequence[Fields], seen: list[Seen]) -> None:
        journal = await self._witness.journal()
        missing, left = self._comparison.pair(events, seen)
        for fields, one in zip(missing, left, strict=False):
            misses = self._comparison.misses(fields, one)
            said = ", ".join(f"{miss.name}: {shown(miss.value.says) or 'nothing'}" for miss in misses)
            got = ", ".join(f"{miss.name}: {miss.got}" for miss in misses)
            title = f"{what}: {{{self._comparison.told(one)}}}"
            line, column = misses[0].value.line, misses[0].value.column
            self.failures.append(Failure(line, column, expected.at, title, said, got, journal))
        for fields in missing[len(left) :]:
            first = next(iter(fields.values()), None)
            line, column = (first.line, first.column) if first else (expected.line, expected.column)
            said = ", ".join(f"{name}: {shown(value.says)}" for name, value in fields.items())
            self.failures.append(Failure(line, column, expected.at, what, said or "anything", "nothing more", journal))
        for one in left[len(missing) :]:
            told = self._comparison.told(one)
            self.failures.append(
                Failure(expected.line, expected.column, expected.at, what, "nothing more", told, journal)
            )


def _by_alertname(one: Stated) -> str:
    """Name the group as an Alertmanager does that groups by alertname."""
    return f'{{}}:{{alertname="{one.labels.get("alertname", "")}"}}'


def _common(alerts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    def common(what: str) -> dict[str, str]:
        first, *others = [one[what] for one in alerts]
        return {name: text for name, text in first.items() if all(other.get(name) == text for other in others)}

    labels = common("labels")
    firing = any(one["status"] == "firing" for one in alerts)
    return {
        "status": "firing" if firing else "resolved",
        "groupLabels": {name: labels[name] for name in ("alertname",) if name in labels},
        "commonLabels": labels,
        "commonAnnotations": common("annotations"),
        "externalURL": "http://alertmanager.example",
    }


def _rfc3339(at: Instant) -> str:
    return moment(at).isoformat().replace("+00:00", "Z")
