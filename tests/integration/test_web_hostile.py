"""Requests that no well-meaning sender makes, over raw sockets: each is answered or hung up on."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.web import Limits
from tests.integration.house import House, alert, as_bytes, message, open_house

BODY = as_bytes(message(alert()))
POST = b"POST /webhook HTTP/1.1\r\nHost: relay\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)

CHUNKED = b"POST /webhook HTTP/1.1\r\nHost: relay\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, limits=Limits(body_seconds=0.3)) as opened:
        yield opened


async def _say(house: House, *parts: bytes, pause: float = 0.0, patience: float = 5.0) -> bytes:
    """Send bytes, and return everything that comes back until the relay hangs up or is silent for too long."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    answer = bytearray()
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        async with asyncio.timeout(patience):
            while some := await reader.read(65_536):
                answer += some
    except (ConnectionError, TimeoutError):
        pass
    finally:
        writer.close()
    return bytes(answer)


def _code(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0


async def _still_serves(house: House) -> None:
    answer = await house.post(message(alert()))
    assert answer["status"] == "ok"


NONSENSE = {
    "a header of 20,000 bytes": b"POST /webhook HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 20_000 + b"\r\n\r\n",
    "10,000 headers": b"POST /webhook HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % one for one in range(10_000)) + b"\r\n",
    "a path of 20,000 bytes": b"POST /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "no HTTP at all": b"hello\r\n\r\n",
    "zeros": bytes(5_000),
    "two lengths": b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "a length and chunks": CHUNKED[:-2] + b"Content-Length: 4\r\n\r\n0\r\n\r\n",
    "a length that is none": b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\nhello",
    "a chunk size that is none": CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n",
    "a header with a space": b"POST /webhook HTTP/1.1\r\nHost : x\r\nContent-Length: 0\r\n\r\n",
    "a header with a NUL": b"POST /webhook HTTP/1.1\r\nHost: x\x00y\r\nContent-Length: 0\r\n\r\n",
    "an unknown transfer coding": b"POST /webhook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: bogus\r\n\r\nhello",
}


@pytest.mark.parametrize("what", NONSENSE)
async def test_nonsense_is_400_and_not_logged(house: House, what: str, caplog: pytest.LogCaptureFixture) -> None:
    answer = await _say(house, NONSENSE[what])

    assert _code(answer) == 400
    assert caplog.records == []
    assert house.log == []
    await _still_serves(house)


async def test_chunks_that_break_off_are_asked_for_again_in_time(house: House) -> None:
    answer = await _say(house, CHUNKED, b"5\r\nhello\r\n", b"zz\r\nhello\r\n", pause=0.05)

    assert _code(answer) == 503
    await _still_serves(house)


@pytest.mark.parametrize(
    "host", [b"", b"Host: \r\n", b"Host: evil.example:99999\r\n", b"Host: [::\r\n", b"Host: \xff\xfe\r\n"]
)
async def test_whatever_the_host_header_says_the_body_is_taken_or_refused(house: House, host: bytes) -> None:
    head = b"POST /webhook HTTP/1.1\r\n%bConnection: close\r\nContent-Length: %d\r\n\r\n"
    request = head % (host, len(BODY)) + BODY

    assert _code(await _say(house, request)) in (200, 400)
    await _still_serves(house)


async def test_pipelined_requests_are_each_answered_in_order(house: House) -> None:
    answer = await _say(house, POST * 20 + LAST)

    assert answer.count(b"HTTP/1.1 200 OK") == 21
    assert answer.endswith(b"Pagerelay is healthy.\n")


async def test_what_is_smuggled_behind_a_body_is_a_request_of_its_own(house: House) -> None:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in (BODY[:10], BODY[10:])) + b"0\r\n\r\n"

    answer = await _say(house, CHUNKED + chunks + LAST.replace(b"/-/healthy", b"/nope"))

    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert answer.count(b"HTTP/1.1 404 ") == 1


async def test_a_chunked_body_is_taken(house: House) -> None:
    chunks = [b"1\r\n%c\r\n" % byte for byte in BODY]

    answer = await _say(house, CHUNKED, b"".join(chunks[:50]), b"".join(chunks[50:]), b"0\r\n\r\n" + LAST, pause=0.01)

    assert _code(answer) == 200
    assert b'"opens":1' in answer


async def test_expect_100_continue_is_granted(house: House) -> None:
    head, body = POST.split(b"\r\n\r\n", 1)

    answer = await _say(house, head + b"\r\nExpect: 100-continue\r\n\r\n", body + LAST, pause=0.05)

    assert answer.startswith(b"HTTP/1.1 100 Continue")
    assert b"HTTP/1.1 200 OK" in answer


async def test_a_body_that_stays_half_is_asked_for_again_in_time(house: House) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    began = time.monotonic()
    writer.write(POST[:-20])

    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
    writer.close()

    assert _code(head) == 503
    assert b"Retry-After: 1" in head
    assert time.monotonic() - began < 2
    await _still_serves(house)


async def test_a_body_that_drips_is_asked_for_again_in_time(house: House) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    head, body = POST.split(b"\r\n\r\n", 1)
    writer.write(head + b"\r\n\r\n")

    async def drip() -> None:
        for byte in body:
            writer.write(bytes((byte,)))
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    async with asyncio.timeout(5):
        answer = await reader.readuntil(b"\r\n\r\n")
    dripping.cancel()
    writer.close()

    assert _code(answer) == 503


async def test_a_sender_that_hangs_up_half_way_leaves_nothing_behind(house: House) -> None:
    for cut in (1, 30, 60, len(POST) - len(BODY) + 5, len(POST) - 1):
        await _say(house, POST[:cut], patience=0.05)

    assert (await house.get("/api/v1/pages"))["pages"] == []
    await _still_serves(house)


async def test_two_hundred_slow_senders_keep_nobody_waiting(house: House) -> None:
    slow = [await asyncio.open_connection("127.0.0.1", house.port) for _ in range(200)]
    for number, (_, writer) in enumerate(slow):
        writer.write(POST[:20] if number % 2 else POST[:-20])
    began = time.monotonic()

    await _still_serves(house)

    assert time.monotonic() - began < 1
    for _, writer in slow:
        writer.close()
