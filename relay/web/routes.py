"""Every URL of the relay on one screen, and the application that serves them."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import Any, NamedTuple

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from relay.web import replies
from relay.web.alerts import Alerts
from relay.web.api import Api
from relay.web.api_v2 import FiringDoors, SilenceDoors, spoken
from relay.web.authentication import Doorkeeper
from relay.web.bodies import Bodies
from relay.web.changes import ChangeEvents
from relay.web.doors import Doors
from relay.web.events import Events
from relay.web.letters import LetterDoors
from relay.web.middleware import Gate, Handler, worded
from relay.web.operations import Operations
from relay.web.pagerduty import PagerDutyWebhook
from relay.web.pausing import PauseDoors
from relay.web.reconciling import ReconcileDoors
from relay.web.senders import Senders
from relay.web.webhook import Webhook


class Side(Enum):
    """Which of the doors one address serves."""

    ALL = "all"
    SENDERS = "senders"
    """Those that alerts are posted to."""
    ADMIN = "admin"
    """All but those."""


class Route(NamedTuple):
    """One URL: what it takes, who answers, and what it is for."""

    methods: str
    path: str
    handler: Handler
    purpose: str
    side: Side = Side.ADMIN


def table(doors: Doors, keeper: Doorkeeper | None = None) -> tuple[Route, ...]:
    """List every URL; docs/http-api.md says the same for people. One table, however many addresses serve it."""
    bodies = Bodies(doors.limits)
    keeper = keeper or Doorkeeper(doors)
    senders, operations, api = Senders(doors, bodies, keeper), Operations(doors), Api(doors, bodies)
    webhook, alerts, events = Webhook(senders), Alerts(senders), Events(senders, keeper)
    changes = ChangeEvents(doors, senders, keeper)
    silences, firing = SilenceDoors(doors, bodies), FiringDoors(doors)
    pauses, letters = PauseDoors(doors, bodies), LetterDoors(doors)
    comparing = ReconcileDoors(doors, bodies)
    news = PagerDutyWebhook(doors, bodies, keeper)
    gate = Gate(doors, keeper)
    open_, operators_only = _worded_by(doors), gate.operators_only

    def worded_(handler: Handler) -> Handler:
        return open_(gate.users_only(handler))

    def spoken_(handler: Handler) -> Handler:
        return spoken(gate.users_only(handler), doors)

    async def refused(_: web.Request) -> web.Response:
        return replies.json(senders.samples())

    return (
        Route("POST", "/webhook", webhook.take, "Alertmanager's webhook: its `url` in webhook_configs", Side.SENDERS),
        Route("POST", "/webhook/{source}", webhook.take, "the same, from a named source", Side.SENDERS),
        Route(
            "POST",
            "/api/v2/alerts",
            alerts.take,
            "alerts from Prometheus or vmalert, as an Alertmanager takes them",
            Side.SENDERS,
        ),
        Route(
            "POST",
            "/source/{source}/api/v2/alerts",
            alerts.take,
            "the same, from a named source: its path_prefix",
            Side.SENDERS,
        ),
        Route(
            "POST",
            "/v2/enqueue",
            events.take,
            "events, as PagerDuty's Events API v2 takes them",
            Side.SENDERS,
        ),
        Route("POST", "/v2/change/enqueue", changes.take, "change events, as PagerDuty takes them", Side.SENDERS),
        Route("POST", "/pagerduty/webhook", open_(news.take), "what happens at PagerDuty: V3 webhooks", Side.SENDERS),
        Route("GET HEAD", "/api/v2/alerts", spoken_(firing.alerts), "alerts that fire, as an Alertmanager lists them"),
        Route("GET HEAD", "/api/v2/alerts/groups", spoken_(firing.groups), "the same, by route and group"),
        Route("GET HEAD", "/api/v2/silences", spoken_(silences.list), "list silences"),
        Route("POST", "/api/v2/silences", spoken_(operators_only(silences.post)), "make or change a silence"),
        Route("GET HEAD", "/api/v2/silence/{silence_id}", spoken_(silences.get), "one silence"),
        Route("DELETE", "/api/v2/silence/{silence_id}", spoken_(operators_only(silences.delete)), "end a silence now"),
        Route("GET HEAD", "/api/v2/receivers", spoken_(firing.receivers), "list receivers"),
        Route("GET HEAD", "/api/v2/status", spoken_(firing.status), "what runs here, as an Alertmanager says it"),
        Route("GET HEAD", "/-/healthy", open_(operations.healthy), "the process answers", Side.ALL),
        Route("GET HEAD", "/-/ready", open_(operations.ready), "a page would be accepted", Side.ALL),
        Route("POST PUT", "/-/reload", worded_(operators_only(operations.reload)), "read the configuration again"),
        Route("GET HEAD", "/metrics", worded_(operations.metrics), "metrics for Prometheus"),
        Route("GET HEAD", "/api/v1/pages", worded_(api.pages), "list pages"),
        Route("GET HEAD", "/api/v1/pages/{id}", worded_(api.page), "one page, its alerts and attempts"),
        Route(
            "POST",
            "/api/v1/pages/{id}/retry",
            open_(operators_only(letters.retry)),
            "try a dead letter again",
        ),
        Route("POST", "/api/v1/pages/{id}/discard", open_(operators_only(letters.discard)), "let go of a dead letter"),
        Route("GET HEAD", "/api/v1/decisions", worded_(api.decisions), "what became of alerts, and why"),
        Route("GET HEAD", "/api/v1/refused", worded_(refused), "how bodies began that were refused"),
        Route("GET HEAD", "/api/v1/status", worded_(api.status), "how the relay is doing"),
        Route("GET HEAD", "/api/v1/pause", worded_(pauses.list), "what is paused, and what was"),
        Route("POST", "/api/v1/pause", worded_(operators_only(pauses.pause)), "send nothing for a while"),
        Route("DELETE", "/api/v1/pause", worded_(operators_only(pauses.resume)), "end a pause now"),
        Route("GET HEAD", "/api/v1/reconcile", worded_(comparing.last), "what differed when it was last compared"),
        Route("POST", "/api/v1/reconcile", worded_(operators_only(comparing.compare)), "compare with PagerDuty now"),
        Route("POST", "/api/v1/explain", worded_(api.explain), "what would become of a webhook body"),
        Route("GET HEAD", "/pages", worded_(api.pages), "the same as /api/v1/pages"),
        Route("GET HEAD", "/pages/{id}", worded_(api.page), "the address of a page: the event's client_url"),
    )


def make_app(doors: Doors, side: Side = Side.ALL, whole: tuple[Route, ...] | None = None) -> web.Application:
    """Build the application for the addresses that serve a side of the table.

    It has no middlewares: each would cost the webhook's door a call.
    """
    app = web.Application()
    app.on_response_prepare.append(_with_headers(doors))
    whole = table(doors) if whole is None else whole
    routes = tuple(route for route in whole if side is Side.ALL or route.side in (side, Side.ALL))
    for path in dict.fromkeys(route.path for route in routes):
        served = [route for route in routes if route.path == path]
        for route in served:
            for method in route.methods.split():
                app.router.add_route(method, path, route.handler)
        app.router.add_route("*", path, _refuse(served))
    # A slash too much in Alertmanager's configuration must not cost a page.
    if side is not Side.ADMIN:
        app.router.add_route("POST", "/webhook/", routes[0].handler)
    app.router.add_route("*", "/{anything:.*}", _nowhere(routes))
    return app


KEEPALIVE = 75.0
"""Seconds a connection may be idle, or take over its headers. Alertmanager opens a new one without harm."""
LINGER = 2.0
"""Seconds to read on, and throw away, after an answer that came before the body was complete."""


def make_runner(app: web.Application, *, shutdown_timeout: float = 2.0) -> web.AppRunner:
    """Set aiohttp's server up; a disconnect never cancels a judgement half way."""
    return web.AppRunner(app, handler_cancellation=False, shutdown_timeout=shutdown_timeout, **settings())


def settings() -> dict[str, Any]:
    """Say how aiohttp handles a connection: nothing unpacked, no access log."""
    return {
        "access_log": None,
        "auto_decompress": False,
        "keepalive_timeout": KEEPALIVE,
        "lingering_time": LINGER,
        "logger": _server_logger(),
    }


_HEADERS = {
    # Whoever looks at an answer in a browser: nothing in it is ever run, framed, guessed at or told to others.
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "deny",
    "Referrer-Policy": "no-referrer",
}


def _with_headers(doors: Doors) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    async def add(_: web.Request, reply: web.StreamResponse) -> None:
        reply.headers.update(_HEADERS)
        if own := doors.web().headers:
            reply.headers.update(own)

    return add


def _worded_by(doors: Doors) -> Callable[[Handler], Handler]:
    return lambda handler: worded(handler, doors)


def _refuse(served: Sequence[Route]) -> Handler:
    path, allowed = served[0].path, ", ".join(" ".join(route.methods for route in served).split())
    purpose = "; ".join(route.purpose for route in served)

    async def refuse(request: web.Request) -> web.Response:
        reply = replies.failed(405, f"{path} takes {allowed}, not {request.method[:20]} ({purpose})")
        reply.headers["Allow"] = allowed
        return reply

    return refuse


def _nowhere(routes: tuple[Route, ...]) -> Handler:
    doors = ", ".join(dict.fromkeys(route.path for route in routes))

    async def nowhere(request: web.Request) -> web.Response:
        return replies.failed(404, f"there is nothing at {request.path[:200]}: the doors are {doors}")

    return nowhere


class _Broken(logging.Filter):
    """Keeps out what strangers can write into the log at will: requests that are no HTTP. They get a 400."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _server_logger() -> logging.Logger:
    logger = logging.getLogger("pagerelay.http")
    if not logger.filters:
        logger.addFilter(_Broken())
    return logger
