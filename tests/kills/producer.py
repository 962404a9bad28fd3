"""Plays a busy Alertmanager: groups that change at random, posted until the relay says 2xx, one after the other."""

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import aiohttp

from relay.alert import fingerprint_of

SEVERITIES = ("critical", "error", "warning", "info")
RETRY_WINDOW = 2.0
"""Seconds one body is retried; then the group comes again with what is true by then (Alertmanager: group_interval)."""
_NEVER = "0001-01-01T00:00:00Z"


@dataclass(frozen=True)
class Said:
    """What one body said: each instance with its episode, and whether it fires."""

    posted_at: float
    acked_at: float | None
    states: Mapping[str, tuple[int, bool]]


@dataclass
class Instance:
    """One alert of a group. Each time it fires anew is an episode; a later one begins later."""

    name: str
    labels: Mapping[str, str]
    firing: bool = False
    episode: int = 0
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: datetime = field(default_factory=lambda: datetime.now(UTC))
    owed: bool = False
    """It resolved, and that was not acknowledged yet."""

    def toggle(self) -> None:
        """Fire if it does not, resolve if it does."""
        self.firing = not self.firing
        if self.firing:
            self.episode += 1
            self.began, self.owed = datetime.now(UTC), False
        else:
            self.ended, self.owed = datetime.now(UTC), True

    def stated(self) -> dict[str, Any]:
        """State it as Alertmanager does."""
        return {
            "status": "firing" if self.firing else "resolved",
            "labels": self.labels,
            "annotations": {"episode": str(self.episode)},
            "startsAt": self.began.isoformat(),
            "endsAt": _NEVER if self.firing else self.ended.isoformat(),
            "generatorURL": "",
            "fingerprint": fingerprint_of(self.labels),
        }


@dataclass
class Group:
    """One group of Alertmanager, and everything it ever said."""

    name: str
    instances: list[Instance]
    restless: float
    """Chance that it changes before it is posted again. In a quiet group a mistake stays to be seen."""
    said: list[Said] = field(default_factory=list)
    settled: bool = True
    """Whether the last body that was acknowledged says what is true now."""

    @property
    def group_key(self) -> str:
        return f'{{}}:{{alertname="{self.name}"}}'

    @property
    def dedup_key(self) -> str:
        return sha256(self.group_key.encode()).hexdigest()

    @property
    def firing(self) -> list[Instance]:
        return [one for one in self.instances if one.firing]

    def change(self, instances: Sequence[Instance]) -> None:
        """Let these fire if they do not, and resolve if they do."""
        for one in instances:
            one.toggle()
            self.settled = False

    def body(self) -> tuple[dict[str, Any], dict[str, tuple[int, bool]]] | None:
        """Return what the group would post now, and the same in short; None if that is nothing."""
        shown = [one for one in self.instances if one.firing or one.owed]
        if not shown:
            return None
        body = {
            "version": "4",
            "groupKey": self.group_key,
            "truncatedAlerts": 0,
            "status": "firing" if self.firing else "resolved",
            "receiver": "relay",
            "groupLabels": {"alertname": self.name},
            "commonLabels": {"alertname": self.name},
            "commonAnnotations": {},
            "externalURL": "http://alertmanager.example.com:9093",
            "alerts": [one.stated() for one in shown],
        }
        return body, {one.name: (one.episode, one.firing) for one in shown}

    def acknowledged(self, states: Mapping[str, tuple[int, bool]]) -> None:
        """Owe no more what was taken; what has changed since the body was built is still owed."""
        for one in self.instances:
            if states.get(one.name) == (one.episode, one.firing):
                one.owed = False
        self.settled = all(states.get(one.name) == (one.episode, True) for one in self.firing) and not any(
            one.owed for one in self.instances
        )


def make_groups(count: int, chance: random.Random) -> list[Group]:
    """Make groups of one to four alerts of mixed severities."""
    groups = []
    for number in range(count):
        name = f"Group{number:02}"
        labels = [
            {"alertname": name, "instance": f"i{place}", "severity": chance.choice(SEVERITIES)}
            for place in range(chance.randint(1, 4))
        ]
        groups.append(Group(name, [Instance(one["instance"], one) for one in labels], chance.choice((0.5, 0.2, 0.05))))
    return groups


class Producer:
    """Posts all groups from a thread of its own, so that killing and restarting the relay does not hold it up."""

    def __init__(self, url: str, groups: list[Group], seed: int) -> None:
        self.groups = groups
        self.answers: Counter[str] = Counter()
        """How posts ended: the HTTP status, `refused`, or `broken` (sent, and no answer came)."""
        self.in_flight = 0
        self.changing = True
        """Whether alerts fire and resolve; else each group only says again what is true."""
        self.wish: bool | None = None
        """True: everything fires, False: everything resolves, None: as chance has it."""
        self.repeats = 0.1
        """Chance that a group says again what was acknowledged already; a repeat can heal what was lost."""
        self._url = url
        self._chance = random.Random(seed)
        self._running = True
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="producer")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._running = False
        self._thread.join()

    def settled(self) -> bool:
        """Say whether everything that is true was acknowledged."""
        return all(group.settled for group in self.groups)

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=10)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session,
            asyncio.TaskGroup() as tasks,
        ):
            for group in self.groups:
                tasks.create_task(self._play(group, session))

    async def _play(self, group: Group, session: aiohttp.ClientSession) -> None:
        while self._running:
            await asyncio.sleep(self._chance.uniform(0.02, 0.4))
            if self.wish is not None:
                group.change([one for one in group.instances if one.firing is not self.wish])
            elif self.changing and self._chance.random() < group.restless:
                group.change(self._chance.sample(group.instances, self._chance.randint(1, len(group.instances))))
            if not group.settled or self._chance.random() < self.repeats:
                await self._flush(group, session)

    async def _flush(self, group: Group, session: aiohttp.ClientSession) -> None:
        """Post one body until it is taken, as Alertmanager's retry stage does."""
        built = group.body()
        if built is None:
            group.settled = True
            return
        body, states = built
        until = time.monotonic() + RETRY_WINDOW
        while self._running and time.monotonic() < until:
            posted_at = time.time()
            taken = await self._post(body, session)
            group.said.append(Said(posted_at, time.time() if taken else None, states))
            if taken:
                group.acknowledged(states)
                return
            await asyncio.sleep(self._chance.uniform(0.02, 0.3))

    async def _post(self, body: dict[str, Any], session: aiohttp.ClientSession) -> bool:
        self.in_flight += 1
        try:
            async with session.post(f"{self._url}/webhook", json=body) as answer:
                await answer.read()
        except aiohttp.ClientConnectorError:
            self.answers["refused"] += 1
            return False
        except (aiohttp.ClientError, TimeoutError):
            self.answers["broken"] += 1
            return False
        finally:
            self.in_flight -= 1
        self.answers[str(answer.status)] += 1
        return answer.status == 200
