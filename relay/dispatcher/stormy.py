"""Renders storm pages: reads their alerts in slices beside the writer, and writes the event without a template."""

import asyncio
from typing import Protocol

from relay.event import Event
from relay.page import Page, short_id
from relay.rules.rulebook import Rulebook
from relay.rules.storm_event import Census, storm_event
from relay.rules.storms import Stood


class Standing(Protocol):
    """What is asked of a store."""

    async def stood(self, page: int, after: int, limit: int) -> list[Stood]: ...


SLICE = 1_000
"""Alerts read at once, so that others who ask the store have their turn between."""


async def rendered_storm(store: Standing, page: Page, book: Rulebook, external_url: str) -> Event:
    """Write the event of a storm page as it stands. Raises StoreError."""
    found, after = Census(), -1
    while rows := await store.stood(page.id, after, SLICE):
        await asyncio.to_thread(found.add, rows)
        after = rows[-1].alert
    url = f"{external_url.rstrip('/')}/pages/{short_id(page.id)}" if external_url else ""
    return storm_event(page, found, book.rules.integrations.get(page.integration), url)
