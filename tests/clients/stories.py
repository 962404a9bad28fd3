"""What one client does from beginning to end, and what it and PagerDuty say of it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tests.acceptance.programs import Sandbox, call, wait_for
from tests.clients.programs import Client

PATIENCE = 25.0
"""Seconds until something that should be soon is given up: all clients are at work at once."""

Found = TypeVar("Found")
Told = dict[str, Any]


@dataclass
class Story:
    """What a client was told, and what the sandbox held then."""

    key: str
    trigger: Told = field(default_factory=dict)
    opened: Told = field(default_factory=dict)
    """The alert, with the event it was triggered by."""
    acknowledge: Told = field(default_factory=dict)
    acknowledged: bool = False
    resolve: Told = field(default_factory=dict)
    resolved: bool = False
    results: list[str] = field(default_factory=list)
    """What became of each call for the dedup key at the sandbox."""
    minted: Told = field(default_factory=dict)
    minted_open: bool = False
    bad: Told = field(default_factory=dict)
    bad_sent: bool = False
    change: Told = field(default_factory=dict)
    changed: Told = field(default_factory=dict)
    """The change event as the sandbox took it."""


def played(client: Client, sandbox: Sandbox, key: str) -> Story:
    """Trigger, acknowledge, resolve; trigger without a key; something wrong; a change event. Never raises for these."""
    story = Story(key)
    story.trigger = client.say("trigger", key)
    alert = soon(lambda: sandbox.open().get(key)) or {}
    story.opened = call("GET", f"{sandbox.url}/sandbox/alerts/{alert['incident_number']}.json").json if alert else {}
    story.acknowledge = client.say("acknowledge", key)
    story.acknowledged = bool(soon(lambda: sandbox.open().get(key, {}).get("status") == "acknowledged"))
    story.resolve = client.say("resolve", key)
    story.resolved = bool(soon(lambda: key not in sandbox.open()))
    story.minted = client.say("mint")
    minted = story.minted.get("dedup_key", "")
    story.minted_open = bool(minted and soon(lambda: minted in sandbox.open()))
    if minted:
        client.say("resolve", minted)
    change = f"Deployed, says {key}"
    story.change = client.say("change", change)
    story.changed = soon(lambda: change_of(sandbox, change)) or {}
    story.bad = client.say("bad", f"{key}-bad")
    lines = sandbox.requests()
    story.bad_sent = any(line["dedup_key"] == f"{key}-bad" for line in lines)
    story.results = [line["result"] for line in lines if line["dedup_key"] == key]
    return story


def change_of(sandbox: Sandbox, summary: str) -> Told | None:
    """Find the change event with a summary."""
    found: list[Told] = call("GET", f"{sandbox.url}/sandbox/changes.json").json["changes"]
    return next((change for change in found if summary in str(change)), None)


def words(told: Told) -> str:
    """Return what a client says is wrong: its own error, or what it hands on of the answer."""
    return " ".join([told.get("message", ""), *told.get("errors", [])])


def arrived(sandbox: Sandbox, summary: str) -> Told:
    """Wait for the change event with a summary."""
    return until(lambda: change_of(sandbox, summary), f"the sandbox has the change {summary!r}")


def opened(sandbox: Sandbox, key: str) -> Told:
    """Wait until an alert is open, and return it."""
    return until(lambda: sandbox.open().get(key), f"{key} is open")


def until(condition: Callable[[], Found | None], what: str) -> Found:
    """Wait until there is something, and return it; AssertionError if there never is."""
    found = wait_for(condition, what, PATIENCE)
    assert found is not None
    return found


def soon(condition: Callable[[], Found | None]) -> Found | None:
    """Wait until something is true; None if it never is."""
    with suppress(AssertionError):
        return wait_for(condition, "", PATIENCE)
    return None
