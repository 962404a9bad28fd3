"""A real Alertmanager fires into windows, holds and inhibit rules of the relay, and everything pages that should."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.bodies import labels
from tests.acceptance.conftest import Scene, base_key
from tests.acceptance.programs import stays, wait_for

pytestmark = pytest.mark.acceptance

DOWN, SLOW = labels("Down"), labels("Slow", severity="warning")


def minute(at: datetime) -> str:
    """Write a time of day as time intervals have it; a window that ends with the day ends at 24:00."""
    return at.strftime("%H:%M")


def test_what_fires_in_a_muted_window_pages_when_it_ends(scene: Scene) -> None:
    """Windows have no seconds, so this one takes up to 70 of them."""
    now = datetime.now(UTC)
    end = (now + timedelta(seconds=10)).replace(second=0, microsecond=0) + timedelta(minutes=1)
    window = {"times": [{"start_time": minute(end - timedelta(minutes=5)), "end_time": minute(end)}]}
    muted = {"matchers": ['alertname="Slow"'], "mute_time_intervals": ["now"], "outside": "hold"}
    top = {"time_intervals": [{"name": "now", "time_intervals": [window]}]}
    relay = scene.stage().relay(scene.config(routes=[muted], top=top))
    alertmanager = scene.alertmanager(relay)

    alertmanager.fire(SLOW)
    alertmanager.fire(DOWN)
    scene.shows(base_key("Down"))
    (page,) = [one for one in relay.pages() if one["state"] == "muted"]
    (member,) = relay.get(f"/api/v1/pages/{page['id']}")["members"]
    assert 'muted by time interval "now" until' in member["suppressed"]

    wait_for(lambda: len(scene.sandbox.open()) == 2, "the muted alert pages", within=90)
    assert 0 <= time.time() - end.timestamp() < 5
    (line,) = [line for line in scene.sandbox.requests() if line["event"]["payload"]["severity"] == "warning"]
    alertmanager.resolve(SLOW)
    scene.shows(base_key("Down"))
    assert scene.told(line["dedup_key"]) == ["triggered", "resolved"]


def test_a_source_keeps_its_target_quiet_and_its_end_pages_it(scene: Scene) -> None:
    rule = {"name": "down", "source_matchers": ["alertname=Down"], "target_matchers": ["severity=warning"]}
    top = {"inhibit_rules": [{**rule, "equal": ["instance"], "inhibit_hold": "3s"}]}
    relay = scene.stage().relay(scene.config(top=top))
    alertmanager = scene.alertmanager(relay)

    alertmanager.fire(SLOW)
    alertmanager.fire(DOWN)
    scene.shows(base_key("Down"))
    stays(lambda: set(scene.sandbox.open()) == {base_key("Down")}, "the target pages nobody", 4)

    alertmanager.resolve(DOWN)
    scene.shows(base_key("Slow"))
    alertmanager.resolve(SLOW)
    scene.shows()
    assert scene.told(base_key("Slow")) == ["triggered", "resolved"]


def test_a_hold_that_outlives_a_crash_ends_when_it_was_to_end(scene: Scene) -> None:
    relay = scene.stage().relay(scene.config(hold_trigger={"default": "8s"}))
    alertmanager = scene.alertmanager(relay)

    alertmanager.fire(SLOW)
    (page,) = wait_for(relay.pages, "the relay holds the page")
    began = datetime.fromisoformat(page["opened_at"])
    relay.kill()
    relay.start()
    scene.shows(base_key("Slow"))
    late = datetime.now(UTC) - began - timedelta(seconds=8)
    assert timedelta(0) <= late < timedelta(seconds=4)
    assert scene.told(base_key("Slow")) == ["triggered"]
