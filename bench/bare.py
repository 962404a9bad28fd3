"""The yardstick: a bare aiohttp + uvloop handler that reads the body, and parses it where a target says so.

Also the stand-in for PagerDuty that deliveries are counted at: the same, with a 202 and PagerDuty's words.
"""

import argparse
import asyncio
from collections.abc import Callable

import uvloop
from aiohttp import web
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from relay.ingress.alertmanager import parse


class Lenient(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class Alert(Lenient):
    """One alert, as a first version of any relay would have it."""

    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: str
    ends_at: str
    generator_url: str = ""
    fingerprint: str


class Message(Lenient):
    """Alertmanager's v4 body."""

    receiver: str
    status: str
    alerts: list[Alert]
    group_labels: dict[str, str]
    common_labels: dict[str, str]
    common_annotations: dict[str, str]
    version: str
    group_key: str
    truncated_alerts: int = 0


READERS: dict[str, Callable[[bytes], object]] = {
    "body": lambda body: body,
    "pydantic": Message.model_validate_json,
    "parser": lambda body: parse(body, ""),
}


def make_app(read: Callable[[bytes], object]) -> web.Application:
    """Build the handler."""
    app = web.Application(client_max_size=0)
    taken = 0

    async def take(request: web.Request) -> web.Response:
        read(await request.read())
        return web.Response(status=200)

    async def enqueue(request: web.Request) -> web.Response:
        nonlocal taken
        await request.read()
        taken += 1
        return web.json_response({"status": "success", "message": "Event processed", "dedup_key": "k"}, status=202)

    async def count(_: web.Request) -> web.Response:
        return web.json_response(taken)

    app.router.add_post("/webhook", take)
    app.router.add_post("/v2/enqueue", enqueue)
    app.router.add_get("/count", count)
    return app


async def _serve(reader: str) -> None:
    runner = web.AppRunner(make_app(READERS[reader]), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--read", choices=READERS, default="body")
    uvloop.run(_serve(arguments.parse_args().read))
