"""Reads the sandbox's ledger against what was posted, acknowledged and killed, and says what is wrong."""

import bisect
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.kills.producer import SEVERITIES, Group

Line = Mapping[str, Any]
AFTERGLOW = 0.2
"""Seconds in which the sandbox may still read what a killed relay wrote; no relay starts that fast."""


@dataclass
class Findings:
    """What the ledger shows."""

    problems: list[str] = field(default_factory=list)
    events: int = 0
    incidents: int = 0
    duplicates: int = 0
    most_duplicates: int = 0
    """Of one page after one kill."""
    stalest: float = 0.0
    """Seconds between acknowledging a resolve and the last event that still showed its alert firing."""


def shown(line: Line) -> dict[str, int]:
    """Read which instances a trigger shows firing, and in which episode."""
    said = line["event"]["payload"]["custom_details"]["shown"]
    return {name: int(episode) for name, _, episode in (part.partition("=") for part in said.split())}


def base(dedup_key: str) -> str:
    """Name the group's own key; linked pages are `key/2`, `key/3` ..."""
    return dedup_key.partition("/")[0]


def differences(groups: Sequence[Group], ledger: Sequence[Line], still_open: Mapping[str, Any]) -> list[str]:
    """Compare what is open with what fires, once everything is settled (I1, I2). Empty: they are the same."""
    latest = {line["dedup_key"]: line for line in ledger if line["event_action"] == "trigger" and line["status"] == 202}
    held: defaultdict[str, list[str]] = defaultdict(list)
    for key in still_open:
        held[base(key)].append(key)
    found = []
    for group in groups:
        keys = held.pop(group.dedup_key, [])
        if len(keys) != (1 if group.firing else 0):
            found.append(f"{group.name}: {len(group.firing)} alerts fire, {len(keys)} incidents are open {keys}")
        elif group.firing:
            found += _page_differences(group, latest[keys[0]])
    return found + [f"nobody knows {key}" for keys in held.values() for key in keys]


def _page_differences(group: Group, line: Line) -> list[str]:
    firing = {one.name for one in group.firing}
    worst = min(SEVERITIES.index(one.labels["severity"]) for one in group.firing)
    found = []
    if set(shown(line)) != firing:
        found.append(f"{group.name}: {sorted(firing)} fire, its page shows {sorted(shown(line))}")
    if SEVERITIES.index(line["severity"]) > worst:
        found.append(f"{group.name}: fires as {SEVERITIES[worst]}, its page says {line['severity']}")
    return found


def judge(groups: Sequence[Group], ledger: Sequence[Line], kills: Sequence[float], group_interval: float) -> Findings:
    """Check order, invention and duplicates over the whole run (I3, I4, I10). `kills` are times, ascending."""
    findings = Findings(events=len(ledger))
    by_key: defaultdict[str, list[Line]] = defaultdict(list)
    for line in ledger:
        if line["status"] != 202 or line["result"] not in ("triggered", "triggered again", "resolved", "dropped"):
            findings.problems.append(f"event {line['n']} was not accepted: {line['result']} {line['errors']}")
        else:
            by_key[line["dedup_key"]].append(line)
    known = {group.dedup_key: group for group in groups}
    for key, lines in by_key.items():
        group = known.get(base(key))
        if group is None:
            findings.problems.append(f"nobody posted anything for {key}")
            continue
        findings.problems += _disorder(group, lines)
        _hold_against_posts(group, lines, findings)
        _count_extra(group, lines, kills, group_interval, findings)
    findings.incidents = sum(line["result"] == "triggered" for line in ledger)
    return findings


def _disorder(group: Group, lines: Sequence[Line]) -> list[str]:
    """After a resolve, a trigger may only show episodes that no trigger before the resolve has shown."""
    found = []
    before: Counter[str] = Counter()
    now: Counter[str] = Counter()
    for line in lines:
        if line["event_action"] == "resolve":
            before |= now
            continue
        for name, episode in shown(line).items():
            if episode <= before[name]:
                found.append(f"{group.name}: event {line['n']} shows {name} episode {episode} after its resolve")
            now[name] = max(now[name], episode)
    return found


def _hold_against_posts(group: Group, lines: Sequence[Line], findings: Findings) -> None:
    """What a trigger shows must have been posted before, and must not have been over for long."""
    first: dict[tuple[str, int], float] = {}
    over: dict[tuple[str, int], float] = {}
    for said in group.said:
        for name, (episode, firing) in said.states.items():
            if firing:
                first.setdefault((name, episode), said.posted_at)
            elif said.acked_at is not None:
                over.setdefault((name, episode), said.acked_at)
    for line in lines:
        if line["event_action"] != "trigger":
            continue
        for one in shown(line).items():
            if one not in first or first[one] > line["at"]:
                findings.problems.append(f"{group.name}: event {line['n']} shows {one}, which was not posted by then")
            findings.stalest = max(findings.stalest, line["at"] - over.get(one, line["at"]))


def _count_extra(
    group: Group, lines: Sequence[Line], kills: Sequence[float], group_interval: float, findings: Findings
) -> None:
    """Count deliveries the table does not ask for: equal to the one before, too early, or a second resolve."""
    counted: Counter[int] = Counter()
    for before, line in pairwise(lines):
        if not _is_extra(before, line, group_interval):
            continue
        kill = bisect.bisect(kills, line["at"] - AFTERGLOW)
        if kill == bisect.bisect(kills, before["at"] - AFTERGLOW):
            findings.problems.append(f"{group.name}: event {line['n']} is one too many, and nothing was killed")
        counted[kill] += 1
    findings.duplicates += counted.total()
    worst = max(counted.values(), default=0)
    findings.most_duplicates = max(findings.most_duplicates, worst)
    if worst > 1:
        findings.problems.append(f"{group.name}: {worst} extra deliveries of one page after one kill")


def _is_extra(before: Line, line: Line, group_interval: float) -> bool:
    if line["event_action"] == "resolve":
        return bool(before["event_action"] == "resolve")
    if before["event_action"] == "resolve":
        return False
    rises = SEVERITIES.index(line["severity"]) < SEVERITIES.index(before["severity"])
    early = line["at"] - before["at"] < 0.9 * group_interval and not rises
    return early or line["event"] == before["event"]
