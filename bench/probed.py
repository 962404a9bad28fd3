"""`pagerelay serve` with a probe on its event loop.

The longest time it was held up since the last look stands at /bench/longest-block; at /bench/lag by how much
it was late at most 99 % of the time, and ever.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator

from aiohttp import web

from relay.__main__ import main
from relay.web import Doors, listening
from relay.web.routes import Route, Side, make_app

_LOOKS_EVERY = 0.001


class Probe:
    """Wakes every millisecond, and notes by how much it was late."""

    def __init__(self) -> None:
        self._longest = 0.0
        self._most = 0.0
        self._late: Counter[int] = Counter()
        """How often it was late by so many milliseconds."""

    async def run(self) -> None:
        while True:
            asked = time.perf_counter()
            await asyncio.sleep(_LOOKS_EVERY)
            late = max(0.0, time.perf_counter() - asked - _LOOKS_EVERY)
            self._longest, self._most = max(self._longest, late), max(self._most, late)
            self._late[math.ceil(late * 1000)] += 1

    def take(self) -> float:
        """Return the longest hold-up since the last call, in seconds."""
        longest, self._longest = self._longest, 0.0
        return longest

    def lag(self) -> tuple[float, float]:
        """Return by how many seconds it was late at most: 99 % of the time, and ever."""
        seen, wanted = 0, 0.99 * self._late.total()
        for late in sorted(self._late):
            seen += self._late[late]
            if seen >= wanted:
                return late / 1000, self._most
        return 0.0, self._most


def _probed(doors: Doors, side: Side, routes: tuple[Route, ...]) -> web.Application:
    app, probe = make_app(doors, side, routes), Probe()

    async def run(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(probe.run())
        yield
        task.cancel()

    async def longest(_: web.Request) -> web.Response:
        return web.json_response(probe.take())

    async def lag(_: web.Request) -> web.Response:
        return web.json_response(probe.lag())

    app.cleanup_ctx.append(run)
    # The relay's last route takes every path, so these have to stand before it.
    for path, handler in (("/bench/longest-block", longest), ("/bench/lag", lag)):
        app.router.add_get(path, handler)
        app.router._resources.insert(0, app.router._resources.pop())
    return app


if __name__ == "__main__":
    vars(listening)["make_app"] = _probed
    main()
