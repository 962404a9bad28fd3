"""`pagerelay reconcile`: the running relay compares its pages with PagerDuty, and says what differs."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.bodies import alert, body, labels
from tests.acceptance.conftest import KEYS, Scene, base_key
from tests.acceptance.programs import Relay, call, pagerelay

pytestmark = pytest.mark.acceptance


def reconcile(*words: str, storage: Path) -> subprocess.CompletedProcess[str]:
    command = [pagerelay(), "reconcile", *words, f"--storage.path={storage}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def comparing(scene: Scene) -> Relay:
    """Start a relay with a token for the sandbox's REST API."""
    scene.stage()
    (scene.folder / "api.token").write_text("a-token-for-the-rest-api\n")
    account = {"api_url": scene.sandbox.url, "api_token_file": "api.token", "from": "anna@example.com"}
    return scene.relay(scene.config(top={"pagerduty": account}))


def test_it_compares_leaves_alone_what_others_opened_and_says_why_it_cannot(scene: Scene) -> None:
    relay = comparing(scene)
    relay.post(body("Down", alert(labels("Down"))))
    scene.shows(base_key("Down"))
    payload = {"summary": "s", "source": "s", "severity": "error"}
    event = {"routing_key": KEYS["team"], "event_action": "trigger", "dedup_key": "strange", "payload": payload}
    assert call("POST", scene.sandbox.events_url, event).status == 202
    assert reconcile("--last", storage=relay.storage).stdout == "nothing was compared since the relay was started\n"

    done = reconcile("--fix", storage=relay.storage)

    assert (done.returncode, done.stderr) == (0, "")
    first, *rest = done.stdout.splitlines()
    assert "1 page compared with 2 open alerts at PagerDuty" in first
    assert rest == [
        "  1 alert there that the relay did not open, in its integrations: left alone",
        "nothing differs",
    ]
    last = json.loads(reconcile("--last", "--json", storage=relay.storage).stdout)
    assert (last["pages"], last["open_there"], last["not_ours"], last["fix"]) == (1, 2, 1, True)
    assert relay.metric("pagerelay_reconciliations_total", outcome="ok") == 1
    scene.shows(base_key("Down"), "strange")

    scene.sandbox.fault(status=401, path="/incidents")
    refused = reconcile(storage=relay.storage)

    assert refused.returncode == 1
    assert "nothing could be compared: " in refused.stdout
    assert "does not know the token (401" in refused.stdout
    assert "a-token-for" not in refused.stdout + relay.output()


def test_without_a_relay_or_a_token_it_says_what_is_missing(scene: Scene) -> None:
    nobody = reconcile(storage=scene.folder / "nothing")
    assert nobody.returncode == 1
    assert nobody.stderr.startswith(
        f"pagerelay: no relay runs on {scene.folder / 'nothing'}, and only a running one can"
    )

    relay = scene.stage().relay()
    tokenless = reconcile(storage=relay.storage)

    assert tokenless.returncode == 1
    assert "set pagerduty.api_token_file in the routing file" in tokenless.stderr
    assert call("POST", f"{relay.url}/api/v1/reconcile", {"mend": True}).status == 400
    assert call("POST", f"{relay.url}/api/v1/reconcile", {}).status == 409
