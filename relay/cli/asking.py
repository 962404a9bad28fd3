"""Asks the running relay over HTTP, or reads the store itself where none runs."""

import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from relay.alert import Instant
from relay.answers import Answers, Asking, Decisions, ExplainAnswer, PageAnswer, Pages, PausesAnswer, ReconcileAnswer
from relay.answers.words import clock
from relay.config import load, recognise
from relay.errors import RelayError
from relay.page import State, page_number
from relay.rendering import read_sources
from relay.rendering.aside import Aside
from relay.rules.rulebook import Rulebook
from relay.rules.silences import Silences
from relay.store import Holder, SqliteStore, holder

_PATIENCE = aiohttp.ClientTimeout(total=30.0, connect=5.0)
_LONG = aiohttp.ClientTimeout(total=1_800.0, connect=5.0)
"""For what takes a call to PagerDuty for each open incident."""

Answer = TypeVar("Answer")


class CannotAsk(RelayError):
    """Neither a relay nor a store answers: say why, and what to do."""


class Asked(Protocol):
    """Whoever answers: the relay, or this process in its place."""

    async def page(self, name: str) -> PageAnswer | None:
        """Show one page by its short id; None if there is none."""
        ...

    async def pages(self, *, dedup_key: str = "", fingerprint: str = "", incident: str = "") -> Pages:
        """List the pages with this dedup key, those that hold this alert, or those of this incident at PagerDuty."""
        ...

    async def listed(self, asked: dict[str, str]) -> Pages:
        """List pages as a person needs them, narrowed as /api/v1/pages says: `dead`, `due`, `delivered`, `limit`."""
        ...

    async def decisions(self, *, page: str = "", fingerprint: str = "", limit: int = 100) -> Decisions:
        """List decisions about a page or an alert, newest first."""
        ...

    async def explain(self, body: bytes, source: str, asking: Asking) -> ExplainAnswer:
        """Say what would become of a webhook body."""
        ...


@asynccontextmanager
async def asked(url: str, storage: Path, config: Path | None) -> AsyncIterator[Asked]:
    """Find who answers: the relay at `url`, else the one that holds the storage path, else the store there.

    Raises CannotAsk, StoreError, and BadConfig where `config` is needed and does not load.
    """
    keeper = None if url else holder(storage)
    if keeper is not None and not keeper.url:
        raise CannotAsk(f"{storage} is in use by {keeper}, which does not listen yet: try again in a moment")
    url = url or (keeper.url if keeper else "")
    async with AsyncExitStack() as stack:
        if url:
            yield Remote(await stack.enter_async_context(_session(keeper)), url)
        else:
            yield Local(await _answers(storage, config, stack))


def _session(keeper: Holder | None) -> aiohttp.ClientSession:
    """Talk to a relay; to the one beside the store as its own user, whose word that file is, not a certificate's."""
    if keeper is None or not keeper.key:
        return aiohttp.ClientSession(timeout=_PATIENCE)
    connector = aiohttp.TCPConnector(ssl=False)
    return aiohttp.ClientSession(
        connector=connector, timeout=_PATIENCE, headers={"Authorization": f"Bearer {keeper.key}"}
    )


class Remote:
    """The running relay, over HTTP."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url.rstrip("/")

    async def page(self, name: str) -> PageAnswer | None:
        return await self._ask("GET", f"/api/v1/pages/{quote(name, safe='')}", PageAnswer)

    async def pages(self, *, dedup_key: str = "", fingerprint: str = "", incident: str = "") -> Pages:
        named = {"fingerprint": fingerprint, "incident": incident}
        asked = {name: value for name, value in named.items() if value} or {"dedup_key": dedup_key}
        found = await self._ask("GET", "/api/v1/pages", Pages, asked)
        return found or Pages(pages=(), next=None)

    async def listed(self, asked: dict[str, str]) -> Pages:
        return await self._ask("GET", "/api/v1/pages", Pages, asked | {"order": "need"}) or Pages(pages=(), next=None)

    async def act(self, name: str, act: str) -> PageAnswer | None:
        """`retry` or `discard` a dead letter; None if there is no such page."""
        return await self._ask("POST", f"/api/v1/pages/{quote(name, safe='')}/{act}", PageAnswer)

    async def decisions(self, *, page: str = "", fingerprint: str = "", limit: int = 100) -> Decisions:
        named = {"page": page, "fingerprint": fingerprint, "limit": str(limit)}
        asked = {name: value for name, value in named.items() if value}
        found = await self._ask("GET", "/api/v1/decisions", Decisions, asked)
        return found or Decisions(decisions=(), next=None)

    async def explain(self, body: bytes, source: str, asking: Asking) -> ExplainAnswer:
        asked = {"source": source} if source else {}
        if asking.at is not None:
            asked["time"] = clock(asking.at) or ""
        flags = {"no_silences": not asking.silences, "events": asking.events, "verbose": asking.everything}
        asked |= {name: "" for name, given in flags.items() if given}
        found = await self._ask("POST", "/api/v1/explain", ExplainAnswer, asked, body)
        return found or ExplainAnswer(alerts=(), more=0, notes=())

    async def pause(self, receiver: str, length: str) -> PausesAnswer:
        """Pause a receiver, or ("") everything, for a length of time; return what is paused now."""
        body = msgspec.json.encode({"receiver": receiver, "for": length})
        found = await self._ask("POST", "/api/v1/pause", PausesAnswer, body=body)
        return found or PausesAnswer(paused=(), past=())

    async def resume(self, receiver: str | None) -> PausesAnswer:
        """End the pause of a receiver, or (None) every pause; return what is paused still."""
        asked = {} if receiver is None else {"receiver": receiver}
        found = await self._ask("DELETE", "/api/v1/pause", PausesAnswer, asked)
        return found or PausesAnswer(paused=(), past=())

    async def reconcile(self, *, fix: bool) -> ReconcileAnswer:
        """Have pages compared with PagerDuty, and put right what is certain; it may take minutes."""
        body = msgspec.json.encode({"fix": fix})
        found = await self._ask("POST", "/api/v1/reconcile", ReconcileAnswer, body=body, patience=_LONG)
        return found or ReconcileAnswer(at=None)

    async def reconciled(self) -> ReconcileAnswer:
        """Show what the last comparison came to."""
        return await self._ask("GET", "/api/v1/reconcile", ReconcileAnswer) or ReconcileAnswer(at=None)

    async def _ask(
        self,
        method: str,
        path: str,
        kind: type[Answer],
        asked: dict[str, str] | None = None,
        body: bytes | None = None,
        patience: aiohttp.ClientTimeout = _PATIENCE,
    ) -> Answer | None:
        """Return the answer; None where the relay says 404. Raises CannotAsk with what went wrong."""
        try:
            url = self._url + path
            async with self._session.request(method, url, params=asked, data=body, timeout=patience) as reply:
                text = await reply.read()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            why = str(error) or "no answer in time"
            raise CannotAsk(f"no relay answers at {self._url}: {why}; is --relay.url right?") from error
        try:
            if reply.status == 200:
                return msgspec.json.decode(text, type=kind)
            failed = msgspec.json.decode(text, type=_Failed)
        except (msgspec.MsgspecError, UnicodeDecodeError) as odd:
            said = f"it answered {reply.status}, and not in the words of this version ({odd})"
            raise CannotAsk(f"what listens at {self._url} is no relay: {said}") from odd
        if reply.status == 404:
            return None
        raise CannotAsk(f"{failed.error} (the relay at {self._url} answered {reply.status})")


class Local:
    """This process, in place of a relay."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    async def page(self, name: str) -> PageAnswer | None:
        number = page_number(name)
        return None if number is None else await self._answers.page(number)

    async def pages(self, *, dedup_key: str = "", fingerprint: str = "", incident: str = "") -> Pages:
        return await self._answers.pages(
            dedup_key=dedup_key or None, fingerprint=fingerprint or None, incident=incident or None
        )

    async def listed(self, asked: dict[str, str]) -> Pages:
        delivered = State(asked["delivered"]) if "delivered" in asked else None
        return await self._answers.pages_by_need(
            delivered=delivered, due="due" in asked, dead="dead" in asked, limit=int(asked["limit"])
        )

    async def decisions(self, *, page: str = "", fingerprint: str = "", limit: int = 100) -> Decisions:
        number = page_number(page) if page else None
        return await self._answers.decisions(page=number, fingerprint=fingerprint or None, limit=limit)

    async def explain(self, body: bytes, source: str, asking: Asking) -> ExplainAnswer:
        return await self._answers.explain(body, source, asking=asking)


async def _answers(storage: Path, config: Path | None, stack: AsyncExitStack) -> Answers:
    book, sources = None, read_sources()
    loaded = load(config, os.environ, stand_ins=True) if config is not None else None
    store = await _store(storage, stack, needed=loaded is None)
    if loaded is not None:
        # what the store knows an integration by names its pages
        book = Rulebook(recognise(loaded.rules, await store.integrations()), loaded.keys)
        sources = {**sources, **{file.name: text for file, text in loaded.templates.items()}}
    silences = Silences(await store.silences())
    return Answers(
        store,
        lambda: book,
        clock=_clock,
        sources={},
        store_name=str(storage),
        silences=lambda: silences,
        render=Aside(lambda: sources).render,
    )


async def _store(storage: Path, stack: AsyncExitStack, *, needed: bool) -> SqliteStore:
    """Open the store for looking; with a configuration alone, an empty one will do: nothing is remembered."""
    try:
        store = await SqliteStore.read_only(storage)
    except RelayError:
        if needed or (storage / "pagerelay.db").exists():
            raise
        store = await SqliteStore.open(Path(stack.enter_context(tempfile.TemporaryDirectory())))
    stack.push_async_callback(store.close)
    return store


def _clock() -> Instant:
    return time.time_ns() // 1000


class _Failed(msgspec.Struct):
    error: str
