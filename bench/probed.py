"""`pagerelay serve` with a probe on its event loop: the longest time it was held up stands at /bench/longest-block."""

import asyncio
import time
from collections.abc import AsyncIterator

from aiohttp import web

import relay.app
from relay.__main__ import main
from relay.web import Doors, make_app

_LOOKS_EVERY = 0.001


class Probe:
    """Wakes every millisecond, and notes by how much it was late."""

    def __init__(self) -> None:
        self._longest = 0.0

    async def run(self) -> None:
        while True:
            asked = time.perf_counter()
            await asyncio.sleep(_LOOKS_EVERY)
            self._longest = max(self._longest, time.perf_counter() - asked - _LOOKS_EVERY)

    def take(self) -> float:
        """Return the longest hold-up since the last call, in seconds."""
        longest, self._longest = self._longest, 0.0
        return longest


def _probed(doors: Doors) -> web.Application:
    app, probe = make_app(doors), Probe()

    async def run(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(probe.run())
        yield
        task.cancel()

    async def longest(_: web.Request) -> web.Response:
        return web.json_response(probe.take())

    app.cleanup_ctx.append(run)
    # The relay's last route takes every path, so this one has to stand before it.
    app.router.add_get("/bench/longest-block", longest)
    app.router._resources.insert(0, app.router._resources.pop())
    return app


if __name__ == "__main__":
    vars(relay.app)["make_app"] = _probed
    main()
