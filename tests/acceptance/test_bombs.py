"""Template bombs in the configuration of a real relay: each page goes out all the same, and soon."""

import time

import pytest

from tests.acceptance.bodies import alert, body
from tests.acceptance.conftest import Scene
from tests.acceptance.programs import wait_for
from tests.unit.test_render_worker import BOMBS

pytestmark = pytest.mark.acceptance

A_FEW = ("nested loops that write", "long product", "power tower", "great sort", "double recursion")


def test_bombs_in_every_receiver_keep_no_page_back(scene: Scene) -> None:
    names = [f"Bomb{number}" for number in range(len(A_FEW))]
    scene.stage()
    receivers = [
        {"name": name, "pagerduty_configs": [{"routing_key_file": "team.key", "description": BOMBS[bomb]}]}
        for name, bomb in zip(names, A_FEW, strict=True)
    ]
    routes = [{"matchers": [f'alertname="{name}"'], "receiver": name} for name in names]
    team = {"name": "team", "pagerduty_configs": [{"routing_key_file": "other.key"}]}
    relay = scene.relay(scene.config(routes=routes, top={"receivers": [team, *receivers]}))
    began = time.monotonic()
    for name in names:
        assert relay.post(body(name, alert({"alertname": name, "severity": "critical"}))).status == 200
    wait_for(lambda: len(scene.sandbox.open()) == len(names), "every page is open")
    took = time.monotonic() - began

    assert all('(template "description" failed)' in line["summary"] for line in scene.sandbox.requests())
    assert took < len(A_FEW) * 1.0 + 6.0, "a second each, and what a busy machine takes"
