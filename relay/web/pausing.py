"""/api/v1/pause: what is sent to nobody for a while; made and ended by operators."""

from collections.abc import Iterable

import msgspec
from aiohttp import web

from relay.answers.models import PauseAnswer, PausesAnswer
from relay.answers.words import clock as written
from relay.config.schema import duration
from relay.errors import NotTaken
from relay.pausing import Pausing
from relay.store import Pause
from relay.web import replies
from relay.web.bodies import Bodies
from relay.web.doors import Doors
from relay.web.middleware import BadRequest, operator

_PAST = 100
"""Pauses that are over, of which it still tells."""


class Asked(msgspec.Struct, rename={"length": "for"}, forbid_unknown_fields=True):
    """What a pause is asked with."""

    length: str
    """A duration: `30m`."""
    receiver: str = ""
    """Nothing for everything."""


class PauseDoors:
    """Makes, ends and lists pauses."""

    def __init__(self, doors: Doors, bodies: Bodies) -> None:
        self._doors = doors
        self._bodies = bodies

    async def list(self, _: web.Request) -> web.Response:
        """Say what is paused, and what was."""
        return self._said(self._pausing())

    async def pause(self, request: web.Request) -> web.Response:
        """Pause a receiver, or everything."""
        pausing = self._pausing()
        body = await self._bodies.read(request)
        try:
            asked = msgspec.json.decode(body, type=Asked)
            length = duration(asked.length)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise BadRequest(f'{error}: send {{"for": "30m"}}, and "receiver" if it is not for all') from None
        except ValueError as error:
            raise BadRequest(f'"for": {error}') from None
        finally:
            self._bodies.done(body)
        await pausing.pause(asked.receiver, length, operator())
        return self._said(pausing)

    async def resume(self, request: web.Request) -> web.Response:
        """End the pause of `receiver`, or all of them."""
        pausing = self._pausing()
        if unknown := next((name for name in request.query if name != "receiver"), None):
            raise BadRequest(f"unknown parameter {unknown[:80]!r}: this door knows receiver")
        answers = self._doors.answers()
        waits = {} if answers is None else await answers.due()
        held = {one: count for one, count in waits.items() if pausing.of(one) is not None}
        ended = await pausing.resume(request.query.get("receiver"), operator())
        due = sum(count for one, count in held.items() if pausing.of(one) is None)
        return self._said(pausing, ended, due)

    def _pausing(self) -> Pausing:
        pausing = self._doors.pausing()
        if pausing is None:
            raise NotTaken(f"not ready: {self._doors.not_ready() or 'the store is not open'}")
        return pausing

    def _said(self, pausing: Pausing, ended: Iterable[Pause] = (), due: int = 0) -> web.Response:
        paused, past = pausing.current.values(), pausing.past[:_PAST]
        said = PausesAnswer(paused=_answers(paused), past=_answers(past), resumed=_answers(ended), due=due)
        return replies.json(said)


def _answers(pauses: Iterable[Pause]) -> tuple[PauseAnswer, ...]:
    return tuple(map(_answer, pauses))


def _answer(pause: Pause) -> PauseAnswer:
    return PauseAnswer(
        receiver=pause.receiver or None,
        since=written(pause.since),
        until=written(pause.until),
        by=pause.by,
        ended_at=written(pause.ended_at),
        ended_by=pause.ended_by,
    )
