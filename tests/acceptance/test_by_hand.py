"""The relay as a process among others: flags, signals, locks, metrics, and no secret anywhere."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest

from tests.acceptance.bodies import alert, body, labels
from tests.acceptance.conftest import INSTALL, KEYS, Scene, base_key
from tests.acceptance.programs import Relay, call, pagerelay, wait_for

pytestmark = pytest.mark.acceptance


def fire(relay: Relay, name: str, instance: str = "a", path: str = "/webhook") -> None:
    """Post a body with one firing alert."""
    assert relay.post(body(name, alert(labels(name, instance))), path).status == 200


def test_the_line_it_prints_says_where_it_listens_what_it_loaded_and_where_it_stores(scene: Scene) -> None:
    relay = scene.stage().relay(ports=2)

    (line,) = [line for line in relay.output().splitlines() if line.startswith("pagerelay listens on")]
    assert all(f"http://{address}" in line for address in relay.addresses)
    assert str(relay.config) in line
    assert "2 PagerDuty integrations" in line
    assert line.endswith(str(relay.storage))


def test_two_listen_addresses_are_two_doors_to_one_relay(scene: Scene) -> None:
    relay = scene.stage().relay(ports=2)
    fire(relay, "Down")
    other = f"http://{relay.addresses[1]}"
    assert call("POST", f"{other}/webhook", body("Slow", alert(labels("Slow")))).status == 200

    scene.shows(base_key("Down"), base_key("Slow"))

    assert call("GET", f"{other}/-/ready").status == call("GET", f"{relay.url}/-/ready").status == 200


def test_every_flag_has_a_twin_in_the_environment(scene: Scene) -> None:
    config = scene.stage().config()
    relay = scene.relay(config, start=False, arguments=[], ports=2)
    relay.environ.update(
        {
            "PAGERELAY_CONFIG_FILE": str(config),
            "PAGERELAY_STORAGE_PATH": str(relay.storage),
            "PAGERELAY_WEB_LISTEN_ADDRESS": " ".join(relay.addresses),
            "PAGERELAY_WEB_EXTERNAL_URL": "http://relay.example.com",
            "PAGERELAY_LOG_FORMAT": "json",
        }
    )
    relay.start()

    fire(relay, "Down")
    scene.shows(base_key("Down"))
    assert call("GET", f"http://{relay.addresses[1]}/-/ready").status == 200
    (event,) = [line["event"] for line in scene.sandbox.requests()]
    (page,) = relay.pages()
    assert event["client_url"] == f"http://relay.example.com/pages/{page['id']}"

    def logged() -> bool:
        lines = [json.loads(line) for line in relay.output().splitlines() if line.startswith("{")]
        return any(base_key("Down") in str(line) for line in lines)

    wait_for(logged, "the delivery is logged as JSON")


def test_a_bad_file_does_not_start_it(scene: Scene) -> None:
    config = scene.stage().config()
    config.write_text(config.read_text() + "recievers: []\nrout: {}\n")
    relay = scene.relay(config, start=False)
    relay.spawn()

    assert relay.ended() == 1
    assert 'unknown field "recievers"' in relay.output()
    assert 'unknown field "rout"' in relay.output()


def test_sigterm_ends_it_in_order_under_load(scene: Scene) -> None:
    """It finishes what it has begun, exits 0 within 10 s, and what it took is open after a restart."""
    relay = scene.stage().relay(
        scene.config(
            top={"global": {"pagerduty_url": scene.sandbox.events_url, "budget": {"events": 5000, "within": "1s"}}}
        )
    )
    scene.sandbox.fault(latency=0.2)
    taken: set[str] = set()
    threads = [threading.Thread(target=taken.update, args=(load(relay, worker),)) for worker in range(4)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(scene.sandbox.open()) > 20, "the load has begun to arrive")

    began = time.monotonic()
    assert relay.stop() == 0
    took = time.monotonic() - began
    for thread in threads:
        thread.join()

    assert took < 10
    assert len(taken) > 20
    scene.sandbox.well()
    relay.start()
    scene.shows(*taken)
    assert all(scene.told(key) == ["triggered"] for key in taken), "nothing was sent twice"


def load(relay: Relay, worker: int) -> Iterator[str]:
    """Post new alerts until the relay takes no more; return the dedup keys of those it took."""
    for number in range(2_000):
        name = f"Load{worker}x{number}"
        try:
            if relay.post(body(name, alert(labels(name)))).status != 200:
                return
        except OSError:
            return
        yield base_key(name)


def test_a_second_relay_on_the_same_storage_waits_and_says_who_holds_it(scene: Scene) -> None:
    first = scene.stage().relay()
    fire(first, "Down")
    scene.shows(base_key("Down"))

    second = scene.relay(first.config, name="second", start=False)
    third = scene.relay(first.config, name="third", start=False)
    second.spawn()
    third.spawn()
    wait_for(lambda: call_or_none(second) == call_or_none(third) == 503, "both answer that they are not ready")
    assert "waiting for another relay" in call("GET", f"{second.url}/-/ready").text
    assert second.post(body("Slow", alert(labels("Slow")))).status == 503

    assert first.stop() == 0
    wait_for(lambda: ready_one(second, third), "one of the two takes over")
    holder, other = (second, third) if call_or_none(second) == 200 else (third, second)
    fire(holder, "Slow")
    scene.shows(base_key("Down"), base_key("Slow"))
    assert other.ended(60) == 1
    assert f"is in use by process {holder.pid} at {holder.url}" in other.output()


def call_or_none(relay: Relay) -> int | None:
    """Ask whether a relay is ready; None if it does not answer at all."""
    try:
        return call("GET", f"{relay.url}/-/ready").status
    except OSError:
        return None


def ready_one(*relays: Relay) -> bool:
    """Say whether one of them is ready."""
    return any(call_or_none(relay) == 200 for relay in relays)


def test_metrics_are_as_promtool_wants_them(scene: Scene) -> None:
    promtool = which("promtool")
    if promtool is None:
        pytest.skip(f"!! NOT TESTED with promtool, there is none here: {INSTALL}")
    relay = scene.stage().relay()
    fire(relay, "Down")
    scene.shows(base_key("Down"))
    scene.settled(relay)

    metrics = call("GET", f"{relay.url}/metrics")
    checked = subprocess.run([promtool, "check", "metrics"], input=metrics.body, capture_output=True, check=False)

    assert (checked.returncode, checked.stderr + checked.stdout) == (0, b"")
    assert relay.metric("pagerelay_events_delivered_total", action="trigger", receiver="team") == 1
    assert relay.metric("pagerelay_open_pages", receiver="team") == 1
    assert 'receiver="other"' in metrics.text


def test_no_routing_key_is_ever_seen(scene: Scene) -> None:
    """Not in logs of any level, metrics, JSON, the database, command lines' output or error answers."""
    config = scene.stage().config()
    relay = scene.relay(config, arguments=None, environ={"PAGERELAY_LOG_LEVEL": "debug"})
    fire(relay, "Down")
    scene.shows(base_key("Down"))
    scene.planted.add(scene.sandbox.ledger)
    scene.sandbox.fault(status=500, body=f"oops {KEYS['team']}", count=1)
    scene.sandbox.fault(status=400, body=f"Invalid routing key {KEYS['team']}", count=1)
    fire(relay, "Slow")
    wait_for(
        lambda: relay.metric("pagerelay_delivery_failures_total", receiver="team") >= 2, "PagerDuty echoes the key"
    )
    (page,) = [page for page in relay.pages() if page["group_labels"] == {"alertname": "Slow"}]
    said = [str(relay.get(path)) for path in seen_at(relay)]
    said += [call("GET", f"{relay.url}/metrics").text, relay.post(b"{").text, call("GET", f"{relay.url}/nowhere").text]
    config.write_text(config.read_text().replace("routing_key_file: team.key", f"routing_key: {KEYS['team']}x"))
    said.append(relay.reload().text)
    check = subprocess.run([pagerelay(), "config", "check", str(config)], capture_output=True, check=False)
    said.append((check.stdout + check.stderr).decode())
    config.unlink()
    relay.stop()

    assert "serverError" in str(said) or "configuration" in page["last_error"]
    assert all(key not in text for key in KEYS.values() for text in said)


def seen_at(relay: Relay) -> list[str]:
    pages = [f"/api/v1/pages/{page['id']}" for page in relay.pages()]
    return ["/api/v1/pages", "/api/v1/decisions", "/api/v1/status", *pages]


def test_an_outage_is_short_for_a_fresh_critical(scene: Scene) -> None:
    """Once PagerDuty is well again, a fresh critical arrives within 5 s."""
    relay = scene.stage().relay()
    scene.sandbox.fault(drop="before")
    fire(relay, "Before")
    wait_for(lambda: relay.metric("pagerelay_delivery_failures_total", receiver="team") >= 2, "attempts that fail")

    scene.sandbox.well()
    fire(relay, "Fresh")

    wait_for(lambda: base_key("Fresh") in scene.sandbox.open(), "the fresh critical", 5)
    scene.shows(base_key("Before"), base_key("Fresh"))


def test_the_storage_directory_is_nobody_elses(scene: Scene) -> None:
    relay = scene.stage().relay()
    fire(relay, "Down")
    scene.shows(base_key("Down"))

    kept = [relay.storage, *Path(relay.storage).iterdir()]
    assert {file.name: oct(file.stat().st_mode & 0o077) for file in kept} == {file.name: "0o0" for file in kept}
