"""A house to knock at: real doors on a real port, with a real store, and a clock that tests move."""

import contextlib
import io
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from msgspec.structs import replace

from relay.alert import Instant, instant
from relay.answers import Answers
from relay.answers.alerts import AlertAnswers
from relay.config import Loaded, load, remembered
from relay.config.operators import Operators
from relay.config.web import WebConfig
from relay.errors import Problem
from relay.event import Delivered, Outcome, Rejected
from relay.intake import Accepted, Intake
from relay.logs import Log
from relay.metrics import Metrics
from relay.page import Lane, Page
from relay.recall import Recall
from relay.returns import Returns
from relay.rules.delivery import settle, start
from relay.rules.ledger import Claim, Want
from relay.rules.rulebook import Rulebook
from relay.rules.silences import Silence
from relay.secret import Secret
from relay.silencing import Silencer
from relay.store import SqliteStore
from relay.web import Doors, Entrance, Limits, Side
from relay.web.routing_keys import RoutingKeys

KEY = "0123456789abcdef0123456789abcdef"
CONFIG = f"""\
route:
  receiver: platform
  group_by: [alertname]
  severity: {{critical: critical, warning: warning, default: error}}
  routes:
    - matchers: ['team="nobody"']
      receiver: "null"
    - matchers: ['severity="warning"']
      receiver: low
receivers:
  - name: "null"
  - name: platform
    pagerduty_configs: [{{routing_key: {KEY}}}]
  - name: low
    pagerduty_configs: [{{routing_key: {KEY[::-1]}}}]
"""
NOON = instant(datetime(2026, 11, 23, 12, tzinfo=UTC))


@dataclass
class House:
    """Everything a test may turn or look at."""

    directory: Path
    limits: Limits = field(default_factory=Limits)
    now: Instant = NOON
    url: str = ""
    port: int = 0
    not_ready: str | None = None
    problems: tuple[Problem, ...] = ()
    accept: Callable[[bytes, str], Any] | None = None
    """What to do in place of accepting a body."""
    log: list[str] = field(default_factory=list)
    operators: Operators | None = None
    web: WebConfig = field(default_factory=WebConfig)
    """What the web configuration says."""
    loaded: Loaded = field(init=False)
    own_pass: str = "the-pass-beside-the-store"
    rung: dict[str, str] = field(default_factory=dict)
    """Why the relay pages about itself, by reason."""
    began: list[Silence] = field(default_factory=list)
    """Silences that the scheduler was told of."""
    silencer: Silencer = field(init=False)
    alerts: AlertAnswers = field(init=False)
    store: SqliteStore = field(init=False)
    book: Rulebook = field(init=False)
    answers: Answers = field(init=False)
    metrics: Metrics = field(init=False)
    intake: Intake = field(init=False)
    returns: Returns = field(init=False)
    returns_instead: Any = None
    """Who takes PagerDuty's news in place of that; "none": nobody."""
    no_configuration: bool = False
    """Whether it is not known yet with which secrets PagerDuty signs."""
    webhook_secrets: tuple[str, ...] | None = None
    """With which PagerDuty signs, in place of what the configuration says."""
    http: aiohttp.ClientSession = field(init=False)

    def write(self, text: str) -> int:
        """Take what the log writes."""
        self.log.append(text)
        return len(text)

    def flush(self) -> None:
        """Nothing waits."""

    def clock(self) -> Instant:
        """The time it is."""
        return self.now

    async def post(self, body: object, path: str = "/webhook") -> dict[str, Any]:
        """Post a body that must be accepted, and return the answer."""
        async with self.http.post(self.url + path, data=io.BytesIO(as_bytes(body))) as reply:
            assert reply.status == 200, await reply.text()
            answer: dict[str, Any] = await reply.json()
            return answer

    async def get(self, path: str, status: int = 200) -> Any:
        """Ask for JSON."""
        async with self.http.get(self.url + path) as reply:
            assert reply.status == status, (reply.status, await reply.text())
            return await reply.json()

    async def deliver(self, outcome: Outcome | None = None) -> list[Page]:
        """Carry every due page to PagerDuty, which answers `outcome` (202 unless told), and settle it."""
        wants = [Want(one, lane, 100) for one in self.book.rules.integrations for lane in Lane]
        claims = await self.store.claim(wants, self.now, lambda page: start(page, self.now, self.book, 10_000_000))
        return [await self._settle(claim, outcome or Delivered()) for claim in claims]

    async def reject(self, words: str) -> None:
        """Have PagerDuty refuse what is due, and its minimal event: it becomes a dead letter."""
        for _ in range(2):
            await self.deliver(Rejected("clientError", words))
            self.now += 1_000_000

    async def _settle(self, claim: Claim, outcome: Outcome) -> Page:
        attempt, now = replace(claim.attempt, event=b'{"event_action":"trigger"}'), self.now
        return await self.store.settle(
            attempt, lambda page: settle(page, attempt, outcome, now, jitter=0.5, digest="d", book=self.book), now
        )


def alert(name: str = "HighLatency", status: str = "firing", **labels: str) -> dict[str, Any]:
    """One alert of a webhook body."""
    return {
        "status": status,
        "labels": {"alertname": name, "severity": "critical", **labels},
        "annotations": {"summary": f"{name} is bad"},
        "startsAt": "2026-11-23T11:59:00Z",
        "endsAt": "2026-11-23T12:00:00Z" if status == "resolved" else "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
    }


def message(*alerts: dict[str, Any], key: str = '{}:{alertname="HighLatency"}', **more: Any) -> dict[str, Any]:
    """A webhook body."""
    return {"version": "4", "groupKey": key, "receiver": "relay", "status": "firing", "alerts": list(alerts), **more}


def as_bytes(body: object) -> bytes:
    """What goes over the wire."""
    return body if isinstance(body, bytes) else json.dumps(body).encode()


@contextlib.asynccontextmanager
async def open_house(
    directory: Path,
    *,
    limits: Limits | None = None,
    config: str = CONFIG,
    web: WebConfig | None = None,
    side: Side = Side.ALL,
) -> AsyncIterator[House]:
    """Open a house on a free port."""
    house = House(directory, limits or Limits(), web=web or WebConfig())
    (directory / "relay.yml").write_text(config)
    loaded = house.loaded = load(directory / "relay.yml", {})
    house.book = Rulebook(loaded.rules, loaded.keys)
    log = Log(house.clock, stream=house)  # type: ignore[arg-type]
    house.metrics, recall = Metrics("test"), Recall()
    house.store = await SqliteStore.open(directory / "data")
    await house.store.remember_integrations(remembered(loaded.rules))
    house.intake = Intake(
        house.store, house.book, recall, clock=house.clock, wake=lambda: None, metrics=house.metrics, log=log
    )
    house.answers = Answers(
        house.store, lambda: house.book, clock=house.clock, sources=recall.sources, store_name=str(directory / "data")
    )
    house.returns = Returns(house.store, clock=house.clock, changed=lambda: None, metrics=house.metrics, log=log)
    house.silencer = Silencer(house.store, clock=house.clock, log=log, began=house.began.append)
    await house.silencer.open()
    house.alerts = AlertAnswers(house.store, lambda: house.book, lambda: house.silencer.current, clock=house.clock)
    entrance = Entrance(_doors(house, log))
    try:
        (house.url,) = await entrance.open([("127.0.0.1", 0)], side)
        house.port = int(house.url.rpartition(":")[2])
        async with aiohttp.ClientSession() as house.http:
            yield house
    finally:
        await entrance.close()
        await house.store.close()


class _Stand(Intake):
    """An intake that does what the test says."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def accept(self, body: bytes, source: str) -> Accepted:
        if self._house.accept is None:
            return await self._house.intake.accept(body, source)
        accepted: Accepted = await self._house.accept(body, source)
        return accepted


def _webhook_secrets(house: House) -> tuple[Secret, ...]:
    if house.webhook_secrets is None:
        return house.loaded.account.webhook_secrets
    return tuple(map(Secret, house.webhook_secrets))


def _doors(house: House, log: Log) -> Doors:
    async def reload() -> tuple[Problem, ...]:
        return house.problems

    async def refresh() -> None:
        house.metrics.stored(up=True, size=await house.store.size_bytes())

    def quiet(reason: str) -> None:
        house.rung.pop(reason, None)

    stand = _Stand(house)
    return Doors(
        intake=lambda: stand if house.accept else house.intake,
        answers=lambda: house.answers,
        not_ready=lambda: house.not_ready,
        reload=reload,
        metrics=house.metrics,
        refresh_metrics=refresh,
        log=log,
        limits=house.limits,
        operators=lambda: house.operators,
        silencer=lambda: house.silencer,
        alerts=lambda: house.alerts,
        returns=lambda: None if house.returns_instead == "none" else house.returns_instead or house.returns,
        webhook_secrets=lambda: None if house.no_configuration else _webhook_secrets(house),
        web=lambda: house.web,
        sources=lambda: house.loaded.rules.sources,
        credentials=lambda: house.loaded.credentials,
        routing_keys=RoutingKeys(lambda: house.loaded).find,
        own_pass=Secret(house.own_pass),
        ring=house.rung.__setitem__,
        quiet=quiet,
        clock=house.clock,
    )
