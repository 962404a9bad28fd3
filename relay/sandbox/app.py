"""The stand-in's HTTP doors: PagerDuty's own two, the administrator's, and the screens."""

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from relay.sandbox import screens
from relay.sandbox.faults import Fault
from relay.sandbox.state import ALERT_PATH, CHANGE_PATH, Answer, Sandbox, SandboxAlert, Settings

SANDBOX: web.AppKey[Sandbox] = web.AppKey("sandbox", Sandbox)

_MOST_READ = 64 * 1024 * 1024


def make_app(settings: Settings | None = None, *, sandbox: Sandbox | None = None) -> web.Application:
    """Build the stand-in as an application; its memory is at `app[SANDBOX]`, or is the one given."""
    app = web.Application(client_max_size=_MOST_READ)
    app[SANDBOX] = sandbox or Sandbox(settings)
    app.add_routes(
        [
            web.post(ALERT_PATH, enqueue),
            web.post(CHANGE_PATH, enqueue),
            web.get("/", alerts_page),
            web.get("/alerts/{number:[0-9]+}", alert_page),
            web.get("/sandbox/healthz", healthz),
            web.get("/sandbox/alerts.json", alerts_json),
            web.get("/sandbox/alerts/{number:[0-9]+}.json", alert_json),
            web.get("/sandbox/events.json", events_json),
            web.get("/sandbox/changes.json", changes_json),
            web.get("/sandbox/faults", faults_json),
            web.post("/sandbox/faults", add_fault),
            web.delete("/sandbox/faults", clear_faults),
            web.delete("/sandbox/state", clear_state),
        ]
    )
    app.on_cleanup.append(_close)
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


async def alerts_page(request: web.Request) -> web.Response:
    """Show open and past alerts to people."""
    return _html(screens.alerts(request.app[SANDBOX]))


async def alert_page(request: web.Request) -> web.Response:
    """Show one incident about as PagerDuty would."""
    return _html(screens.alert(request.app[SANDBOX], _asked_for(request)))


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
    alert = _asked_for(request)
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


async def clear_state(request: web.Request) -> web.Response:
    """Forget every alert, request and rate."""
    request.app[SANDBOX].reset()
    return web.Response(status=204)


async def _close(app: web.Application) -> None:
    app[SANDBOX].close()


def _asked_for(request: web.Request) -> SandboxAlert:
    alert = request.app[SANDBOX].alert(int(request.match_info["number"]))
    if alert is None:
        raise web.HTTPNotFound(text="There is no such incident (or it was forgotten).")
    return alert


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
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
        },
    )
