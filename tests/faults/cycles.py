"""Starts the relay and ends it, again and again under load, by kill -9, SIGTERM or a failpoint; then the judge."""

import signal
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from relay.failpoints import NAMES
from tests.faults.judge import Allowance, Evidence, i2_convergence, judge
from tests.faults.run import Report, figures, finish, shortened
from tests.faults.stage import GROUP_INTERVAL, Setting, Stage, until

GROUPS = 40
SETTLES_EVERY = 10
"""Cycles between two looks at whether everything is in step."""
CALM = 3.0
SHORTEST, LONGEST = 0.005, 0.4
"""Seconds from ready to the end."""
STARTS_WITHIN = 60.0
REACHED_WITHIN = 45.0
"""Seconds after the start in which a failpoint must be reached."""
_USUAL = Setting(groups=GROUPS, most=4, direct=True)
_NOTHING = Allowance()


@dataclass
class Cycles(Report):
    """What a number of cycles came to."""

    ending: str = ""
    cycles: int = 0
    ended: int = 0
    """One for each cycle, and one after each look in between."""
    hit: int = 0
    """Cycles that ended as they should: at the failpoint, with status 0."""
    busy: int = 0
    """Ends while at least one post had no answer yet."""
    lost_attempts: int = 0
    """Calls to PagerDuty whose outcome an end took away."""

    def __str__(self) -> str:
        told = self.figures
        rows = {
            "ending": f"{self.ending}, seed {self.seed}",
            "cycles / ended / of them as they should": f"{self.cycles} / {self.ended} / {self.hit}",
            "of them with a post in flight": self.busy,
            "seconds": told.get("seconds"),
            "mean seconds from start to ready": told.get("restart"),
            "bodies acknowledged": told.get("acknowledged"),
            "posts broken off / refused / 503": " / ".join(str(told.get(one)) for one in ("broken", "refused", "503")),
            "events at PagerDuty": told.get("events"),
            "incidents": told.get("incidents"),
            "calls whose outcome was lost": self.lost_attempts,
            "duplicates": told.get("duplicates"),
            "most duplicates of a page and end": told.get("most duplicates"),
            "longest from a resolve to a call that did not know": f"{told.get('stalest')} s",
            "a fresh critical afterwards": f"{told.get('fresh')} s",
            "problems": len(self.problems),
        }
        return "\n".join(f"  {name:<52} {value}" for name, value in rows.items())


@dataclass(frozen=True)
class Ending:
    """One way to end a cycle: returns whether it went as it should."""

    end: Callable[[Stage], bool]
    failpoint: str = ""
    nth: int = 12
    """It dies at most at the nth time."""
    setting: Setting = _USUAL
    allows: Allowance = _NOTHING
    loses: bool = True
    """Whether it takes answers away; else the run need not show that it did."""


def run(ending: str, cycles: int, seed: int, folder: Path, tell: Callable[[str], None] = print) -> Cycles:
    """Run so many cycles in an empty folder; everything that was started is stopped at the end."""
    how = ENDINGS[ending]
    report = Cycles(0, ending, seed, ending=ending, cycles=cycles)
    stage = Stage(folder, seed, how.setting)
    try:
        with stage:
            evidence = _Run(stage, how, report, tell).go()
        report.figures = figures(stage, evidence)
        report.problems += [*stage.problems, *judge(evidence), *_vacuous(report, how)]
    except Exception as error:  # whatever it is, the folder must say so
        report.problems += [*stage.problems, f"{type(error).__name__}: {shortened(str(error))}"]
    finish(report, stage, keep=False)
    return report


def _vacuous(report: Cycles, how: Ending) -> list[str]:
    """Refuse a run in which nothing happened that it is about."""
    told, found = report.figures, []
    if told["acknowledged"] <= report.cycles:
        found.append(f"vacuous: {told['acknowledged']} bodies acknowledged in {report.cycles} cycles")
    if report.hit < (0.9 * report.cycles if how.failpoint else report.cycles):
        found.append(f"vacuous: {report.hit} of {report.cycles} cycles ended as they should")
    if (
        not how.failpoint
        and how.loses
        and (told["broken"] * 2 < report.cycles or report.lost_attempts * 2 < report.cycles)
    ):
        found.append(f"vacuous: {told['broken']} posts and {report.lost_attempts} calls lost their answer")
    return found


class _Run:
    def __init__(self, stage: Stage, how: Ending, report: Cycles, tell: Callable[[str], None]) -> None:
        self._stage = stage
        self._how = how
        self._report = report
        self._tell = tell

    def go(self) -> Evidence:
        stage, report = self._stage, self._report
        began = time.monotonic()
        stage.kill()
        for cycle in range(1, report.cycles + 1):
            # PagerDuty takes its time, so that ends meet calls in flight.
            stage.sandbox.well()
            stage.sandbox.fault(latency=0.1, share=0.5)
            looks = cycle % SETTLES_EVERY == 0 or cycle == report.cycles
            # Before a look, let one kind of call be in flight: what it left undone is still undone then.
            stage.producer.wish = (
                stage.chance.choice((True, False, None)) if looks and not self._how.failpoint else None
            )
            self._cycle()
            if looks:
                self._look(last=cycle == report.cycles)
                words = f"{report.ending}: {cycle} of {report.cycles}, {len(report.problems)} problems"
                self._tell(f"{words}; {time.monotonic() - began:.0f} s")
        evidence = stage.conclude(self._how.allows, calm=CALM, stop=False)
        report.lost_attempts = sum(_lost(stage, page["id"]) for page in stage.pages())
        stage._stop()
        evidence.leaks = stage.leaking()
        return evidence

    def _cycle(self) -> None:
        how, stage, report = self._how, self._stage, self._report
        failpoint = f"{how.failpoint}:{stage.chance.randint(1, how.nth)}" if how.failpoint else ""
        stage.start(failpoint=failpoint, ready=not failpoint)
        if not failpoint:
            time.sleep(stage.chance.uniform(SHORTEST, LONGEST))
        report.busy += stage.producer.in_flight > 0
        stage.measure()
        report.hit += how.end(stage)
        report.ended += 1

    def _look(self, *, last: bool) -> None:
        """Let faults and changes end, and compare; then go on where it was."""
        stage = self._stage
        stage.producer.repeats = 0.0
        stage.settle()
        evidence = Evidence(stage.producer.groups, allows=self._how.allows, group_interval=GROUP_INTERVAL)
        stage.converged(evidence, 60)
        self._report.problems += [f"after end {self._report.ended}: {one}" for one in i2_convergence(evidence)]
        if not last:
            stage.kill()
            self._report.ended += 1
            stage.producer.changing = True
            stage.producer.repeats = 0.1


def _lost(stage: Stage, page: str) -> int:
    attempts = stage.relay.get(f"/api/v1/pages/{page}")["attempts"]
    return sum(attempt["outcome"] == "lost" for attempt in attempts)


# How a cycle ends


def killed(stage: Stage) -> bool:
    """kill -9 at a random moment."""
    stage.kill()
    return True


def terminated(stage: Stage) -> bool:
    """SIGTERM: everything in hand is finished, and nothing is told twice."""
    stage.did("SIGTERM")
    return stage.relay.stop() == 0


def reaches(stir: Callable[[Stage], object]) -> Callable[[Stage], bool]:
    """Wait until the relay has died at its failpoint, stirring meanwhile."""

    def end(stage: Stage) -> bool:
        until(lambda: not stage.relay.running or stage.relay.ready(), STARTS_WITHIN)
        deadline = time.monotonic() + REACHED_WITHIN
        while stage.relay.running and time.monotonic() < deadline:
            stir(stage)
        if stage.relay.running:
            stage.kill()
            return False
        stage.disturb()
        stage.did("died at its failpoint")
        return True

    return end


def _wait(stage: Stage) -> None:
    until(lambda: not stage.relay.running, 0.2)


def _reload(stage: Stage) -> None:
    _wait(stage)
    if stage.relay.running and stage.relay.ready():
        stage.relay.signal(signal.SIGHUP)


def _refuse(stage: Stage) -> None:
    stage.sandbox.fault(status=400, body="", action="trigger", count=3)
    _wait(stage)


def _terminate(stage: Stage) -> None:
    _wait(stage)
    if stage.relay.running and stage.relay.ready():
        stage.relay.signal(signal.SIGTERM)
        until(lambda: not stage.relay.running, 3)


def _start_again(stage: Stage) -> None:
    """Let some pages close, and start once more: old rows are deleted at a start."""
    until(lambda: not stage.relay.running, 2.5)
    if stage.relay.running:
        stage.kill()
        stage.start(failpoint="prune.step", ready=False)
        until(lambda: not stage.relay.running or stage.relay.ready(), STARTS_WITHIN)


def _lock(stage: Stage) -> None:
    """Hold the database for longer than the relay waits, let go, and let it recover."""
    if not stage.relay.running or not stage.relay.ready():
        _wait(stage)
        return
    with closing(sqlite3.connect(stage.database(), isolation_level=None, timeout=2)) as db:
        try:
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return
        until(lambda: not stage.relay.running, 8.0)
    until(lambda: not stage.relay.running, 5.0)


_STIRRED: Mapping[str, Callable[[Stage], object]] = {
    "reload.swapped": _reload,
    "rejudge.step": _reload,
    "dead_letter.before_commit": _refuse,
    "shutdown.draining": _terminate,
    "prune.step": _start_again,
    "emergency.sent": _lock,
    "recovery.before_commit": _lock,
}
_NTH: Mapping[str, int] = {
    "dead_letter.before_commit": 3,
    "reload.swapped": 3,
    "prune.step": 1,
    "rejudge.step": 2,
    "storm.fold": 5,
    "emergency.sent": 2,
    "recovery.before_commit": 1,
    "shutdown.draining": 1,
}
_SET: Mapping[str, Setting] = {
    "prune.step": Setting(groups=GROUPS, most=1, restless=0.7, direct=True, serve=("--data.retention=1s",)),
    "storm.fold": Setting(groups=GROUPS, most=4, direct=True, all={"storm": {"pages": 5, "within": "2s"}}),
}
_ALLOWED: Mapping[str, Allowance] = {
    "dead_letter.before_commit": Allowance(dead=True),
    "emergency.sent": Allowance(past_the_store=True),
    "recovery.before_commit": Allowance(past_the_store=True),
    "prune.step": Allowance(forgets=True),
    "storm.fold": Allowance(folds=True),
}

ENDINGS: Mapping[str, Ending] = {
    "kill": Ending(killed),
    "term": Ending(terminated, loses=False),
    **{
        name: Ending(
            reaches(_STIRRED.get(name, _wait)),
            name,
            _NTH.get(name, 12),
            _SET.get(name, _USUAL),
            _ALLOWED.get(name, _NOTHING),
        )
        for name in NAMES
        if name != "migrate.step"
    },
}
"""How a cycle may end. `migrate.step` is reached on a new store alone: row 5 of the scenarios."""
