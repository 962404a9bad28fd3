"""Kills the relay again and again under load, lets it settle, and has the ledger judged."""

import random
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.acceptance.programs import Relay, Sandbox, wait_for
from tests.kills.judge import Findings, differences, judge
from tests.kills.producer import Producer, make_groups

GROUPS = 40
GROUP_INTERVAL = 1.0
SETTLES_EVERY = 10
"""Kills between two looks at whether everything is in step."""
SETTLES_WITHIN = 60.0
CALM = 3.0
"""Seconds at the end in which nothing may be sent any more."""
SHORTEST, LONGEST = 0.005, 0.4
"""Seconds from ready to the kill."""
_KEY = "7e57ca4a41ab1e0000000000000000aa"


@dataclass
class Report:
    """What a run came to."""

    seed: int
    cycles: int
    kills: int
    """One for each cycle, and one after each look in between."""
    seconds: float
    findings: Findings
    answers: Counter[str]
    acknowledged: int
    episodes: int
    busy_kills: int
    """Kills while at least one post had no answer yet."""
    lost_attempts: int
    """Calls to PagerDuty whose outcome a kill took away."""
    restart: float
    """Mean seconds from start to ready."""

    @property
    def problems(self) -> list[str]:
        """Everything that is wrong, with the run itself: one in which nothing happened proves nothing."""
        found = list(self.findings.problems)
        if self.acknowledged <= self.cycles:
            found.append(f"vacuous: {self.acknowledged} bodies acknowledged in {self.cycles} cycles")
        if self.answers["broken"] * 2 < self.cycles:
            found.append(f"vacuous: {self.answers['broken']} posts lost their answer in {self.cycles} kills")
        if self.lost_attempts * 2 < self.cycles:
            found.append(f"vacuous: {self.lost_attempts} calls lost their outcome in {self.cycles} kills")
        return found

    def __str__(self) -> str:
        rows = {
            "seed": self.seed,
            "kill -9": self.kills,
            "of them with a post in flight": self.busy_kills,
            "seconds": round(self.seconds),
            "mean seconds from start to ready": round(self.restart, 2),
            "bodies acknowledged": self.acknowledged,
            "posts broken off / refused / 503": " / ".join(
                str(self.answers[one]) for one in ("broken", "refused", "503")
            ),
            "alert episodes": self.episodes,
            "events at PagerDuty": self.findings.events,
            "incidents": self.findings.incidents,
            "calls whose outcome a kill took": self.lost_attempts,
            "duplicates": self.findings.duplicates,
            "most duplicates of a page and kill": self.findings.most_duplicates,
            "longest from a resolve to a call that did not know": f"{self.findings.stalest:.2f} s",
            "problems": len(self.problems),
        }
        return "\n".join(f"  {name:<52} {value}" for name, value in rows.items())


def run(cycles: int, seed: int, folder: Path, tell: Callable[[str], None] = lambda _: None) -> Report:
    """Run so many cycles in an empty folder; everything that was started is stopped at the end."""
    chance = random.Random(seed)
    sandbox = Sandbox(folder)
    relay = Relay(folder, _config(folder, sandbox))
    producer = Producer(relay.url, make_groups(GROUPS, chance), seed)
    try:
        sandbox.start()
        producer.start()
        return _Run(sandbox, relay, producer, chance, seed, tell).go(cycles)
    finally:
        producer.stop()
        relay.put_away()
        sandbox.put_away()


def _config(folder: Path, sandbox: Sandbox) -> Path:
    """Write a relay.yml whose events say which episodes they show, and whose budget never holds anything up."""
    shown = "{% for alert in alerts.firing %}{{ alert.labels.instance }}={{ alert.annotations.episode }} {% endfor %}"
    entry = {"routing_key": _KEY, "timeout": "1s", "details": {"shown": shown}}
    file = folder / "relay.yml"
    document = {
        "global": {"pagerduty_url": sandbox.events_url, "budget": {"events": 1_000_000, "within": "60s"}},
        "route": {"receiver": "team", "group_by": ["alertname"], "group_interval": f"{GROUP_INTERVAL:.0f}s"},
        "receivers": [{"name": "team", "pagerduty_configs": [entry]}],
    }
    file.write_text(yaml.safe_dump(document))
    return file


class _Run:
    def __init__(
        self,
        sandbox: Sandbox,
        relay: Relay,
        producer: Producer,
        chance: random.Random,
        seed: int,
        tell: Callable[[str], None],
    ) -> None:
        self._sandbox = sandbox
        self._relay = relay
        self._producer = producer
        self._chance = chance
        self._seed = seed
        self._tell = tell
        self._kills: list[float] = []
        self._busy = 0
        self._restarts: list[float] = []
        self._problems: list[str] = []

    def go(self, cycles: int) -> Report:
        began = time.monotonic()
        for cycle in range(1, cycles + 1):
            # PagerDuty takes its time, so that kills meet calls in flight.
            self._sandbox.well()
            self._sandbox.fault(latency=0.1, share=0.5)
            looks = cycle % SETTLES_EVERY == 0 or cycle == cycles
            # Before a look, let one kind of call be in flight: what it left undone is still undone then.
            self._producer.wish = self._chance.choice((True, False, None)) if looks else None
            self._cycle()
            if looks:
                self._settle(last=cycle == cycles)
                self._tell(
                    f"{cycle} of {cycles} kills, {len(self._problems)} problems; {time.monotonic() - began:.0f} s"
                )
        return self._report(cycles, time.monotonic() - began)

    def _cycle(self) -> None:
        self._start()
        time.sleep(self._chance.uniform(SHORTEST, LONGEST))
        self._busy += self._producer.in_flight > 0
        self._relay.kill()
        self._kills.append(time.time())

    def _start(self) -> None:
        began = time.monotonic()
        self._relay.start()
        self._restarts.append(time.monotonic() - began)

    def _settle(self, *, last: bool) -> None:
        """Let faults and changes end, and compare; then go on where it was."""
        self._sandbox.well()
        self._producer.repeats = 0.0
        self._start()
        self._producer.changing = False
        self._compare()
        if last:
            self._end()
        else:
            self._relay.kill()
            self._kills.append(time.time())
            self._producer.changing = True
            self._producer.repeats = 0.1

    def _compare(self) -> None:
        wait_for(self._producer.settled, "everything is acknowledged", SETTLES_WITHIN)
        deadline = time.monotonic() + SETTLES_WITHIN
        while found := self._differences():
            if time.monotonic() > deadline:
                self._problems += [f"after kill {len(self._kills)}: {one}" for one in found]
                return
            time.sleep(0.1)

    def _differences(self) -> list[str]:
        still_open = self._sandbox.open()
        found = differences(self._producer.groups, self._sandbox.requests(), still_open)
        waiting = [page["dedup_key"] for page in self._relay.pages() if page["lane"] or page["in_flight"]]
        return found + [f"{key} waits to be sent" for key in waiting]

    def _end(self) -> None:
        """Nothing more is sent while all groups say again what is true; at the last resolve nothing is open."""
        self._producer.repeats = 0.5
        before = len(self._sandbox.requests())
        time.sleep(CALM)
        after = len(self._sandbox.requests())
        if after != before:
            self._problems.append(f"{after - before} events were sent although nothing changed")
        self._producer.wish = False
        wait_for(lambda: not any(group.firing for group in self._producer.groups), "every alert resolves")
        self._compare()
        self._lost = sum(_lost(self._relay, page["id"]) for page in self._relay.pages())
        if (status := self._relay.stop()) != 0:
            self._problems.append(f"SIGTERM: exit status {status}")
        if "Traceback" in self._relay.output():
            self._problems.append("the relay logged a traceback")
        self._problems += [f"database: {said}" for said in _integrity(self._relay.storage) if said != "ok"]

    def _report(self, cycles: int, seconds: float) -> Report:
        self._producer.stop()
        groups = self._producer.groups
        findings = judge(groups, self._sandbox.requests(), self._kills, GROUP_INTERVAL)
        findings.problems[:0] = self._problems
        strange = {answer for answer in self._producer.answers if answer not in ("200", "503", "refused", "broken")}
        findings.problems += [f"the relay answered {answer}" for answer in strange]
        return Report(
            seed=self._seed,
            cycles=cycles,
            kills=len(self._kills),
            seconds=seconds,
            findings=findings,
            answers=self._producer.answers,
            acknowledged=self._producer.answers["200"],
            episodes=sum(one.episode for group in groups for one in group.instances),
            busy_kills=self._busy,
            lost_attempts=self._lost,
            restart=sum(self._restarts) / len(self._restarts),
        )


def _lost(relay: Relay, page: str) -> int:
    attempts = relay.get(f"/api/v1/pages/{page}")["attempts"]
    return sum(attempt["outcome"] == "lost" for attempt in attempts)


def _integrity(storage: Path) -> list[str]:
    """Ask SQLite, over a copy, whether the file is sound."""
    copy = storage.with_name("copy")
    shutil.copytree(storage, copy)
    (file,) = copy.glob("*.db")
    with sqlite3.connect(file) as db:
        return [said for (said,) in db.execute("PRAGMA integrity_check")]
