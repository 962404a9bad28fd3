"""`python -m tests.soak`: 100,000 alerts at once, then mixed load: what the relay holds in memory is bounded."""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.acceptance.programs import Relay, Sandbox, call
from tests.fuzz import seeds
from tests.fuzz.mutate import mutated

IDLE, PEAK = 120, 300
"""MiB that a relay may hold at rest, and at the most."""
GROWTH = 0.05
"""How much more it may hold in the last quarter of a mixed load than in the second."""
WEBHOOKS, ALERTS = 100, 1_000
_KEY = "7e57ca4a41ab1e0000000000000000dd"


@dataclass
class Report:
    """What a run came to; memory in MiB, of the relay's process alone."""

    idle: float = 0.0
    after_storm: float = 0.0
    peak: float = 0.0
    worker: float = 0.0
    """Of the template worker and its nursery, at the end."""
    storm_seconds: float = 0.0
    load: list[float] = field(default_factory=list)
    """Once a second of the mixed load."""
    answers: Counter[int] = field(default_factory=Counter)

    @property
    def growth(self) -> float:
        """Compare the last quarter of the mixed load with its second."""
        quarter = len(self.load) // 4
        return max(self.load[-quarter:]) / max(self.load[quarter : 2 * quarter]) - 1 if quarter else 0.0

    @property
    def problems(self) -> list[str]:
        """Everything that is over its bound."""
        found = []
        if self.idle > IDLE:
            found.append(f"{self.idle:.0f} MiB at rest, at most {IDLE}")
        if self.peak > PEAK:
            found.append(f"{self.peak:.0f} MiB at the most, at most {PEAK}")
        if self.growth > GROWTH:
            found.append(f"{self.growth:.1%} more memory at the end of the load, at most {GROWTH:.0%}")
        strange = {status: count for status, count in self.answers.items() if status >= 500 or status == 429}
        return found + ([f"answers {strange}"] if strange else [])

    def __str__(self) -> str:
        rows = {
            "at rest": f"{self.idle:.0f} MiB",
            f"{WEBHOOKS * ALERTS:,} alerts in {WEBHOOKS} webhooks": f"{self.storm_seconds:.0f} s",
            "after them": f"{self.after_storm:.0f} MiB",
            "seconds of mixed load": len(self.load),
            "requests": ", ".join(f"{status}: {count}" for status, count in sorted(self.answers.items())),
            "growth from the second to the last quarter": f"{self.growth:.1%}",
            "template worker": f"{self.worker:.0f} MiB",
            "peak (VmHWM)": f"{self.peak:.0f} MiB",
        }
        return "\n".join(f"  {name:<46} {value}" for name, value in rows.items())


def run(folder: Path, minutes: float, seed: int, tell: Callable[[str], None] = lambda _: None) -> Report:
    """Start a relay in an empty folder, storm it, and load it for so long."""
    sandbox, report = Sandbox(folder), Report()
    sandbox.start()
    relay = Relay(folder, _config(folder, sandbox))
    try:
        relay.start()
        time.sleep(3)
        report.idle = _status(relay.pid, "VmRSS")
        _storm(relay, report)
        tell(f"{report.after_storm:.0f} MiB after the storm, {report.idle:.0f} before it")
        _mix(relay, report, time.monotonic() + 60 * minutes, random.Random(seed), tell)
        report.peak = _status(relay.pid, "VmHWM")
        report.worker = sum(_status(child, "VmRSS") for child in _below(relay.pid))
    finally:
        relay.put_away()
        sandbox.put_away()
    return report


def _config(folder: Path, sandbox: Sandbox) -> Path:
    document = {
        "global": {"pagerduty_url": sandbox.events_url},
        "route": {"receiver": "team", "group_by": ["alertname"], "group_interval": "5s"},
        "receivers": [{"name": "team", "pagerduty_configs": [{"routing_key": _KEY}]}],
    }
    file = folder / "relay.yml"
    file.write_text(yaml.safe_dump(document))
    return file


def _storm(relay: Relay, report: Report) -> None:
    """Post every alert once; each body must be taken."""
    began = time.monotonic()
    for webhook in range(WEBHOOKS):
        alerts = [_alert(f"Storm{webhook:03}", number, firing=True, statement=0) for number in range(ALERTS)]
        answer = relay.post({"version": "4", "groupKey": f"storm{webhook}", "alerts": alerts}, timeout=60)
        assert answer.status == 200, answer.text
    report.storm_seconds = time.monotonic() - began
    report.after_storm = _status(relay.pid, "VmRSS")


def _alert(name: str, number: int, *, firing: bool, statement: int) -> dict[str, Any]:
    return {
        "status": "firing" if firing else "resolved",
        "labels": {"alertname": name, "instance": f"host-{number:05}.example.com:9100", "severity": "warning"},
        "annotations": {"summary": f"statement {statement} of it", "description": "It is as it is. " * 6},
        "startsAt": "2026-11-23T12:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z" if firing else "2026-11-23T13:00:00Z",
        "generatorURL": "http://prometheus.example.com/graph?g0.expr=up",
    }


def _mix(relay: Relay, report: Report, until: float, chance: random.Random, tell: Callable[[str], None]) -> None:
    """Fire, resolve, repeat, send rubbish, look at pages and metrics, until the time has come."""
    step, next_look = 0, time.monotonic()
    while (now := time.monotonic()) < until:
        if now >= next_look:
            next_look += 1
            report.load.append(_status(relay.pid, "VmRSS"))
            if len(report.load) % 60 == 0:
                tell(f"{len(report.load)} s, {report.load[-1]:.0f} MiB")
        step += 1
        report.answers[_request(relay, step, chance)] += 1


def _request(relay: Relay, step: int, chance: random.Random) -> int:
    match step % 10:
        case 0:
            path = chance.choice(
                ("/metrics", "/api/v1/pages?limit=100", "/api/v1/decisions", "/api/v2/alerts", "/nope")
            )
            return call("GET", f"{relay.url}{path}", timeout=60).status
        case 1:
            return relay.post(mutated(seeds.webhooks(), 1, chance.randrange(500))).status
        case 2:
            return relay.post(mutated(seeds.alert_lists(), 1, chance.randrange(500)), "/api/v2/alerts").status
        case 3:
            return relay.post(chance.choice(seeds.webhooks()), "/api/v1/explain").status
    group = chance.randrange(200)
    firing = chance.random() < 0.6
    alerts = [_alert(f"Group{group:03}", number, firing=firing, statement=step % 50) for number in range(20)]
    return relay.post({"version": "4", "groupKey": f"group{group}", "alerts": alerts}).status


def _status(pid: int, name: str) -> float:
    """Read MiB from /proc/<pid>/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1]) / 1024


def _below(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *_below(int(child))]
    return found


def main() -> int:
    """Run, print the table, and keep the folder where something is over its bound."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long the mixed load lasts")
    parser.add_argument("--seed", type=int, default=1, help="for chance")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="pagerelay-soak-"))
    report = run(folder, arguments.minutes, arguments.seed, lambda text: print(text, flush=True))
    print(report)
    for problem in report.problems:
        print(f"PROBLEM {problem}")
    if report.problems:
        print(f"kept: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
