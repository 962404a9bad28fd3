"""Connections are bounded, and none may take for ever: who says nothing goes before who has something to say."""

import asyncio
import contextlib
import errno
import resource
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from relay.web import Limits, connections
from tests.integration.house import House, alert, as_bytes, message, open_house

BODY = as_bytes(message(alert()))
HEAD = b"POST /webhook HTTP/1.1\r\nHost: relay\r\nContent-Length: %d\r\n\r\n" % len(BODY)
POST = HEAD + BODY
HEALTHY = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n"

Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def wires(house: House, count: int, said: bytes | Callable[[int], bytes] = b"") -> AsyncIterator[list[Wire]]:
    """Open some connections, and say something on each."""
    opened: list[Wire] = []
    try:
        for number in range(count):
            opened.append(await asyncio.open_connection("127.0.0.1", house.port))
            opened[-1][1].write(said(number) if callable(said) else said)
        yield opened
    finally:
        for _, writer in opened:
            writer.transport.abort()


async def ended(wire: Wire, within: float = 5.0) -> bytes:
    """Read until the relay hangs up."""
    async with asyncio.timeout(within):
        try:
            return await wire[0].read()
        except ConnectionError:
            return b""


def metric(house: House, line: str) -> float:
    shown = house.metrics.render()[0].decode().splitlines()
    return next(float(one.rpartition(" ")[2]) for one in shown if one.startswith(line + " "))


def dropped(house: House, why: str) -> float:
    return metric(house, f'pagerelay_connections_dropped_total{{reason="{why}"}}')


async def until(condition: Callable[[], bool], within: float = 5.0) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("said", [b"", b"POST /webhook HTT", HEAD[:-2]])
async def test_who_does_not_finish_its_headers_is_hung_up_on(tmp_path: Path, said: bytes) -> None:
    async with open_house(tmp_path, limits=Limits(header_seconds=0.5)) as house, wires(house, 1, said) as (wire,):
        began = time.monotonic()
        assert await ended(wire) == b""

        assert 0.4 < time.monotonic() - began < 3
        assert dropped(house, "headers") == 1


async def test_who_drips_its_headers_is_hung_up_on(tmp_path: Path) -> None:
    async with open_house(tmp_path, limits=Limits(header_seconds=0.5)) as house, wires(house, 1) as (wire,):

        async def drip() -> None:
            with contextlib.suppress(ConnectionError):
                for byte in HEAD * 20:
                    wire[1].write(bytes((byte,)))
                    await wire[1].drain()
                    await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        assert b"200" not in await ended(wire)
        dripping.cancel()


async def test_the_headers_of_a_second_request_have_their_time_as_well_and_idle_is_no_fault(tmp_path: Path) -> None:
    async with open_house(tmp_path, limits=Limits(header_seconds=0.5)) as house, wires(house, 1, HEALTHY) as (wire,):
        await wire[0].readuntil(b"Pagerelay is healthy.\n")
        await asyncio.sleep(1.7)
        wire[1].write(HEALTHY)
        await wire[0].readuntil(b"Pagerelay is healthy.\n")

        wire[1].write(HEALTHY[:9])
        assert await ended(wire) == b""
        assert dropped(house, "headers") == 1


async def test_who_does_not_take_its_answer_is_hung_up_on(tmp_path: Path) -> None:
    async with open_house(tmp_path, limits=Limits(unread_seconds=1.0)) as house:
        for number in range(40):
            await house.post(message(alert("x" * 5_000 + str(number)), key=f"k{number}"))
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        listener.connect(("127.0.0.1", house.port))
        listener.sendall(b"GET /api/v1/decisions?limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n" * 100)

        await until(lambda: dropped(house, "unread") == 1, 10)
        listener.close()
        assert metric(house, "pagerelay_connections") <= 1


async def test_a_thousand_slow_senders_keep_alertmanager_waiting_for_less_than_a_second(tmp_path: Path) -> None:
    """Half of them are slow with their headers and half with their bodies, at the limits of every installation."""
    slow = lambda number: POST[:20] if number % 2 else POST[:-20]  # noqa: E731
    async with open_house(tmp_path) as house, wires(house, 1_000, slow):
        assert metric(house, "pagerelay_connections") >= 900
        for _ in range(3):
            began = time.monotonic()
            async with wires(house, 1, POST) as (wire,), asyncio.timeout(5):
                assert await wire[0].readuntil(b"\r\n") == b"HTTP/1.1 200 OK\r\n"
            assert time.monotonic() - began < 1


@pytest.mark.parametrize("limits", [Limits(connections=10), Limits(connections_per_peer=10)])
async def test_who_says_nothing_makes_room_for_who_comes(tmp_path: Path, limits: Limits) -> None:
    async with open_house(tmp_path, limits=limits) as house, wires(house, 30, b"POST /web") as silent:
        await until(lambda: dropped(house, "making_room") == 20)
        for wire in silent[:20]:
            assert await ended(wire) == b""
        async with wires(house, 1, POST) as (wire,):
            assert await wire[0].readuntil(b"\r\n") == b"HTTP/1.1 200 OK\r\n"
        assert metric(house, "pagerelay_connections") <= 10
        assert dropped(house, "full") == 0


async def test_who_never_spoke_goes_before_who_is_only_idle(tmp_path: Path) -> None:
    limits = Limits(connections=10)
    async with (
        open_house(tmp_path, limits=limits) as house,
        wires(house, 5, HEALTHY) as idle,
        wires(house, 5) as silent,
    ):
        for reader, _ in idle:
            await reader.readuntil(b"Pagerelay is healthy.\n")
        async with wires(house, 5, HEALTHY) as fresh:
            for reader, _ in fresh:
                await reader.readuntil(b"Pagerelay is healthy.\n")
            for wire in silent:
                await ended(wire)
            for reader, writer in idle:
                writer.write(HEALTHY)
                await reader.readuntil(b"Pagerelay is healthy.\n")


async def test_where_all_are_being_served_who_comes_is_told_503_and_never_429(tmp_path: Path) -> None:
    async with open_house(tmp_path, limits=Limits(connections=10)) as house:
        gate, inside = asyncio.Event(), asyncio.Semaphore(0)

        async def wait(body: bytes, source: str) -> Any:
            inside.release()
            await gate.wait()
            return await house.intake.accept(body, source)

        house.accept = wait
        async with wires(house, 10, POST) as busy:
            for _ in busy:
                await inside.acquire()
            async with wires(house, 1, POST) as (wire,):
                answer = await ended(wire)
            assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            assert b"Retry-After: 1\r\n" in answer
            head, _, body = answer.partition(b"\r\n\r\n")
            assert b"Content-Length: %d" % len(body) in head
            gate.set()
            for reader, _ in busy:
                assert await reader.readuntil(b"\r\n") == b"HTTP/1.1 200 OK\r\n"
        assert dropped(house, "full") == 1


async def test_who_is_slow_with_its_body_makes_room_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_SLOW_BODY", 0.3)
    async with open_house(tmp_path, limits=Limits(connections=10)) as house, wires(house, 10, POST[:-20]):
        await until(lambda: metric(house, "pagerelay_connections") == 10)
        await asyncio.sleep(0.5)
        async with wires(house, 1, POST) as (wire,):
            assert await wire[0].readuntil(b"\r\n") == b"HTTP/1.1 200 OK\r\n"


async def test_places_are_given_back(tmp_path: Path) -> None:
    async with open_house(tmp_path, limits=Limits(connections=10)) as house:
        for _ in range(5):
            async with wires(house, 10, POST) as busy:
                for reader, _ in busy:
                    assert await reader.readuntil(b"\r\n") == b"HTTP/1.1 200 OK\r\n"
            await until(lambda: metric(house, "pagerelay_connections") == 0)


async def test_the_loop_that_accepts_survives_a_want_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    accept, failures = loop.sock_accept, [errno.EMFILE, errno.ENFILE, errno.ECONNABORTED, errno.ENOBUFS]

    async def scarce(listening: socket.socket) -> tuple[socket.socket, Any]:
        if failures:
            raise OSError(failures.pop(), "none left")
        return await accept(listening)

    monkeypatch.setattr(loop, "sock_accept", scarce)
    async with open_house(tmp_path) as house, asyncio.timeout(10):
        await house.post(message(alert()))

        assert failures == []


def test_files_are_kept_back_for_the_store_and_pagerduty(monkeypatch: pytest.MonkeyPatch) -> None:
    def limited(soft: int, hard: int) -> int:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
        monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
        return connections.files_allowed()

    assert limited(64, 64) == connections.LEAST
    assert 100 < limited(256, 256) < 256 - connections.KEPT_BACK
    assert limited(1_024, 1_000_000) > 60_000
