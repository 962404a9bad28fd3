"""POST /pagerduty/webhook: what happens at PagerDuty, as its V3 webhooks tell it."""

import asyncio
import time

from aiohttp import web

from relay.errors import NotTaken, RelayError, StoreError, TooLarge
from relay.logs import Repeats
from relay.pagerduty.webhooks import LARGEST, SIGNATURE, is_signed, read
from relay.web import replies
from relay.web.authentication import Doorkeeper
from relay.web.bodies import Bodies
from relay.web.doors import Doors

PATIENCE = 4.0
"""Seconds until it is told to come again: PagerDuty waits for 5 (webhooks, "Behavior")."""
_COME_AGAIN = 1


class NoWebhooks(RelayError):
    """The configuration takes none."""

    status_hint = 404


class NotSigned(RelayError):
    """It is not from PagerDuty, or signed with a secret that is not known here."""

    status_hint = 403


class PagerDutyWebhook:
    """The door for V3 webhooks.

    Whatever is signed is answered 202 once it is kept, for PagerDuty switches a subscription off for a day after three
    answers of 4xx; 503 has it sent again, for two days.
    """

    def __init__(self, doors: Doors, bodies: Bodies, keeper: Doorkeeper) -> None:
        self._doors = doors
        self._bodies = bodies
        self._keeper = keeper
        self._said = Repeats()

    async def take(self, request: web.Request) -> web.Response:
        """Take one webhook."""
        try:
            self._keeper.check_rate()
            async with asyncio.timeout(PATIENCE):
                return await self._take(request)
        except TimeoutError:
            return self._later(NotTaken(f"it could not be kept within {PATIENCE:g} s: send it again"))
        except StoreError as error:
            self._doors.metrics.store_failed("keep")
            return self._later(error)
        except NotTaken as error:
            return self._later(error)
        except RelayError as error:
            return self._refused(request, error)

    async def _take(self, request: web.Request) -> web.Response:
        secrets = self._doors.webhook_secrets()
        if secrets is None:  # told otherwise, PagerDuty would drop it for good
            raise NotTaken(f"not ready: {self._doors.not_ready() or 'no configuration is in force'}")
        if not secrets:
            raise NoWebhooks(
                "PagerDuty's webhooks are not taken: name a file with the subscription's signing secret in "
                "pagerduty.webhook_secret_files of the routing file"
            )
        body = await self._body(request)
        try:
            if not is_signed(request.headers.getall(SIGNATURE, ()), body, secrets):
                raise NotSigned(_unsigned(request))
            news = read(body)
        finally:
            self._bodies.done(body)
        returns = self._doors.returns()
        if returns is None:
            raise NotTaken(f"not ready: {self._doors.not_ready() or 'the store is not open'}")
        taken = await returns.take(news)
        return replies.json({"status": "ok", "outcome": taken.outcome}, 202)

    async def _body(self, request: web.Request) -> bytes:
        try:
            return await self._bodies.read(request, LARGEST)
        except TooLarge as error:
            raise TooLarge(f"a webhook of PagerDuty has at most 256 KB, this has more than {LARGEST} bytes") from error

    def _later(self, error: RelayError) -> web.Response:
        self._doors.metrics.returned("not_kept")
        self._doors.log.warning("webhook of PagerDuty not taken", error=str(error))
        return replies.failed(503, str(error), _COME_AGAIN)

    def _refused(self, request: web.Request, error: RelayError) -> web.Response:
        what = _REFUSALS.get(error.status_hint, "unreadable")
        self._doors.metrics.returned(what)
        if self._said.worth_saying((request.remote, what, _signs(request)), time.monotonic_ns() // 1000):
            self._doors.log.warning("webhook of PagerDuty refused", error=str(error), peer=request.remote or "")
        return replies.failed(error.status_hint, str(error))


_REFUSALS = {403: "unsigned", 404: "off", 413: "too_large"}


def _signs(request: web.Request) -> bool:
    return SIGNATURE in request.headers


def _unsigned(request: web.Request) -> str:
    if not _signs(request):
        return f"it bears no {SIGNATURE}: only PagerDuty's V3 webhooks are taken here"
    return (
        f"no v1 signature in {SIGNATURE} fits a secret in pagerduty.webhook_secret_files: was the subscription made "
        "anew, or the body changed on its way?"
    )
