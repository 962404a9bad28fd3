"""The doors that operators and Prometheus know from Alertmanager: health, readiness, reload, metrics."""

import asyncio

from aiohttp import web

from relay.web import replies
from relay.web.doors import Doors


class Operations:
    """Health, readiness, reload and metrics."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def healthy(self, _: web.Request) -> web.Response:
        """Say that the process answers at all."""
        return replies.text("Pagerelay is healthy.")

    async def ready(self, _: web.Request) -> web.Response:
        """Say whether a page would be accepted now; never depends on PagerDuty."""
        reason = self._doors.not_ready()
        return replies.text("Pagerelay is ready.") if reason is None else replies.text(f"not ready: {reason}", 503)

    async def reload(self, _: web.Request) -> web.Response:
        """Read the configuration again; every problem is a line of the answer, and on any error the old one stays."""
        problems = await self._doors.reload()
        lines = "\n".join(str(problem) for problem in problems)
        if all(problem.warning for problem in problems):
            return replies.text(f"configuration reloaded\n{lines}".rstrip())
        return replies.text(f"configuration not reloaded, the old one stays:\n{lines}", 500)

    async def metrics(self, _: web.Request) -> web.Response:
        """Show the metrics in Prometheus' text format."""
        await self._doors.refresh_metrics()
        body, content_type = await asyncio.to_thread(self._doors.metrics.render)
        return web.Response(body=body, headers={"Content-Type": content_type})
