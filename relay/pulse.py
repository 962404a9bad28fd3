"""The pulse: tells the outside each minute that pages get through; whoever listens there pages when it stops."""

import asyncio
from collections.abc import Callable
from typing import Protocol

import aiohttp
from aiohttp.abc import AbstractResolver

import relay
from relay.alert import MINUTE, SECOND, Duration, Instant
from relay.errors import StoreError
from relay.logs import Log
from relay.metrics import Metrics
from relay.page import Lane
from relay.rounds import TICK, Rounds
from relay.secret import Secret
from relay.store import Counts

EVERY: Duration = MINUTE
LATE: Duration = MINUTE
"""A critical that waits for so long to be sent keeps the pulse back."""
_WRITING = 10.0
"""Seconds that the store may take."""
_TIMEOUT = aiohttp.ClientTimeout(total=10.0, connect=5.0)


class Keeper(Protocol):
    """What the pulse asks of a store."""

    async def beat(self, now: Instant) -> None:
        """Write something, to see whether it can."""

    async def counts(self) -> Counts:
        """Count the pages that wait."""


class Pulse(Rounds):
    """Asks `heartbeat_url` each minute, as long as pages are kept and sent."""

    def __init__(
        self,
        store: Keeper,
        *,
        clock: Callable[[], Instant],
        steady: Callable[[], Instant],
        send_failed: Callable[[], str],
        paused: Callable[[], str],
        metrics: Metrics,
        log: Log,
        resolver: AbstractResolver | None = None,
    ) -> None:
        """`send_failed`: why PagerDuty did not take the last event, "" if it did; `paused`: what keeps everything from
        being sent, "" if nothing does."""
        super().__init__("the pulse", metrics, log)
        self._store = store
        self._clock = clock
        self._steady = steady
        self._send_failed = send_failed
        self._paused = paused
        self._resolver = resolver
        self._url: Secret | None = None
        self._session: aiohttp.ClientSession | None = None
        self._next: Instant = 0
        self._trouble = ""

    async def start(self) -> None:
        """Get ready to ask."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=self._resolver, force_close=True),
            timeout=_TIMEOUT,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"User-Agent": f"pagerelay/{relay.__version__}"},
        )

    async def close(self) -> None:
        """Close the connection; what is under way fails."""
        if self._session is not None:
            await self._session.close()

    def reloaded(self, url: Secret | None) -> None:
        """Ask another address from now on, or none."""
        if url != self._url:
            self._url, self._next = url, 0
            self.nudge()

    async def tick(self) -> None:
        """Ask once, if it is time."""
        now = self._steady()
        if self._url is None or now < self._next:
            return
        self._next = now + EVERY
        withheld = await self._withheld()
        failed = "" if withheld else await self._ask(self._url)
        self._metrics.pulsed("withheld" if withheld else "failed" if failed else "success", self._clock())
        self._say(f"it is withheld: {withheld}" if withheld else f"it was not answered: {failed}" if failed else "")

    async def patience(self) -> Duration:
        """Say when to ask again."""
        return TICK if self._url is None else max(self._next - self._steady(), SECOND // 20)

    async def _withheld(self) -> str:
        """Say why nobody should believe that pages get through; "" if they do."""
        if paused := self._paused():
            return paused
        now = self._clock()
        try:
            async with asyncio.timeout(_WRITING):
                await self._store.beat(now)
                counts = await self._store.counts()
        except TimeoutError:
            return "the store does not answer"
        except StoreError as error:
            return str(error)
        oldest = counts.oldest.get(Lane.CRITICAL)
        if oldest is not None and now - oldest >= LATE:
            return f"a critical waits for {(now - oldest) // SECOND} s to be sent"
        failed = self._send_failed()
        if failed and (any(counts.waiting.values()) or any(counts.in_flight.values())):
            return f"PagerDuty did not take the last event: {failed}"
        return ""

    async def _ask(self, url: Secret) -> str:
        """Make the call; say why it was not answered as it should be, without the address."""
        assert self._session is not None, "start() comes first"
        try:
            async with self._session.get(url.reveal(), allow_redirects=False) as response:
                return "" if 200 <= response.status < 300 else f"HTTP {response.status}"
        except TimeoutError:
            return "no answer in time"
        except aiohttp.ClientConnectorError:
            return "cannot connect"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return type(error).__name__

    def _say(self, trouble: str) -> None:
        """Log when it stops, and when it goes on; a wait that only grows is said once."""
        if trouble and trouble.partition(":")[0] != self._trouble.partition(":")[0]:
            self._log.warning("no pulse was sent to heartbeat_url", because=trouble)
        elif self._trouble and not trouble:
            self._log.info("the pulse goes to heartbeat_url again")
        self._trouble = trouble
