"""A person acknowledges a page: a real Alertmanager is silent about it until nobody has it any more."""

import shutil
from typing import Any

import pytest

from tests.acceptance.bodies import labels
from tests.acceptance.conftest import INSTALL, Scene, base_key
from tests.acceptance.programs import Alertmanager, Relay, Sandbox, call, wait_for
from tests.acceptance.test_both_ways import act

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(
        shutil.which("prometheus-alertmanager") is None,
        reason=f"!! NOT TESTED with a real Alertmanager, there is none here: {INSTALL}",
    ),
]

SECRET = "the-signing-secret-of-the-subscription"
DISK = labels("Disk")


def on_call(scene: Scene) -> tuple[Relay, Alertmanager]:
    """Start a relay that hears of what happens at the sandbox, and an Alertmanager that it may silence."""
    relay = scene.relay(scene.folder / "relay.yml", start=False)
    scene.sandbox = Sandbox(scene.folder)
    scene.sandbox.command += [
        f"--webhook={relay.url}/pagerduty/webhook",
        f"--webhook-secret={SECRET}",
        "--incident-key",
    ]
    scene.programs.append(scene.sandbox)
    scene.sandbox.start()
    alertmanager = Alertmanager(scene.folder, f"{relay.url}/webhook/prod")
    scene.programs.append(alertmanager)
    source = {"name": "prod", "repeat_interval": "1h", "alertmanager_url": alertmanager.url}
    (scene.folder / "webhook.secret").write_text(SECRET)
    account = {"webhook_secret_files": ["webhook.secret"]}
    scene.config(on_acknowledge="silence", top={"sources": [source], "pagerduty": account})
    return relay.start(), alertmanager.start()


def page(relay: Relay) -> dict[str, Any]:
    (only,) = relay.pages()
    return only


def silences(alertmanager: Alertmanager) -> list[dict[str, Any]]:
    """List the silences in force."""
    found = call("GET", f"{alertmanager.url}/api/v2/silences").json
    return [one for one in found if one["status"]["state"] == "active"]


def confirmation(relay: Relay) -> str:
    """Say whether pages of the receiver are confirmed, as the status has it."""
    shown = {one["name"]: one["confirmation"] for one in relay.get("/api/v1/status")["integrations"]}
    said: str = shown["team"]
    return said


def test_what_a_person_has_is_silenced_until_somebody_closes_it(scene: Scene) -> None:
    relay, alertmanager = on_call(scene)
    alertmanager.fire(DISK)
    scene.shows(base_key("Disk", source=""))
    wait_for(lambda: page(relay)["incident"], "the relay knows the incident")

    assert act(scene.sandbox, 1, "acknowledge") == 303

    (silence,) = wait_for(lambda: silences(alertmanager), "a silence is in force", within=15)
    assert {one["name"]: one["value"] for one in silence["matchers"]} == DISK
    assert silence["comment"].startswith(
        f"Ben Brandt acknowledged incident #1 at PagerDuty: {scene.sandbox.url}/alerts/1"
    )
    (alert,) = call("GET", f"{alertmanager.url}/api/v2/alerts").json
    assert alert["status"]["silencedBy"] == [silence["id"]]
    silenced = "1 of its alerts is silenced in Alertmanager"
    wait_for(lambda: silenced in page(relay)["why"], "the page says so")
    assert relay.metric("pagerelay_time_to_acknowledge_seconds_count", receiver="team") == 1

    assert act(scene.sandbox, 1, "resolve") == 303

    wait_for(lambda: not silences(alertmanager), "the silence has ended", within=15)
    wait_for(lambda: relay.metric("pagerelay_time_to_resolve_seconds_count", receiver="team") == 1, "it was timed")
    assert relay.metric("pagerelay_alertmanager_silences_total", source="prod", act="failed") == 0
    wait_for(lambda: confirmation(relay) == "on: PagerDuty's webhooks name its pages", "its pages are confirmed")
    assert relay.metric("pagerelay_confirmation_on", receiver="team") == 1
