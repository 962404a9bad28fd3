"""Events API events against a real relay process: killed between any two, and with a store that takes no writes."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay.store import connect
from tests.acceptance.conftest import KEYS, Scene
from tests.acceptance.programs import Answer, Relay, wait_for

pytestmark = pytest.mark.acceptance

VIRTUAL = "7e57ca4a41ab1e0000000000000000cc"
PAYLOAD = {"summary": "disk full on db1", "source": "db1", "severity": "critical"}


@pytest.fixture
def relay(scene: Scene) -> Relay:
    """A relay to which source `ci` sends events with a virtual key."""
    scene.stage()
    (scene.folder / "ci.key").write_text(VIRTUAL + "\n")
    top = {"sources": [{"name": "ci", "routing_key_files": ["ci.key"]}]}
    return scene.relay(scene.config(top=top))


def send(relay: Relay, action: str, dedup_key: str, key: str = VIRTUAL, **payload: Any) -> Answer:
    event: dict[str, Any] = {"routing_key": key, "event_action": action}
    event |= {"dedup_key": dedup_key} if dedup_key else {}
    return relay.post(event | ({"payload": PAYLOAD | payload} if action == "trigger" else {}), "/v2/enqueue")


def taken(relay: Relay, action: str, dedup_key: str, **rest: Any) -> None:
    answer = send(relay, action, dedup_key, **rest)
    assert (answer.status, answer.json["dedup_key"]) == (202, dedup_key)


@contextlib.contextmanager
def locked(storage: Path) -> Iterator[None]:
    """Hold the store's write lock."""
    other = sqlite3.connect(storage / connect.FILE, isolation_level=None)
    with contextlib.closing(other):
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def test_an_event_outlives_a_crash_between_any_two_steps(scene: Scene, relay: Relay) -> None:
    def again() -> None:
        relay.kill()
        relay.start()

    taken(relay, "trigger", "k")
    again()
    assert scene.shows("k")["k"]["summary"] == PAYLOAD["summary"]
    scene.settled(relay)
    taken(relay, "acknowledge", "k")
    again()
    wait_for(lambda: scene.sandbox.open()["k"]["status"] == "acknowledged", "it is acknowledged")
    scene.settled(relay)
    taken(relay, "trigger", "other", key=KEYS["other"])
    taken(relay, "resolve", "k")
    again()

    scene.shows("other")
    assert scene.incidents("k") == [scene.incidents("k")[0]]


def test_a_key_that_was_rotated_counts_after_a_reload(scene: Scene, relay: Relay) -> None:
    fresh = VIRTUAL[::-1]
    taken(relay, "trigger", "k")
    scene.shows("k")
    (scene.folder / "ci.key").write_text(fresh + "\n")
    assert relay.reload().status == 200

    (error,) = send(relay, "resolve", "k").json["errors"]
    assert error.startswith("Invalid routing key: ")
    taken(relay, "resolve", "k", key=fresh)
    scene.shows()


def test_an_event_pages_although_the_store_takes_no_writes(scene: Scene, relay: Relay) -> None:
    taken(relay, "trigger", "before")
    scene.shows("before")
    scene.settled(relay)
    with locked(relay.storage):
        answers = [send(relay, "trigger", "") for _ in range(3)]
        assert {answer.status for answer in answers} == {503}
        assert {answer.json["status"] for answer in answers} == {"unavailable"}
        wait_for(lambda: len(scene.sandbox.open()) == 2, "it is paged past the store, once")

    last = wait_for(lambda: (found := send(relay, "trigger", "")).status == 202 and found, "the store takes writes")
    key = last.json["dedup_key"] if isinstance(last, Answer) else ""
    scene.shows("before", key)
    taken(relay, "resolve", "before")
    taken(relay, "resolve", key)
    scene.shows()
