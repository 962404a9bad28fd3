"""Plays the stories of docs/suppression.md: alerts that come and go at times, and what PagerDuty is sent of them.

A story is complete: what PagerDuty is sent and the story does not tell is an error, and so is what it tells too much.
"""

import asyncio
import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from click.testing import CliRunner

from relay.alert import DAY, MINUTE, SECOND, Instant, fingerprint_of, moment
from relay.alertmanager import AlertmanagerClient, State
from relay.alertmanager.client import Wanted
from relay.cli.explain import explain
from relay.evidence import Evidence
from relay.logs import Log
from relay.metrics import Metrics
from relay.rules.silences import Silence
from relay.scheduler import HEARD_EVERY
from relay.watchkeeper import Watchkeeper
from tests.integration.timelapse import NOON, Relay

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_LINE = re.compile(r"(?:(\w{3}) )?(\d\d):(\d\d)(?::(\d\d))?\s+(.+)")
_SILENCE = re.compile(r'(\w+)(=~|!=|!~|=)"(.*?)" for (\w+) by (\w+): (.+)')
_LENGTH = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Line(NamedTuple):
    """One line of a story."""

    text: str
    at: Instant
    says: str
    """Without the time."""


class Sent(NamedTuple):
    """One event that PagerDuty was sent."""

    at: Instant
    does: str
    """trigger, update, acknowledge or resolve."""
    words: frozenset[str]
    """All that a story may call it by."""

    def __str__(self) -> str:
        return f"{moment(self.at):%a %H:%M:%S} {self.does} {' '.join(sorted(self.words))}"


def read(story: str) -> list[Line]:
    """Read a story; its day is a Monday, and each line of another day begins with its name."""
    day = datetime(2026, 11, 23, tzinfo=moment(NOON).tzinfo)
    lines: list[Line] = []
    for text in story.splitlines():
        found = _LINE.fullmatch(text)
        assert found is not None, f"no line of a story: {text!r}"
        name, hour, minute, second, says = found.groups()
        at = day + timedelta(
            days=_DAYS.index(name) if name else 0, hours=int(hour), minutes=int(minute), seconds=int(second or 0)
        )
        lines.append(Line(text, int(at.timestamp()) * SECOND, says))
    assert [line.at for line in lines] == sorted(line.at for line in lines), "the story goes back in time"
    return lines


async def play(relay: Relay, story: str) -> None:
    """Play a story; AssertionError names the line that is not true."""
    player = _Player(relay, watch(relay))
    player.evidence = enquiry(relay, player)
    for line in read(story):
        await player.play(line)
    await player.nothing("the end")


def watch(relay: Relay) -> Watchkeeper | None:
    """Put the night watch beside a relay whose file names heartbeats."""
    if not relay.book.rules.heartbeats:
        return None
    log = Log(relay.clock, stream=relay)  # type: ignore[arg-type]
    keeper = Watchkeeper(
        relay.store, relay.book, clock=relay.clock, wake=relay.dispatcher.wake, metrics=Metrics("test"), log=log
    )
    relay.intake._heard = keeper.hear
    return keeper


def enquiry(relay: Relay, player: "_Player") -> Evidence | None:
    """Put the enquiry beside a relay whose file says where Alertmanager's API is; the story's Alertmanager answers."""
    if not any(source.alertmanager_urls for source in relay.book.rules.sources.values()):
        return None
    return Evidence(
        relay.store,
        relay.book,
        relay.recall,
        _Asked(player),
        clock=relay.clock,
        steady=relay.clock,
        wake=relay.dispatcher.wake,
        metrics=Metrics("test"),
        log=Log(relay.clock, stream=relay),  # type: ignore[arg-type]
    )


class _Asked(AlertmanagerClient):
    """Asks the story's Alertmanager, which has run for a day."""

    def __init__(self, player: "_Player") -> None:
        super().__init__()
        self._player = player

    async def ask(self, url: str, wanted: Wanted | None = None) -> State:
        firing = {fingerprint for group in self._player.groups.values() for fingerprint in group}
        return State(frozenset(firing | self._player.muted), wanted=False, uptime=DAY)


@dataclass
class _Player:
    """An Alertmanager that groups by alertname, a Prometheus, and whoever looks at PagerDuty."""

    relay: Relay
    watch: Watchkeeper | None
    evidence: Evidence | None = None
    groups: dict[tuple[str, str], dict[str, dict[str, Any]]] = field(default_factory=dict)
    """By source and alertname: the firing alerts that Alertmanager names, by fingerprint."""
    known: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    """By fingerprint: source and labels."""
    muted: set[str] = field(default_factory=set)
    """What Alertmanager itself keeps quiet: it knows of it, and says so if it is asked."""
    silences: list[Silence] = field(default_factory=list)
    open: set[str] = field(default_factory=set)
    names: dict[str, frozenset[str]] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    _seen: int = 0

    async def play(self, line: Line) -> None:
        """Let it become that time, and do or see what the line says."""
        verb, _, rest = line.says.partition(" ")
        if verb != "->":
            # What is due until now was told by the lines before this one.
            await self._wait(line.at)
            await self.nothing(line.text)
        match verb:
            case "->":
                await self._see(rest, line)
            case "explain":
                await self._explain(rest, line)
            case "reads":
                self._reads(rest, line)
            case "silence":
                await self._silence(rest)
            case "expire":
                await self.relay.expire(self.silences[-1])
            case "restart":
                await self.relay.restart()
            case "sends" | "states":
                await self._posts(rest, ends=verb == "sends")
            case "fires" | "repeats" | "resolves" | "vanishes" | "loses":
                await self._webhook(verb, rest)
            case _:
                raise AssertionError(f"no verb of a story: {line.text}")

    async def nothing(self, where: str) -> None:
        """Hold that all that was sent is told."""
        await self._collect()
        assert not self.sent, f"before {where!r} PagerDuty was sent {self.sent[0]}"

    async def _wait(self, until: Instant) -> None:
        """Let it become that time, in steps: who was heard is written down, and the watch looks around."""
        assert until >= self.relay.now, "a story begins at Monday noon or later"
        step = MINUTE if self.watch is not None or self.evidence is not None else until - self.relay.now
        looks = [self.relay.now + HEARD_EVERY, *range(self.relay.now + step, until, step or 1), until]
        for at in sorted(at for at in looks if at <= until):
            await self.relay.wait((at - self.relay.now) / SECOND)
            await self._look_around()

    async def _look_around(self) -> None:
        if self.watch is not None:
            await self.watch.tick()
        if self.evidence is not None:
            await self.evidence.tick()
        await self.relay.settle()

    # What PagerDuty sees

    async def _see(self, rest: str, line: Line) -> None:
        await self._wait(line.at)
        await self._collect()
        if rest == "nothing":
            await self.nothing(line.text)
            return
        assert self.sent, f"{line.text!r}: PagerDuty was sent nothing"
        does, *words = rest.split()
        now = [one for one in self.sent if one.at // SECOND == line.at // SECOND]  # several pages in any order
        same = [one for one in now if one.does == does and one.words.issuperset(words)]
        if not same or len(now) < len(self.sent):
            raise AssertionError(f"{line.text!r}: PagerDuty was sent {self.sent[0]}")
        self.sent.remove(same[0])

    async def _collect(self) -> None:
        calls = self.relay.sandbox.requests
        for call in calls[self._seen :]:
            self.sent.append(await self._event(call))
        self._seen = len(calls)

    async def _event(self, call: Mapping[str, Any]) -> Sent:
        assert call["status"] == 202, call
        key, does = call["dedup_key"], call["event_action"]
        if does == "trigger":
            self.names[key] = await self._name(key)
            does = "update" if key in self.open else "trigger"
            self.open.add(key)
        elif does == "resolve":
            self.open.discard(key)
        words = self.names[key] | ({call["severity"]} if call["severity"] else set())
        return Sent(round(call["at"] * SECOND), does, frozenset(words))

    async def _name(self, key: str) -> frozenset[str]:
        """Name a page by its alerts, and the labels they share; the second of a chain is `Name/2`."""
        members = (await self.relay.page(key))["members"]
        linked = "/" + key.rpartition("/")[2] if "/" in key else ""
        alertnames = {one["labels"].get("alertname", "") + linked for one in members}
        shared = set.intersection(*(set(one["labels"].items()) for one in members))
        return frozenset(alertnames | {f"{name}={value}" for name, value in shared})

    async def _explain(self, rest: str, line: Line) -> None:
        """Hold that `pagerelay explain` of the alert says this."""
        who, _, text = rest.partition(": ")
        fingerprint = self._find(who)
        arguments = [fingerprint, "--relay.url", self.relay.url]
        result = await asyncio.to_thread(CliRunner().invoke, explain, arguments)
        assert text in result.output, f"{line.text!r}: it says\n{result.output}"

    def _reads(self, rest: str, line: Line) -> None:
        """Hold that the last event of this alert's page says this."""
        name, _, text = rest.partition(": ")
        keys = [key for key in self.open if any(word.partition("/")[0] == name for word in self.names[key])]
        events = [json.dumps(one.latest) for one in self.relay.sandbox.open_alerts if one.dedup_key in keys]
        assert any(text in event for event in events), f"{line.text!r}: it reads {events}"

    # What senders say

    async def _webhook(self, verb: str, rest: str) -> None:
        fingerprint = self._meet(rest) if verb == "fires" else self._find(rest)
        source, labels = self.known[fingerprint]
        group = self.groups.setdefault((source, labels["alertname"]), {})
        if verb == "fires":
            group[fingerprint] = _alert(labels, self.relay.now)
        named = dict(group)
        if verb == "resolves":
            named[fingerprint] = {**group[fingerprint], "status": "resolved", "endsAt": _time(self.relay.now)}
        if verb in ("resolves", "vanishes", "loses"):
            del group[fingerprint]
        if verb in ("vanishes", "loses"):
            named = dict(group)
        if verb == "vanishes":
            self.muted.add(fingerprint)
        if named:  # an Alertmanager with nothing to say says nothing
            key = f'{{}}:{{alertname="{labels["alertname"]}"}}'
            body = {"version": "4", "groupKey": key, "receiver": "relay", "alerts": list(named.values())}
            await self._post(f"/webhook/{source}" if source else "/webhook", body)

    async def _posts(self, rest: str, *, ends: bool) -> None:
        """Post an alert as Prometheus does, over 4 minutes from now unless it is sent again; or without any end."""
        fingerprint = self._meet(rest)
        _, labels = self.known[fingerprint]
        stated = _alert(labels, self.relay.now)
        stated["endsAt"] = _time(self.relay.now + 4 * MINUTE) if ends else ""
        await self._post("/api/v2/alerts", [stated])

    async def _post(self, path: str, body: object) -> None:
        data = io.BytesIO(json.dumps(body).encode())
        async with self.relay.http.post(self.relay.url + path, data=data) as reply:
            assert reply.status == 200, await reply.text()
        await self._look_around()

    async def _silence(self, rest: str) -> None:
        found = _SILENCE.fullmatch(rest)
        assert found is not None, f'silence label="value" for 2h by anna: a comment; not {rest!r}'
        name, operator, value, length, author, comment = found.groups()
        assert author == "anna", "every silence of the stories is anna's"
        last = int(length[:-1]) * _LENGTH[length[-1]]
        self.silences.append(await self.relay.silence((operator, name, value), last=last, comment=comment))

    def _meet(self, rest: str) -> str:
        """Read `Name label=value ... @source`, and remember it."""
        source, labels = _labels(rest.split())
        fingerprint = fingerprint_of(labels)
        self.known[fingerprint] = (source, labels)
        return fingerprint

    def _find(self, rest: str) -> str:
        """Find an alert that was met by some of its labels."""
        source, labels = _labels(rest.split())
        found = [
            fingerprint
            for fingerprint, (its_source, its_labels) in self.known.items()
            if labels.items() <= its_labels.items() and source in ("", its_source)
        ]
        assert len(found) == 1, f"{len(found)} alerts of the story are {rest!r}"
        return found[0]


def _labels(words: Iterable[str]) -> tuple[str, dict[str, str]]:
    name, *rest = words
    source = "".join(word[1:] for word in rest if word.startswith("@"))
    return source, {"alertname": name, **dict(word.split("=", 1) for word in rest if not word.startswith("@"))}


def _alert(labels: Mapping[str, str], now: Instant) -> dict[str, Any]:
    return {
        "status": "firing",
        "fingerprint": fingerprint_of(labels),
        "labels": labels,
        "annotations": {"summary": f"{labels['alertname']} is bad"},
        "startsAt": _time(now),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example/graph",
    }


def _time(at: Instant) -> str:
    return moment(at).isoformat().replace("+00:00", "Z")
