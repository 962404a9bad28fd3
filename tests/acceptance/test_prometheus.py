"""A real Prometheus posts to the relay as if it were an Alertmanager: its rule fires, pages, and resolves."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.acceptance.conftest import INSTALL, Scene, base_key
from tests.acceptance.programs import Alertmanager, Program, Relay, call, free_port, stays, wait_for

pytestmark = pytest.mark.acceptance


class Prometheus(Program):
    """A real Prometheus with one rule that is looked at each second, and the relay for its Alertmanager."""

    def __init__(self, folder: Path, relay: Relay, *, path_prefix: str = "/", resend: str = "1m") -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self._rules = folder / "rules.yml"
        self.rule("vector(1)")
        manager = {
            "path_prefix": path_prefix,
            "static_configs": [{"targets": [relay.url.removeprefix("http://")]}],
        }
        config = {
            "global": {"evaluation_interval": "1s"},
            "rule_files": [str(self._rules)],
            "alerting": {"alertmanagers": [manager]},
        }
        file = folder / "prometheus.yml"
        file.write_text(yaml.safe_dump(config))
        command = [
            "prometheus",
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            "--web.enable-lifecycle",
            f"--rules.alert.resend-delay={resend}",
        ]
        super().__init__("prometheus", command, folder)

    def start(self) -> "Prometheus":
        self.spawn()
        self.wait_until(f"{self.url}/-/ready")
        return self

    def rule(self, expression: str) -> None:
        """Write the rule; a reload lets it count."""
        alert = {
            "alert": "Down",
            "expr": expression,
            "labels": {"severity": "critical", "empty": ""},
            "annotations": {"summary": "the machine room is on fire"},
        }
        self._rules.write_text(yaml.safe_dump({"groups": [{"name": "rules", "rules": [alert]}]}))

    def reload(self) -> None:
        answer = call("POST", f"{self.url}/-/reload")
        assert answer.status == 200, answer.text


def prometheus(scene: Scene, relay: Relay, **arguments: Any) -> Prometheus:
    """Start a Prometheus that posts to a relay; skip the story where there is none to start."""
    if shutil.which("prometheus") is None:
        pytest.skip(f"!! NOT TESTED with a real Prometheus, there is none here: {INSTALL}")
    found = Prometheus(scene.folder, relay, **arguments)
    scene.programs.append(found)
    return found.start()


def heard(relay: Relay) -> float:
    """Say how many requests the relay has answered with 200."""
    return relay.metric("pagerelay_webhook_requests_total", code="200")


def verdicts(relay: Relay) -> list[str]:
    """Return what became of the alerts, oldest first."""
    return [one["verdict"] for one in reversed(relay.get("/api/v1/decisions", limit=100)["decisions"])]


def test_a_rule_fires_pages_and_resolves(scene: Scene) -> None:
    """The end of the alert is said by Prometheus, before it would have ended by itself."""
    relay = scene.stage().relay()
    # After a start or reload Prometheus knows no Alertmanager for 5 s, and loses what it sends: it comes 10 s later.
    source = prometheus(scene, relay, resend="10s")
    down = base_key("Down")

    page = scene.shows(down)[down]
    assert (page["severity"], page["urgency"]) == ("critical", "high")
    assert "Down: the machine room is on fire" in page["summary"]

    source.rule("vector(1) > 2")
    source.reload()
    scene.shows()
    scene.settled(relay)
    assert scene.told(down) == ["triggered", "resolved"]
    assert verdicts(relay) == ["opens", "resolves"]
    [ended] = relay.get("/api/v1/decisions", limit=1)["decisions"]
    assert "not sent again" not in str(ended["steps"])


def test_a_prometheus_that_is_killed_ends_its_alerts(scene: Scene) -> None:
    """Sent again each second, an alert stays one page through a restart of the relay; not sent again, it resolves."""
    relay = scene.stage().relay()
    source = prometheus(scene, relay, resend="1s", path_prefix="/source/prom")
    down = base_key("Down", source="prom")
    scene.shows(down)
    before = heard(relay)
    wait_for(lambda: heard(relay) >= before + 4, "Prometheus sends it four times more")
    assert scene.told(down) == ["triggered"]

    relay.stop()
    relay.start()
    before = heard(relay)
    wait_for(lambda: heard(relay) >= before + 3, "Prometheus goes on after the restart")
    assert scene.told(down) == ["triggered"]
    assert verdicts(relay) == ["opens"]

    source.kill()
    # Prometheus says of each alert that it ends four of its rounds from now (rules/alerting.go).
    stays(lambda: down in scene.sandbox.open(), "it is open while Prometheus may be back", 2)
    scene.shows(within=20)
    scene.settled(relay)
    assert scene.told(down) == ["triggered", "resolved"]
    assert verdicts(relay) == ["opens", "resolves"]
    [ended] = relay.get("/api/v1/decisions", limit=1)["decisions"]
    assert "not sent again since" in str(ended["steps"])


def test_an_alert_without_an_end_ends_after_the_resolve_timeout(scene: Scene) -> None:
    """amtool and scripts post alerts without an end and never again."""
    scene.stage()
    config = scene.config(
        top={"global": {"pagerduty_url": scene.sandbox.events_url, "resolve_timeout": "3s"}},
    )
    relay = scene.relay(config)
    answer = relay.post([{"labels": {"alertname": "Down"}}], "/api/v2/alerts")

    assert (answer.status, answer.text) == (200, "")
    scene.shows(base_key("Down"))
    scene.shows(within=20)


NOW = datetime.now(UTC)
PAST, FUTURE = (NOW - timedelta(hours=1)).isoformat(), (NOW + timedelta(hours=1)).isoformat()
LABELS = {"alertname": "A"}


def lists() -> Iterator[tuple[str, object]]:
    """Lists that both take, or both refuse in part or whole, with the same status."""
    yield "nothing", []
    yield "labels alone", [{"labels": LABELS}]
    yield "no label", [{"labels": {}}]
    yield "no label with a value", [{"labels": {"alertname": ""}}]
    yield "one good, one bad", [{"labels": LABELS}, {"labels": {}}]
    yield "a label without a name", [{"labels": {"": "x"}}]
    yield "an end before its start", [{"labels": LABELS, "startsAt": FUTURE, "endsAt": PAST}]
    yield "resolved", [{"labels": LABELS, "startsAt": PAST, "endsAt": PAST}]
    yield "an end alone", [{"labels": LABELS, "endsAt": PAST}]
    yield "a zero end", [{"labels": LABELS, "startsAt": PAST, "endsAt": "0001-01-01T00:00:00Z"}]
    yield "null times", [{"labels": LABELS, "startsAt": None, "endsAt": None}]
    yield "an annotation without a value", [{"labels": LABELS, "annotations": {"summary": ""}}]
    yield "fields of the webhook", [{"labels": LABELS, "status": "resolved", "fingerprint": "x"}]
    yield "no list", {"status": "firing"}
    yield "text", "alerts"
    yield "an entry that is none", ["x"]


def test_the_relay_answers_as_alertmanager_does(scene: Scene) -> None:
    """Status, and that an error is said in a JSON string, with the same words for what is wrong with an alert."""
    relay = scene.stage().relay()
    alertmanager: Alertmanager = scene.alertmanager(relay)

    for name, body in lists():
        theirs = call("POST", f"{alertmanager.url}/api/v2/alerts", body)
        ours = relay.post(body, "/api/v2/alerts")
        assert (name, ours.status) == (name, theirs.status), (ours.text, theirs.text)
        if theirs.status == 200:
            assert (ours.body, theirs.body) == (b"", b""), name
        elif isinstance(theirs.json, str):
            assert theirs.json in ours.json, name
