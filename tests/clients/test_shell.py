"""What pipelines do: a step of GitHub Actions with curl, Python's requests; and what many guides write for pdjs."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.acceptance.programs import wait_for
from tests.clients.conftest import House
from tests.clients.programs import DRIVERS, missing, sending
from tests.clients.stories import arrived, opened

pytestmark = pytest.mark.acceptance

SAID = {"github.repository": "example/api-service", "github.sha": "0f3c", "github.actor": "anna"}


def step(house: House, scheme: str, **said: str) -> dict[str, Any]:
    """Run the step as the runner of GitHub Actions does, but at the relay; return what was answered."""
    where = house.where(scheme)
    text = yaml.safe_load((DRIVERS / "deploy-step.yml").read_text())["run"]
    text = text.replace("https://events.pagerduty.com", where.url)
    script = re.sub(r"\$\{\{ (.*?) \}\}", lambda found: (SAID | said)[found[1]], text)
    authority = {"CURL_CA_BUNDLE": str(where.authority)} if where.authority else {}
    environ = {"PATH": "/usr/bin:/bin", "PD_ROUTING_KEY": where.key, **authority}
    done = subprocess.run(["bash", "-e", "-c", script], env=environ, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_step_of_a_pipeline_tells_of_its_change(house: House, scheme: str) -> None:
    if why := missing("curl"):
        pytest.skip(why)
    repository = f"example/{scheme}"

    answer = step(house, scheme, **{"github.repository": repository})

    assert answer["status"] == "success"
    change = arrived(house.sandbox, f"Deployed {repository} to production")
    assert change["event"]["payload"]["custom_details"]["actor"] == "anna"
    assert change["event"]["links"][0]["href"] == f"https://github.com/{repository}/commit/0f3c"


def test_a_quote_that_breaks_the_steps_json_is_refused_and_curl_says_nothing_of_it(house: House) -> None:
    """So the step should say `--fail-with-body`, or be `pagerelay change send`."""
    if why := missing("curl"):
        pytest.skip(why)

    answer = step(house, "http", **{"github.repository": 'example/"quoted"'})

    assert "error" in str(answer).lower()
    assert answer["status"] != "success"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_requests_sends_a_change_event(house: House, scheme: str, tmp_path: Path) -> None:
    with sending("requests", house.where(scheme), tmp_path) as client:
        answer = client.say("change", f"Deployed by requests over {scheme}")
        refused = client.say("bad")

    assert answer["status"] == "success"
    change = arrived(house.sandbox, f"Deployed by requests over {scheme}")
    assert change["event"]["payload"]["custom_details"] == {"service": "api-service", "version": "v2.5.0"}
    assert refused["error"] == "HTTPError"
    assert "'payload.summary' is missing or blank" in refused["message"]


@pytest.mark.parametrize("name", ["curl", "pdjs"])
def test_an_event_without_a_body_is_answered_in_json(house: House, name: str, tmp_path: Path) -> None:
    """`event({ routingKey })` of pdjs, which many guides write, is no constructor: it posts an empty body at once."""
    with sending(name, house.where("https"), tmp_path) as client:
        answer = client.say("empty")

    assert "SyntaxError" not in str(answer)
    assert "errors" in str(answer)


def test_what_the_clients_sent_is_explained_like_any_alert(house: House, tmp_path: Path) -> None:
    """The relay says of an event what it says of an alert: what became of it, and which page has it."""
    with sending("pdpyras", house.where("http"), tmp_path) as client:
        client.say("trigger", "explained")
        opened(house.sandbox, "explained")
        [page] = house.get("http", "/api/v1/pages?dedup_key=explained")["pages"]
        shown = house.get("http", f"/api/v1/pages/{page['id']}")
        client.say("resolve", "explained")
        wait_for(lambda: "explained" not in house.sandbox.open(), "it is closed")

    assert page["severity"] == "critical"
    assert "monitoring-system" in json.dumps(shown)
