"""What a person has at PagerDuty is silenced in a real Alertmanager; by a clock that is moved, to which that one's
answers are moved as well."""

import asyncio
import contextlib
import json
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from relay.alert import SECOND, moment
from relay.alertmanager import AlertmanagerClient
from relay.logs import Log
from relay.quieting import Quieting
from tests.acceptance.bodies import labels
from tests.acceptance.programs import Alertmanager, call
from tests.integration.pagerduty_news import SECRET, PagerDuty
from tests.integration.timelapse import NOON, PATIENCE, Relay, config, minutes, open_relay

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus-alertmanager") is None,
    reason="!! NOT TESTED with a real Alertmanager, there is none here",
)

VIRTUAL = "c1" * 16
DISK, OTHER = labels("Disk"), labels("Other")


@dataclass
class Replica:
    """A way to the API of the real Alertmanager, whose clock seems to move along with the relay's."""

    scene: "Scene"
    url: str = ""
    down: bool = False
    restarted: bool = False
    """It seems to have been started a moment ago."""
    forgets: bool = False
    """It seems to know no alert."""
    hides: bool = False
    """It seems to know no silence: its replicas do not tell it."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Pass a call on, and the answer back; times are moved."""
        if self.down:
            return web.Response(status=502)
        passed, ahead = timedelta(microseconds=self.scene.relay.now - NOON), moment(NOON) - self.scene.began
        sent = _moved(await request.json(), -ahead) if request.method == "POST" else None
        if sent is not None:  # its own clock stands nearly still: what is to begin now begins there and then
            sent["startsAt"] = min(sent["startsAt"], datetime.now(UTC).isoformat())
        url = self.scene.alertmanager.url + request.path_qs
        async with self.scene.relay.http.request(request.method, url, json=sent) as reply:
            body, path = await reply.read(), request.path
            if reply.status == 200 and request.method == "GET" and path.endswith("/silences"):
                body = msgspec.json.encode([] if self.hides else _moved(msgspec.json.decode(body), ahead))
            if self.forgets and path.endswith("/alerts"):
                body = b"[]"
            now = datetime.now(UTC) + (timedelta() if self.restarted else passed + RUN)
            headers = {"Date": format_datetime(now, usegmt=True)}
            return web.Response(body=body, status=reply.status, headers=headers)


RUN = timedelta(hours=1)
"""How long it has run when the stage is set."""


def _moved(said: Any, by: timedelta) -> Any:
    """Move the beginnings and ends of silences."""
    if isinstance(said, list):
        return [_moved(one, by) for one in said]
    times = {name: said[name] for name in ("startsAt", "endsAt") if name in said}
    return said | {name: (datetime.fromisoformat(at) + by).isoformat() for name, at in times.items()}


@dataclass
class Scene:
    """A relay, a PagerDuty, a real Alertmanager with two replicas' worth of URLs, and the quiet room."""

    folder: Path
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    replicas: tuple[Replica, ...] = ()
    relay: Relay = field(init=False)
    pagerduty: PagerDuty = field(init=False)
    alertmanager: Alertmanager = field(init=False)
    quieting: Quieting = field(init=False)
    client: AlertmanagerClient = field(init=False)

    def begin(self) -> None:
        """Open the quiet room, as a start does."""
        relay = self.relay
        log = Log(relay.clock, stream=relay)  # type: ignore[arg-type]
        parts: dict[str, Any] = {"clock": relay.clock, "steady": relay.clock, "wake": lambda: None}
        self.quieting = Quieting(
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

    async def acknowledged(self, name: str = "Disk") -> None:
        """Have anna acknowledge a page, and the quiet room look."""
        self.pagerduty.acknowledges(name)
        await self.pagerduty.tells()
        await self.look()

    async def look(self, after: float = 0.0) -> list[str]:
        """Let time pass, a round each half minute; return what PagerDuty was sent."""
        until = self.relay.now + int(after * SECOND)
        while True:
            await self.quieting.tick()
            await self.relay.settle()
            if self.relay.now >= until:
                return self.relay.sent()
            await self.relay.wait(min(30.0, (until - self.relay.now) / SECOND))

    def silences(self, state: str = "active") -> list[dict[str, Any]]:
        """List the silences that the Alertmanager has."""
        found = call("GET", f"{self.alertmanager.url}/api/v2/silences").json
        return [one for one in found if one["status"]["state"] == state]

    def muted(self) -> set[str]:
        """Name what the Alertmanager knows and says nothing of, by alertname and instance."""
        found = call("GET", f"{self.alertmanager.url}/api/v2/alerts").json
        muted = [one["labels"] for one in found if one["status"]["silencedBy"]]
        return {f"{one['alertname']} {one['instance']}" for one in muted}

    def said(self, what: str) -> list[str]:
        """Return the lines of the log that say this, without their time."""
        return [line.partition(" level=")[2].strip() for line in self.relay.log if f'msg="{what}"' in line]

    def counted(self, act: str) -> float:
        """Read how many silences were made, extended, ended or not."""
        return self.relay.counted("pagerelay_alertmanager_silences_total", source="prod", act=act)


@contextlib.asynccontextmanager
async def stage(folder: Path, replicas: int = 2, **route: Any) -> AsyncIterator[Scene]:
    """Start everything, and let Disk and Other page."""
    scene = Scene(folder)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(replicas):
            replica = Replica(scene)
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", replica.answer)
            server = await stack.enter_async_context(TestServer(app, host="127.0.0.1"))
            replica.url = str(server.make_url("")).rstrip("/")
            scene.replicas += (replica,)
        urls = [one.url for one in scene.replicas]
        source = {"name": "prod", "repeat_interval": "1h", "alertmanager_url": urls, "routing_keys": [VIRTUAL]}
        said = {"sources": [source], "pagerduty": {"webhook_secrets": [SECRET]}}
        routes = {"on_acknowledge": "silence", **route}
        scene.relay = await stack.enter_async_context(open_relay(folder, config(top=said, **routes)))
        scene.pagerduty = PagerDuty(scene.relay)
        scene.client = AlertmanagerClient()
        await scene.client.start()
        stack.push_async_callback(scene.client.close)
        scene.alertmanager = Alertmanager(folder, f"{scene.relay.url}/webhook/prod")
        stack.callback(scene.alertmanager.put_away)
        scene.alertmanager.start()
        scene.begin()
        await scene.fire(DISK)
        await scene.fire(OTHER)
        await scene.pagerduty.tells()
        await scene.look()
        scene.relay.sent()
        yield scene


async def test_an_acknowledged_page_is_silenced_there_for_exactly_its_alerts(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        await scene.fire(DISK, labels("Disk", "b"))
        await scene.fire({**DISK, "device": "sda"})  # joins the page as well: it has a silence of its own
        await scene.acknowledged()

        assert scene.muted() == {"Disk a", "Disk b"}
        assert len(scene.silences()) == 3
        (plain,) = [one for one in scene.silences() if {"a", ""} <= {matcher["value"] for matcher in one["matchers"]}]
        matchers = {one["name"]: one["value"] for one in plain["matchers"]}
        assert matchers == {**DISK, "device": ""}
        assert not any(one["isRegex"] for one in plain["matchers"])
        incident = scene.pagerduty.incident("Disk")
        assert plain["createdBy"] == "pagerelay"
        assert plain["comment"].startswith(f"{scene.pagerduty.anna.name} acknowledged incident #{incident.number} at ")
        assert f"{(await scene.relay.page('Disk'))['incident_url']} (pagerelay page " in plain["comment"]
        lasts = datetime.fromisoformat(plain["endsAt"]) - datetime.fromisoformat(plain["startsAt"])
        assert lasts == pytest.approx(timedelta(minutes=10), abs=timedelta(seconds=30))
        assert scene.counted("made") == 3
        assert "3 of its alerts are silenced in Alertmanager" in scene.quieting.of(await number(scene, "Disk"))


async def test_what_has_the_same_labels_and_more_is_not_silenced_along(tmp_path: Path) -> None:
    elsewhere = {"matchers": ['device="sda"'], "receiver": "nobody"}
    async with stage(tmp_path, routes=[elsewhere]) as scene:
        scene.alertmanager.fire({**DISK, "device": "sda"})
        await scene.acknowledged()

        (silence,) = scene.silences()
        (alert,) = call("GET", f"{scene.alertmanager.url}/api/v2/alerts?filter=device%3D%22sda%22").json
        assert silence["status"]["state"] == "active"
        assert alert["status"]["silencedBy"] == []


async def test_it_is_extended_while_it_fires_and_is_not_made_twice(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        await scene.acknowledged()
        (before,) = scene.silences()

        assert await scene.look(minutes(25)) == []

        (after,) = scene.silences()
        assert before["id"] == after["id"]
        assert (scene.counted("made"), scene.counted("failed")) == (1, 0)
        assert scene.counted("extended") == 5
        assert scene.muted() == {"Disk a"}


async def test_it_never_hides_the_resolve(tmp_path: Path) -> None:
    """Alertmanager never sends the resolve of what is silenced when it ends (its issue 226)."""
    async with stage(tmp_path) as scene:
        await scene.acknowledged()
        await scene.look(minutes(3))

        scene.alertmanager.resolve(DISK)
        first = await scene.look(25)
        later = await scene.look(60)

        assert first == []
        assert [line.split(" ", 2)[2] for line in later] == ["resolve Disk"]
        assert scene.relay.open_alerts.keys() == {"Other"}
        _, verdict, because = (await scene.relay.journal(alertname="Disk"))[-1]
        assert (verdict, because.partition(":")[0]) == ("resolves", "gone")
        assert because.endswith(", while it was silenced there")
        await scene.look(30)
        assert scene.silences() == []
        assert scene.counted("ended") == 1


async def test_it_ends_when_nobody_has_it_any_more(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        await scene.acknowledged()
        incidents = scene.relay.sandbox.incidents
        incidents.unacknowledge(scene.pagerduty.incident("Disk"), None)
        await scene.pagerduty.tells()

        await scene.look()

        assert scene.silences() == []
        assert scene.muted() == set()
        assert scene.quieting.of(await number(scene, "Disk")) == ""


async def test_what_it_hid_right_before_it_ended_is_found(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        await scene.acknowledged()
        await scene.look(minutes(1))
        scene.alertmanager.resolve(DISK)
        scene.relay.sandbox.incidents.unacknowledge(scene.pagerduty.incident("Disk"), None)
        await scene.pagerduty.tells()
        await scene.look()
        assert scene.silences() == []

        sent = await scene.look(minutes(2))

        assert [line.split(" ", 2)[2] for line in sent] == ["resolve Disk"]


async def test_what_it_hid_is_found_also_where_a_reload_wants_no_more_silences(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        await scene.acknowledged()
        await scene.look(minutes(1))
        said = json.loads((tmp_path / "relay.yml").read_text())
        await scene.relay.reload({**said, "route": {**said["route"], "on_acknowledge": "leave"}})
        scene.quieting.reloaded(scene.relay.book)
        scene.alertmanager.resolve(DISK)

        sent = await scene.look(minutes(2))

        assert scene.silences() == []
        assert [line.split(" ", 2)[2] for line in sent] == ["resolve Disk"]


async def test_what_is_silenced_and_known_there_is_not_stale(tmp_path: Path) -> None:
    """A silence keeps back the bodies that would say that it fires still: it must not end for want of them."""
    async with stage(tmp_path, on_stale="resolve") as scene:
        await scene.acknowledged()
        for instance in "bcdef":  # the source is heard of
            await scene.fire(labels("Other", instance))
            await scene.look(minutes(30))

        assert scene.relay.open_alerts["Disk"] == "acknowledged"
        scene.relay.sandbox.incidents.unacknowledge(scene.pagerduty.incident("Disk"), None)
        await scene.pagerduty.tells()
        await scene.look(minutes(30))
        assert scene.relay.open_alerts["Disk"] == "triggered"


@pytest.mark.parametrize("trouble", ["down", "knows it"])
async def test_while_one_replica_may_know_it_nothing_is_over(tmp_path: Path, trouble: str) -> None:
    async with stage(tmp_path) as scene:
        await scene.acknowledged()
        await scene.look(minutes(1))
        if trouble == "down":
            scene.replicas[1].down = True
            scene.alertmanager.resolve(DISK)
        else:
            scene.replicas[0].forgets = True

        assert await scene.look(minutes(20)) == []

        if trouble == "down":
            scene.replicas[1].down = False
            assert await scene.look(minutes(2)) != []


async def test_a_replica_that_was_started_since_proves_nothing_for_a_while(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        await scene.acknowledged()
        await scene.look(minutes(1))
        scene.replicas[1].restarted = scene.replicas[1].forgets = True
        scene.alertmanager.resolve(DISK)

        assert await scene.look(minutes(14)) == []


async def test_silences_are_found_again_after_a_restart(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        await scene.acknowledged()
        scene.begin()

        await scene.look(minutes(1))

        assert len(scene.silences()) == 1
        assert scene.counted("made") == 1
        scene.relay.sandbox.incidents.unacknowledge(scene.pagerduty.incident("Disk"), None)
        await scene.pagerduty.tells()
        scene.begin()
        await scene.look()
        assert scene.silences() == []


async def test_what_bears_the_name_of_another_relay_s_page_is_left_alone(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        matcher = {"name": "alertname", "value": "Other", "isRegex": False, "isEqual": True}
        times = {"startsAt": "2020-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z"}
        for author, comment in (
            ("pagerelay", "by Bert (pagerelay page aaaaaaaaaaaaa)"),
            ("anna", "disk swap (pagerelay page aaaaaaaaaaaaa)"),
        ):
            made = {"matchers": [matcher], **times, "createdBy": author, "comment": comment}
            assert call("POST", f"{scene.alertmanager.url}/api/v2/silences", made).status == 200

        await scene.acknowledged()
        await scene.look(minutes(1))

        assert len(scene.silences()) == 3


async def test_a_replica_that_is_not_told_of_it_gets_one_of_its_own(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        scene.replicas[1].hides = True
        await scene.acknowledged()
        await scene.look(55)
        early = scene.counted("made")

        await scene.look(30)

        assert (early, scene.counted("made")) == (1, 2)


async def test_only_so_many_alerts_are_silenced_and_the_page_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.quieting.MOST_ALERTS", 2)
    async with stage(tmp_path) as scene:
        await scene.fire(DISK, labels("Disk", "b"), labels("Disk", "c"))
        await scene.acknowledged()

        assert len(scene.silences()) == 2
        assert "; 1 is not silenced: only 100 alerts of a page are" in scene.quieting.of(await number(scene, "Disk"))


async def test_without_the_setting_nothing_is_silenced(tmp_path: Path) -> None:
    async with stage(tmp_path, on_acknowledge="leave") as scene:
        await scene.acknowledged()
        await scene.look(minutes(5))

        assert scene.silences() == []
        assert (await scene.relay.page("Disk"))["acknowledged_by"]


async def test_what_came_as_an_event_is_silenced_nowhere(tmp_path: Path) -> None:
    async with stage(tmp_path, replicas=1) as scene:
        payload = {"summary": "disk full", "source": "a", "severity": "critical", "class": "Disk"}
        await scene.relay.event("trigger", "by-event", key=VIRTUAL, payload=payload)
        await scene.relay.settle()
        await scene.pagerduty.tells()
        await scene.acknowledged("by-event")

        assert scene.silences() == []
        assert scene.quieting.of(await number(scene, "by-event")) == ""


async def test_what_an_automation_acknowledged_is_not_silenced(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        scene.relay.sandbox.incidents.acknowledge(scene.pagerduty.incident("Disk"), None)
        await scene.pagerduty.tells()
        await scene.look(minutes(1))

        assert scene.silences() == []


async def test_trouble_is_said_once_and_the_page_tells_of_it(tmp_path: Path) -> None:
    async with stage(tmp_path, replicas=1) as scene:
        scene.replicas[0].down = True
        await scene.acknowledged()
        await scene.look(minutes(3))

        assert len(scene.said("silences in Alertmanager cannot be looked after")) == 1
        why = scene.quieting.of(await number(scene, "Disk"))
        assert why.startswith("1 is not silenced: 127.0.0.1:")
        assert why.endswith(": HTTP 502")

        scene.replicas[0].down = False
        await scene.look(minutes(1))
        assert scene.muted() == {"Disk a"}


async def number(scene: Scene, dedup_key: str) -> int:
    """Find a page."""
    (found,) = await scene.relay.store.page_ids(dedup_key)
    return found
