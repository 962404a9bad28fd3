"""A reload in the whole relay: it changes everything or nothing, and no page waits for it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from relay.app import App
from relay.errors import StoreError
from relay.house import House
from relay.sandbox.app import SANDBOX, make_app
from relay.sandbox.faults import Fault
from relay.secret import Secret, key_id
from relay.settings import Settings
from relay.store import acquire
from tests.integration.house import alert, as_bytes, message

OLD, NEW = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
REFUSED = {"status": "invalid event", "message": "Event object is invalid", "errors": ["Length of 'dedup_key' is odd"]}
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

    def configure(self, key: str, receiver: str = "team", meta: str = "", description: str = "") -> None:
        entries = [{"name": receiver, "pagerduty_configs": [{"routing_key": key}]}]
        said = {"pagerduty_url": self._url}
        if description:
            entries[0]["pagerduty_configs"][0]["description"] = description  # type: ignore[index]
        if meta:
            entries.append({"name": "us", "pagerduty_configs": [{"routing_key": meta}]})
            said["meta_receiver"] = "us"
        route = {"receiver": receiver, "group_by": ["alertname"]}
        self._file.write_text(json.dumps({"global": said, "route": route, "receivers": entries}))

    @property
    def open(self) -> set[str]:
        """Dedup keys that are open at PagerDuty."""
        return {alert.dedup_key for alert in self._sandbox[SANDBOX].open_alerts}

    @property
    def opened_under(self) -> set[str]:
        """Routing keys of what is open at PagerDuty."""
        return {alert.routing_key for alert in self._sandbox[SANDBOX].open_alerts}

    def refuse(self, key: str, status: int = 400) -> None:
        """Have PagerDuty refuse every event under a key."""
        self._sandbox[SANDBOX].faults.add(Fault(status=status, key=key, body=json.dumps(REFUSED)))

    async def fire(self, name: str) -> None:
        await self.house.intake.accept(as_bytes(message(alert(name), key=name)), "")

    async def resolve(self, name: str) -> None:
        await self.house.intake.accept(as_bytes(message(alert(name, "resolved"), key=name)), "")

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
        problems = await scene.app._config.reload()
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

    assert all(problem.warning for problem in await scene.app._config.reload())
    await scene.fire("After")
    await scene.opened(3)


async def test_a_receiver_that_a_reload_removes_still_gets_the_resolves_of_its_pages(scene: Scene) -> None:
    await scene.fire("Before")
    await scene.opened(1)
    scene.configure(NEW, receiver="crew")

    told = await scene.app._config.reload()
    await scene.resolve("Before")

    assert [problem.warning for problem in told] == [True]
    assert "1 page open on a routing key that the file does not name any more" in told[0].message
    await until(lambda: not scene.open, PROMPT)


async def test_what_waits_for_a_wrong_key_goes_out_once_it_is_replaced(scene: Scene) -> None:
    scene.refuse(OLD, 401)
    await scene.fire("Waiting")
    await until(lambda: bool(scene.house.dispatcher.refused()), PROMPT)

    scene.configure(NEW)
    assert await scene.app._config.reload() == ()

    await scene.opened(1)
    assert scene.opened_under == {NEW}


async def test_what_is_paged_past_the_store_after_a_rotation_goes_out_under_the_new_key(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*asked: object) -> None:
        raise StoreError("the disk is full")

    scene.configure(NEW)
    assert await scene.app._config.reload() == ()
    with monkeypatch.context() as patch:
        patch.setattr(scene.house.store, "keep", full)
        with pytest.raises(StoreError):
            await scene.fire("Past")
        await scene.opened(1)

    assert scene.opened_under == {NEW}


async def test_a_dead_letter_rings_the_bell(scene: Scene) -> None:
    scene.configure(OLD, meta=NEW)
    assert await scene.app._config.reload() == ()
    scene.refuse(OLD)
    await scene.fire("Refused")

    await until(lambda: "pagerelay/dead_letters" in scene.open, 4 * PROMPT)


async def test_a_template_that_fails_rings_the_bell(scene: Scene) -> None:
    scene.configure(OLD, meta=NEW, description="{{ 1 // (alerts|length - alerts|length) }}")
    assert await scene.app._config.reload() == ()
    await scene.fire("Undressed")

    await until(lambda: {"pagerelay/template_failing"} < scene.open, PROMPT)


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
