"""A reload in the whole relay: it changes everything or nothing, and no page waits for it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from relay.app import App, House, Settings
from relay.errors import StoreError
from relay.sandbox.app import SANDBOX, make_app
from relay.secret import Secret, key_id
from relay.store import acquire
from tests.integration.house import alert, as_bytes, message

OLD, NEW = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
PROMPT = 5.0
"""Seconds: the least that a key which is not at hand costs is 30."""


async def until(true: Callable[[], bool], seconds: float) -> None:
    """Ask until the answer is true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


class Scene:
    """The relay, the sandbox, and a file that says which key counts."""

    def __init__(self, app: App, sandbox: web.Application, url: str, file: Path) -> None:
        self.app = app
        self._sandbox = sandbox
        self._url = url
        self._file = file

    @property
    def house(self) -> House:
        assert self.app._house is not None
        return self.app._house

    def configure(self, key: str) -> None:
        self._file.write_text(
            f"global: {{pagerduty_url: '{self._url}'}}\n"
            "route: {receiver: team, group_by: [alertname]}\n"
            f"receivers: [{{name: team, pagerduty_configs: [{{routing_key: {key}}}]}}]\n"
        )

    async def fire(self, name: str) -> None:
        await self.house.intake.accept(as_bytes(message(alert(name), key=name)), "")

    async def opened(self, count: int) -> None:
        await until(lambda: len(self._sandbox[SANDBOX].open_alerts) >= count, PROMPT)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    file = tmp_path / "relay.yml"
    app = App(Settings(file, tmp_path / "data", (("127.0.0.1", 0),)))
    sandbox = make_app()
    async with TestServer(sandbox) as server:
        scene = Scene(app, sandbox, str(server.make_url("/v2/enqueue")), file)
        scene.configure(OLD)
        serving = asyncio.create_task(app.serve())
        await until(lambda: app._not_ready is None, 30)
        yield scene
        app._stop.set()
        assert await asyncio.wait_for(serving, 30) == 0


async def test_a_reload_that_the_store_refuses_leaves_the_old_keys_in_force(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(rows: object) -> None:
        raise StoreError("the disk is full")

    scene.configure(NEW)
    with monkeypatch.context() as patch:
        patch.setattr(scene.house.store, "remember_integrations", full)
        problems = await scene.app.reload()
    await scene.fire("After")

    assert ["the disk is full" in str(problem) for problem in problems] == [True]
    await scene.opened(1)


async def test_what_fires_while_a_key_is_rotated_is_sent_at_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    reload = scene.house.renderer.reload

    async def slow(sources: Mapping[str, str]) -> None:
        await asyncio.sleep(0.2)  # a worker takes its time to start
        await scene.fire("Meanwhile")
        await asyncio.sleep(0.2)
        await reload(sources)

    await scene.fire("Before")
    monkeypatch.setattr(scene.house.renderer, "reload", slow)
    scene.configure(NEW)

    assert all(problem.warning for problem in await scene.app.reload())
    await scene.fire("After")
    await scene.opened(3)


async def test_a_hang_up_while_it_waits_for_the_storage_path_counts_once_it_is_open(tmp_path: Path) -> None:
    file = tmp_path / "relay.yml"
    other = await acquire(tmp_path / "data", 0)
    app = App(Settings(file, tmp_path / "data", (("127.0.0.1", 0),)))
    scene = Scene(app, make_app(), "http://127.0.0.1:1/v2/enqueue", file)
    scene.configure(OLD)
    serving = asyncio.create_task(app.serve())
    await until(lambda: "waiting" in (app._not_ready or ""), 30)

    scene.configure(NEW)
    app._hang_up()
    other.release()
    await until(lambda: app._not_ready is None, 30)

    (integration,) = scene.house.intake.book.rules.integrations.values()
    assert integration.key_id == key_id("http://127.0.0.1:1/v2/enqueue", Secret(NEW))
    app._stop.set()
    assert await asyncio.wait_for(serving, 30) == 0
