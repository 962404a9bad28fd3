"""What people do at PagerDuty, as the installed command takes and shows it: over kill -9, and over a rotated secret."""

import json
import subprocess
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.acceptance.bodies import alert, body, labels
from tests.acceptance.conftest import Scene, base_key
from tests.acceptance.programs import Relay, pagerelay, wait_for
from tests.integration.pagerduty_news import SECRET, signed

pytestmark = pytest.mark.acceptance

NEW = "the-signing-secret-after-the-rotation"


def webhook(relay: Relay, name: str, kind: str, secret: str = SECRET) -> tuple[int, Any]:
    """Post what Anna did about the incident of `Down`, as PagerDuty would."""
    data = {"id": "PINCIDENT", "type": "incident", "number": 7, "incident_key": base_key("Down")}
    event = {
        "id": name,
        "event_type": f"incident.{kind}",
        "occurred_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "agent": {"id": "PANNA", "type": "user_reference", "summary": "Anna"},
        "data": data | {"html_url": "https://acme.pagerduty.com/incidents/PINCIDENT"},
    }
    sent = json.dumps({"event": event}).encode()
    request = urllib.request.Request(f"{relay.url}/pagerduty/webhook", sent, signed(sent, secret), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def test_what_a_person_did_outlives_the_process_and_is_shown(scene: Scene) -> None:
    secret = scene.folder / "webhook.key"
    secret.write_text(SECRET)
    scene.stage()
    relay = scene.relay(scene.config(top={"pagerduty": {"webhook_secret_files": [secret.name]}}))
    relay.post(body("Down", alert(labels("Down"))))
    scene.shows(base_key("Down"))
    scene.settled(relay)

    assert webhook(relay, "01", "acknowledged") == (202, {"status": "ok", "outcome": "placed"})
    relay.kill()
    relay.start()

    (page,) = relay.pages()
    assert (page["acknowledged_by"], page["incident_number"]) == ("Anna", 7)
    assert webhook(relay, "01", "acknowledged") == (202, {"status": "ok", "outcome": "seen"})
    assert webhook(relay, "02", "resolved")[0] == 202
    command = [pagerelay(), "page", "show", page["id"], f"--storage.path={relay.storage}"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    assert "closed elsewhere" in shown
    assert [line.split()[1:] for line in shown.splitlines() if line.endswith("Anna")] == [
        ["acknowledged", "Anna"],
        ["resolved", "Anna"],
    ]
    secret.write_text(NEW)
    wait_for(lambda: webhook(relay, "03", "annotated", NEW)[0] == 202, "the new secret opens the door")
    assert webhook(relay, "04", "annotated", SECRET)[0] == 403
    assert relay.metric("pagerelay_pagerduty_webhooks_total", outcome="unsigned") >= 1
    assert SECRET not in relay.output()
