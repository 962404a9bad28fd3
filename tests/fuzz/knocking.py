"""Knocks at a running relay with mutated bodies and raw bytes, and says what was not answered as agreed."""

import asyncio
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.acceptance.programs import Relay, Sandbox, call, wait_for
from tests.fuzz import golden, seeds
from tests.fuzz.accepting import CONFIG, Found
from tests.fuzz.mutate import mutated

CONNECTIONS = 8
_KEY = "7e57ca4a41ab1e0000000000000000cc"
_PATIENCE = 20.0
_MB = 1_000_000


@dataclass(frozen=True)
class Door:
    """A door that takes bodies, and how it may answer."""

    path: str
    seeds: Callable[[], tuple[bytes, ...]]
    faults: Callable[[int, bytes], list[str]]


def _explained(status: int, body: bytes) -> list[str]:
    return [] if status in (200, 400) else [f"{status} {body[:300]!r}"]


_LISTED = partial(golden.faults_of_alertmanager, frozenset({200, 400}))
_SILENCED = partial(golden.faults_of_alertmanager, frozenset({200, 400, 404, 422}))
DOORS = (
    *(Door("/webhook", seeds.webhooks, golden.faults_of_webhook),) * 12,
    *(Door("/webhook/eu", seeds.webhooks, golden.faults_of_webhook),) * 2,
    *(Door("/api/v2/alerts", seeds.alert_lists, _LISTED),) * 3,
    Door("/source/eu/api/v2/alerts", seeds.alert_lists, _LISTED),
    Door("/api/v2/silences", seeds.silences, _SILENCED),
    Door("/api/v1/explain", seeds.webhooks, _explained),
)
RAW = 21
"""One request in so many is raw bytes on a connection of its own."""


class Knocked:
    """A relay and a sandbox in a folder, and what they make of a run."""

    def __init__(self, folder: Path) -> None:
        self.sandbox = Sandbox(folder)
        self.sandbox.start()
        config = folder / "relay.yml"
        route = "    - {matchers: ['alertname=\"StillPages\"'], receiver: still}\n"
        receiver = f"  - {{name: still, pagerduty_configs: [{{routing_key: {_KEY}}}]}}\n"
        text = CONFIG.replace("  routes:\n", f"  routes:\n{route}") + receiver
        config.write_text(text.replace("{resolve", f'{{pagerduty_url: "{self.sandbox.events_url}", resolve', 1))
        self.relay = Relay(folder, config)
        self.relay.start()

    def put_away(self) -> None:
        """End both."""
        self.relay.put_away()
        self.sandbox.put_away()

    def memory(self) -> int:
        """Bytes that the relay holds."""
        return int(Path(f"/proc/{self.relay.pid}/statm").read_text().split()[1]) * 4096

    def still_pages(self) -> None:
        """Fire a critical that nothing else has to do with, and wait until it is open at PagerDuty.

        Silences that were posted may well hold for it: they are ended first.
        """
        for silence in self.relay.get("/api/v2/silences"):
            call("DELETE", f"{self.relay.url}/api/v2/silence/{silence['id']}")
        labels = {"alertname": "StillPages", "severity": "critical"}
        alert = {"status": "firing", "labels": labels, "startsAt": "2026-11-23T12:00:00Z"}
        answer = self.relay.post({"version": "4", "groupKey": "still", "alerts": [alert]})
        assert answer.status == 200, answer.text
        wait_for(lambda: any("StillPages" in str(one) for one in self.sandbox.open().values()), "the relay still pages")


def run(folder: Path, seed: int, count: int, tell: Callable[[str], None] = lambda _: None) -> Found:
    """Knock `count` times at a relay of its own."""
    house = Knocked(folder)
    try:
        found = asyncio.run(_knock(house, seed, count, tell))
        house.still_pages()
        output = house.relay.output()
        for line in output.splitlines():
            if "Traceback" in line or "unexpectedly" in line:
                found.faults.append((-1, b"", f"the relay logged {line[:2_000]}"))
            elif len(line) > _LONGEST_LINE:
                found.faults.append((-1, b"", f"a line of {len(line)} characters in the log: {line[:300]}"))
        if not house.relay.running:
            found.faults.append((-1, b"", "the relay ended"))
    finally:
        house.put_away()
    return found


_LONGEST_LINE = 12_000


async def _knock(house: Knocked, seed: int, count: int, tell: Callable[[str], None]) -> Found:
    found = Found(bodies=count)
    numbers = iter(range(count))
    port = int(house.relay.url.rpartition(":")[2])

    async def knocker() -> None:
        line: _Line | None = None
        for number in numbers:
            if number % (count // 20 or 1) == 0:
                found.memory.append(house.memory())
                tell(f"{number} of {count} requests, {len(found.faults)} faults")
            try:
                if number % RAW == RAW - 1:
                    await _raw(port, seed, number, found)
                    continue
                line = line or await _Line.open(port)
                if not await _post(line, seed, number, found):
                    line.close()
                    line = None
            except (OSError, EOFError, TimeoutError) as error:
                found.faults.append((number, b"", f"no answer: {type(error).__name__} {error}"))
                line = None
        if line is not None:
            line.close()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(CONNECTIONS):
            tasks.create_task(knocker())
    return found


class _Line:
    """One connection that is kept alive."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> "_Line":
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=64 * _MB))

    async def ask(self, request: bytes) -> tuple[int, bytes, bool]:
        """Return status, body, and whether the connection stays."""
        async with asyncio.timeout(_PATIENCE):
            self._writer.write(request)
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            body = await self.reader.readexactly(int(length[1])) if length else b""
        return int(head[9:12]), body, b"onnection: close" not in head

    def close(self) -> None:
        self._writer.close()


async def _post(line: _Line, seed: int, number: int, found: Found) -> bool:
    door = DOORS[number % len(DOORS)]
    body = mutated(door.seeds(), seed, number)
    head = f"POST {door.path} HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    status, answer, stays = await line.ask(f"{head}\r\n\r\n".encode() + body)
    found.answers[f"{door.path} {status}"] += 1
    found.faults += [(number, body, f"{door.path}: {fault}") for fault in door.faults(status, answer)[:1]]
    return stays


# Below the bodies: what is no HTTP, or only nearly

_GOOD = b"POST /webhook HTTP/1.1\r\nHost: relay\r\n"


def _headers(body: bytes, chance: random.Random) -> bytes:
    """A request with headers that nobody sends."""
    odd = (
        *(b"Host: evil.example:99999", b"Host: [::", b"Host: \xff\xfe", b"Content-Length: -1", b"Content-Length: 1e3"),
        *(b"Content-Encoding: gzip", b"Content-Encoding: br", b"Transfer-Encoding: chunked", b"Expect: 100-continue"),
        *(b"X: " + b"a" * 9_000, b"Content-Type: " + chance.randbytes(30).replace(b"\n", b""), b"Connection: Upgrade"),
        *(b"Upgrade: websocket", b"Cookie: " + b"a=b;" * 500, b"Range: bytes=0-", b"Authorization: Basic !!!", b": x"),
        *(b"Authorization: Bearer \x00", b"X-Forwarded-For: ::1", b"Content-Type: multipart/form-data; boundary=x"),
    )
    length = chance.choice((b"Content-Length: %d\r\n" % len(body), b"", b"Content-Length: 5\r\nContent-Length: 6\r\n"))
    chosen = b"".join(one + b"\r\n" for one in chance.sample(odd, chance.choice((1, 2, 6))))
    return _GOOD + chosen + length + b"\r\n" + body


def _chunked(body: bytes, chance: random.Random) -> bytes:
    """Chunks, some of them broken."""
    size = chance.choice((1, 7, 4_000))
    parts = [body[at : at + size] for at in range(0, min(len(body), 40 * size), size)]
    chunks = [b"%x%b\r\n%b\r\n" % (len(one), chance.choice((b"", b"", b";a=b")), one) for one in parts]
    if chance.random() < 0.6:
        wrong = (b"zz\r\n", b"-1\r\n", b"fffffffffffffffff\r\n", b"5\r\nab\r\n", b"\r\n\r\n")
        chunks.insert(chance.randrange(len(chunks) + 1), chance.choice(wrong))
    end = chance.choice((b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b""))
    return _GOOD + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(chunks) + end


def _pipelined(body: bytes, chance: random.Random) -> bytes:
    one = _GOOD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    return one * chance.choice((2, 5, 20)) + chance.choice((b"", b"GARBAGE\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"))


def _foreign(body: bytes, chance: random.Random) -> bytes:
    """Another protocol, or none."""
    return chance.choice(
        (
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(200),
            b"SSH-2.0-OpenSSH_9.2\r\n",
            chance.randbytes(chance.choice((1, 50, 5_000))),
            b"\r\n" * 100 + _GOOD + b"\r\n",
            b"GET http://other.example/ HTTP/1.1\r\nHost: x\r\n\r\n",
            b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /" + b"%2e%2e/" * 900 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /pages/%ff%00%c3?limit=%zz&a&&= HTTP/1.1\r\nHost: x\r\n\r\n",
            b"POST /webhook/%2e%2e%2f HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
            body,
        )
    )


def _bent(body: bytes, chance: random.Random) -> bytes:
    """A good request with bytes of its head turned over."""
    request = bytearray(_GOOD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    for _ in range(chance.choice((1, 2, 10))):
        request[chance.randrange(60)] = chance.randrange(256)
    return bytes(request)


_SHAPES = (_headers, _headers, _chunked, _pipelined, _foreign, _bent)


_LAST = b"GET /-/healthy HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n"
_ENOUGH = 0.4
"""Seconds to wait for the rest of an answer: bytes that promise more than they bring get none for long."""


async def _raw(port: int, seed: int, number: int, found: Found) -> None:
    """Send bytes on a connection of their own, with a last good request, and read what comes back."""
    chance = random.Random((seed << 40) ^ number)
    request = chance.choice(_SHAPES)(mutated(seeds.webhooks(), seed, number), chance)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        writer.write(request + _LAST)
        async with asyncio.timeout(_ENOUGH):
            while more := await reader.read(_MB):
                answer += more
    except (ConnectionError, TimeoutError):
        pass  # hung up on, or waited for more: both are right for nonsense
    finally:
        writer.close()
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]
    found.answers["raw " + (str(statuses[0]) if statuses else "without an answer")] += 1
    found.faults += [(number, request, f"raw: {one} {answer[:400]!r}") for one in statuses if one >= 500][:1]


def table(found: Mapping[str, Any]) -> str:
    """Lay out counts, one row each."""
    return "\n".join(f"    {word:<40} {count}" for word, count in sorted(found.items()))
