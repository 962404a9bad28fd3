"""Accepts connections on every address, speaks TLS as the web configuration says now, and hands them to aiohttp."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Coroutine, Sequence
from contextlib import suppress

from aiohttp import web

from relay.errors import RelayError
from relay.web.authentication import Doorkeeper
from relay.web.connections import BUSY, Connections, Handler, Place
from relay.web.doors import Doors
from relay.web.routes import Side, make_app, make_runner, settings, table

Address = tuple[str, int]
"""Host ("" for every address of this machine) and port."""
_BACKLOG = 512
_SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What `accept` says when there are no more files or no memory; it passes."""
_PAUSE = 0.1
_TLS_GOODBYE = 5.0
"""Seconds to wait for the other side's word when a TLS connection is closed."""


class Entrance:
    """Every address that is listened on. `open` each, `close` all."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._keeper = Doorkeeper(doors)
        self._routes = table(doors, self._keeper)
        self._connections = Connections(doors.limits, doors.metrics)
        self._runners: list[web.AppRunner] = []
        self._sockets: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, addresses: Sequence[Address], side: Side = Side.ALL) -> list[str]:
        """Listen on some addresses, which serve a side of the doors; return their URLs. Raises RelayError."""
        runner = make_runner(make_app(self._doors, side, self._routes))
        await runner.setup()
        self._runners.append(runner)
        if not self._tasks:
            self._run(self._connections.watch())
        urls = []
        for host, port in addresses:
            for listening in await _listen(host, port):
                self._sockets.append(listening)
                self._run(self._accept(listening, runner))
                urls.append(self._url(listening.getsockname()))
        return urls

    async def close(self) -> None:
        """Accept nobody any more; let what is in hand end within aiohttp's time for it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for listening in self._sockets:
            listening.close()
        for runner in self._runners:
            await runner.cleanup()

    async def _accept(self, listening: socket.socket, runner: web.AppRunner) -> None:
        """Accept connections, whatever goes wrong with one of them. Never ends."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(listening)
            except OSError as error:
                if error.errno in _SCARCE:
                    self._connections.spare_one(loop.time())
                    await asyncio.sleep(_PAUSE)
                continue
            place = self._connections.take(str(peer[0]) if peer else "", loop.time())
            if place is None:
                _refuse(accepted, plain=self._doors.web().tls is None)
                continue
            self._run(self._serve(accepted, place, runner))

    async def _serve(self, accepted: socket.socket, place: Place, runner: web.AppRunner) -> None:
        """Agree on TLS, where it is spoken, and hand the connection to aiohttp."""
        config, seconds = self._doors.web(), self._doors.limits.header_seconds
        task = asyncio.current_task()
        assert task is not None
        assert runner.server is not None
        place.end = task.cancel
        strange = self._keeper.certificate_refused

        def handler() -> Handler:
            assert runner.server is not None
            return Handler(runner.server, place, self._connections, seconds, config.allowed_sans, strange, **settings())

        over_tls = {"ssl_handshake_timeout": seconds, "ssl_shutdown_timeout": _TLS_GOODBYE} if config.tls else {}
        try:
            await asyncio.get_running_loop().connect_accepted_socket(handler, accepted, ssl=config.tls, **over_tls)
        except (OSError, ssl.SSLError, asyncio.CancelledError, TimeoutError):
            self._connections.leave(place)
            accepted.close()
            if task.cancelling():
                raise

    def _run(self, work: Coroutine[object, object, None]) -> None:
        self._tasks.add(task := asyncio.get_running_loop().create_task(work))
        task.add_done_callback(self._tasks.discard)

    def _url(self, address: tuple[str, int]) -> str:
        host, port = address[:2]
        scheme = "http" if self._doors.web().tls is None else "https"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


async def _listen(host: str, port: int) -> list[socket.socket]:
    """Listen on every address of a host; on all of this machine's that there are where it is ""."""
    what = f"cannot listen on {host}:{port}"
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise RelayError(f"{what}: {error.strerror or error}") from error
    opened: list[socket.socket] = []
    failed: OSError | None = None
    for family, kind, protocol, _, address in dict.fromkeys(found):
        try:
            opened.append(_bound(family, kind, protocol, address))
        except OSError as error:
            failed = error
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                break
    if failed is not None and (not opened or failed.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)):
        for listening in opened:
            listening.close()
        why = failed.strerror or failed
        raise RelayError(
            f"{what}: {why}; is another relay running? --web.listen-address chooses another port"
        ) from failed
    return opened


def _bound(family: int, kind: int, protocol: int, address: tuple[object, ...]) -> socket.socket:
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setblocking(False)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def _refuse(accepted: socket.socket, *, plain: bool) -> None:
    """Say that there is no room, where it can be said, and hang up."""
    with suppress(OSError):
        if plain:
            accepted.setblocking(False)
            accepted.send(BUSY)
            accepted.shutdown(socket.SHUT_WR)
            accepted.recv(65_536)  # what is not read would have the answer thrown away on the other side
    accepted.close()
