"""How Alertmanager's API says what was wrong: a JSON string, or `{code, message}` for what its own reader refuses."""

from collections.abc import Sequence

import msgspec
from aiohttp import web

from relay.errors import RelayError
from relay.rules.matchers import Matcher, MatcherError, parse_matcher
from relay.web import replies
from relay.web.doors import Doors
from relay.web.middleware import Handler, worded


class Refused(msgspec.Struct, frozen=True):
    """What go-openapi's reader says of a request that is not of the agreed form."""

    code: int
    message: str


class NotAsAgreed(RelayError):
    """This request is not of the form that api/v2/openapi.yaml asks for."""

    def __init__(self, status: int, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.status_hint = status
        self.code = status if code is None else code
        """The status, or one of go-openapi's own: 601 wrong type, 602 missing, 612 too few."""


class BadFilter(RelayError):
    """A filter cannot be read."""

    status_hint = 400


def spoken(handler: Handler, doors: Doors) -> Handler:
    """Answer what a handler raises as Alertmanager does; nothing here may be kept by a cache."""

    async def attempt(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except NotAsAgreed as error:
            return replies.json(Refused(error.code, str(error)), error.status_hint)

    answer = worded(attempt, doors, failed)

    async def kept_by_nobody(request: web.Request) -> web.Response:
        reply = await answer(request)
        reply.headers["Cache-Control"] = "no-store"
        return reply

    return kept_by_nobody


def failed(status: int, error: str, retry_after: int | None = None) -> web.Response:
    """Reply with an error as a JSON string; `retry_after` in seconds."""
    reply = replies.json(error, status)
    if retry_after is not None:
        reply.headers["Retry-After"] = str(retry_after)
    return reply


def filters(request: web.Request) -> tuple[Matcher, ...]:
    """Read every `filter=` as a matcher; raise BadFilter."""
    try:
        return tuple(parse_matcher(text)[0] for text in request.query.getall("filter", []))
    except MatcherError as error:
        raise BadFilter(str(error)) from None


_TRUE = frozenset({"true", "1", "yes", "ok", "y", "on", "selected", "checked", "t", "enabled"})
"""What counts as true, whatever its case; all else is false (go-openapi/swag convert.go)."""


def flag(request: web.Request, name: str) -> bool:
    """Read a yes or no; yes where it is not given."""
    given: Sequence[str] = request.query.getall(name, ["true"])
    return given[-1].lower() in _TRUE
