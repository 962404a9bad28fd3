"""The load generator, a process of its own: posts prepared bodies on keep-alive connections, one after the other.

It reads orders from standard input, one JSON line each, and answers each with one JSON line.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count
from typing import cast

import uvloop

from bench import bodies


@dataclass(frozen=True, slots=True)
class Order:
    """What to send."""

    kind: str
    """new: groups never sent before. flips: one alert of a group changes each time. same: nothing does."""
    first: int
    """Number of the first group; later groups count on from it."""
    requests: int
    alerts: int = 1
    connections: int = 64
    severity: str = "critical"
    teams: int = 1
    """New groups carry the label team="t0" to "t<teams-1>", in turn."""
    path: str = "/webhook"

    def bodies(self) -> list[list[bytes]]:
        """Write the bodies, a list for each connection."""
        each, more = divmod(self.requests, self.connections)
        counts = [each + (place < more) for place in range(self.connections)]
        if self.kind == "new":
            numbers = count(self.first)
            return [[self._new(next(numbers)) for _ in range(one)] for one in counts]
        if self.kind == "flips":
            return [list(bodies.flips(self.first + at, self.alerts, one + 1))[1:] for at, one in enumerate(counts)]
        return [[bodies.new(self.first + at, self.alerts)] * one for at, one in enumerate(counts)]

    def _new(self, number: int) -> bytes:
        return bodies.new(number, self.alerts, severity=self.severity, team=f"t{number % self.teams}")


class _Connection(asyncio.Protocol):
    """One keep-alive connection with the requests it still has to send."""

    def __init__(self, requests: list[bytes]) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self.statuses: dict[str, int] = {}
        self._requests = requests[::-1]
        self._answer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def send(self) -> None:
        """Send the next request, or say that all were answered."""
        assert self._transport is not None
        if self._requests:
            self._transport.write(self._requests.pop())
        else:
            self._transport.close()
            self.done.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head = self._answer.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self._answer.find(b"Content-Length: ")
        length = int(self._answer[at + 16 : self._answer.index(b"\r", at)])
        if len(self._answer) >= head + 4 + length:
            status = self._answer[9:12].decode()
            self.statuses[status] = self.statuses.get(status, 0) + 1
            self._answer.clear()
            self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed the connection"))


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        said = json.loads(line)
        port, order = said.pop("port"), Order(**said)
        head = (
            f"POST {order.path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        )
        requests = [[head.encode() % len(body) + body for body in each] for each in order.bodies()]
        made = [_Connection(each) for each in requests]
        for connection in made:
            await loop.create_connection(partial(_same, connection), "127.0.0.1", port)
        _say({"ready": True})
        await loop.run_in_executor(None, sys.stdin.readline)
        _say(await _run(made))


def _same(connection: _Connection) -> _Connection:
    return connection


async def _run(connections: Sequence[_Connection]) -> dict[str, object]:
    began = time.perf_counter()
    for connection in connections:
        connection.send()
    await asyncio.gather(*(connection.done for connection in connections))
    took = time.perf_counter() - began
    statuses: dict[str, int] = {}
    for connection in connections:
        for status, seen in connection.statuses.items():
            statuses[status] = statuses.get(status, 0) + seen
    return {"seconds": took, "statuses": statuses}


def _say(answer: object) -> None:
    print(json.dumps(answer), flush=True)


def written(order: Order, port: int) -> str:
    """Write an order as the line the generator reads."""
    return json.dumps({**asdict(order), "port": port})


if __name__ == "__main__":
    uvloop.run(_serve())
