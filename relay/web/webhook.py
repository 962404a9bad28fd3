"""POST /webhook: takes Alertmanager's bodies, and answers once what they say is on disk."""

import re
import time
import traceback

import msgspec
from aiohttp import web

from relay.decision import Decision
from relay.errors import BadBody, NotTaken, RelayError, StoreError, TooLarge
from relay.intake import Accepted
from relay.web import replies
from relay.web.bodies import Bodies, Interrupted
from relay.web.doors import Doors

SOURCE = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""What a source may be called in the path."""
SHOWN = 100
"""Decisions in an answer; all of them with `?verbose`."""
_COME_AGAIN = 1
"""Seconds for Retry-After. Alertmanager retries a 5xx by itself, and nothing else (notify/webhook/webhook.go)."""


class Told(msgspec.Struct, frozen=True):
    """What became of one alert, as the sender is told."""

    fingerprint: str
    alertname: str
    status: str
    verdict: str
    pages: tuple[str, ...]
    steps: tuple[str, ...]


class Taken(msgspec.Struct, frozen=True):
    """The answer to an accepted body."""

    status: str
    outcomes: dict[str, int]
    decisions: list[Told]
    more: int
    """Decisions that are not listed."""
    notes: tuple[str, ...]


class Webhook:
    """The webhook's door. One per process: it bounds what is in hand."""

    def __init__(self, doors: Doors, bodies: Bodies) -> None:
        self._doors = doors
        self._bodies = bodies
        self._judging = 0

    async def take(self, request: web.Request) -> web.Response:
        """Take one body: 200 once it is on disk, 4xx if it can never work, 503 if it should come again."""
        began = time.monotonic()
        source = request.match_info.get("source", "")
        if source and not SOURCE.fullmatch(source):
            return replies.failed(404, f"no source can be called {source[:80]!r}: use 1 to 64 of A-Z a-z 0-9 . _ -")
        size = 0
        try:
            self._check_open()
            body = await self._bodies.read(request)
            size = len(body)
            try:
                reply = await self._judge(request, body, source)
            finally:
                self._bodies.done(body)
        except Exception as error:  # whatever it is: the sender must come again, and a person must read of it
            reply = self._refuse(error, source)
        self._doors.metrics.requested(source, reply.status, size, time.monotonic() - began)
        return reply

    def _check_open(self) -> None:
        reason = self._doors.not_ready()
        if reason is not None:
            raise NotTaken(f"not ready: {reason}")

    async def _judge(self, request: web.Request, body: bytes, source: str) -> web.Response:
        intake = self._doors.intake()
        if intake is None:
            raise NotTaken("not ready: the store is not open")
        if self._judging >= self._doors.limits.requests:
            raise NotTaken("too many requests in hand; send it again in a moment")
        self._judging += 1
        try:
            accepted = await intake.accept(body, source)
        finally:
            self._judging -= 1
        return replies.json(_taken(accepted, request))

    def _refuse(self, error: Exception, source: str) -> web.Response:
        match error:
            case BadBody():
                self._doors.metrics.invalid(error.reason)
                self._doors.log.warning("webhook refused", source=source, error=str(error))
            case TooLarge():
                self._doors.metrics.invalid("too_large")
                self._doors.log.error("webhook refused", source=source, error=str(error))
            case StoreError():
                self._doors.metrics.store_failed("keep")
                self._doors.log.error("webhook not taken", source=source, error=str(error))
            case Interrupted():
                self._doors.log.info("webhook interrupted", source=source)
            case RelayError():
                self._doors.log.warning("webhook not taken", source=source, error=str(error))
            case _:
                where = "".join(traceback.format_exception(error))[-1_900:]
                self._doors.log.error("webhook failed unexpectedly", source=source, traceback=where)
                return replies.failed(503, "something is wrong inside the relay: see its log", _COME_AGAIN)
        status = error.status_hint
        return replies.failed(status, str(error), _COME_AGAIN if status == 503 else None)


def _taken(accepted: Accepted, request: web.Request) -> Taken:
    decisions = accepted.decisions
    if len(decisions) > SHOWN and "verbose" not in request.query:
        decisions = decisions[:SHOWN]
    told = [_told(decision) for decision in decisions]
    outcomes = {verdict: count for verdict, count in accepted.outcomes.items() if count}
    return Taken("ok", outcomes, told, len(accepted.decisions) - len(told), accepted.notes)


def _told(decision: Decision) -> Told:
    return Told(
        decision.fingerprint,
        decision.alertname,
        decision.status,
        decision.verdict.value,
        decision.pages,
        tuple([step.because for step in decision.steps]),
    )
