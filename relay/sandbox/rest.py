"""The door of the stand-in's REST API: credentials, rate, errors and pages of lists, as PagerDuty has them."""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from relay.sandbox.account import User
from relay.sandbox.faults import Fault
from relay.sandbox.shapes import Shape, Shapes
from relay.sandbox.state import Sandbox
from relay.sandbox.times import parse

_WINDOW = 60.0
_FARTHEST = 10_000
_LARGEST_PAGE = 100


class Refused(Exception):
    """What PagerDuty answers to a call that it does not carry out."""

    def __init__(self, status: int, message: str, code: int, *errors: str) -> None:
        super().__init__(message)
        self.status = status
        told: Shape = {"message": message, "code": code} | ({"errors": list(errors)} if errors else {})
        self.errors = errors
        self.body: Shape = {"error": told if code else message}


def invalid(*errors: str) -> Refused:
    """Refuse what was asked for: 400."""
    return Refused(400, "Invalid Input Provided", 2001, *errors)


def not_found() -> Refused:
    """Refuse a call about nothing: 404."""
    return Refused(404, "Not Found", 2100)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the REST API that may pass: what is asked for, and by whom."""

    sandbox: Sandbox
    request: web.Request
    shapes: Shapes
    owner: User | None
    """Whose token it is; none: the account's."""
    body: Shape = field(default_factory=dict)

    def word(self, name: str) -> str:
        """Return a part of the path."""
        return self.request.match_info[name]

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of the query, written `name[]=a&name[]=b`."""
        return tuple(self.request.query.getall(f"{name}[]", ()))

    def text(self, name: str) -> str:
        """Return one value of the query, "" if it is not there."""
        return self.request.query.get(name, "")

    @property
    def include(self) -> frozenset[str]:
        """Say which references shall be whole objects."""
        return frozenset(self.texts("include"))

    def time(self, name: str) -> float | None:
        """Return a point in time of the query."""
        return moment(self.text(name), name) if self.text(name) else None

    def asked(self, name: str) -> Shape:
        """Return the object that the body wraps."""
        found = self.body.get(name)
        if not isinstance(found, dict):
            raise invalid(f"{name} must be a Hash")
        return found

    @property
    def actor(self) -> User:
        """Say who acts: the token's owner, or the user whose address is in the header From."""
        address = self.request.headers.get("From", "")
        if not address and self.owner is not None:
            return self.owner
        if not address:
            words = 'You must specify a user\'s email address in the "From" header to perform this action'
            raise Refused(400, words, 2016)
        user = next((user for user in self.sandbox.account.users if user.email == address), None)
        if user is None:
            raise Refused(400, "Requester User Not Found", 1008)
        return user

    def page(self, name: str, items: Sequence[Any], write: Callable[[Any], Shape]) -> Shape:
        """Return one page of a list, by classic pagination: limit, offset, more."""
        limit, offset = self._number("limit", 25), self._number("offset", 0)
        limit = min(limit or 1, _LARGEST_PAGE)
        if offset + limit > _FARTHEST:
            raise invalid("Offset plus limit cannot be greater than 10000")
        wants_total = self.text("total") in ("true", "1")
        return {
            name: [write(item) for item in items[offset : offset + limit]],
            "limit": limit,
            "offset": offset,
            "total": len(items) if wants_total else None,
            "more": offset + limit < len(items),
        }

    def _number(self, name: str, default: int) -> int:
        text = self.text(name)
        if not text:
            return default
        if not (text.isascii() and text.isdecimal()):
            raise invalid(f"{name.capitalize()} must be a whole number of at least 0")
        return int(text[:9])


Door = Callable[[Call], "Shape | list[Shape] | None"]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Rates:
    """How often each token called within the last minute."""

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._now = clock
        self._calls: dict[str, deque[float]] = {}

    def count(self, token: str) -> tuple[bool, dict[str, str]]:
        """Count a call; say whether it may pass, and in which headers PagerDuty tells the rate."""
        if not self._limit:
            return True, {}
        now, calls = self._now(), self._calls.setdefault(token, deque())
        while calls and calls[0] <= now - _WINDOW:
            calls.popleft()
        passes = len(calls) < self._limit
        if passes:
            calls.append(now)
        reset = max(1, round(calls[0] + _WINDOW - now))
        left = self._limit - len(calls)
        return passes, {
            "ratelimit-limit": str(self._limit),
            "ratelimit-remaining": str(left),
            "ratelimit-reset": str(reset),
        }


class RestDoor:
    """Makes handlers of doors: each call passes faults, credentials and rate before it is carried out."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._shapes = Shapes(sandbox.account)
        self._rates = Rates(sandbox.settings.rate_calls, sandbox.now)

    def handler(self, door: Door, status: int = 200) -> Handler:
        """Make a handler that answers `status` where the door refuses nothing."""

        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            fault = self._sandbox.rest_fault(request.method, request.path)
            if fault is not None and fault.latency:
                await asyncio.sleep(fault.latency)
            if fault is not None and fault.drop == "before" and request.transport is not None:
                request.transport.abort()
                return web.Response(status=503)
            answered, headers, shape = self._answer(request, body, door, status, fault)
            if fault is not None and fault.drop and request.transport is not None:
                request.transport.abort()
            if shape is None:
                return web.Response(status=answered, headers=headers)
            if isinstance(shape, str):
                return web.Response(status=answered, headers=headers, text=shape)
            text = json.dumps(shape)
            return web.Response(status=answered, headers=headers, text=text, content_type="application/json")

        return handle

    def _answer(
        self, request: web.Request, body: bytes, door: Door, status: int, fault: Fault | None
    ) -> tuple[int, dict[str, str], Shape | list[Shape] | str | None]:
        headers: dict[str, str] = {}
        try:
            if fault is not None and fault.status is not None and not fault.ingest:
                raise _Spoilt(fault)
            token, owner = self._credential(request)
            passes, headers = self._rates.count(token)
            if not passes:
                raise Refused(429, "Rate Limit Exceeded", 2020)
            shape = door(Call(self._sandbox, request, self._shapes, owner, _read(body)))
            if fault is not None and fault.status is not None:
                raise _Spoilt(fault)
        except Refused as refused:
            return refused.status, headers, refused.body
        except _Spoilt as spoilt:
            return spoilt.answer
        return status, headers, shape

    def _credential(self, request: web.Request) -> tuple[str, User | None]:
        scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
        token = rest.strip()
        if scheme.lower() == "token" and token.startswith("token="):
            token = token.removeprefix("token=").strip('"')
        elif scheme.lower() != "bearer":
            token = ""
        known = self._sandbox.settings.tokens
        if not token or (known and token not in known):
            raise Refused(401, "Authentication Failed", 2006)
        return token, self._sandbox.account.user(known.get(token, ""))


def moment(value: object, name: str) -> float:
    """Read a point in time that a caller gave. Raises Refused."""
    try:
        return parse(value if isinstance(value, str) else "")
    except ValueError:
        raise invalid(f"{name} must be an ISO 8601 date and time") from None


def referred(value: object, name: str) -> str:
    """Return the id of an object that a caller refers to. Raises Refused."""
    found = value.get("id") if isinstance(value, dict) else None
    if not isinstance(found, str) or not found:
        raise invalid(f"{name} must be a reference with an id")
    return found


def _read(body: bytes) -> Shape:
    if not body:
        return {}
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise invalid("params must be a Hash")
    return read


class _Spoilt(Exception):
    """A fault has it that something else is answered."""

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        headers = {"Retry-After": fault.retry_after, "Location": fault.location}
        status = fault.status or 500
        body: Shape = {"error": {"message": "Internal Server Error", "code": 2000}}
        if status == 429:
            body = {"error": {"message": "Rate Limit Exceeded", "code": 2020}}
        self.answer: tuple[int, dict[str, str], Shape | str] = (
            status,
            {name: str(value) for name, value in headers.items() if value is not None},
            body if fault.body is None else fault.body,
        )
