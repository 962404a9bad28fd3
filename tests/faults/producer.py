"""Plays a busy Alertmanager: groups that change at random, each posted until the relay says 2xx, as it retries."""

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import aiohttp

from relay.alert import fingerprint_of

SEVERITIES = ("critical", "error", "warning", "info")
RETRY_WINDOW = 2.0
"""Seconds one body is retried; then the group comes again with what is true by then (Alertmanager: group_interval)."""
BACK_OFF = (0.02, 0.3)
"""Seconds between two tries of one body, at random (Alertmanager: 0.5 s growing to a minute, jittered)."""
Written = Callable[[Mapping[str, Any]], None]
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
    path: str = "/webhook"
    """The door it is posted to: `/webhook/staging` for another source."""
    namespace: str = ""
    """What the relay mixes into the dedup keys of that source."""
    key_text: str = ""
    """What the route's `dedup_key` makes of it; "": it has none, and the group key counts."""
    said: list[Said] = field(default_factory=list)
    settled: bool = True
    """Whether the last body that was acknowledged says what is true now."""

    @property
    def group_key(self) -> str:
        return f'{{}}:{{alertname="{self.name}"}}'

    @property
    def dedup_key(self) -> str:
        if self.key_text:
            text = self.key_text
            return text if len(text) <= 255 else f"{text[:190]}-{sha256(text.encode()).hexdigest()}"
        mixed = f"{self.namespace}\x00{self.group_key}" if self.namespace else self.group_key
        return sha256(mixed.encode()).hexdigest()

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

    def recant(self, states: Mapping[str, tuple[int, bool]]) -> None:
        """Owe once more the resolve of what a replica said that lags."""
        for one in self.instances:
            one.owed = one.owed or (not one.firing and states.get(one.name, (0, False))[1])
        self.settled = False

    def acknowledged(self, states: Mapping[str, tuple[int, bool]]) -> None:
        """Owe no more what was taken; what has changed since the body was built is still owed."""
        for one in self.instances:
            if states.get(one.name) == (one.episode, one.firing):
                one.owed = False
        self.settled = all(states.get(one.name) == (one.episode, True) for one in self.firing) and not any(
            one.owed for one in self.instances
        )


def make_groups(
    count: int, chance: random.Random, *, prefix: str = "Group", most: int = 4, restless: float | None = None
) -> list[Group]:
    """Make groups of one to `most` alerts of mixed severities."""
    groups = []
    for number in range(count):
        name = f"{prefix}{number:02}"
        labels = [
            {"alertname": name, "instance": f"i{place}", "severity": chance.choice(SEVERITIES)}
            for place in range(chance.randint(1, most))
        ]
        drawn = chance.choice((0.5, 0.2, 0.05))
        instances = [Instance(one["instance"], one) for one in labels]
        groups.append(Group(name, instances, drawn if restless is None else restless))
    return groups


class Producer:
    """Posts all groups from a thread of its own, so that killing and restarting the relay does not hold it up.

    5xx and broken connections are tried again after a jittered wait, for RETRY_WINDOW; a 4xx is not: the group comes
    again at its next turn (Alertmanager: notify/webhook/webhook.go, Retrier.Check).
    """

    def __init__(
        self, urls: Sequence[str], groups: list[Group], seed: int, write_down: Written = lambda line: None
    ) -> None:
        """`urls`: where replicas of this Alertmanager post the same body at once; `write_down` keeps the books."""
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
        self.urls = list(urls)
        self._seed = seed
        self._write_down = write_down
        self._running = True
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="producer")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._running = False
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def settled(self) -> bool:
        """Say whether everything that is true was acknowledged."""
        return all(group.settled for group in self.groups)

    def add(self, group: Group) -> None:
        """Let one more group be posted from now on."""
        self.groups.append(group)
        self._loop.call_soon_threadsafe(lambda: self._tasks.create_task(self._play(group, self._session)))

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        timeout = aiohttp.ClientTimeout(total=10)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as self._session,
            asyncio.TaskGroup() as self._tasks,
        ):
            for group in self.groups:
                self._tasks.create_task(self._play(group, self._session))
            await asyncio.to_thread(self._over.wait)

    async def _play(self, group: Group, session: aiohttp.ClientSession) -> None:
        chance = random.Random(f"{self._seed} {group.path} {group.name}")
        while self._running:
            await asyncio.sleep(chance.uniform(0.02, 0.4))
            if self.wish is not None:
                group.change([one for one in group.instances if one.firing is not self.wish])
            elif self.changing and chance.random() < group.restless:
                group.change(chance.sample(group.instances, chance.randint(1, len(group.instances))))
            if not group.settled or chance.random() < self.repeats:
                await self._flush(group, session, chance)

    async def _flush(self, group: Group, session: aiohttp.ClientSession, chance: random.Random) -> None:
        """Post one body until it is taken, as Alertmanager's retry stage does."""
        built = group.body()
        if built is None:
            group.settled = True
            return
        body, states = built
        until = time.monotonic() + RETRY_WINDOW
        while self._running and time.monotonic() < until:
            posted_at = time.time()
            answers = await asyncio.gather(*(self._post(f"{url}{group.path}", body, session) for url in self.urls))
            taken = "200" in answers
            said = Said(posted_at, time.time() if taken else None, states)
            group.said.append(said)
            self._write_down({"group": group.name, "path": group.path, **asdict(said), "answers": answers})
            if taken:
                group.acknowledged(states)
                return
            if all(answer.startswith("4") for answer in answers):
                await asyncio.sleep(max(0.0, until - time.monotonic()))
                return
            await asyncio.sleep(chance.uniform(*BACK_OFF))

    async def _post(self, url: str, body: dict[str, Any], session: aiohttp.ClientSession) -> str:
        self.in_flight += 1
        answer = await _answer_of(session, url, body)
        self.in_flight -= 1
        self.answers[answer] += 1
        return answer


async def _answer_of(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> str:
    try:
        async with session.post(url, json=body) as answer:
            await answer.read()
    except aiohttp.ClientConnectorError:
        return "refused"
    except (aiohttp.ClientError, TimeoutError):
        return "broken"
    return str(answer.status)
