"""What every door does that senders post to: it bounds what is in hand, and says what to send again and what never."""

import re
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from aiohttp import web

from relay import failpoints
from relay.errors import BadBody, NotTaken, RelayError, StoreError, TooLarge
from relay.intake import Accepted, Intake
from relay.web.bodies import Bodies, Interrupted
from relay.web.doors import Doors

SOURCE = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""What a source may be called in the path."""
_COME_AGAIN = 1
"""Seconds for Retry-After. Alertmanager retries a 5xx by itself, and nothing else (notify/webhook/webhook.go)."""


class Speech(NamedTuple):
    """How one kind of sender is listened to and answered."""

    name: str
    """For the log: `webhook`."""
    accept: Callable[[Intake, bytes, str], Awaitable[Accepted]]
    answer: Callable[[Accepted, web.Request], web.Response]
    failed: Callable[[int, str, int | None], web.Response]
    """Of a status, what was wrong, and the seconds after which to come again."""

    def line(self, became: str) -> str:
        """Say in a line of the log what became of a body."""
        return f"{self.name} {became}"


class Senders:
    """Takes bodies in any speech. One per process: it bounds what is in hand."""

    def __init__(self, doors: Doors, bodies: Bodies) -> None:
        self._doors = doors
        self._bodies = bodies
        self._judging = 0

    async def take(self, request: web.Request, speech: Speech) -> web.Response:
        """Take one body: 200 once it is on disk, 4xx if it can never work, 503 if it should come again."""
        began = time.monotonic()
        source = request.match_info.get("source", "")
        if source and not SOURCE.fullmatch(source):
            words = f"no source can be called {source[:80]!r}: use 1 to 64 of A-Z a-z 0-9 . _ -"
            return speech.failed(404, words, None)
        size = 0
        try:
            self._check_open()
            body = await self._bodies.read(request)
            size = len(body)
            try:
                reply = speech.answer(await self._judged(body, source, speech), request)
                failpoints.reached("accept.before_reply")
            finally:
                self._bodies.done(body)
        except Exception as error:  # whatever it is: the sender must come again, and a person must read of it
            reply = self._refuse(error, source, speech)
        self._doors.metrics.requested(source, reply.status, size, time.monotonic() - began)
        return reply

    def _check_open(self) -> None:
        reason = self._doors.not_ready()
        if reason is not None:
            raise NotTaken(f"not ready: {reason}")

    async def _judged(self, body: bytes, source: str, speech: Speech) -> Accepted:
        intake = self._doors.intake()
        if intake is None:
            raise NotTaken("not ready: the store is not open")
        if self._judging >= self._doors.limits.requests:
            raise NotTaken("too many requests in hand; send it again in a moment")
        self._judging += 1
        try:
            accepted = await speech.accept(intake, body, source)
        finally:
            self._judging -= 1
        if accepted.refused:
            self._doors.log.warning(speech.line("refused in part"), source=source, error="; ".join(accepted.refused))
        return accepted

    def _refuse(self, error: Exception, source: str, speech: Speech) -> web.Response:
        log, metrics = self._doors.log, self._doors.metrics
        match error:
            case BadBody():
                metrics.invalid(error.reason)
                log.warning(speech.line("refused"), source=source, error=str(error))
            case TooLarge():
                metrics.invalid("too_large")
                log.error(speech.line("refused"), source=source, error=str(error))
            case StoreError():
                metrics.store_failed("keep")
                log.error(speech.line("not taken"), source=source, error=str(error))
            case Interrupted():
                log.info(speech.line("interrupted"), source=source)
            case RelayError():
                log.warning(speech.line("not taken"), source=source, error=str(error))
            case _:
                where = "".join(traceback.format_exception(error))[-1_900:]
                log.error(speech.line("failed unexpectedly"), source=source, traceback=where)
                return speech.failed(503, "something is wrong inside the relay: see its log", _COME_AGAIN)
        status = error.status_hint
        return speech.failed(status, str(error), _COME_AGAIN if status == 503 else None)
