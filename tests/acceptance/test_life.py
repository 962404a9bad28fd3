"""The relay's own life, as a process: bad files, secrets that change, pauses, backups, and pages about itself."""

import os
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from tests.acceptance.bodies import alert, body, labels
from tests.acceptance.conftest import KEYS, Scene, base_key
from tests.acceptance.programs import Relay, pagerelay, stays, wait_for

pytestmark = pytest.mark.acceptance

SECRETS_EVERY = 5.0


def fire(relay: Relay, name: str) -> None:
    """Post a body with one firing alert."""
    assert relay.post(body(name, alert(labels(name)))).status == 200


def resolve(relay: Relay, name: str) -> None:
    """Post that it is over."""
    assert relay.post(body(name, alert(labels(name), firing=False))).status == 200


def meta(scene: Scene) -> dict[str, object]:
    """Have the relay page about itself under the other key, and tell the sandbox that it lives."""
    (scene.folder / "pulse.key").write_text(f"{scene.sandbox.url}/sandbox/healthz\n")
    pulse = {"heartbeat_url_file": "pulse.key", "meta_receiver": "other"}
    return {"global": {"pagerduty_url": scene.sandbox.events_url, **pulse}}


def self_page(reason: str) -> str:
    """The dedup key of a self-page, of a relay without an external URL."""
    return f"pagerelay/{reason}"


def keys_used(scene: Scene, dedup_key: str) -> list[str]:
    """Name the keys of accepted calls for a page, oldest first."""
    return [line["routing_key"] for line in scene.sandbox.requests() if line["dedup_key"] == dedup_key]


def test_a_bad_file_at_a_restart_starts_from_the_last_good_one_loudly(scene: Scene) -> None:
    scene.stage()
    config = scene.config(top=meta(scene))
    good = config.read_bytes()
    relay = scene.relay(config)
    copy = relay.storage / "config.last-good.yml"
    assert copy.read_bytes() == good
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    wait_for(lambda: relay.metric("pagerelay_heartbeat_pings_total", outcome="success") == 1, "its pulse is heard")
    fire(relay, "Before")
    scene.shows(base_key("Before"))
    relay.kill()

    config.write_text(good.decode() + "recievers: []\n")
    relay.start()

    assert f"{config}:{len(good.decode().splitlines()) + 1}:1: recievers: unknown field" in relay.output()
    assert "config.last-good.yml in place of" in relay.output()
    assert relay.metric("pagerelay_config_last_reload_successful") == 0
    assert relay.metric("pagerelay_self_page", reason="config_last_good") == 1
    assert "does not load" in relay.get("/api/v1/status")["trouble"]["config_last_good"]
    fire(relay, "After")
    resolve(relay, "Before")
    scene.shows(base_key("After"), self_page("config_last_good"))
    assert relay.reload().status == 500

    config.write_bytes(good)
    assert relay.reload().status == 200

    assert relay.metric("pagerelay_config_last_reload_successful") == 1
    assert relay.metric("pagerelay_self_page", reason="config_last_good") == 0
    assert relay.get("/api/v1/status")["trouble"] == {}


def swap(folder: Path, name: str, **files: str) -> None:
    """Change mounted secrets as Kubernetes does: a new directory, and a link that is replaced."""
    fresh = folder / f"..{name}"
    fresh.mkdir()
    for file, text in files.items():
        (fresh / f"{file}.key").write_text(text)
    (folder / "..new").symlink_to(fresh.name)
    os.replace(folder / "..new", folder / "..data")
    for file in files:
        if not (folder / f"{file}.key").is_symlink():
            (folder / f"{file}.key").symlink_to(f"..data/{file}.key")


def test_a_key_that_is_rotated_where_it_is_mounted_is_used_without_a_reload(scene: Scene) -> None:
    mounted = scene.folder / "mounted"
    mounted.mkdir()
    swap(mounted, "1", team=KEYS["team"], other=KEYS["other"])
    scene.stage(keys={**KEYS, "third": THIRD})
    receivers = [
        {"name": name, "pagerduty_configs": [{"routing_key_file": f"mounted/{name}.key"}]} for name in ("team", "other")
    ]
    config = scene.config(top={**meta(scene), "receivers": receivers})
    relay = scene.relay(config)
    fire(relay, "Before")
    scene.shows(base_key("Before"))
    config.write_text("broken: [")  # what counts is what is in force

    swap(mounted, "2", team=THIRD, other=KEYS["other"])
    wait_for(lambda: "secrets read again" in relay.output(), "the new key is in use", 3 * SECRETS_EVERY)
    fire(relay, "After")
    resolve(relay, "Before")
    scene.shows(base_key("After"))

    assert keys_used(scene, base_key("Before")) == ["team", "team"]
    assert keys_used(scene, base_key("After")) == ["third"]

    swap(mounted, "3", team="", other=KEYS["other"])
    wait_for(lambda: relay.metric("pagerelay_secrets_unreadable") == 1, "the empty file is noticed", 3 * SECRETS_EVERY)
    fire(relay, "Still")
    scene.shows(base_key("After"), base_key("Still"), self_page("secrets_unreadable"))
    assert keys_used(scene, base_key("Still")) == ["third"]
    assert "mounted/team.key" in relay.get("/api/v1/status")["trouble"]["secrets_unreadable"]

    swap(mounted, "4", team=f"{THIRD}\n", other=KEYS["other"])
    wait_for(lambda: relay.metric("pagerelay_secrets_unreadable") == 0, "it is mended", 3 * SECRETS_EVERY)
    assert relay.metric("pagerelay_self_page", reason="secrets_unreadable") == 0


THIRD = "7e57ca4a41ab1e0000000000000000cc"


def test_a_reload_that_rotates_a_key_says_how_many_pages_stay_on_the_old_one(scene: Scene) -> None:
    scene.stage(keys={**KEYS, "third": THIRD})
    (scene.folder / "third.key").write_text(THIRD)
    config = scene.config()
    relay = scene.relay(config)
    fire(relay, "Fires")
    fire(relay, "Ends")
    scene.shows(base_key("Fires"), base_key("Ends"))

    config.write_text(config.read_text().replace("team.key", "third.key"))
    answer = relay.reload()
    resolve(relay, "Ends")
    scene.shows(base_key("Fires"))

    assert answer.status == 200
    assert "2 pages open on a routing key that the file does not name any more" in answer.text
    assert "previous_routing_key_files" in answer.text
    assert keys_used(scene, base_key("Ends")) == ["team", "team"]

    scene.settled(relay)
    relay.kill()
    relay.start()  # the old key is named nowhere now

    wait_for(lambda: keys_used(scene, base_key("Fires")) == ["team", "third"], "it is triggered on the new key")
    assert relay.metric("pagerelay_pages_key_gone") == 1
    assert "1 page open that cannot be resolved" in relay.reload().text


def test_a_pause_outlives_a_restart_and_is_shown_everywhere(scene: Scene) -> None:
    scene.stage()
    config = scene.config(top=meta(scene))
    relay = scene.relay(config)
    fire(relay, "Before")
    scene.shows(base_key("Before"))

    said = command("pause", "--receiver=team", "--for=30m", f"--storage.path={relay.storage}")
    assert said.startswith("nothing is sent to team until")
    fire(relay, "During")
    resolve(relay, "Before")
    scene.shows(base_key("Before"), self_page("paused"))
    relay.kill()
    relay.start()

    stays(lambda: set(scene.sandbox.open()) == {base_key("Before"), self_page("paused")}, "nothing is sent", 2)
    assert relay.metric("pagerelay_paused", receiver="team") == 1
    assert relay.metric("pagerelay_paused", receiver="all") == 0
    (why,) = [page["why"] for page in relay.pages() if page["dedup_key"] == base_key("During")]
    assert why.startswith("nothing is sent to receiver team: paused until")
    assert "by this machine; the trigger is due" in why
    assert relay.get("/api/v1/status")["paused"][0].startswith("nothing is sent to receiver team")

    assert command("resume", f"--storage.path={relay.storage}") == "resumed: team; 2 pages are due"
    assert command("resume", f"--storage.path={relay.storage}") == "nothing was paused"

    scene.shows(base_key("During"), self_page("paused"))
    assert relay.metric("pagerelay_paused", receiver="team") == 0
    (past,) = relay.get("/api/v1/pause")["past"]
    assert (past["receiver"], past["by"], past["ended_by"]) == ("team", "this machine", "this machine")
    assert past["ended_at"] is not None


def test_a_backup_under_load_is_whole_and_a_relay_starts_from_it(scene: Scene) -> None:
    relay = scene.stage().relay()
    stop = threading.Event()
    accepted: list[str] = []

    def load() -> None:
        while not stop.is_set():
            name = f"Load{len(accepted)}"
            fire(relay, name)
            accepted.append(name)

    loading = threading.Thread(target=load)
    loading.start()
    try:
        wait_for(lambda: len(accepted) > 50, "some pages are there")
        sure = len(accepted)
        said = command("backup", str(scene.folder / "copy.db"), f"--storage.path={relay.storage}")
    finally:
        stop.set()
        loading.join()

    assert "checked and on disk" in said
    assert relay.ready()
    relay.kill()
    other = scene.relay(relay.config, start=False, name="restored", storage=scene.folder / "restored")
    other.storage.mkdir()
    (scene.folder / "copy.db").rename(other.storage / "pagerelay.db")
    other.start()
    keys = {page["dedup_key"] for page in other.pages()}
    assert {base_key(name) for name in accepted[:sure]} <= keys


def command(*words: str) -> str:
    """Run a command that must succeed, and return what it says."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PAGERELAY_")}
    done = subprocess.run([pagerelay(), *words], capture_output=True, text=True, timeout=60, env=environ, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
