"""Puts mutated bodies through the whole accept path, over a ledger in memory, and says what was not as agreed."""

import asyncio
import io
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from relay.alert import SECOND
from relay.config import load
from relay.errors import BadBody
from relay.intake import Accepted, Intake
from relay.logs import Log
from relay.metrics import Metrics
from relay.recall import Recall
from relay.rules.rulebook import Rulebook
from relay.web import replies
from tests.fuzz import golden, seeds
from tests.fuzz.memory import Memory
from tests.fuzz.mutate import mutated

SLOWEST = 1.0
"""CPU seconds that one body may cost: none is larger than some hundred kilobytes."""
LOG_LINE = 30_000
"""Bytes that one body may leave in the log."""
_NOON = 1_795_435_200 * SECOND
_LISTS = 8
"""One body in so many is a list as Prometheus posts it."""

CONFIG = """
global: {resolve_timeout: 5m}
route:
  receiver: platform
  group_by: [alertname, cluster]
  severity: {critical: critical, page: critical, warning: warning, none: info, default: error}
  routes:
    - {matchers: ['severity=~"(?i)info|none"'], receiver: "null", continue: true}
    - {matchers: ['alertname=~"(.*)*Watchdog"'], receiver: "null"}
    - {matchers: ['job!=""', 'instance=~".+"'], receiver: platform, group_by: ['...'], hold_trigger: 5m}
    - {matchers: ['team="payments"'], receiver: low, dedup_key: 'pay {labels.cluster} {labels.alertname|lower}'}
    - {matchers: ['severity="warning"'], receiver: low, hold_resolve: 10m, mute_time_intervals: [nights], outside: hold}
    - {matchers: ['namespace=~"kube-.*"'], receiver: low, group_by: [], flap: {changes: 4, within: 10m}}
inhibit_rules:
  - {source_matchers: ['severity="critical"'], target_matchers: ['severity="warning"'], equal: [alertname, cluster]}
time_intervals:
  - {name: nights, time_intervals: [{times: [{start_time: '00:00', end_time: '13:00'}]}]}
receivers:
  - {name: "null"}
  - {name: platform, pagerduty_configs: [{routing_key: 0123456789abcdef0123456789abcdef}]}
  - {name: low, pagerduty_configs: [{routing_key: fedcba9876543210fedcba9876543210}]}
"""


@dataclass
class Found:
    """What a run came to."""

    bodies: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[int, bytes, str]] = field(default_factory=list)
    """Number, body and what was wrong."""
    slowest: float = 0.0
    """CPU seconds."""
    memory: list[int] = field(default_factory=list)
    """Resident bytes, at twenty moments of the run."""

    def add(self, other: "Found") -> None:
        """Put another part of the run with this one."""
        self.bodies += other.bodies
        self.answers += other.answers
        self.faults += other.faults
        self.slowest = max(self.slowest, other.slowest)
        self.memory = self.memory or other.memory

    @property
    def growth(self) -> float:
        """How much more memory the last quarter of the run held than the second, at the most: 0.05 is 5 %."""
        if len(self.memory) < 8:
            return 0.0
        quarter = len(self.memory) // 4
        return max(self.memory[-quarter:]) / max(self.memory[quarter : 2 * quarter]) - 1


class Front:
    """An intake over a ledger in memory; both begin anew when the ledger is full."""

    def __init__(self, folder: Path) -> None:
        (folder / "relay.yml").write_text(CONFIG)
        loaded = load(folder / "relay.yml", {})
        self._book = Rulebook(loaded.rules, loaded.keys)
        self._now = _NOON
        self._metrics = Metrics("fuzz")
        self._stream = io.StringIO()
        self._log = Log(lambda: self._now, stream=self._stream)
        self._open()

    def _open(self) -> None:
        self._memory = Memory()
        self._recall = Recall()
        self._intake = Intake(
            self._memory,
            self._book,
            self._recall,
            clock=lambda: self._now,
            wake=lambda: None,
            metrics=self._metrics,
            log=self._log,
        )

    async def take(self, body: bytes, *, listed: bool) -> tuple[str, list[str], float]:
        """Accept one body; return its answer in a word, what is wrong with it, and the CPU seconds it took."""
        self._now += SECOND // 7
        if self._now % (15 * SECOND) < SECOND // 7:
            self._recall.take_heard()  # as the clockwork does
        if self._memory.full():
            self._open()
        began = time.thread_time()
        try:
            accept = self._intake.accept_alerts if listed else self._intake.accept
            accepted = await accept(body, "eu")
            replies.encoded(accepted)
            word, faults = "accepted", _faults(accepted)
        except BadBody as bad:
            word, faults = f"refused: {bad.reason}", golden.faults_of_error(str(bad))
            faults += [] if bad.reason in golden.REASONS else [f"unknown reason {bad.reason}"]
        except Exception as error:
            word, faults = "unhandled", ["".join(traceback.format_exception(error))]
        took = time.thread_time() - began
        if took > SLOWEST:
            faults.append(f"{took:.1f} s of CPU")
        if self._stream.tell() > LOG_LINE:
            faults.append(f"{self._stream.tell()} bytes of log")
        self._stream.seek(0)
        self._stream.truncate()
        return word, faults, took


def _faults(accepted: Accepted) -> list[str]:
    decisions: list[Mapping[str, Any]] = [
        {
            "verdict": one.verdict.value,
            "status": one.status,
            "fingerprint": one.fingerprint,
            "steps": [step.because for step in one.steps],
        }
        for one in accepted.decisions
    ]
    return golden.faults_of_decisions(accepted.outcomes, decisions)


def body_of(seed: int, number: int) -> tuple[bytes, bool]:
    """Make body `number`, and say whether it is a list of alerts."""
    listed = number % _LISTS == 0
    return mutated(seeds.alert_lists() if listed else seeds.webhooks(), seed, number), listed


def run(seed: int, numbers: range, tell: Callable[[str], None] = lambda _: None) -> Found:
    """Put the bodies with these numbers through the accept path."""
    with TemporaryDirectory() as folder:
        return asyncio.run(_run(Front(Path(folder)), seed, numbers, tell))


async def _run(front: Front, seed: int, numbers: range, tell: Callable[[str], None]) -> Found:
    found = Found()
    every = max(1, len(numbers) // 20)
    for done, number in enumerate(numbers, 1):
        body, listed = body_of(seed, number)
        word, faults, took = await front.take(body, listed=listed)
        found.answers[word] += 1
        found.slowest = max(found.slowest, took)
        found.faults += [(number, body, fault) for fault in faults[:1]]
        if done % every == 0:
            found.memory.append(resident())
            tell(f"{done} of {len(numbers)} bodies, {len(found.faults)} faults")
    found.bodies = len(numbers)
    return found


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def smallest(body: bytes, *, listed: bool, fault: str, attempts: int = 3_000) -> bytes:
    """Cut a body down as long as it goes wrong in the same way; the same body where it does not, taken by itself."""
    kind = fault.strip().rsplit("\n", 1)[-1][:40]

    def still(candidate: bytes) -> bool:
        with TemporaryDirectory() as folder:
            _, faults, _ = asyncio.run(Front(Path(folder)).take(candidate, listed=listed))
        return any(kind in one for one in faults)

    if not still(body):
        return body
    size = len(body) // 2
    while size and attempts > 0:
        at = 0
        while at < len(body) and attempts > 0:
            shorter = body[:at] + body[at + size :]
            attempts -= 1
            if still(shorter):
                body = shorter
            else:
                at += size
        size //= 2
    return body
