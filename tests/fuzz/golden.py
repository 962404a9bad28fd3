"""The golden set: every answer that a body may get. What is not in it is a find, however harmless it looks."""

import json
import re
from collections.abc import Mapping
from typing import Any

from relay.decision import Verdict

REASONS = frozenset({"empty", "encoding", "malformed", "not_a_webhook", "nothing_salvageable"})
"""Why a body can be refused (BadBody.reason)."""
LONGEST_ERROR = 4_000
"""Bytes of one error: whoever reads it is a person."""
MOST_SHOWN = 100
"""Decisions in one answer."""
_VERDICTS = frozenset(verdict.value for verdict in Verdict)
_FINGERPRINT = re.compile("[0-9a-f]{16}")


def faults_of_decisions(outcomes: Mapping[str, int], decisions: list[Mapping[str, Any]]) -> list[str]:
    """Hold what became of a body's alerts against the closed set of what can: nothing else exists."""
    faults = []
    if not outcomes.keys() <= _VERDICTS or min(outcomes.values(), default=0) < 0:
        faults.append(f"outcomes {dict(outcomes)}")
    if sum(outcomes.values()) < len(decisions):
        faults.append(f"{len(decisions)} decisions, but outcomes {dict(outcomes)}")
    for one in decisions:
        if one["verdict"] not in _VERDICTS or one["status"] not in ("firing", "resolved"):
            faults.append(f"decision {one}")
        elif not _FINGERPRINT.fullmatch(one["fingerprint"]):
            faults.append(f"fingerprint {one['fingerprint']!r}")
        elif not one["steps"]:
            faults.append(f"no reason is given for {one['verdict']}")
    return faults


def faults_of_error(error: str) -> list[str]:
    """Hold the words of a refusal against what a person can use: some, and not too many."""
    if not error.strip() or len(error.encode("utf-8", "replace")) > LONGEST_ERROR:
        return [f"an error of {len(error)} characters: {error[:200]!r}"]
    return []


def faults_of_webhook(status: int, body: bytes) -> list[str]:
    """Hold what POST /webhook answered against the golden set."""
    try:
        answer = json.loads(body)
    except ValueError:
        return [f"{status} that is no JSON: {body[:200]!r}"]
    match status:
        case 200:
            if answer.keys() != {"status", "outcomes", "decisions", "more", "notes"} or answer["status"] != "ok":
                return [f"200 with fields {sorted(answer)}"]
            if len(answer["decisions"]) > MOST_SHOWN:
                return [f"{len(answer['decisions'])} decisions are shown"]
            return faults_of_decisions(answer["outcomes"], answer["decisions"])
        case 400 | 404 | 413 | 415:
            return faults_of_error(answer["error"]) if answer.keys() == {"error", "status"} else [f"{status} {answer}"]
    return [f"{status} {body[:300]!r}"]


def faults_of_alertmanager(statuses: frozenset[int], status: int, body: bytes) -> list[str]:
    """Hold what a door of /api/v2 answered against Alertmanager's forms: a string or {code, message}."""
    if status not in statuses:
        return [f"{status} {body[:300]!r}"]
    if status < 300:
        return []
    answer = json.loads(body)
    words = answer if isinstance(answer, str) else answer["message"]
    return faults_of_error(words)
