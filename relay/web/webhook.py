"""POST /webhook: takes Alertmanager's bodies, and answers once what they say is on disk."""

import msgspec
from aiohttp import web

from relay.decision import Decision
from relay.intake import Accepted, Intake
from relay.web import replies
from relay.web.senders import Senders, Speech

SHOWN = 100
"""Decisions in an answer; all of them with `?verbose`."""


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
    """The webhook's door."""

    def __init__(self, senders: Senders) -> None:
        self._senders = senders

    async def take(self, request: web.Request) -> web.Response:
        """Take one body: 200 once it is on disk, 4xx if it can never work, 503 if it should come again."""
        return await self._senders.take(request, _SPEECH)


async def _accept(intake: Intake, body: bytes, source: str) -> Accepted:
    return await intake.accept(body, source)


def _answer(accepted: Accepted, request: web.Request) -> web.Response:
    return replies.json(_taken(accepted, request))


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


_SPEECH = Speech("webhook", _accept, _answer, replies.failed)
