"""Change events by hand and from pipelines: the installed command, a real relay, and what PagerDuty has in the end."""

import os
import subprocess
from typing import Any

import pytest

from tests.acceptance.bodies import alert, body, labels
from tests.acceptance.conftest import KEYS, Scene
from tests.acceptance.programs import call, pagerelay, wait_for

pytestmark = pytest.mark.acceptance

VIRTUAL = "7e57ca4a41ab1e0000000000000000cc"
TITLE = 'Fix "quotes", $HOME, `date`, \\ and {"json": 1} — ü & <b>'


def send(url: str, *arguments: str) -> str:
    """Run `pagerelay change send`, which must succeed; return what it says."""
    inherited = {name: text for name, text in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        [pagerelay(), "change", "send", "--url", url, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**inherited, "PAGERELAY_ROUTING_KEY": VIRTUAL},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def sources(scene: Scene, **changes: Any) -> Any:
    (scene.folder / "virtual.key").write_text(VIRTUAL)
    source = {"name": "ci", "native_keys": False, "routing_key_files": ["virtual.key"]}
    return scene.config(top={"sources": [source], **changes.pop("top", {})}, **changes)


def summaries(scene: Scene) -> list[str]:
    found = call("GET", f"{scene.sandbox.url}/sandbox/changes.json").json["changes"]
    return [one["event"]["payload"]["summary"] for one in found]


def test_what_a_pipeline_told_of_arrives_as_it_is_and_once_though_the_relay_was_killed(scene: Scene) -> None:
    relay = scene.stage().relay(sources(scene))
    scene.sandbox.fault(status=503)
    said = send(
        relay.url,
        *("--summary", TITLE, "--source", "github-actions", "--detail", f"title={TITLE}", "--detail", "a=b=c"),
        *("--link", "https://example.com/?commit=1=View commit"),
    )
    assert said == "change event accepted by 127.0.0.1\n"
    wait_for(scene.sandbox.requests, "a first try")
    relay.kill()
    scene.sandbox.well()

    relay.start()

    wait_for(lambda: summaries(scene) == [TITLE], "the change event, after the restart")
    wait_for(lambda: relay.metric("pagerelay_changes_waiting") == 0, "nothing waits")
    assert summaries(scene) == [TITLE]
    event = scene.sandbox.requests()[-1]["event"]
    assert event["payload"]["custom_details"] == {"title": TITLE, "a": "b=c"}
    assert event["links"] == [{"href": "https://example.com/?commit=1", "text": "View commit"}]
    assert relay.pages() == []


def test_while_pages_wait_for_their_window_no_change_event_takes_their_place(scene: Scene) -> None:
    scene.stage()
    limits = {"pagerduty_url": scene.sandbox.events_url, "budget": {"events": 20, "within": "2s"}}
    relay = scene.relay(sources(scene, top={"global": limits}, group_by=["alertname", "instance"]))
    for number in range(4):
        event = {"routing_key": KEYS["team"], "payload": {"summary": str(number)}}
        assert relay.post(event, "/v2/change/enqueue").status == 202
    wait_for(lambda: len(summaries(scene)) == 1, "the first has the window to itself")

    relay.post(body("Down", *(alert(labels("Down", str(number), "warning")) for number in range(20))))
    wait_for(lambda: len(summaries(scene)) == 4, "all of them in the end", within=10)

    kinds = ["change" if "change" in one["path"] else "page" for one in scene.sandbox.requests()]
    assert kinds.count("page") == 20
    pages = [at for at, kind in enumerate(kinds) if kind == "page"]
    # One change event may have been on its way when the pages came.
    assert kinds[pages[2] : pages[-1] + 1] == ["page"] * 18, kinds
