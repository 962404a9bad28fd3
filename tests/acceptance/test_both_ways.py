"""What people do on the sandbox's page, as the relay's pages then show it: the wiring of `make run`."""

import http.client
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from relay.cli.demo import both_ways
from tests.acceptance.conftest import Scene
from tests.acceptance.programs import Relay, Sandbox, wait_for

pytestmark = pytest.mark.acceptance

EXAMPLES = Path(__file__).parents[2] / "examples"


def act(sandbox: Sandbox, number: int, what: str, **form: str) -> int:
    """Send what a form of the sandbox's page sends."""
    connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=10)
    try:
        fields = urlencode({"user": "ben@example.com", **form})
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", f"/alerts/{number}/{what}", fields, kind)
        return connection.getresponse().status
    finally:
        connection.close()


def page(relay: Relay) -> dict[str, Any]:
    (only,) = relay.pages()
    return only


def test_what_a_person_does_in_the_sandbox_shows_on_the_relays_page_within_a_second(scene: Scene) -> None:
    relay = scene.relay(scene.folder / "relay.yml", start=False)
    scene.sandbox = Sandbox(scene.folder)
    example = scene.folder / "example.yml"
    text = (EXAMPLES / "relay.yml").read_text().replace("http://127.0.0.1:9999", scene.sandbox.url)
    example.write_text(text)
    _, options = both_ways(example, scene.folder, scene.sandbox.url, relay.url)
    scene.sandbox.command += options
    scene.programs.append(scene.sandbox)
    scene.sandbox.start()
    relay.start()

    relay.post((EXAMPLES / "webhooks" / "critical.json").read_bytes())
    wait_for(lambda: page(relay)["incident"], "the relay knows the incident")
    assert act(scene.sandbox, 1, "acknowledge") == 303
    before = time.monotonic()
    wait_for(lambda: page(relay)["acknowledged_by"] == "Ben Brandt", "the acknowledgement is shown")
    took = time.monotonic() - before
    assert act(scene.sandbox, 1, "resolve") == 303
    wait_for(lambda: page(relay)["elsewhere_by"] == "Ben Brandt", "the resolve is shown")

    assert took < 1.0
    assert page(relay)["incident_url"] == f"{scene.sandbox.url}/alerts/1"
    assert page(relay)["delivered"] == "closed elsewhere"
