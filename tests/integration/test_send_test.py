"""`pagerelay send-test` against the sandbox: it says what became of the page, and leaves nothing open."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer
from click.testing import CliRunner, Result

from relay.cli.send_test import send_test
from relay.sandbox.app import make_app
from relay.sandbox.faults import Fault
from relay.sandbox.state import Sandbox, Settings

KEYS = {"one": "1" * 32, "two": "2" * 32}


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(Settings(keys=KEYS))


@pytest.fixture
def url(sandbox: Sandbox) -> Iterator[str]:
    """Serve the sandbox on a thread of its own, since the command runs its own event loop."""
    loop, ready, urls = asyncio.new_event_loop(), threading.Event(), list[str]()

    def run() -> None:
        server = TestServer(make_app(sandbox=sandbox))
        loop.run_until_complete(server.start_server())
        urls.append(str(server.make_url("/v2/enqueue")))
        ready.set()
        loop.run_forever()
        loop.run_until_complete(server.close())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    yield urls[0]
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


@pytest.fixture
def config(tmp_path: Path, url: str) -> Path:
    for name, key in {**KEYS, "unknown": "3" * 32}.items():
        (tmp_path / name).write_text(key)
    file = tmp_path / "relay.yml"
    file.write_text(
        f"""
global: {{pagerduty_url: "{url}"}}
route: {{receiver: platform, routes: [{{receiver: mistyped}}, {{receiver: nobody}}]}}
receivers:
  - name: platform
    pagerduty_configs: [{{routing_key_file: one}}, {{routing_key_file: two}}]
  - name: mistyped
    pagerduty_configs: [{{routing_key_file: unknown}}, {{routing_key_file: one}}]
  - name: nobody
"""
    )
    return file


def run(config: Path, receiver: str, *more: str) -> Result:
    return CliRunner().invoke(send_test, ["--config.file", str(config), "--receiver", receiver, *more])


def test_each_entry_of_the_receiver_gets_a_marked_page_that_resolves(config: Path, sandbox: Sandbox) -> None:
    result = run(config, "platform", "--severity", "critical")

    assert result.exit_code == 0
    assert result.output.count("accepted (HTTP 202)") == 4
    assert "platform #2: resolve: accepted" in result.output
    assert sandbox.open_alerts == ()
    assert [(alert.key, alert.severity) for alert in sandbox.past_alerts] == [("two", "critical"), ("one", "critical")]
    assert all(alert.summary.startswith("[TEST] pagerelay send-test for platform #") for alert in sandbox.past_alerts)


def test_what_pagerduty_says_against_it_is_printed_and_the_others_are_tried(config: Path, sandbox: Sandbox) -> None:
    result = run(config, "mistyped")

    assert result.exit_code == 1
    assert "mistyped #1: trigger: NOT accepted: configuration: HTTP 400: Invalid routing key" in result.output
    assert [alert.key for alert in sandbox.past_alerts] == ["one"]
    assert "3" * 32 not in result.output


def test_a_page_that_may_have_arrived_is_resolved_and_a_failed_resolve_is_tried_again(
    config: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.cli.send_test._BETWEEN", 0.01)
    sandbox.faults.add(Fault(status=500, ingest=True, key="one", action="trigger", count=1))
    sandbox.faults.add(Fault(status=503, key="two", action="resolve", count=2))

    result = run(config, "platform")

    assert result.exit_code == 1
    assert "platform #1: trigger: NOT accepted: serverError: HTTP 500" in result.output
    assert sandbox.open_alerts == ()


def test_a_page_that_stays_open_is_named(config: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.cli.send_test._BETWEEN", 0.01)
    sandbox.faults.add(Fault(status=503, action="resolve"))

    result = run(config, "platform")

    assert result.exit_code == 1
    assert all(f"resolve {alert.dedup_key} at PagerDuty by hand" in result.output for alert in sandbox.open_alerts)
    assert len(sandbox.open_alerts) == 2


@pytest.mark.parametrize(
    ("receiver", "words"),
    [
        ("platforn", "there is no receiver 'platforn'; there are: mistyped, nobody, platform"),
        ("nobody", "receiver 'nobody' has no pagerduty_configs: it pages nobody"),
    ],
)
def test_a_receiver_that_cannot_be_tested_is_said_so(config: Path, receiver: str, words: str) -> None:
    result = run(config, receiver)

    assert (result.exit_code, words in result.output) == (1, True)


def test_a_file_that_does_not_load_is_said_so(tmp_path: Path) -> None:
    file = tmp_path / "relay.yml"
    file.write_text("route: {receiver: x}\nreceivers: []\nrecievers: []\n")

    result = run(file, "x")

    assert result.exit_code == 1
    assert "relay.yml:3:" in result.output
