"""The pulse, heard by a small server, with a clock that tests move."""

import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from relay.alert import MINUTE, SECOND, Instant
from relay.errors import StoreError
from relay.logs import Log
from relay.metrics import Metrics
from relay.page import Lane
from relay.pulse import Pulse
from relay.secret import Secret
from relay.store import Counts, SqliteStore

NOON = 1_795_435_200 * SECOND
CALM = Counts({}, {}, {}, {}, {})


@dataclass
class Ward:
    """A pulse and all it goes by."""

    url: str = ""
    now: Instant = NOON
    answer: int = 200
    heard: list[float] = field(default_factory=list)
    """Seconds after noon."""
    broken: str = ""
    counted: Counts = CALM
    failed: str = ""
    paused: str = ""
    beats: int = 0
    log: io.StringIO = field(default_factory=io.StringIO)
    metrics: Metrics = field(default_factory=Metrics)
    pulse: Pulse = field(init=False)

    async def beat(self, now: Instant) -> None:
        """Stand in for a store that takes writes, or does not."""
        self.beats += 1
        if self.broken:
            raise StoreError(self.broken)

    async def counts(self) -> Counts:
        """Stand in for what waits in a store."""
        return self.counted

    async def hear(self, request: web.Request) -> web.Response:
        """Take a pulse, as the far end does."""
        self.heard.append((self.now - NOON) / SECOND)
        headers = {"Location": "/elsewhere"} if self.answer == 302 else {}
        return web.Response(status=self.answer, headers=headers)

    async def wait(self, seconds: int) -> None:
        """Let time pass."""
        await self.pulse.tick()
        for _ in range(seconds):
            self.now += SECOND
            await self.pulse.tick()

    def counter(self, outcome: str) -> float | None:
        """Read the metric."""
        return self.metrics.registry.get_sample_value("pagerelay_heartbeat_pings_total", {"outcome": outcome})


@pytest.fixture
async def ward() -> AsyncIterator[Ward]:
    ward = Ward()
    app = web.Application()
    app.router.add_get("/ping/{secret}", ward.hear)
    app.router.add_get("/elsewhere", ward.hear)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    ward.url = f"http://127.0.0.1:{runner.addresses[0][1]}/ping/4d7f1b1e"
    ward.pulse = Pulse(
        ward,
        clock=lambda: ward.now,
        steady=lambda: ward.now,
        send_failed=lambda: ward.failed,
        paused=lambda: ward.paused,
        metrics=ward.metrics,
        log=Log(lambda: ward.now, stream=ward.log),
    )
    await ward.pulse.start()
    ward.pulse.reloaded(Secret(ward.url))
    yield ward
    await ward.pulse.close()
    await runner.cleanup()


async def test_it_is_heard_once_a_minute_after_a_real_write(ward: Ward) -> None:
    await ward.wait(150)

    assert ward.heard == [0, 60, 120]
    assert ward.beats == 3
    assert ward.counter("success") == 3


async def test_a_store_that_writes_lets_it_beat(ward: Ward, tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path)
    ward.pulse._store = store
    await ward.wait(0)
    await store.close()

    assert ward.heard == [0]


WAITING = msgspec.structs.replace(CALM, waiting={("i", Lane.WARNING): 1})
TROUBLES = [
    pytest.param({"broken": "the disk is full"}, "the disk is full", id="the store does not write"),
    pytest.param({"paused": "nothing is sent to anybody"}, "nothing is sent", id="everything is paused"),
    pytest.param(
        {"counted": msgspec.structs.replace(CALM, oldest={Lane.CRITICAL: NOON - MINUTE})},
        "a critical waits",
        id="a critical is late",
    ),
    pytest.param({"failed": "timeout", "counted": WAITING}, "did not take the last event", id="a send failed"),
]


@pytest.mark.parametrize(("trouble", "because"), TROUBLES)
async def test_it_is_withheld_while_pages_do_not_get_through(
    ward: Ward, trouble: dict[str, object], because: str
) -> None:
    well = {name: getattr(ward, name) for name in trouble}
    for name, value in trouble.items():
        setattr(ward, name, value)
    await ward.wait(130)
    assert (ward.heard, ward.counter("withheld")) == ([], 3)
    assert ward.log.getvalue().count("no pulse was sent") == 1
    assert because in ward.log.getvalue()

    for name, value in well.items():
        setattr(ward, name, value)
    await ward.wait(60)

    assert ward.heard == [180]
    assert "the pulse goes to heartbeat_url again" in ward.log.getvalue()


@pytest.mark.parametrize(
    "calm",
    [
        pytest.param({"failed": "timeout"}, id="the last send failed, and nothing is due any more"),
        pytest.param({"counted": WAITING}, id="something waits, and the last send was taken"),
        pytest.param(
            {"counted": msgspec.structs.replace(CALM, oldest={Lane.CRITICAL: NOON - 59 * SECOND})},
            id="a critical waits for less than a minute",
        ),
        pytest.param(
            {"counted": msgspec.structs.replace(CALM, oldest={Lane.WARNING: 0})}, id="only a warning waits for long"
        ),
    ],
)
async def test_it_goes_on_while_pages_get_through(ward: Ward, calm: dict[str, object]) -> None:
    for name, value in calm.items():
        setattr(ward, name, value)
    await ward.wait(0)

    assert ward.heard == [0]


@pytest.mark.parametrize(("status", "said"), [(500, "HTTP 500"), (302, "HTTP 302")])
async def test_an_answer_that_is_none_is_said_without_the_address(ward: Ward, status: int, said: str) -> None:
    ward.answer = status
    await ward.wait(70)

    assert ward.heard == [0, 60]  # a redirect is not followed
    assert ward.counter("failed") == 2
    assert said in ward.log.getvalue()
    assert "4d7f1b1e" not in ward.log.getvalue()


async def test_nobody_listening_is_said_without_the_address(ward: Ward) -> None:
    ward.pulse.reloaded(Secret("http://127.0.0.1:1/ping/4d7f1b1e"))
    await ward.wait(0)

    assert ward.counter("failed") == 1
    assert "cannot connect" in ward.log.getvalue()
    assert "4d7f1b1e" not in ward.log.getvalue()


async def test_without_an_address_nothing_is_asked_or_written(ward: Ward) -> None:
    ward.pulse.reloaded(None)
    await ward.wait(70)

    assert (ward.heard, ward.beats) == ([], 0)
