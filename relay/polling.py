"""Asks all Alertmanagers of a source at once what they know, for those who go by what they say."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from functools import partial

from relay.alert import Instant, alert_id
from relay.alertmanager import AlertmanagerClient, Fault, State
from relay.rules.gone import Answer, Poll
from relay.rules.heartbeats import kept_alive
from relay.rules.rulebook import Rulebook
from relay.rules.ruleset import Source
from relay.store import SqliteStore

LOOKED_UP = 1_000
"""Fingerprints looked for in the ledger at once."""


class Polling:
    """What an Alertmanager cannot answer is a fault of the poll; only the store's own faults raise (StoreError)."""

    def __init__(self, store: SqliteStore, client: AlertmanagerClient, clock: Callable[[], Instant]) -> None:
        self._store = store
        self._client = client
        self._clock = clock

    async def poll(self, source: Source, book: Rulebook) -> Poll:
        """Ask all Alertmanagers of a source at once."""
        wanted = partial(_is_heartbeat, source.name, book)
        async with asyncio.TaskGroup() as tasks:
            asked = {url: tasks.create_task(self._client.ask(url, wanted)) for url in source.alertmanager_urls}
        now = self._clock()
        said = {url: task.result() for url, task in asked.items()}
        states = {url: one for url, one in said.items() if isinstance(one, State)}
        answers = {url: await self._answer(source.name, state, now) for url, state in states.items()}
        faults = {url: one.because for url, one in said.items() if isinstance(one, Fault)}
        return Poll(now, source.alertmanager_urls, answers, faults)

    async def _answer(self, source: str, state: State, now: Instant) -> Answer:
        familiar = state.wanted or await self._fires_here(source, state.known)
        return Answer(state.known, now - state.uptime, familiar, state.active)

    async def _fires_here(self, source: str, fingerprints: Collection[str]) -> bool:
        """Say whether an alert of a source fires here that has one of these fingerprints; most often the first do."""
        known = list(fingerprints)
        for at in range(0, len(known), LOOKED_UP):
            ids = [alert_id(source, fingerprint) for fingerprint in known[at : at + LOOKED_UP]]
            if await self._store.any_firing(ids):
                return True
        return False


def _is_heartbeat(source: str, book: Rulebook, labels: Mapping[str, str]) -> bool:
    return bool(kept_alive(book.rules.heartbeats, labels, source))
