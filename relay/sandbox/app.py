"""The stand-in's HTTP doors: PagerDuty's own two, the administrator's, and the screens."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
from aiohttp import web

from relay.sandbox import acts, rest_routes, screens
from relay.sandbox.answers import Answer
from relay.sandbox.courier import Courier
from relay.sandbox.faults import Fault, WebhookFault
from relay.sandbox.incident import Incident
from relay.sandbox.rest import Handler
from relay.sandbox.state import ALERT_PATH, CHANGE_PATH, Sandbox, Settings

SANDBOX: web.AppKey[Sandbox] = web.AppKey("sandbox", Sandbox)

COURIER: web.AppKey[Courier] = web.AppKey("courier", Courier)

_TICK = 0.2
_MOST_READ = 64 * 1024 * 1024


def make_app(settings: Settings | None = None, *, sandbox: Sandbox | None = None) -> web.Application:
    """Build the stand-in as an application; its memory is at `app[SANDBOX]`, or is the one given."""
    app = web.Application(client_max_size=_MOST_READ, middlewares=[_know_origin])
    app[SANDBOX] = sandbox or Sandbox(settings)
    app[COURIER] = Courier(app[SANDBOX])
    app.add_routes(
        [
            web.post(ALERT_PATH, enqueue),
            web.post(CHANGE_PATH, enqueue),
            web.get("/", incidents_page),
            web.get("/alerts/{number:[0-9]+}", incident_page),
            web.post("/alerts/{number:[0-9]+}/{act}", act),
            web.get("/sandbox/healthz", healthz),
            web.get("/sandbox/alerts.json", alerts_json),
            web.get("/sandbox/alerts/{number:[0-9]+}.json", alert_json),
            web.get("/sandbox/events.json", events_json),
            web.get("/sandbox/changes.json", changes_json),
            web.get("/sandbox/faults", faults_json),
            web.post("/sandbox/faults", add_fault),
            web.delete("/sandbox/faults", clear_faults),
            web.get("/sandbox/webhooks.json", webhooks_json),
            web.get("/sandbox/webhooks/faults", webhook_faults_json),
            web.post("/sandbox/webhooks/faults", add_webhook_fault),
            web.delete("/sandbox/webhooks/faults", clear_webhook_faults),
            web.delete("/sandbox/state", clear_state),
            *rest_routes.table(app[SANDBOX], app[COURIER]),
        ]
    )
    app.cleanup_ctx.append(_run)
    return app


async def enqueue(request: web.Request) -> web.StreamResponse:
    """Take an alert event or a change event."""
    answer = request.app[SANDBOX].enqueue(await request.read(), request.path)
    if answer.latency:
        await asyncio.sleep(answer.latency)
    if answer.drop:
        return _reset(request)
    if answer.drip:
        return await _drip(request, answer)
    return _response(answer)


async def incidents_page(request: web.Request) -> web.Response:
    """Show open and past incidents to people."""
    return _html(screens.incidents(request.app[SANDBOX], request.app[COURIER].told))


async def incident_page(request: web.Request) -> web.Response:
    """Show one incident about as PagerDuty would."""
    return _html(screens.incident(request.app[SANDBOX], _asked_for(request)))


async def act(request: web.Request) -> web.Response:
    """Do what a person did on an incident's page."""
    incident, form = _asked_for(request), await request.post()
    acts.perform(request.app[SANDBOX], incident, request.match_info["act"], form)
    raise web.HTTPSeeOther("/" if form.get("back") == "/" else f"/alerts/{incident.number}")


async def healthz(request: web.Request) -> web.Response:
    """Say that it is there."""
    return web.Response(text="OK\n")


async def alerts_json(request: web.Request) -> web.Response:
    """List open and past alerts, newest first."""
    sandbox = request.app[SANDBOX]
    shown = {
        "open": [alert.as_json() for alert in sandbox.open_alerts],
        "past": [alert.as_json() for alert in sandbox.past_alerts],
    }
    return _json(shown)


async def alert_json(request: web.Request) -> web.Response:
    """Show one incident with its first and its latest trigger."""
    incident = _asked_for(request)
    if not incident.alerts:
        raise web.HTTPNotFound(text="The alerts of this incident were merged into another.")
    alert = incident.alerts[0]
    return _json({**alert.as_json(), "event": alert.event, "latest": alert.latest})


async def events_json(request: web.Request) -> web.Response:
    """List every request and what became of it, oldest first."""
    return _json({"events": list(request.app[SANDBOX].requests)})


async def changes_json(request: web.Request) -> web.Response:
    """List accepted change events, oldest first."""
    return _json({"changes": list(request.app[SANDBOX].changes)})


async def faults_json(request: web.Request) -> web.Response:
    """List the faults in force."""
    return _json({"faults": msgspec.to_builtins(request.app[SANDBOX].faults.listed())})


async def add_fault(request: web.Request) -> web.Response:
    """Put one fault in force."""
    try:
        fault = msgspec.json.decode(await request.read(), type=Fault)
    except msgspec.DecodeError as error:
        raise web.HTTPBadRequest(text=f"{error}\n") from None
    request.app[SANDBOX].faults.add(fault)
    return await faults_json(request)


async def clear_faults(request: web.Request) -> web.Response:
    """Be well again."""
    request.app[SANDBOX].faults.clear()
    return await faults_json(request)


async def webhooks_json(request: web.Request) -> web.Response:
    """List every webhook and what became of it, oldest first."""
    return _json({"webhooks": list(request.app[COURIER].told)})


async def webhook_faults_json(request: web.Request) -> web.Response:
    """List the faults that befall webhooks."""
    return _json({"faults": msgspec.to_builtins(request.app[SANDBOX].webhook_faults.listed())})


async def add_webhook_fault(request: web.Request) -> web.Response:
    """Put one fault of webhooks in force."""
    try:
        fault = msgspec.json.decode(await request.read(), type=WebhookFault)
    except msgspec.DecodeError as error:
        raise web.HTTPBadRequest(text=f"{error}\n") from None
    request.app[SANDBOX].webhook_faults.add(fault)
    return await webhook_faults_json(request)


async def clear_webhook_faults(request: web.Request) -> web.Response:
    """Send webhooks well again."""
    request.app[SANDBOX].webhook_faults.clear()
    return await webhook_faults_json(request)


async def clear_state(request: web.Request) -> web.Response:
    """Forget every alert, request and rate."""
    request.app[SANDBOX].reset()
    return web.Response(status=204)


@web.middleware
async def _know_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Learn from the first request where the doors are, if nobody said so."""
    account = request.app[SANDBOX].account
    account.origin = account.origin or str(request.url.origin())
    return await handler(request)


async def _run(app: web.Application) -> AsyncIterator[None]:
    """Deliver webhooks and let time pass, as long as the doors are open."""
    await app[COURIER].start()
    clockwork = asyncio.create_task(_pass_time(app[SANDBOX]))
    yield
    clockwork.cancel()
    await asyncio.gather(clockwork, return_exceptions=True)
    await app[COURIER].close()
    app[SANDBOX].close()


async def _pass_time(sandbox: Sandbox) -> None:
    while True:
        await asyncio.sleep(_TICK)
        sandbox.incidents.tick()


def _asked_for(request: web.Request) -> Incident:
    incident = request.app[SANDBOX].incidents.numbered(int(request.match_info["number"]))
    if incident is None:
        raise web.HTTPNotFound(text="There is no such incident (or it was forgotten).")
    return incident


def _response(answer: Answer) -> web.Response:
    return web.Response(
        status=answer.status, body=answer.body, content_type=answer.content_type, headers=dict(answer.headers)
    )


async def _drip(request: web.Request, answer: Answer) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=dict(answer.headers))
    response.content_type = answer.content_type
    response.content_length = len(answer.body)
    await response.prepare(request)
    for byte in answer.body:
        await response.write(bytes([byte]))
        await asyncio.sleep(answer.drip)
    return response


def _reset(request: web.Request) -> web.Response:
    """End the connection with a TCP reset, as a broken middlebox does."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response(status=503)


def _json(shown: Mapping[str, Any]) -> web.Response:
    return web.Response(text=json.dumps(shown, indent=1) + "\n", content_type="application/json")


def _html(page: str) -> web.Response:
    # Events may carry anything, half a surrogate pair included: show what can be shown.
    return web.Response(
        body=page.encode(errors="replace"),
        content_type="text/html",
        charset="utf-8",
        headers={
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
        },
    )
