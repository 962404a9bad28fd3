"""`pagerelay page`: dead letters are listed, shown, retried and let go of, by the installed command."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.bodies import alert, body, labels
from tests.acceptance.conftest import Scene, base_key
from tests.acceptance.programs import Relay, call, pagerelay, wait_for

pytestmark = pytest.mark.acceptance


def page(*words: str, storage: Path) -> subprocess.CompletedProcess[str]:
    command = [pagerelay(), "page", *words, f"--storage.path={storage}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def refused(scene: Scene, relay: Relay) -> str:
    """Have PagerDuty refuse a page on every rung; return its id."""
    call("POST", f"{scene.sandbox.url}/sandbox/faults", {"status": 400})
    assert relay.post(body("Down", alert(labels("Down")))).status == 200
    wait_for(lambda: any(one["dead"] for one in relay.pages()), "a dead letter")
    call("DELETE", f"{scene.sandbox.url}/sandbox/faults")
    (name,) = [one["id"] for one in relay.pages()]
    return str(name)


def test_a_dead_letter_is_listed_shown_and_retried(scene: Scene) -> None:
    scene.excused |= {"refused"}
    relay = scene.stage().relay()
    name = refused(scene, relay)

    listed = page("list", "--dead", storage=relay.storage)
    assert listed.stdout.startswith(f"1 dead letter; all shown\n\n{name}  dead letter  critical  team: Down")
    assert "PagerDuty rejected the full event and the minimal one" in listed.stdout
    assert page("list", "--open", storage=relay.storage).stdout == "no pages\n"
    shown = page("show", name, storage=relay.storage)
    assert [line.split()[1:3] for line in shown.stdout.splitlines() if "rejected  " in line] == [
        ["trigger", "minimal"],
        ["trigger", "critical"],
    ]

    retried = page("retry", name, storage=relay.storage)

    assert (retried.returncode, retried.stderr) == (0, "")
    assert retried.stdout == f"page {name}: open: open at PagerDuty, which shows what fires\n"
    scene.shows(base_key("Down"))
    scene.settled(relay)
    assert page("list", "--dead", storage=relay.storage).stdout == "no pages\n"
    (open_,) = json.loads(page("list", "--open", "--json", storage=relay.storage).stdout)["pages"]
    assert (open_["id"], open_["state"]) == (name, "open")
    told = page("show", name, storage=relay.storage).stdout
    assert f"retried page {name}" in told
    again = page("retry", name, storage=relay.storage)
    assert again.returncode == 1
    assert again.stderr.startswith(f"pagerelay: page {name} is no dead letter")


def test_a_retry_that_fails_again_says_so(scene: Scene) -> None:
    scene.excused |= {"refused"}
    relay = scene.stage().relay()
    name = refused(scene, relay)
    call("POST", f"{scene.sandbox.url}/sandbox/faults", {"status": 400})

    again = page("retry", name, storage=relay.storage)

    assert again.returncode == 1
    assert again.stdout.startswith(f"page {name}: dead letter: PagerDuty rejected the full event and the minimal one")
    shown = page("show", name, storage=relay.storage).stdout
    assert re.search("^  last tried +on the minimal rung of the delivery ladder$", shown, re.MULTILINE)
    call("DELETE", f"{scene.sandbox.url}/sandbox/faults")
    page("discard", name, storage=relay.storage)


def test_a_dead_letter_is_let_go_of(scene: Scene) -> None:
    scene.excused |= {"refused"}
    relay = scene.stage().relay()
    name = refused(scene, relay)

    assert page("discard", name, storage=relay.storage).stdout.startswith(f"page {name}: discarded: let go of by ")

    assert "pagerelay_dead_letters 0.0" in call("GET", f"{relay.url}/metrics").text
    assert page("list", "--dead", storage=relay.storage).stdout == "no pages\n"
    gone = page("retry", "aaaaaaaaaaaaa", storage=relay.storage)
    assert (gone.returncode, gone.stderr) == (
        1,
        "pagerelay: there is no page 'aaaaaaaaaaaaa': `pagerelay page list` shows them\n",
    )
    relay.stop()
    assert "discarded" in page("list", storage=relay.storage).stdout, "where no relay runs the store is looked at"
    stopped = page("retry", name, storage=relay.storage)
    assert (stopped.returncode, "no relay runs on" in stopped.stderr) == (1, True)
