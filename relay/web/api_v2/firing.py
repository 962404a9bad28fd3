"""GET /api/v2/alerts, /alerts/groups, /receivers and /status: what fires, where it goes, and what runs here."""

from aiohttp import web

from relay.answers.alerts import MOST, AlertAnswers, Asked
from relay.errors import NotTaken
from relay.rules.matchers import Matcher, MatcherError
from relay.web import replies
from relay.web.api_v2.speech import BadFilter, filters, flag
from relay.web.doors import Doors


class FiringDoors:
    """They only look."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def alerts(self, request: web.Request) -> web.Response:
        """List alerts that fire."""
        return _bounded(*await self._answers().alerts(_asked(request)))

    async def groups(self, request: web.Request) -> web.Response:
        """List alerts that fire by route and group."""
        return _bounded(*await self._answers().groups(_asked(request)))

    async def receivers(self, _: web.Request) -> web.Response:
        """List receivers."""
        return replies.json(self._answers().receivers())

    async def status(self, _: web.Request) -> web.Response:
        """Say what runs here."""
        return replies.json(self._answers().status())

    def _answers(self) -> AlertAnswers:
        answers = self._doors.alerts()
        if answers is None:
            raise NotTaken(f"not ready: {self._doors.not_ready() or 'the store is not open'}")
        return answers


def _asked(request: web.Request) -> Asked:
    # `unprocessed` is taken, and has no effect, as in Alertmanager: each alert here has been looked at.
    return Asked(
        filters=filters(request),
        receiver=_receiver(request),
        active=flag(request, "active"),
        silenced=flag(request, "silenced"),
        inhibited=flag(request, "inhibited"),
        muted=flag(request, "muted"),
    )


def _receiver(request: web.Request) -> Matcher | None:
    asked = request.query.get("receiver")
    if asked is None:
        return None
    try:
        return Matcher("=~", "receiver", asked)
    except MatcherError as error:
        raise BadFilter(f"failed to parse receiver param: {error}") from None


def _bounded(found: tuple[object, ...], more: bool) -> web.Response:
    """Say in a header that the list was cut: Alertmanager's form has no place for it."""
    reply = replies.json(found)
    if more:
        reply.headers["X-Pagerelay-Truncated"] = f"only {MOST} alerts are listed: narrow it with filter="
    return reply
