"""Bounds connections: how many there are, how long each may take to say what it wants, and who goes where it is full.

aiohttp has no time limit for headers. Here each connection has a place, taken when it is accepted (before TLS), and one
round a second drops those whose time is up. Where all places are taken, who says nothing goes before who comes.
"""

import asyncio
import os
import resource
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import cast

from aiohttp import web

from relay.config.web import sans
from relay.metrics import Metrics
from relay.web.doors import Limits

ROUND = 1.0
"""Seconds between two looks at all connections."""
KEPT_BACK = 64
"""Files that may be opened beside connections: the store's, those to PagerDuty and to who resolves its name."""
LEAST = 8
"""Connections that are let in however few files may be open."""
_MOST_FILES = 65_536
_SLOW_BODY = 2.0
"""Seconds over a body after which it may have to make room."""

BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\n"
    b'Content-Length: 77\r\n\r\n{"error":"too many connections; send it again in a moment","status":"error"}\n'
)
"""What is said to whom there is no place for."""


class Place:
    """The place of one connection, from its acceptance to its end."""

    __slots__ = ("due", "end", "handler", "peer", "since", "unread")

    def __init__(self, peer: str, now: float, due: float) -> None:
        self.peer = peer
        self.since = now
        """When it came; when its last request began."""
        self.due: float | None = due
        """When its headers must be there; None: it is being served, or idle."""
        self.handler: Handler | None = None
        """None until TLS is agreed on."""
        self.unread: tuple[int, float] = (0, now)
        """Bytes of an answer that are not taken, and since when there are as many."""
        self.end: Callable[[], object] = lambda: None
        """Drop the connection."""


class Connections:
    """All places. One per process."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._limits = limits
        self._metrics = metrics
        self._places: dict[Place, None] = {}
        self._of: Counter[str] = Counter()
        self._most = min(limits.connections, files_allowed())
        self._per_peer = limits.connections_per_peer

    def __len__(self) -> int:
        return len(self._places)

    def take(self, peer: str, now: float) -> Place | None:
        """Take a place for who comes; None where there is none, and nobody who could go."""
        if self._of[peer] >= self._per_peer and not self._make_room(
            now, [one for one in self._places if one.peer == peer]
        ):
            self._metrics.dropped("full")
            return None
        if len(self._places) >= self._most and not self._make_room(now, self._places):
            self._metrics.dropped("full")
            return None
        place = Place(peer, now, now + self._limits.header_seconds)
        self._places[place] = None
        self._of[peer] += 1
        self._metrics.connected(len(self._places))
        return place

    def leave(self, place: Place) -> None:
        """Give a place back; once is enough."""
        if place in self._places:
            del self._places[place]
            self._of[place.peer] -= 1
            if not self._of[place.peer]:
                del self._of[place.peer]
            self._metrics.connected(len(self._places))

    async def watch(self) -> None:
        """Drop, once a second, those whose time is up. Never ends."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(ROUND)
            self.look_round(loop.time())

    def look_round(self, now: float) -> None:
        """Drop those whose headers are late, and those that do not take their answer."""
        for place in list(self._places):
            if place.due is not None and now >= place.due:
                self._drop(place, "headers")
            elif place.handler is not None and self._is_unread(place, place.handler.unread(), now):
                self._drop(place, "unread")

    def spare_one(self, now: float) -> None:
        """Let somebody go for want of open files, if anybody can."""
        self._make_room(now, self._places)

    def _is_unread(self, place: Place, size: int, now: float) -> bool:
        if size != place.unread[0]:
            place.unread = (size, now)
        return size > 0 and now - place.unread[1] >= self._limits.unread_seconds

    def _make_room(self, now: float, places: Iterable[Place]) -> bool:
        """Drop the oldest that has said nothing yet, or else is idle, or else is slow with its body."""
        kinds: dict[int, Place] = {}
        for place in places:
            kind = _kind(place, now)
            if kind == 0:
                self._drop(place, "making_room")
                return True
            if kind is not None:
                kinds.setdefault(kind, place)
        if not kinds:
            return False
        self._drop(kinds[min(kinds)], "making_room")
        return True

    def _drop(self, place: Place, why: str) -> None:
        self._metrics.dropped(why)
        self.leave(place)
        place.end()


def _kind(place: Place, now: float) -> int | None:
    """Say how easily a connection is spared: 0 first, None never."""
    handler = place.handler
    if handler is None or (place.due is not None and not handler.served):
        return 0
    if handler.idle:
        return 1
    return 2 if handler.reads_a_body and now - place.since >= _SLOW_BODY else None


class Handler(web.RequestHandler):
    """aiohttp's handler of one connection, which tells its place how far it is."""

    def __init__(
        self,
        server: web.Server,
        place: Place,
        connections: Connections,
        header_seconds: float,
        allowed_sans: frozenset[str] | None,
        strange: Callable[[str], None],
        **settings: object,
    ) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **settings)  # type: ignore[arg-type]
        self._place = place
        self._connections = connections
        self._header_seconds = header_seconds
        self._allowed_sans = allowed_sans
        self._strange = strange
        self.served = False
        """Whether any request was read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        made = cast(asyncio.Transport, transport)  # uvloop's own kinds are not derived from it
        allowed = self._allowed_sans
        if allowed is not None and allowed.isdisjoint(sans(made.get_extra_info("peercert"))):
            self._force_close = True  # whatever it says is not listened to
            self._strange(self._place.peer)
            made.abort()
            return
        self._place.handler, self._place.end = self, made.abort
        super().connection_made(made)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connections.leave(self._place)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        place = self._place
        if self._messages:  # the headers of a request are there
            self.served, place.due = True, None
            place.since = self._loop.time()
        elif place.due is None and self._waiter is not None:  # it was idle, and begins again
            place.due = self._loop.time() + self._header_seconds

    @property
    def idle(self) -> bool:
        """Whether it waits for a request, or for the rest of one's headers."""
        return self._waiter is not None and not self._messages

    @property
    def reads_a_body(self) -> bool:
        """Whether a request is in hand of which the body is not there yet."""
        request = self._current_request
        return request is not None and not request.content.is_eof()

    def unread(self) -> int:
        """Bytes of answers that the other side has not taken."""
        return 0 if self.transport is None else self.transport.get_write_buffer_size()


def files_allowed() -> int:
    """Say how many connections may be open, so that enough files are left for the store and PagerDuty."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return max(LEAST, soft - len(os.listdir("/proc/self/fd")) - KEPT_BACK)
