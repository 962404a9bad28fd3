"""/api/v1/pages/{id}/retry and /discard: what a person does about a dead letter."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from relay.answers import PageAnswer
from relay.errors import NotTaken
from relay.letters import Letters
from relay.page import page_number
from relay.web import replies
from relay.web.doors import Doors
from relay.web.middleware import NotFound, operator

Act = Callable[[Letters, int, str], Awaitable[None]]


class LetterDoors:
    """Each answers with the page as it stands then."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def retry(self, request: web.Request) -> web.Response:
        """Have a dead letter tried again."""
        return replies.json(await self._do(request, Letters.retry))

    async def discard(self, request: web.Request) -> web.Response:
        """Let go of a dead letter."""
        return replies.json(await self._do(request, Letters.discard))

    async def _do(self, request: web.Request, act: Act) -> PageAnswer:
        name = request.match_info["id"]
        number = page_number(name)
        if number is None:
            raise NotFound(f"there is no page {name[:80]!r}: ids are 13 letters and digits, /api/v1/pages lists them")
        letters, answers = self._doors.letters(), self._doors.answers()
        if letters is None or answers is None:
            raise NotTaken(f"not ready: {self._doors.not_ready() or 'the store is not open'}")
        await act(letters, number, operator())
        page = await answers.page(number)
        if page is None:
            raise NotFound(f"page {name} was forgotten a moment ago")
        return page
