"""/api/v2/silences and /api/v2/silence/{id}: silences made, changed, listed and ended, as amtool does it."""

import re
from datetime import UTC, datetime
from typing import TypeVar

import msgspec
from aiohttp import web

from relay.alert import Instant, instant
from relay.answers import alertmanager as models
from relay.errors import NotTaken
from relay.rules.matcher_syntax import Triple
from relay.rules.silences import Posted
from relay.silencing import Silencer
from relay.web import replies
from relay.web.api_v2.speech import NotAsAgreed, filters
from relay.web.bodies import Bodies
from relay.web.doors import Doors
from relay.web.middleware import operator


class SilenceDoors:
    """Those that change things must stand behind the gate."""

    def __init__(self, doors: Doors, bodies: Bodies) -> None:
        self._doors = doors
        self._bodies = bodies

    async def list(self, request: web.Request) -> web.Response:
        """List silences: active ones first, those that have ended last."""
        wanted, silencer = filters(request), self._silencer()
        return replies.json([models.silence(one, silencer.now()) for one in silencer.list(wanted)])

    async def post(self, request: web.Request) -> web.Response:
        """Make a silence, or change the one whose id is given."""
        _check_type(request)
        body = await self._bodies.read(request)
        try:
            posted = _posted(body)
        finally:
            self._bodies.done(body)
        made = await self._silencer().put(posted, operator())
        return replies.json(models.SilenceMade(silence_id=made.id))

    async def get(self, request: web.Request) -> web.Response:
        """Show one silence."""
        silencer = self._silencer()
        found = silencer.get(_id(request))
        if found is None:
            return web.Response(status=404)  # without a word, as Alertmanager
        return replies.json(models.silence(found, silencer.now()))

    async def delete(self, request: web.Request) -> web.Response:
        """End a silence now."""
        await self._silencer().expire(_id(request), operator())
        return web.Response()

    def _silencer(self) -> Silencer:
        silencer = self._doors.silencer()
        if silencer is None:
            raise NotTaken(f"not ready: {self._doors.not_ready() or 'the store is not open'}")
        return silencer


Value = TypeVar("Value")

_UUID = re.compile(r"[0-9A-Fa-f]{8}(-?)[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{12}")


def _id(request: web.Request) -> str:
    asked = request.match_info["silence_id"]
    if not _UUID.fullmatch(asked):
        raise NotAsAgreed(422, f'silenceID in path must be of type uuid: "{asked[:80]}"', 601)
    return asked


def _check_type(request: web.Request) -> None:
    if request.content_type != "application/json":
        what = f'unsupported media type "{request.content_type[:80]}", only [application/json] are allowed'
        raise NotAsAgreed(415, what)


class _Matcher(msgspec.Struct, rename={"is_regex": "isRegex", "is_equal": "isEqual"}):
    """A matcher as it comes."""

    is_regex: bool | None = None
    name: str | None = None
    value: str | None = None
    is_equal: bool | None = None

    def triple(self, at: int) -> Triple:
        """Give operator, name and value; raise NotAsAgreed for what is missing."""
        is_regex = _given(self.is_regex, f"matchers.{at}.isRegex")
        name, value = _given(self.name, f"matchers.{at}.name"), _given(self.value, f"matchers.{at}.value")
        if self.is_equal is False:
            return ("!~" if is_regex else "!="), name, value
        return ("=~" if is_regex else "="), name, value


class _Body(msgspec.Struct, rename="camel"):
    """A silence as it comes; what must be there is checked afterwards, to say it in Alertmanager's words."""

    id: str | None = None
    comment: str | None = None
    created_by: str | None = None
    ends_at: str | None = None
    matchers: list[_Matcher | None] | None = None
    starts_at: str | None = None


_decode = msgspec.json.Decoder(_Body | None).decode


def _posted(body: bytes) -> Posted:
    """Read a posted silence; checks go in Alertmanager's order, and the first fault is told."""
    if not body.strip():
        raise NotAsAgreed(422, "silence in body is required", 602)
    try:
        read = _decode(body) or _Body()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(str(error)) from None
    starts_at = None if read.starts_at is None else _time(read.starts_at)
    ends_at = None if read.ends_at is None else _time(read.ends_at)
    comment, created_by = _given(read.comment, "comment"), _given(read.created_by, "createdBy")
    end = _given(ends_at, "endsAt")
    matchers = _given(read.matchers, "matchers")
    if not matchers:
        raise NotAsAgreed(422, "matchers in body should have at least 1 items", 612)
    triples = tuple((matcher or _Matcher()).triple(at) for at, matcher in enumerate(matchers))
    start = _given(starts_at, "startsAt")
    return Posted(triples, start, end, created_by, comment, read.id or "")


def _unreadable(why: str) -> NotAsAgreed:
    return NotAsAgreed(400, f'parsing silence body from "" failed, because {why}')


def _given(value: Value | None, name: str) -> Value:
    if value is None:
        raise NotAsAgreed(422, f"{name} in body is required", 602)
    return value


def _time(text: str) -> Instant:
    """Read RFC 3339, also with a blank for the T and without a zone, which is UTC then (go-openapi/strfmt time.go)."""
    try:
        read = msgspec.convert(text, datetime)
        return instant(read if read.tzinfo else read.replace(tzinfo=UTC))
    except (msgspec.ValidationError, OverflowError):
        raise _unreadable(f'"{text[:80]}" is no time: write 2026-11-23T12:00:00Z') from None
