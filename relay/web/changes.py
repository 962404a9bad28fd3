"""POST /v2/change/enqueue: takes change events as PagerDuty does, and answers as it does once they are on disk."""

from functools import partial

import msgspec
from aiohttp import web

from relay.errors import NotTaken, StoreError
from relay.ingress import changes, pagerduty
from relay.intake import Accepted, Intake
from relay.web import replies
from relay.web.authentication import Doorkeeper
from relay.web.doors import Doors
from relay.web.events import failed, faults
from relay.web.routing_keys import Whose
from relay.web.senders import Senders, Speaker, Speech


class Processed(msgspec.Struct, frozen=True):
    """The answer to an accepted change event."""

    status: str = "success"
    message: str = "Change event processed"


class ChangeEvents:
    """The door of change events; the routing key in one is its sender's credential."""

    def __init__(self, doors: Doors, senders: Senders, keeper: Doorkeeper) -> None:
        self._doors = doors
        self._senders = senders
        self._keeper = keeper
        self._speech = Speech("change event", None, _answer, failed, faults, self._speaker, pagerduty.LARGEST)

    async def take(self, request: web.Request) -> web.Response:
        """Take one: 202 once it is on disk, 400 if it can never work, 503 if it should come again; never 429."""
        return await self._senders.take(request, self._speech)

    async def _speaker(self, request: web.Request, body: bytes) -> Speaker:
        incoming = changes.read(body)
        whose = await self._keeper.holder(request, incoming.routing_key.reveal())
        return Speaker(whose.source, partial(self._accept, incoming, whose))

    async def _accept(
        self, incoming: changes.IncomingChange, whose: Whose, intake: Intake, body: bytes, source: str
    ) -> Accepted:
        room = self._doors.changes()
        if room is None:
            raise NotTaken("not ready: the store is not open")
        if intake.trouble is not None:
            raise StoreError(intake.trouble)  # nobody waits for a store that takes no writes
        await room.accept(incoming.event, incoming.payload, source, whose.receiver)
        return Accepted({}, notes=tuple(note.because for note in incoming.notes))


def _answer(accepted: Accepted, request: web.Request) -> web.Response:
    return replies.json(Processed(), 202)
