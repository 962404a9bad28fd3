"""What a real Alertmanager knows speaks for or against a difference, by a clock that is moved."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from relay.pagerduty.rest import Rest
from relay.secret import Secret
from tests.acceptance.bodies import alert, body, labels
from tests.acceptance.programs import call
from tests.integration.test_evidence import DISK, pytestmark
from tests.integration.test_evidence import Scene as Alertmanagers
from tests.integration.test_evidence import stage as alertmanagers
from tests.integration.test_reconciling import FIXED, LIMITS, ONCE, TOKEN, Scene, lose

__all__ = ["pytestmark"]


@contextlib.asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[tuple[Scene, Alertmanagers]]:
    """Start everything, with Disk and Other open."""
    async with alertmanagers(folder) as there:
        scene = Scene(there.relay)
        scene.rest = Rest(lambda: Secret(TOKEN), scene.account, limits=LIMITS)
        scene.client = there.client
        await scene.rest.start()
        scene.begin()
        try:
            yield scene, there
        finally:
            await scene.rest.close()


async def told_resolved(there: Alertmanagers) -> None:
    """Tell the relay that Disk is over, whatever the Alertmanager says; PagerDuty loses the resolve."""
    lose(there.relay, "resolve")
    said = body("Disk", {**alert(DISK, firing=False), "endsAt": "2030-01-01T00:00:00Z"})
    async with there.relay.http.post(f"{there.relay.url}/webhook/prod", json=said) as reply:
        assert reply.status == 200
    await there.relay.wait(60)
    there.relay.sent()


async def test_a_resolve_is_not_sent_again_while_one_of_two_alertmanagers_knows_the_alert_or_says_nothing(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path) as (scene, there):
        await told_resolved(there)
        for _ in range(2):
            found = await scene.look(5)
        knows = f"{there.replicas[0].url.removeprefix('http://')} knows an alert of it still"
        assert f"lost_resolve Disk: left: {knows}" in found
        assert "Disk" in there.relay.open_alerts

        there.alertmanager.resolve(DISK)
        there.replicas[1].down = True
        for _ in range(2):
            found = await scene.look(5)
        silent = f"{there.replicas[1].url.removeprefix('http://')} did not answer"
        assert found == [f"lost_resolve Disk: left: {silent}"]
        assert scene.reconciling.last is not None
        assert scene.reconciling.last.notes[-1] == "source prod: an Alertmanager did not answer: HTTP 502"

        there.replicas[1].down = False
        assert await scene.look(5) == [f"lost_resolve Disk: {ONCE}"]
        assert await scene.look(5) == [f"lost_resolve Disk: {FIXED}"]
        evidence = scene.reconciling.last.found[0].drift.evidence
        names = ", ".join(one.url.removeprefix("http://") for one in there.replicas)
        assert evidence[-1] == f"{names} know none of its alerts"
        assert there.relay.open_alerts.keys() == {"Other"}


async def test_what_fires_at_an_alertmanager_and_is_not_held_here_is_told_and_nothing_is_done(tmp_path: Path) -> None:
    async with stage(tmp_path) as (scene, there):
        lost = {"labels": labels("Lost"), "startsAt": "2026-01-01T00:00:00Z"}
        muted = {"labels": labels("Muted"), "startsAt": "2026-01-01T00:00:00Z"}
        there.silence("Muted")
        assert call("POST", f"{there.alertmanager.url}/api/v2/alerts", [lost, muted]).status == 200
        await there.fire(labels("Third"))
        said = body("Lost", alert(labels("Lost"), firing=False, episode=2))
        async with there.relay.http.post(f"{there.relay.url}/webhook/prod", json=said) as reply:
            assert reply.status == 200
        await there.relay.wait(60)
        there.relay.sent()

        for _ in range(2):
            await scene.look(5)

        report = scene.reconciling.last
        assert report is not None
        (found,) = report.found
        assert (found.drift.kind, found.drift.title, found.drift.page) == ("missed_webhook", "Lost", 0)
        assert found.outcome == "left: nothing that could be done about it is certain"
        assert found.drift.evidence[0].startswith(
            "an Alertmanager of source prod has it active since 2026-01-01 00:00:00 UTC and routes it to relay"
        )
        assert there.relay.sent() == []
        assert there.relay.counted("pagerelay_drift", kind="missed_webhook") == 1
