"""A TCP proxy that hurts what passes through it, with toxiproxy's words (github.com/Shopify/toxiproxy, "Toxics")."""

import asyncio
import contextlib
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.acceptance.programs import free_port

DOWNSTREAM, UPSTREAM = "downstream", "upstream"
KINDS = ("latency", "down", "bandwidth", "slow_close", "timeout", "reset_peer", "slicer", "limit_data")
_CHUNK = 64 * 1024
_GLOW = 0.2
"""Seconds in which the far end may still read what was on its way when all connections were cut."""


@dataclass(frozen=True)
class Toxic:
    """One way to hurt a connection. Times are in seconds (toxiproxy: milliseconds), `rate` is in KB/s."""

    kind: str
    stream: str = DOWNSTREAM
    """`downstream`: what the server says; `upstream`: what the client says."""
    toxicity: float = 1.0
    """The part of the connections it befalls."""
    latency: float = 0.0
    jitter: float = 0.0
    rate: float = 1.0
    delay: float = 0.0
    timeout: float = 0.0
    average_size: int = 16
    size_variation: int = 8
    bytes: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no toxic is called {self.kind!r}; there are {', '.join(KINDS)}")


@dataclass(frozen=True)
class Dose:
    """A toxic from `at` seconds on, for so long."""

    at: float
    lasts: float
    toxic: Toxic


def schedule(toxics: Sequence[Toxic], seed: int, length: float, doses: int) -> tuple[Dose, ...]:
    """Draw doses of these toxics over `length` seconds; the same seed draws the same."""
    chance = random.Random(f"schedule {seed}")
    drawn = []
    for place in range(doses):
        begins = length * place / doses
        at = begins + chance.uniform(0, 0.4) * length / doses
        drawn.append(Dose(at, chance.uniform(0.3, 0.6) * length / doses, chance.choice(list(toxics))))
    return tuple(drawn)


@dataclass(eq=False)
class _Link:
    """One connection through the proxy."""

    luck: float
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    passed: Counter[str] = field(default_factory=Counter)


class Proxy:
    """Stands before one server. It runs in a thread of its own and is told what to do from any."""

    def __init__(self, name: str, upstream: str, seed: int, patience: float = 1.0) -> None:
        """`upstream` is HOST:PORT; `patience`: the seconds after which the client gives a call up."""
        self.name = name
        self._listener: socket.socket | None = socket.create_server(("127.0.0.1", free_port()))
        self.port = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.injuries: list[float] = []
        """When an answer was held up, cut or swallowed: the client does not know what became of its call."""
        self.hurt: Counter[str] = Counter()
        """How often each kind of toxic did something."""
        self._upstream = upstream.rpartition(":")
        self._patience = patience
        self._chance = random.Random(f"{name} {seed}")
        self._toxics: list[Toxic] = []
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._playing: set[asyncio.Task[None]] = set()

    def start(self) -> "Proxy":
        self._thread.start()
        self._do(self._up())
        return self

    def stop(self) -> None:
        """Cut everything and end the thread."""
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def add(self, toxic: Toxic) -> None:
        """Put a toxic in force, on the connections there are as well."""
        self._do(self._take(toxic))

    def clear(self) -> None:
        """Be well again, and hurt nothing more of what was planned."""
        self._do(self._well())

    def play(self, doses: Sequence[Dose]) -> None:
        """Give each dose at its time, from now on."""
        self._do(self._plan(doses))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    # On the proxy's own thread

    async def _up(self) -> None:
        if self._server is None:
            listener = self._listener or socket.create_server(("127.0.0.1", self.port))
            self._server, self._listener = await asyncio.start_server(self._connected, sock=listener), None

    async def _take(self, toxic: Toxic) -> None:
        self._toxics.append(toxic)
        if toxic.kind == "down":
            await self._down()

    async def _down(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self.hurt["down"] += 1
        self.injuries.append(time.time() + _GLOW)
        for link in list(self._links):
            _cut(link)

    async def _remove(self, toxic: Toxic) -> None:
        if toxic in self._toxics:
            self._toxics.remove(toxic)
        if not any(one.kind == "down" for one in self._toxics):
            await self._up()

    async def _well(self) -> None:
        for task in self._playing:
            task.cancel()
        for toxic in list(self._toxics):
            await self._remove(toxic)

    async def _plan(self, doses: Sequence[Dose]) -> None:
        for dose in doses:
            self._playing.add(task := self._loop.create_task(self._give(dose)))
            task.add_done_callback(self._playing.discard)

    async def _give(self, dose: Dose) -> None:
        await asyncio.sleep(dose.at)
        await self._take(dose.toxic)
        await asyncio.sleep(dose.lasts)
        await self._remove(dose.toxic)

    async def _end(self) -> None:
        await self._well()
        if self._server is not None:
            self._server.close()
        for link in list(self._links):
            _cut(link)
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(self._chance.random(), [writer])
        try:
            host, _, port = self._upstream
            server_reader, server_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            _cut(link)
            return
        link.writers.append(server_writer)
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as pipes:
                pipes.create_task(self._pipe(link, UPSTREAM, reader, server_writer))
                pipes.create_task(self._pipe(link, DOWNSTREAM, server_reader, writer))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self._links.discard(link)
            for one in link.writers:
                one.close()

    async def _pipe(self, link: _Link, stream: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK):
            toxics = self._befalling(link, stream)
            for toxic in toxics:
                chunk = await self._poison(toxic, link, chunk)
            await self._write(writer, chunk, toxics)
            link.passed[stream] += len(chunk)
        for toxic in self._befalling(link, stream):
            if toxic.kind == "slow_close":
                self.hurt["slow_close"] += 1
                await asyncio.sleep(toxic.delay)
        with contextlib.suppress(OSError):
            writer.write_eof()

    def _befalling(self, link: _Link, stream: str) -> list[Toxic]:
        return [one for one in self._toxics if one.stream == stream and link.luck < one.toxicity]

    async def _poison(self, toxic: Toxic, link: _Link, chunk: bytes) -> bytes:
        """Hold a chunk up, swallow it, cut it or cut the connection; return what goes on."""
        match toxic.kind:
            case "latency":
                wait = max(0.0, toxic.latency + self._chance.uniform(-toxic.jitter, toxic.jitter))
                self._note(toxic, wait)
                await asyncio.sleep(wait)
            case "timeout":
                self._note(toxic)
                if toxic.timeout:
                    await asyncio.sleep(toxic.timeout)
                    _cut(link)
                return b""
            case "reset_peer":
                self._note(toxic)
                await asyncio.sleep(toxic.timeout)
                _cut(link)
                return b""
            case "limit_data" if link.passed[toxic.stream] + len(chunk) > toxic.bytes:
                self._note(toxic)
                rest = chunk[: max(0, toxic.bytes - link.passed[toxic.stream])]
                for writer in link.writers:
                    if rest and toxic.stream == (DOWNSTREAM if writer is link.writers[0] else UPSTREAM):
                        writer.write(rest)
                        with contextlib.suppress(OSError):
                            await writer.drain()
                    writer.close()
                return b""
        return chunk

    async def _write(self, writer: asyncio.StreamWriter, chunk: bytes, toxics: Sequence[Toxic]) -> None:
        slow = next((one for one in toxics if one.kind in ("bandwidth", "slicer")), None)
        if slow is None or not chunk:
            pieces, wait = [chunk], 0.0
        elif slow.kind == "bandwidth":
            size = max(1, int(slow.rate * 1000 * 0.05))
            pieces, wait = [chunk[at : at + size] for at in range(0, len(chunk), size)], 0.05
        else:
            pieces, wait = self._slices(chunk, slow), slow.delay
        if slow is not None:
            self._note(slow, wait * len(pieces))
        for piece in pieces:
            if wait:
                await asyncio.sleep(wait)
            if piece and not writer.is_closing():
                writer.write(piece)
                await writer.drain()

    def _slices(self, chunk: bytes, toxic: Toxic) -> list[bytes]:
        pieces, at = [], 0
        while at < len(chunk):
            size = max(1, toxic.average_size + self._chance.randint(-toxic.size_variation, toxic.size_variation))
            pieces.append(chunk[at : at + size])
            at += size
        return pieces

    def _note(self, toxic: Toxic, held_up: float | None = None) -> None:
        """Count what is done; a client that will have lost patience by then does not know what became of its call."""
        self.hurt[toxic.kind] += 1
        if held_up is None or held_up > 0.8 * self._patience:
            self.injuries.append(time.time())


def _cut(link: _Link) -> None:
    """End both sides with a TCP reset."""
    for writer in link.writers:
        connection = writer.get_extra_info("socket")
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
