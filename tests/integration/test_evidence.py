"""Alerts that vanished without a resolve, from a real Alertmanager to PagerDuty, by a clock that is moved."""

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from relay.alert import moment
from relay.alertmanager import AlertmanagerClient
from relay.evidence import Evidence
from relay.logs import Log
from tests.acceptance.bodies import alert, body, labels
from tests.acceptance.programs import Alertmanager, call
from tests.integration.timelapse import NOON, PATIENCE, Relay, config, hours, minutes, open_relay

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus-alertmanager") is None,
    reason="!! NOT TESTED with a real Alertmanager, there is none here",
)

DISK, OTHER, WATCHDOG = labels("Disk"), labels("Other"), labels("Watchdog", severity="none")


@dataclass
class Replica:
    """A way to the API of the real Alertmanager, whose clock seems to move along with the relay's."""

    scene: "Scene"
    url: str = ""
    down: bool = False
    ages: bool = True

    async def answer(self, request: web.Request) -> web.Response:
        """Pass a question on, and the answer back."""
        if self.down:
            return web.Response(status=502)
        async with self.scene.relay.http.get(self.scene.alertmanager.url + request.path_qs) as reply:
            passed = (self.scene.relay.now - NOON) if self.ages else 0
            now = moment(time.time_ns() // 1000 + passed)
            headers = {"Date": format_datetime(now, usegmt=True)}
            return web.Response(body=await reply.read(), status=reply.status, headers=headers)


@dataclass
class Scene:
    """A relay, a real Alertmanager with two replicas' worth of URLs, and who asks it."""

    folder: Path
    replicas: tuple[Replica, ...] = ()
    relay: Relay = field(init=False)
    alertmanager: Alertmanager = field(init=False)
    evidence: Evidence = field(init=False)
    client: AlertmanagerClient = field(init=False)
    woken: list[str] = field(default_factory=list)

    def enquire(self) -> None:
        """Begin to ask, as at a start."""
        relay = self.relay
        log = Log(relay.clock, stream=relay)  # type: ignore[arg-type]
        parts: dict[str, Any] = {"clock": relay.clock, "steady": relay.clock}
        parts |= {"wake": lambda: self.woken.append("dispatcher"), "nudge": lambda: self.woken.append("scheduler")}
        self.evidence = Evidence(
            relay.store, relay.book, relay.recall, self.client, metrics=relay.metrics, log=log, **parts
        )

    async def fire(self, *alerts: dict[str, str]) -> None:
        """Say that these fire, and wait until the Alertmanager has told the relay."""
        before = len(self.said("accepted webhook"))
        self.alertmanager.fire(*alerts)
        deadline = time.monotonic() + PATIENCE
        while len(self.said("accepted webhook")) == before:
            assert time.monotonic() < deadline, self.alertmanager.output()[-2_000:]
            await asyncio.sleep(0.01)
        await self.relay.settle()

    def crash(self) -> None:
        """End the Alertmanager without a word, take its disk away, and start it again."""
        self.alertmanager.kill()
        shutil.rmtree(self.folder / "alertmanager")
        self.alertmanager.start()

    def silence(self, alertname: str) -> None:
        """Silence an alert at the Alertmanager."""
        matcher = {"name": "alertname", "value": alertname, "isRegex": False, "isEqual": True}
        times = {"startsAt": "2020-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z"}
        silence = {"matchers": [matcher], **times, "createdBy": "anna", "comment": "disk swap"}
        assert call("POST", f"{self.alertmanager.url}/api/v2/silences", silence).status == 200

    async def repeat(self, alertname: str) -> None:
        """Post a body again as the Alertmanager does after `repeat_interval`, which takes it real hours."""
        said = body(alertname, alert(labels(alertname)))
        async with self.relay.http.post(f"{self.relay.url}/webhook/prod", json=said) as reply:
            assert reply.status == 200
        await self.relay.settle()

    async def poll(self, after: float = 0.0) -> list[str]:
        """Let time pass, ask, do what follows, and return what PagerDuty was told of Disk."""
        await self.relay.wait(after)
        await self.evidence.tick()
        await self.relay.settle()
        return [line for line in self.relay.sent() if "Disk" in line]

    def said(self, what: str) -> list[str]:
        """Return the lines of the log that say this, without their time."""
        return [line.partition(" level=")[2].strip() for line in self.relay.log if f'msg="{what}"' in line]

    def counted(self, name: str) -> float:
        """Read a counter of the source."""
        return self.relay.counted(name, source="prod")


@contextlib.asynccontextmanager
async def stage(folder: Path, replicas: int = 2, top: dict[str, Any] | None = None) -> AsyncIterator[Scene]:
    """Start everything, let Disk and Other page, and return an hour later."""
    scene = Scene(folder)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(replicas):
            replica = Replica(scene)
            app = web.Application()
            app.router.add_get("/{path:.*}", replica.answer)
            server = await stack.enter_async_context(TestServer(app, host="127.0.0.1"))
            replica.url = str(server.make_url("")).rstrip("/")
            scene.replicas += (replica,)
        source = {"name": "prod", "repeat_interval": "1h", "alertmanager_url": [one.url for one in scene.replicas]}
        said = {"sources": [source], **(top or {})}
        scene.relay = await stack.enter_async_context(open_relay(folder, config(top=said)))
        scene.client = AlertmanagerClient()
        await scene.client.start()
        stack.push_async_callback(scene.client.close)
        scene.alertmanager = Alertmanager(folder, f"{scene.relay.url}/webhook/prod")
        stack.callback(scene.alertmanager.put_away)
        scene.alertmanager.start()
        scene.enquire()
        await scene.fire(DISK)
        await scene.fire(OTHER)
        assert scene.relay.sent() == ["0 s trigger Disk critical", "0 s trigger Other critical"]
        assert await scene.poll(hours(1)) == []
        yield scene


async def test_what_an_alertmanager_forgot_is_stale_and_is_resolved_after_two_polls(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        scene.crash()
        await scene.fire(OTHER)

        assert await scene.poll(minutes(59)) == []
        assert scene.counted("pagerelay_alertmanager_polls_total") == 0
        assert await scene.poll(minutes(1)) == []  # two hours since it was heard: it is stale
        assert scene.counted("pagerelay_alertmanager_polls_total") == 1
        assert await scene.poll(minutes(4)) == []
        assert scene.counted("pagerelay_alertmanager_polls_total") == 1
        assert scene.woken == []
        assert await scene.poll(minutes(1)) == ["7500 s resolve Disk"]

        assert scene.woken == ["dispatcher", "scheduler"]
        assert scene.relay.open_alerts.keys() == {"Other"}
        names = ", ".join(one.url.removeprefix("http://") for one in scene.replicas)
        because = f"gone: none of 2 Alertmanagers at {names} knew it at 14:00:00 UTC and 14:05:00 UTC"
        assert (await scene.relay.journal(alertname="Disk"))[-1] == ("14:05:00", "resolves", because)
        assert scene.said("alerts became stale") == [
            'warning msg="alerts became stale" source=prod stale=1 stale_pages=1'
        ]
        assert scene.said("stale alerts are gone") == ['info msg="stale alerts are gone" source=prod resolved=1']
        assert scene.said("stale alerts are kept") == []
        assert scene.counted("pagerelay_alertmanager_poll_failures_total") == 0
        assert (await scene.relay.store.count_stale()) == ({}, 0)

        assert await scene.poll(hours(1)) == []
        assert scene.counted("pagerelay_alertmanager_polls_total") == 2

        await scene.fire(DISK)

        assert scene.relay.sent() == ["11100 s trigger Disk critical"]


async def test_what_was_resolved_under_a_silence_there_is_resolved_too(tmp_path: Path) -> None:
    """Alertmanager never sends that resolve (its issue 226). While the alert is silenced there, it is known there."""
    async with stage(tmp_path, replicas=1) as scene:
        scene.silence("Disk")
        await scene.fire(labels("Other", "b"))
        for _ in range(4):
            assert await scene.poll(minutes(20)) == []
        (why,) = scene.said("stale alerts are kept")
        assert why.endswith('knows it"')

        scene.alertmanager.resolve(DISK)
        await scene.repeat("Other")
        assert await scene.poll(minutes(5)) == []

        assert await scene.poll(minutes(5)) == ["9000 s resolve Disk"]


async def test_while_one_of_two_does_not_answer_nothing_is_gone(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        scene.crash()
        await scene.fire(OTHER)
        scene.replicas[1].down = True
        for _ in range(5):
            assert await scene.poll(minutes(15)) == []
        (why,) = scene.said("stale alerts are kept")
        assert why.endswith(f'because="{scene.replicas[1].url.removeprefix("http://")} did not answer: HTTP 502"')
        assert scene.counted("pagerelay_alertmanager_poll_failures_total") == 2

        scene.replicas[1].down = False
        assert await scene.poll(minutes(5)) == []
        scene.replicas[1].down = True
        assert await scene.poll(minutes(5)) == []
        scene.replicas[1].down = False
        assert await scene.poll(minutes(5)) == [], "the poll before a failed one counted"

        assert await scene.poll(minutes(5)) == ["9300 s resolve Disk"]


async def test_one_that_runs_for_a_short_time_proves_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        scene.crash()
        await scene.fire(OTHER)
        scene.replicas[0].ages = False

        for _ in range(5):
            assert await scene.poll(minutes(15)) == []

        (why,) = scene.said("stale alerts are kept")
        assert why.endswith('runs for less than 15m"')


async def test_one_that_knows_nothing_of_ours_proves_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        scene.crash()
        scene.silence("Stranger")  # so that the relay does not hold it
        scene.alertmanager.fire(labels("Stranger"))
        await scene.repeat("Other")

        for _ in range(5):
            await scene.poll(minutes(15))

        assert "Disk" in scene.relay.open_alerts
        (why,) = scene.said("stale alerts are kept")
        assert why.endswith('knows no other alert that fires here, nor a heartbeat"')


async def test_one_that_knows_the_heartbeat_is_believed(tmp_path: Path) -> None:
    beat = {"name": "prod", "matchers": ['alertname="Watchdog"'], "within": "100d", "receiver": "a", "source": "prod"}
    async with stage(tmp_path, top={"heartbeats": [beat]}) as scene:
        scene.crash()
        scene.silence("Watchdog")  # so that the relay does not hold it
        scene.alertmanager.fire(WATCHDOG)
        await scene.repeat("Other")
        assert await scene.poll(minutes(60)) == []

        assert await scene.poll(minutes(5)) == ["7500 s resolve Disk"]


async def test_what_is_heard_between_the_polls_is_not_gone(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        scene.crash()
        await scene.fire(OTHER)
        assert await scene.poll(minutes(60)) == []
        await scene.repeat("Disk")

        assert await scene.poll(minutes(5)) == []
        assert await scene.poll(minutes(5)) == []

        assert "Disk" in scene.relay.open_alerts


async def test_a_restart_begins_anew(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        scene.crash()
        await scene.fire(OTHER)
        assert await scene.poll(minutes(60)) == []

        await scene.relay.restart()
        scene.enquire()

        assert await scene.poll(minutes(5)) == []
        await scene.repeat("Other")
        assert await scene.poll(minutes(60)) == []
        await scene.repeat("Other")
        assert await scene.poll(minutes(60)) == []  # two hours since the source was heard again: it is stale
        assert await scene.poll(minutes(5)) == ["15000 s resolve Disk"]


async def test_without_a_url_nobody_is_asked(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        scene.crash()
        await scene.fire(OTHER)
        scene.relay.configure(config(top={"sources": [{"name": "prod", "repeat_interval": "1h"}]}))
        scene.evidence.reloaded(await scene.relay._bind())

        for _ in range(5):
            assert await scene.poll(minutes(15)) == []

        assert scene.counted("pagerelay_alertmanager_polls_total") == 0
        assert len(scene.said("alerts became stale")) == 1
