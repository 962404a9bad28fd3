"""What every door but the webhook's does around its own work: errors in words, and who may change things."""

import ipaddress
import re
import traceback
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

from aiohttp import web
from yarl import URL

from relay.errors import NotTaken, RelayError
from relay.web import replies
from relay.web.authentication import Doorkeeper, Unauthenticated, challenge, given
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


Failed = Callable[[int, str, int | None], web.Response]
"""How an error is said: the status, the words, and the seconds after which to come again."""


def worded(handler: Handler, doors: Doors, failed: Failed = replies.failed) -> Handler:
    """Answer what a handler raises with JSON in words; only what nobody foresaw is logged, with its traceback."""

    async def answer(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except RelayError as error:
            reply = failed(error.status_hint, str(error), 1 if isinstance(error, NotTaken) else None)
            if isinstance(error, Unauthenticated):
                challenge(reply)
            return reply
        except Exception as error:
            where = "".join(traceback.format_exception(error))[-1_900:]
            doors.log.error("request failed unexpectedly", path=request.path, traceback=where)
            return failed(503, "something is wrong inside the relay: see its log", 1)

    return answer


class Gate:
    """Lets in whoever may look, and whoever may change things: this machine, and operators by their credential.

    A source's credential is none: it is not looked at here.
    """

    def __init__(self, doors: Doors, keeper: Doorkeeper) -> None:
        self._doors = doors
        self._keeper = keeper
        self._guarded: set[Handler] = set()
        """Handlers that ask for more than a user's credential."""

    def users_only(self, handler: Handler) -> Handler:
        """Answer 401 where the web configuration lists users, and this is none; operators' doors ask for themselves."""
        if handler in self._guarded:
            return handler

        async def answer(request: web.Request) -> web.Response:
            self._keeper.check_rate()
            await self._keeper.reader(request)
            return await handler(request)

        return answer

    def operators_only(self, handler: Handler) -> Handler:
        """Answer 401 for a credential that is missing or wrong, 403 where none is of use."""

        async def answer(request: web.Request) -> web.Response:
            self._keeper.check_rate()
            if _is_another_site(request):
                raise Forbidden(f"{_act(request)} changes things, and is not for pages of other sites in a browser")
            known = self._credential(request)
            if known is None and not (_is_here(request) or self._keeper.is_this_machine(request)):
                raise await self._refusal(request)
            _let_in.set(known or HERE)
            return await handler(request)

        self._guarded.add(answer)
        return answer

    def _credential(self, request: web.Request) -> str | None:
        operators = self._doors.operators()
        return operators.known(*shown) if operators and (shown := given(request)) else None

    async def _refusal(self, request: web.Request) -> Unauthenticated:
        act = f"{_act(request)} changes things"
        if self._doors.operators() is None:
            raise Forbidden(
                f"{act} and is served on loopback only: ask on the machine itself, or start the relay with "
                "--web.operators-file to let operators in from elsewhere"
            )
        wrong = "Authorization" in request.headers
        await self._keeper.operator_refused(request, wrong=wrong)
        what = "this credential is no operator's" if wrong else "it needs an operator's credential"
        words = f"{act}: {what}; send it as HTTP Basic or as `Authorization: Bearer <secret>`"
        return Unauthenticated(words, "wrong" if wrong else "missing")


HERE = "this machine"
"""Who asks where no credential is needed."""
_let_in: ContextVar[str] = ContextVar("let_in", default="")


def operator() -> str:
    """Name whoever the request in hand is from, behind the gate."""
    return _let_in.get()


def _act(request: web.Request) -> str:
    return f"{request.method} {request.path[:200]}"


_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP")


def _is_here(request: web.Request) -> bool:
    """Say whether the peer is this machine: neither a proxy that speaks for another, nor a page in a browser."""
    if any(name in request.headers for name in _FORWARDED):
        return False
    if _is_another_site(request) or not _is_named_as_here(request):
        return False
    peer = request.transport.get_extra_info("peername") if request.transport else None
    if not isinstance(peer, tuple):
        return peer == ""  # a Unix socket
    address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _is_another_site(request: web.Request) -> bool:
    """Say whether a page of another site asks: a browser adds a known credential by itself."""
    said = request.headers.get("Sec-Fetch-Site")
    if said is not None:
        return said not in ("none", "same-origin")
    origin = request.headers.get("Origin")  # of browsers that do not say the other
    return origin is not None and origin.partition("://")[2] != request.host


def _is_named_as_here(request: web.Request) -> bool:
    """Say whether a browser, if it is one, asked for this machine: other names may be made to point here."""
    if "Sec-Fetch-Site" not in request.headers and "Origin" not in request.headers:
        return True
    host = (URL.build(scheme="http", authority=request.host).host or "") if _HOST.fullmatch(request.host) else ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_HOST = re.compile(r"[A-Za-z0-9.-]+(?::\d{1,5})?|\[[0-9A-Fa-f:.]+\](?::\d{1,5})?")
