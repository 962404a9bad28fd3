"""Renders for people who ask, in a worker of its own that ends with the answer: no page waits behind a question."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from relay.event import Rendered
from relay.rendering.renderer import Renderer
from relay.rules.ruleset import Texts
from relay.rules.view import PageView


class Aside:
    """One question at a time: the others wait, so that there is one more process at the most."""

    def __init__(self, sources: Callable[[], Mapping[str, str]]) -> None:
        """`sources` gives the template files in force, as `read_sources` does."""
        self._sources = sources
        self._turn = asyncio.Lock()

    async def render(self, jobs: Sequence[tuple[PageView, Texts]]) -> list[Rendered]:
        """Render pages as the mail room would; what cannot be rendered comes out plain."""
        if not jobs:
            return []
        async with self._turn:
            renderer = Renderer(self._sources())
            try:
                return await renderer.render(jobs)
            finally:
                await renderer.close()
