"""A sandbox at its doors and somebody who receives its webhooks, for tests of the stand-in itself."""

import asyncio
import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from relay.sandbox.app import make_app
from relay.sandbox.state import Sandbox, Settings

KEY = "0123456789abcdef0123456789ABCDEF"
OTHER = "fedcba9876543210fedcba9876543210"
TOKEN = "y_NbAkKc66ryYTWUXYEu"
ANNA, BEN = "anna@example.com", "ben@example.com"
SECRETS = ("one secret of a subscription", "the next one")

Client = TestClient[web.Request, web.Application]


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.at = 1_700_000_000.0

    def __call__(self) -> float:
        return self.at


@dataclass
class Call:
    """One webhook as it arrived."""

    body: bytes
    headers: dict[str, str]

    @property
    def event(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.body)["event"]
        return read

    @property
    def kind(self) -> str:
        return str(self.event["event_type"])

    def signed_with(self, secret: str) -> bool:
        made = hmac.new(secret.encode(), self.body, hashlib.sha256).hexdigest()
        return f"v1={made}" in self.headers["X-PagerDuty-Signature"].split(",")


@dataclass
class Receiver:
    """Somebody who is told, and answers as it is told to."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    """The next answers; 202 when there are none left."""
    always: int = 202
    delays: list[float] = field(default_factory=list)
    """Seconds that the next answers take."""
    calls: list[Call] = field(default_factory=list)

    @property
    def kinds(self) -> list[str]:
        return [call.kind for call in self.calls]

    async def take(self, request: web.Request) -> web.Response:
        self.calls.append(Call(await request.read(), dict(request.headers)))
        await asyncio.sleep(self.delays.pop(0) if self.delays else 0)
        return web.Response(status=self.answers.pop(0) if self.answers else self.always)

    async def got(self, count: int) -> list[Call]:
        """Wait until so many have arrived."""
        await until(lambda: len(self.calls) >= count)
        return self.calls


class Stand:
    """A sandbox behind its HTTP doors."""

    def __init__(self, client: Client, sandbox: Sandbox, clock: Clock) -> None:
        self.client, self.sandbox, self.clock = client, sandbox, clock

    async def event(self, action: str = "trigger", dedup_key: str = "k", key: str = KEY, **more: Any) -> None:
        """Send an event that is taken."""
        payload = {"summary": f"{dedup_key} is full", "source": "web-1", "severity": "critical"}
        event = {"routing_key": key, "event_action": action, "dedup_key": dedup_key, **more}
        async with self.client.post(
            "/v2/enqueue", json=event | ({"payload": payload} if action == "trigger" else {})
        ) as a:
            assert a.status == 202

    async def rest(self, method: str, path: str, body: object = None, *, status: int = 200, **headers: str) -> Any:
        """Call the REST API with a token; return what it answered, which has to have this status."""
        sent = {"Authorization": f"Token token={TOKEN}", "From": ANNA, **headers}
        async with self.client.request(method, path, json=body, headers={k: v for k, v in sent.items() if v}) as answer:
            text = await answer.text()
            assert answer.status == status, text
            return json.loads(text) if text else None

    async def incidents(self, query: str = "") -> list[dict[str, Any]]:
        """List incidents, oldest first."""
        found: list[dict[str, Any]] = (await self.rest("GET", f"/incidents{query}"))["incidents"]
        return found

    async def act(self, number: int, act: str, user: str = ANNA, **form: str) -> int:
        """Do what a person does on an incident's page; return the status."""
        async with self.client.post(f"/alerts/{number}/{act}", data={"user": user, **form}, allow_redirects=False) as a:
            return a.status

    async def webhooks(self) -> list[dict[str, Any]]:
        """Say what became of each webhook."""
        async with self.client.get("/sandbox/webhooks.json") as answer:
            found: list[dict[str, Any]] = (await answer.json())["webhooks"]
            return found

    async def spoil(self, **fault: Any) -> None:
        """Have a fault befall webhooks."""
        async with self.client.post("/sandbox/webhooks/faults", json=fault) as answer:
            assert answer.status == 200, await answer.text()


@contextlib.asynccontextmanager
async def stand(**settings: Any) -> AsyncIterator[Stand]:
    """Open a sandbox's doors."""
    given = {"keys": {"platform": KEY, "payments": OTHER}, "tokens": {TOKEN: ""}, "rate_events": 0, **settings}
    clock = Clock()
    sandbox = Sandbox(Settings(**given), clock=clock)
    async with TestClient(TestServer(make_app(sandbox=sandbox))) as client:
        yield Stand(client, sandbox, clock)


@contextlib.asynccontextmanager
async def told(**settings: Any) -> AsyncIterator[tuple[Stand, Receiver]]:
    """Open a sandbox's doors, and those of somebody who is subscribed to its webhooks."""
    receiver, app = Receiver(), web.Application()
    app.router.add_post("/hook", receiver.take)
    async with TestServer(app) as server:
        receiver.url = str(server.make_url("/hook"))
        given = {"webhook_url": receiver.url, "webhook_secrets": SECRETS, "webhook_pace": 0.001, **settings}
        async with stand(**given) as here:
            yield here, receiver


async def until(true: Callable[[], bool]) -> None:
    """Wait for something to become true; it is given 10 s."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)
