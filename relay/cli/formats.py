"""Writes what a check found for programs: JSON, SARIF for code scanning, and GitHub's workflow commands."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any, Literal
from urllib.parse import quote

from relay import __version__

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
FORMATS = ("text", "json", "sarif", "github")

_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"
_GITHUB: Mapping[Level, str] = {"error": "error", "warning": "warning", "note": "notice"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check says of a place in a file."""

    rule: str
    """What kind of thing it is: a name that stays the same from version to version, `route-unreachable`."""
    level: Level
    file: str
    """As it was named on the command line."""
    line: int
    """From 1."""
    column: int
    """From 1, in characters."""
    path: str
    """Where in the document: `route.routes[2].matchers[0]`; "" for the document itself."""
    message: str
    """What is wrong, and what to do."""


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """Count findings by level; every level is there."""
    found = dict.fromkeys(LEVELS, 0)
    for finding in findings:
        found[finding.level] += 1
    return {f"{level}s": number for level, number in found.items()}


def json_text(findings: Sequence[Finding], **beside: Any) -> str:
    """Write findings as one JSON object, `{"findings": [...], "errors": 1, ...}`, and `beside` in front of them."""
    body = {**beside, "findings": [asdict(finding) for finding in findings], **counts(findings)}
    return json.dumps(body, indent=2, ensure_ascii=False)


def sarif_text(findings: Sequence[Finding], rules: Mapping[str, str]) -> str:
    """Write findings as a SARIF 2.1.0 log; `rules` says in one sentence what each rule is about.

    Source: docs.oasis-open.org/sarif/sarif/v2.1.0.
    """
    ids = sorted(set(rules) | {finding.rule for finding in findings})
    driver = {
        "name": "pagerelay",
        "version": __version__,
        "rules": [{"id": name, "shortDescription": {"text": rules.get(name, name)}} for name in ids],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, ids.index(finding.rule)) for finding in findings],
    }
    return json.dumps({"$schema": _SARIF, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


def github_text(findings: Iterable[Finding]) -> str:
    """Write findings as workflow commands, one a line, which GitHub Actions shows beside the lines of the file.

    Source: docs.github.com, "Workflow commands for GitHub Actions"; escapes as in actions/toolkit command.ts.
    """
    return "\n".join(_command(finding) for finding in findings)


def _result(finding: Finding, index: int) -> dict[str, Any]:
    place = {
        "artifactLocation": {"uri": _uri(finding.file)},
        "region": {"startLine": max(finding.line, 1), "startColumn": max(finding.column, 1)},
    }
    location: dict[str, Any] = {"physicalLocation": place}
    if finding.path:
        location["logicalLocations"] = [{"fullyQualifiedName": finding.path}]
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": finding.level,
        "message": {"text": finding.message},
        "locations": [location],
    }


def _uri(file: str) -> str:
    """Write a file's name as SARIF wants it: relative names stay relative, so that they are found in a repository."""
    path = PurePath(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())


def _command(finding: Finding) -> str:
    properties = {"file": finding.file, "line": finding.line, "col": finding.column, "title": finding.rule}
    written = ",".join(f"{name}={_escaped(str(value), ':,')}" for name, value in properties.items())
    text = f"{finding.path}: {finding.message}" if finding.path else finding.message
    return f"::{_GITHUB[finding.level]} {written}::{_escaped(text)}"


def _escaped(text: str, more: str = "") -> str:
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
