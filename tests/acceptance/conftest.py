"""A scene for every story: the programs in it, what must be true at its end, and their logs where it was not."""

import json
import re
import shutil
from collections.abc import Collection, Generator, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker

from tests.acceptance.programs import Alertmanager, Program, Relay, Sandbox, wait_for

KEYS = {"team": "7e57ca4a41ab1e0000000000000000aa", "other": "7e57ca4a41ab1e0000000000000000bb"}
"""Routing keys of every story. None of them may ever be seen outside the files that hold them."""
_SHOWN = 12_000
"""Characters of each log that are printed when a story fails."""

INSTALL = "apt-get install -y --no-install-recommends prometheus-alertmanager prometheus"

Config = dict[str, Any]


def base_key(alertname: str, *, source: str = "") -> str:
    """Compute the dedup key of a page grouped by alertname at the root: sha256 of Alertmanager's group key."""
    group_key = f'{{}}:{{alertname="{alertname}"}}'
    return sha256((f"{source}\x00{group_key}" if source else group_key).encode()).hexdigest()


class Scene:
    """The programs of one story, in one directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs: list[Program] = []
        self.excused: set[str] = set()
        """Results in the sandbox that this story brings about on purpose."""
        self.planted: set[Path] = set()
        """Files in which this story put a key on purpose."""
        for name, key in KEYS.items():
            (folder / f"{name}.key").write_text(key + "\n")
        self.sandbox: Sandbox

    def stage(self, **sandbox: Any) -> "Scene":
        """Start the sandbox."""
        self.sandbox = Sandbox(self.folder, **{"keys": KEYS, **sandbox})
        self.programs.append(self.sandbox)
        self.sandbox.start()
        return self

    def config(self, **changes: Any) -> Path:
        """Write relay.yml: one route by alertname to receiver `team`; `changes` go into the route, but for `top`."""
        top = changes.pop("top", {})
        route = {"receiver": "team", "group_by": ["alertname"], "group_interval": "1s", **changes}
        document: Config = {
            "global": {"pagerduty_url": self.sandbox.events_url},
            "route": route,
            "receivers": [{"name": name, "pagerduty_configs": [{"routing_key_file": f"{name}.key"}]} for name in KEYS],
            **top,
        }
        file = self.folder / "relay.yml"
        file.write_text(yaml.safe_dump(document))
        return file

    def relay(self, config: Path | None = None, *, start: bool = True, **arguments: Any) -> Relay:
        """Start a relay."""
        relay = Relay(self.folder, config or self.config(), **arguments)
        self.programs.append(relay)
        return relay.start() if start else relay

    def alertmanager(self, relay: Relay, path: str = "/webhook", **arguments: Any) -> Alertmanager:
        """Start an Alertmanager that posts to a relay; skip the story where there is none to start."""
        if shutil.which("prometheus-alertmanager") is None:
            pytest.skip(f"!! NOT TESTED with a real Alertmanager, there is none here: {INSTALL}")
        alertmanager = Alertmanager(self.folder, f"{relay.url}{path}", **arguments)
        self.programs.append(alertmanager)
        return alertmanager.start()

    def shows(self, *dedup_keys: str, within: float = 30.0) -> Mapping[str, dict[str, Any]]:
        """Wait until exactly these alerts are open at the sandbox, and return them by dedup key."""
        expected = set(dedup_keys)
        wait_for(lambda: set(self.sandbox.open()) == expected, f"open at the sandbox: {sorted(expected)}", within)
        return self.sandbox.open()

    def settled(self, relay: Relay) -> None:
        """Wait until a relay has nothing to send, and has written down how every call ended."""
        wait_for(
            lambda: not any(page["lane"] or page["in_flight"] for page in relay.pages()), "the relay has nothing to do"
        )

    def incidents(self, dedup_key: str) -> list[int]:
        """Return the numbers of all incidents a dedup key ever had, oldest first."""
        found = [line["incident"] for line in self.sandbox.requests() if line["dedup_key"] == dedup_key]
        return sorted({number for number in found if number is not None})

    def told(self, dedup_key: str) -> list[str]:
        """Return what became of each call for a dedup key that was accepted, oldest first."""
        lines = self.sandbox.requests()
        return [line["result"] for line in lines if line["dedup_key"] == dedup_key and line["status"] == 202]

    def logs(self) -> Iterator[tuple[str, str]]:
        """Return each program's log by name, and the sandbox's ledger."""
        for program in self.programs:
            yield f"log of {program.name}", program.output()[-_SHOWN:]
            if isinstance(program, Relay) and program.ready():
                yield f"pages that {program.name} holds", "\n".join(str(page) for page in program.pages())[:_SHOWN]
        if hasattr(self, "sandbox") and self.sandbox.ledger.exists():
            yield "what the sandbox was sent", self.sandbox.ledger.read_text()[-_SHOWN:]

    def put_away(self) -> None:
        """Stop everything, whatever happened."""
        stuck = [program.name for program in reversed(self.programs) if not program.put_away()]
        assert stuck == [], f"did not end within 15 s of SIGTERM: {stuck}"

    def check(self) -> None:
        """Check what is true at the end of every story: events as PagerDuty wants them, and no key anywhere."""
        for program in self.programs:
            assert "Traceback" not in program.output(), f"{program.name} logged a traceback"
        for line in self.sandbox.requests():
            assert line["result"] not in {"invalid", "unknown key", "throttled", "dropped"} - self.excused, line
            check_event(line["event"], _CHANGES if line["path"].endswith("/v2/change/enqueue") else _EVENTS)
        assert leaks(self.folder, KEYS.values()) <= self.planted


def check_event(event: Mapping[str, Any], schema: Draft202012Validator) -> None:
    """Hold an event against PagerDuty's own schema."""
    complete = {"routing_key": "0" * 32, **event}
    problems = [error.message for error in schema.iter_errors(complete)]
    assert problems == [], event


def _schema(name: str) -> Draft202012Validator:
    file = Path(__file__).parents[1] / "data" / "pagerduty" / f"{name}.schema.json"
    return Draft202012Validator(json.loads(file.read_text()), format_checker=FormatChecker())


_EVENTS, _CHANGES = _schema("alert-event"), _schema("change-event")


def leaks(folder: Path, keys: Collection[str]) -> set[Path]:
    """Name every file under a folder that holds a routing key, but for the key files themselves."""
    files = [file for file in folder.rglob("*") if file.is_file() and file.suffix != ".key"]
    wanted = re.compile("|".join(keys).encode())
    return {file for file in files if wanted.search(file.read_bytes())}


@pytest.fixture
def scene(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """A story's programs: stopped at its end, and then looked over if all went well so far."""
    found = Scene(tmp_path)
    request.node.stash[_SCENE] = found
    try:
        yield found
    finally:
        found.put_away()
    outcome = request.node.stash.get(_CALL, None)
    if outcome is not None and outcome.passed:
        found.check()


_SCENE = pytest.StashKey[Scene]()
_CALL = pytest.StashKey[pytest.TestReport]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Print the programs' logs with a failure."""
    report = yield
    if report.when == "call":
        item.stash[_CALL] = report
    scene = item.stash.get(_SCENE, None)
    if report.failed and scene is not None:
        report.sections += list(scene.logs())
    return report
