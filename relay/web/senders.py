"""What every door does that senders post to: it bounds what is in hand, and says what to send again and what never."""

import re
import time
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec
from aiohttp import web

from relay import failpoints
from relay.alert import moment
from relay.errors import BadBody, NotTaken, RelayError, StoreError
from relay.ingress.alertmanager import glimpse
from relay.intake import Accepted, Intake
from relay.logs import clean
from relay.web.authentication import Doorkeeper, OtherSource, Unauthenticated, UnknownKey, challenge
from relay.web.bodies import Bodies, Interrupted, Oversized
from relay.web.doors import Doors

SOURCE = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""What a source may be called in the path."""
_SOURCES = 1_000
_COME_AGAIN = 1
"""Seconds for Retry-After. Alertmanager retries a 5xx by itself, and nothing else (notify/webhook/webhook.go)."""


Accept = Callable[[Intake, bytes, str], Awaitable[Accepted]]


class Speaker(NamedTuple):
    """Who sent a body, and how it is taken, where it takes the body to know."""

    source: str
    accept: Accept


async def _unnamed(request: web.Request, body: bytes) -> Speaker:
    raise BadBody(f"nothing says who speaks at {request.path}")


class Speech(NamedTuple):
    """How one kind of sender is listened to and answered."""

    name: str
    """For the log: `webhook`."""
    accept: Accept | None
    """None: the body itself says who speaks, which `speaker` reads."""
    answer: Callable[[Accepted, web.Request], web.Response]
    failed: Callable[[int, str, int | None], web.Response]
    """Of a status, what was wrong, and the seconds after which to come again."""
    refused: Callable[[BadBody], web.Response] | None = None
    """Of a body that can never work; None: as `failed` says it."""
    speaker: Callable[[web.Request, bytes], Awaitable[Speaker]] = _unnamed
    largest: int = 0
    """Bytes of the largest body; 0: as the doors have it."""

    def line(self, became: str) -> str:
        """Say in a line of the log what became of a body."""
        return f"{self.name} {became}"


SAMPLES = 20
"""Refused bodies of which the beginning is kept, in memory, for who must mend their sender."""
_SAMPLE = 500
"""Characters of each."""
_SECRET_LIKE = re.compile(r"[A-Za-z0-9_+-]{32,}|(?<=://)[^/@\s]+(?=@)|(?<=_key)[\"'=:\s]{1,9}[^\s\"',&}]+")


class Sample(msgspec.Struct, frozen=True):
    """The beginning of a body that was refused."""

    at: str
    source: str
    peer: str
    error: str
    start: str


class Samples(msgspec.Struct, frozen=True):
    """Bodies that were refused, newest first."""

    refused: tuple[Sample, ...]


class Senders:
    """Takes bodies in any speech. One per process: it bounds what is in hand."""

    def __init__(self, doors: Doors, bodies: Bodies, keeper: Doorkeeper) -> None:
        self._doors = doors
        self._bodies = bodies
        self._keeper = keeper
        self._judging = 0
        self._heard: set[str] = set()
        """Sources of which a body was taken."""
        self._samples: deque[Sample] = deque(maxlen=SAMPLES)

    def samples(self) -> Samples:
        """List refused bodies, newest first."""
        return Samples(tuple(self._samples))

    async def take(self, request: web.Request, speech: Speech) -> web.Response:
        """Take one body: 200 once it is on disk, 4xx if it can never work, 503 if it should come again."""
        began = time.monotonic()
        source = request.match_info.get("source", "")
        if source and not SOURCE.fullmatch(source):
            words = f"no source can be called {source[:80]!r}: use 1 to 64 of A-Z a-z 0-9 . _ -"
            return speech.failed(404, words, None)
        body = b""
        try:
            self._check_open()
            self._keeper.check_rate()
            if speech.accept is not None:
                source = await self._keeper.sender(request, source)
            body = await self._bodies.read(request, speech.largest)
            try:
                accept = speech.accept
                if accept is None:
                    source, accept = await speech.speaker(request, body)
                reply = speech.answer(await self._judged(body, source, accept, speech), request)
                failpoints.reached("accept.before_reply")
            finally:
                self._bodies.done(body)
        except (Unauthenticated, OtherSource, UnknownKey) as error:
            source, reply = self._known(source), _unauthenticated(error, speech)
            if isinstance(error, UnknownKey):  # its client may show the status alone
                self._keep_sample(error, body, source, request)
        except Exception as error:  # whatever it is: the sender must come again, and a person must read of it
            reply = self._refuse(error, source, speech)
            if isinstance(error, BadBody | Oversized):
                self._keep_sample(error, body, source, request)
        self._doors.metrics.requested(source, reply.status, len(body), time.monotonic() - began)
        return reply

    def _check_open(self) -> None:
        reason = self._doors.not_ready()
        if reason is not None and not self._doors.pages_anyway():
            raise NotTaken(f"not ready: {reason}")

    async def _judged(self, body: bytes, source: str, accept: Accept, speech: Speech) -> Accepted:
        intake = self._doors.intake()
        if intake is None:
            raise NotTaken("not ready: the store is not open")
        if self._judging >= self._doors.limits.requests:
            raise NotTaken("too many requests in hand; send it again in a moment")
        self._judging += 1
        try:
            accepted = await accept(intake, body, source)
        finally:
            self._judging -= 1
        if len(self._heard) < _SOURCES:
            self._heard.add(source)
        if accepted.refused:
            self._doors.log.warning(speech.line("refused in part"), source=source, error="; ".join(accepted.refused))
        return accepted

    def _refuse(self, error: Exception, source: str, speech: Speech) -> web.Response:
        log, metrics = self._doors.log, self._doors.metrics
        match error:
            case BadBody():
                metrics.invalid(error.reason)
                log.warning(speech.line("refused"), source=source, error=str(error))
                if source in self._heard and speech.accept is not None:  # else it may be anybody's
                    self._doors.ring("body_refused", f"{_named(source)} posted what is no {speech.name}: {error}")
            case Oversized():
                seen = clean(glimpse(error.start))
                metrics.invalid("too_large")
                log.error(speech.line("refused"), source=source, error=str(error), seen=seen)
                whose = f" ({seen})" if seen else ""
                if speech.accept is not None:
                    self._doors.ring("body_too_large", f"a body of {_named(source)} was not read{whose}: {error}")
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
        if isinstance(error, BadBody) and speech.refused is not None:
            return speech.refused(error)
        return speech.failed(status, str(error), _COME_AGAIN if status == 503 else None)

    def _known(self, source: str) -> str:
        """Name a source in metrics as the path does only where the file lists it: else the name is anybody's."""
        return source if source in self._doors.sources() else ""

    def _keep_sample(
        self, error: BadBody | Oversized | UnknownKey, body: bytes, source: str, request: web.Request
    ) -> None:
        start = body or (error.start if isinstance(error, Oversized) else b"")
        shown = _SECRET_LIKE.sub("<secret>", clean(start[: 4 * _SAMPLE].decode("utf-8", "replace")))[:_SAMPLE]
        at = moment(self._doors.clock()).isoformat()
        self._samples.appendleft(Sample(at, source, request.remote or "", str(error), shown))


def _named(source: str) -> str:
    return f"source {source}" if source else "the unnamed source"


def _unauthenticated(error: Unauthenticated | OtherSource | UnknownKey, speech: Speech) -> web.Response:
    reply = speech.failed(error.status_hint, str(error), None)
    if isinstance(error, Unauthenticated):
        challenge(reply)
    return reply
