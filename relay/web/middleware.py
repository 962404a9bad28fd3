"""What every door but the webhook's does around its own work: errors in words, and who may change things."""

import ipaddress
import traceback
from collections.abc import Awaitable, Callable

from aiohttp import web

from relay.errors import NotTaken, RelayError
from relay.web import replies
from relay.web.doors import Doors

Handler = Callable[[web.Request], Awaitable[web.Response]]


class BadRequest(RelayError):
    """A parameter makes no sense: say which, and what would."""

    status_hint = 400


class NotFound(RelayError):
    """There is nothing of that name."""

    status_hint = 404


class Forbidden(RelayError):
    """Who asks may not."""

    status_hint = 403


def worded(handler: Handler, doors: Doors) -> Handler:
    """Answer what a handler raises with JSON in words; only what nobody foresaw is logged, with its traceback."""

    async def answer(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except RelayError as error:
            return replies.failed(error.status_hint, str(error), 1 if isinstance(error, NotTaken) else None)
        except Exception as error:
            where = "".join(traceback.format_exception(error))[-1_900:]
            doors.log.error("request failed unexpectedly", path=request.path, traceback=where)
            return replies.failed(503, "something is wrong inside the relay: see its log", 1)

    return answer


def from_here(handler: Handler) -> Handler:
    """Let only this machine in: these doors change things, and there are no credentials yet."""

    async def answer(request: web.Request) -> web.Response:
        if not _is_here(request):
            raise Forbidden(
                f"{request.method} {request.path} changes things and is served on loopback only: ask on the machine "
                "itself, or send the process SIGHUP to reload"
            )
        return await handler(request)

    return answer


_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP")


def _is_here(request: web.Request) -> bool:
    """Say whether the peer is this machine: neither a proxy that speaks for another, nor a page in a browser."""
    if any(name in request.headers for name in _FORWARDED):
        return False
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return False
    peer = request.transport.get_extra_info("peername") if request.transport else None
    if not isinstance(peer, tuple):
        return peer == ""  # a Unix socket
    address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
