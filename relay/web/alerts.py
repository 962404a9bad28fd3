"""POST /api/v2/alerts: takes alerts from Prometheus and vmalert, which need no Alertmanager then."""

from aiohttp import web

from relay.intake import Accepted, Intake
from relay.web import replies
from relay.web.senders import Senders, Speech


class Alerts:
    """The door that looks to Prometheus like an Alertmanager."""

    def __init__(self, senders: Senders) -> None:
        self._senders = senders

    async def take(self, request: web.Request) -> web.Response:
        """Take one list of alerts: 200 and nothing else once they are on disk; 400 in words if some were refused."""
        return await self._senders.take(request, _SPEECH)


async def _accept(intake: Intake, body: bytes, source: str) -> Accepted:
    return await intake.accept_alerts(body, source)


def _answer(accepted: Accepted, request: web.Request) -> web.Response:
    # Alertmanager keeps the alerts it can use, and answers 400 with the others' errors (api/v2/api.go).
    if accepted.refused:
        return _failed(400, "; ".join(accepted.refused), None)
    return web.Response(headers={"Cache-Control": "no-store"})


def _failed(status: int, error: str, retry_after: int | None) -> web.Response:
    """Answer with a JSON string, as api/v2/openapi.yaml has it for errors."""
    reply = replies.json(error, status)
    if retry_after is not None:
        reply.headers["Retry-After"] = str(retry_after)
    return reply


_SPEECH = Speech("alerts", _accept, _answer, _failed)
