"""/api/v1: the relay's own JSON; prints view models from relay/answers and nothing else."""

from collections.abc import Callable
from enum import Enum
from typing import TypeVar

from aiohttp import web

from relay.alert import Instant
from relay.answers import Answers, Asking, Pages
from relay.answers.times import read_time
from relay.errors import NotTaken
from relay.ingress import pagerduty
from relay.page import State, Wanted, page_number
from relay.web import replies
from relay.web.bodies import Bodies
from relay.web.doors import Doors
from relay.web.middleware import BadRequest, NotFound
from relay.web.routing_keys import Whose

MOST = 1_000
"""The largest `limit`."""
_DEFAULT = 100

Word = TypeVar("Word", bound=Enum)


class Api:
    """Pages, decisions, status and explain."""

    def __init__(self, doors: Doors, bodies: Bodies) -> None:
        self._doors = doors
        self._bodies = bodies

    async def pages(self, request: web.Request) -> web.Response:
        """List pages."""
        asked = _asked(
            request,
            *("dedup_key", "fingerprint", "incident", "wanted", "delivered", "waiting", "dead", "receiver"),
            *("limit", "after", "order", "due"),
        )
        if _read(asked, "order", ("id", "need").index, "'need', or leave it out for the order of ids"):
            return replies.json(await self._pages_by_need(asked))
        if "due" in asked:
            raise BadRequest("due goes with order=need")
        found = await self._answers().pages(
            dedup_key=asked.get("dedup_key"),
            fingerprint=asked.get("fingerprint"),
            incident=asked.get("incident"),
            wanted=_word(asked, "wanted", Wanted),
            delivered=_word(asked, "delivered", State),
            waiting=_yes(asked, "waiting"),
            dead=_yes(asked, "dead"),
            receiver=asked.get("receiver"),
            limit=_limit(asked),
            after=_page(asked, "after"),
        )
        return replies.json(found)

    async def _pages_by_need(self, asked: dict[str, str]) -> Pages:
        alone = ("dedup_key", "fingerprint", "incident", "waiting", "after")
        if other := next((name for name in alone if name in asked), None):
            raise BadRequest(f"{other} does not go with order=need")
        return await self._answers().pages_by_need(
            dead=_yes(asked, "dead") or False,
            due=_yes(asked, "due") or False,
            wanted=_word(asked, "wanted", Wanted),
            delivered=_word(asked, "delivered", State),
            receiver=asked.get("receiver"),
            limit=_limit(asked),
        )

    async def page(self, request: web.Request) -> web.Response:
        """Show one page."""
        name = request.match_info["id"]
        number = page_number(name)
        found = None if number is None else await self._answers().page(number)
        if found is None:
            raise NotFound(
                f"there is no page {name[:80]!r}: ids are 13 letters and digits, /api/v1/pages lists them, and closed "
                "pages are forgotten after the retention time"
            )
        return replies.json(found, readable=_in_a_browser(request))

    async def decisions(self, request: web.Request) -> web.Response:
        """List decisions, newest first."""
        asked = _asked(request, "page", "fingerprint", "source", "limit", "before")
        found = await self._answers().decisions(
            page=_page(asked, "page"),
            fingerprint=asked.get("fingerprint"),
            source=asked.get("source"),
            limit=_limit(asked),
            before=_read(asked, "before", _entry, "a whole number, as `next` gives it"),
        )
        return replies.json(found)

    async def status(self, _: web.Request) -> web.Response:
        """Say how the relay is doing."""
        return replies.json(await self._answers().status())

    async def explain(self, request: web.Request) -> web.Response:
        """Say what would become of a webhook body; writes nothing."""
        asked = _asked(request, "source", "verbose", "events", "no_silences", "time")
        body = await self._bodies.read(request)
        try:
            source, receiver = self._whose(body, asked.get("source", ""))
            found = await self._answers().explain(body, source, receiver=receiver, asking=_asking(asked))
        finally:
            self._bodies.done(body)
        return replies.json(found)

    def _whose(self, body: bytes, source: str) -> Whose:
        """Say from whom a body would come: an event says so by its routing key."""
        if source or not pagerduty.is_event(body):
            return Whose(source, "")
        return self._doors.routing_keys(pagerduty.read(body).routing_key.reveal()) or Whose("", "")

    def _answers(self) -> Answers:
        answers = self._doors.answers()
        if answers is None:
            raise NotTaken(f"not ready: {self._doors.not_ready() or 'the store is not open'}")
        return answers


def _in_a_browser(request: web.Request) -> bool:
    """Say whether a person looks at the answer: then it is written to be read."""
    return "text/html" in request.headers.get("Accept", "")


def _asked(request: web.Request, *known: str) -> dict[str, str]:
    """Return the parameters; raise BadRequest for one that this door does not know, or that is given twice."""
    asked: dict[str, str] = {}
    for name, value in request.query.items():
        if name not in known:
            raise BadRequest(f"unknown parameter {name[:80]!r}: this door knows {', '.join(known)}")
        if name in asked:
            raise BadRequest(f"parameter {name!r} is given twice")
        asked[name] = value
    return asked


def _asking(asked: dict[str, str]) -> Asking:
    return Asking(
        at=_read(
            asked,
            "time",
            lambda text: read_time(text.replace(" ", "+")),
            "a time as RFC3339 has it, such as 2026-11-24T03:00:00Z",
        ),
        silences="no_silences" not in asked,
        events="events" in asked,
        everything="verbose" in asked,
    )


def _time(text: str) -> Instant:
    return read_time(text.replace(" ", "+"))  # in a query a bare + is a blank


def _limit(asked: dict[str, str]) -> int:
    limit = _read(asked, "limit", int, "a whole number")
    if limit is None:
        return _DEFAULT
    if not 1 <= limit <= MOST:
        raise BadRequest(f"limit={limit}: from 1 to {MOST}")
    return limit


def _word(asked: dict[str, str], name: str, words: type[Word]) -> Word | None:
    return _read(asked, name, words, "one of " + ", ".join(repr(str(word.value)) for word in words))


def _yes(asked: dict[str, str], name: str) -> bool | None:
    return _read(asked, name, ("true",).index, "true, or leave it out") == 0 or None


def _page(asked: dict[str, str], name: str) -> int | None:
    return _read(asked, name, _number, "a page id, 13 letters and digits")


def _number(text: str) -> int:
    number = page_number(text)
    if number is None:
        raise ValueError(text)
    return number


def _entry(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**63:
        raise ValueError(text)
    return number


Value = TypeVar("Value")


def _read(asked: dict[str, str], name: str, read: Callable[[str], Value], what: str) -> Value | None:
    if name not in asked:
        return None
    try:
        return read(asked[name])
    except ValueError:
        raise BadRequest(f"{name}={asked[name][:80]!r}: give {what}") from None
