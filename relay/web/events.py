"""POST /v2/enqueue: takes events as PagerDuty's Events API v2 does, and answers as it does once they are on disk."""

from functools import partial

import msgspec
from aiohttp import web

from relay.errors import BadBody
from relay.ingress import pagerduty
from relay.intake import Accepted, Intake
from relay.web import replies
from relay.web.authentication import Doorkeeper
from relay.web.routing_keys import Whose
from relay.web.senders import Senders, Speaker, Speech


class Taken(msgspec.Struct, frozen=True):
    """The answer to an accepted event: clients want exactly this, and a 202."""

    dedup_key: str
    status: str = "success"
    message: str = "Event processed"


class Refused(msgspec.Struct, frozen=True):
    """The answer to any other: some clients read JSON alone, whatever the status is."""

    status: str
    message: str
    errors: tuple[str, ...]


class Events:
    """The door of events; the routing key in an event is its sender's credential."""

    def __init__(self, senders: Senders, keeper: Doorkeeper) -> None:
        self._senders = senders
        self._keeper = keeper
        self._speech = Speech("event", None, _answer, failed, faults, self._speaker, pagerduty.LARGEST)

    async def take(self, request: web.Request) -> web.Response:
        """Take one event: 202 once it is on disk, 400 if it can never work, 503 if it should come again; never 429."""
        return await self._senders.take(request, self._speech)

    async def _speaker(self, request: web.Request, body: bytes) -> Speaker:
        incoming = pagerduty.read(body)
        whose = await self._keeper.holder(request, incoming.routing_key.reveal())
        return Speaker(whose.source, partial(_accept, incoming, whose))


async def _accept(incoming: pagerduty.Incoming, whose: Whose, intake: Intake, body: bytes, source: str) -> Accepted:
    return await intake.accept_event(incoming, source, whose.receiver)


def _answer(accepted: Accepted, request: web.Request) -> web.Response:
    return replies.json(Taken(accepted.dedup_key), 202)


def faults(error: BadBody) -> web.Response:
    """Reply that a body can never work, with everything that is wrong with it."""
    errors = error.errors if isinstance(error, pagerduty.InvalidEvent) else (str(error),)
    return replies.json(Refused("invalid event", "Event object is invalid", errors), error.status_hint)


def failed(status: int, error: str, retry_after: int | None) -> web.Response:
    """Reply with what is wrong; `retry_after` in seconds."""
    if status == 413:
        error = f"the event is larger than {pagerduty.LARGEST} bytes"
    word, message = ("invalid event", "Event object is invalid") if status < 500 else ("unavailable", "Try again later")
    reply = replies.json(Refused(word, message, (error,)), status)
    if retry_after is not None:
        reply.headers["Retry-After"] = str(retry_after)
    return reply
