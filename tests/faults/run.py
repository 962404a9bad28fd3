"""Plays one scenario with one seed: traffic, faults, a settle phase without any, and the judge."""

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.judge import Evidence, duplicates, judge, stalest, vacuous
from tests.faults.scenarios import DUPLICATES, SCENARIOS, Scenario
from tests.faults.stage import Stage, may


@dataclass
class Report:
    """What one run came to."""

    row: int
    name: str
    seed: int
    problems: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    folder: str = ""
    """Where all of it is kept; "" for a run that went well."""
    skipped: str = ""


def named(name: str) -> Scenario:
    """Find a scenario; KeyError if there is none."""
    return {one.name: one for one in SCENARIOS}[name]


CHANCES = 3
"""How often a run is played in which chance hurt nothing: it proves nothing, and counts as failed after the last."""
_ANOTHER = 1_000_003


def play(name: str, seed: int, folder: Path, *, keep: bool = False) -> Report:
    """Play a scenario in an empty folder, which is kept where something is wrong; with another seed where in the first
    nothing was hurt."""
    for chance in range(CHANCES):
        report = _once(name, seed + chance * _ANOTHER, folder, keep=keep)
        if not report.problems or not all(said.startswith("vacuous") for said in report.problems):
            break
        if chance < CHANCES - 1:
            shutil.rmtree(folder)
    return report


def _once(name: str, seed: int, folder: Path, *, keep: bool) -> Report:
    scenario = named(name)
    report = Report(scenario.row, scenario.name, seed)
    if scenario.needs and not may(scenario.needs):
        report.skipped = f"needs {scenario.needs}"
        return report
    stage = Stage(folder, seed, scenario.setting)
    try:
        evidence = _played(scenario, stage)
        report.figures = figures(stage, evidence)
        proofs = [proof for proof in scenario.proofs if proof != DUPLICATES]
        report.problems = [*stage.problems, *judge(evidence), *vacuous({**stage.acts, **report.figures}, proofs)]
    except Exception as error:  # whatever it is, the folder must say so
        report.problems = [*stage.problems, f"{type(error).__name__}: {shortened(str(error))}"]
    finish(report, stage, keep=keep)
    return report


def shortened(text: str) -> str:
    """Show the beginning and the end of a long text: an error and the end of a log."""
    return text if len(text) <= 1_200 else f"{text[:300]} [...] {text[-900:]}"


def _played(scenario: Scenario, stage: Stage) -> Evidence:
    with stage:
        began = time.monotonic()
        time.sleep(0.5)
        scenario.act(stage)
        time.sleep(max(0.0, scenario.length - (time.monotonic() - began)))
        return stage.conclude(scenario.allows)


def figures(stage: Stage, evidence: Evidence) -> dict[str, float]:
    """Count what the run was made of."""
    extra, most = duplicates(evidence)
    faults = stage.acts + stage.proxy.hurt + stage.front.hurt
    return {
        "faults": faults.total() + sum(bool(line["fault"]) for line in evidence.ledger),
        "acknowledged": stage.producer.answers["200"],
        "503": stage.producer.answers["503"],
        "broken": stage.producer.answers["broken"],
        "refused": stage.producer.answers["refused"],
        "events": len(evidence.events),
        "incidents": sum(line["result"] == "triggered" for line in evidence.events),
        DUPLICATES: extra,
        "most duplicates": most,
        "self-pages": sum(line["dedup_key"].startswith("pagerelay/") for line in evidence.ledger),
        "stalest": round(stalest(evidence), 2),
        "fresh": round(evidence.fresh or 0.0, 2),
        "restart": round(sum(stage.restarts) / max(1, len(stage.restarts)), 2),
        "MiB": stage.memory >> 20,
        "seconds": round(time.monotonic() - stage.began, 1),
    }


def finish(report: Report, stage: Stage, *, keep: bool) -> None:
    """Look for tracebacks; keep the folder with the report in it where something is wrong, else take it away."""
    # aiohttp prints one where a client's connection is gone by the time its answer is written, as the process ends.
    if stage.relay.output().count("Traceback") > stage.relay.output().count("; the handler is closed"):
        report.problems.append("the relay logged a traceback")
    if report.problems or keep:
        report.folder = str(stage.folder)
        told = {**stage.acts, **{f"toxic {kind}": count for kind, count in stage.proxy.hurt.items()}}
        text = json.dumps({"report": vars(report), "did": told}, indent=1)
        (stage.folder / "report.json").write_text(text)
    else:
        shutil.rmtree(stage.folder, ignore_errors=True)


def table(reports: Mapping[str, list[Report]]) -> str:
    """Write one line for each scenario, over all its seeds."""
    head = f"{'row':>3}  {'scenario':<46} {'runs':>4} {'bad':>3} {'faults':>6} {'acked':>6} {'events':>6} "
    lines = [head + f"{'dup':>4} {'most':>4} {'fresh s':>7} {'MiB':>4} {'s':>5}"]
    for name, runs in reports.items():
        told = [one.figures for one in runs if one.figures]
        bad = sum(bool(one.problems) for one in runs)
        if all(one.skipped for one in runs):
            lines.append(f"{runs[0].row:>3}  {name:<46} !! NOT RUN: {runs[0].skipped}")
            continue
        cells = [_total(told, one) for one in ("faults", "acknowledged", "events", DUPLICATES)]
        lines.append(
            f"{runs[0].row:>3}  {name:<46} {len(runs):>4} {bad:>3} {cells[0]:>6} {cells[1]:>6} {cells[2]:>6} "
            f"{cells[3]:>4} {_most(told, 'most duplicates'):>4.0f} {_most(told, 'fresh'):>7.2f} "
            f"{_most(told, 'MiB'):>4.0f} {_most(told, 'seconds'):>5.0f}"
        )
    return "\n".join(lines)


def never_seen(reports: Mapping[str, list[Report]]) -> list[str]:
    """Name scenarios that can make duplicates, and made none with any seed of enough."""
    found = []
    for name, runs in reports.items():
        told = [one.figures for one in runs if one.figures]
        if len(told) >= 5 and DUPLICATES in named(name).proofs and not _total(told, DUPLICATES):
            found.append(f"{name}: vacuous: no duplicates with any of {len(told)} seeds")
    return found


def _total(told: list[dict[str, float]], name: str) -> int:
    return int(sum(one[name] for one in told))


def _most(told: list[dict[str, float]], name: str) -> float:
    return max((one[name] for one in told), default=0.0)
