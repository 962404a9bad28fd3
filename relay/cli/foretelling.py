"""Writes what alerting rules would page: as text, as Markdown for a merge request, and as values for JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from relay.cli.formats import Finding, counts
from relay.logs import clean
from relay.promrules.paging import Outlook, Page
from relay.promrules.summaries import Summary

_WIDTH = 10


@dataclass(frozen=True, slots=True)
class Told:
    """One rule with all that is known of it."""

    found: Outlook
    summaries: tuple[Summary, ...]
    """One for each of its pages."""
    findings: tuple[Finding, ...]
    ignored: tuple[str, ...]
    """Checks that a comment left out."""


def entry(told: Told) -> dict[str, Any]:
    """Write a rule for JSON."""
    found, rule, worst = told.found, told.found.rule, told.found.worst
    pages = [_page(page, summary) for page, summary in zip(found.pages, told.summaries, strict=True)]
    return {
        "file": rule.file,
        "line": rule.line,
        "column": rule.column,
        "path": rule.path,
        "group": rule.group,
        "alert": rule.alert,
        "for": rule.for_,
        "labels": dict(found.labels),
        "runtime_labels": sorted(found.runtime),
        "annotations": {name: filled.text for name, filled in found.annotations.items()},
        "sample_value": found.samples.value,
        "receivers": list(dict.fromkeys(route.receiver for route in found.routes)),
        "routes": [{"id": route.id, "line": route.line, "receiver": route.receiver} for route in found.routes],
        "may_also": [
            {"receiver": one.route.receiver, "route": one.route.id, "depends_on": sorted(one.needs)}
            for one in found.may_also
        ],
        "severity": worst.severity.value if worst else None,
        "urgency": worst.urgency if worst else None,
        "dedup_key": (worst.dedup_key or None) if worst else None,
        "summary": next((one["summary"] for one in pages if worst and one["severity"] == worst.severity.value), None),
        "pages": pages,
        "unfilled": [
            part for filled in (*found.filled.values(), *found.annotations.values()) for part in filled.unfilled
        ],
        "findings": [finding.rule for finding in told.findings],
        "ignored": list(told.ignored),
    }


def _page(page: Page, summary: Summary) -> dict[str, Any]:
    return {
        "receiver": page.receiver,
        "route": page.route.id,
        "severity": page.severity.value,
        "urgency": page.urgency,
        "dedup_key": page.dedup_key or None,
        "key_of": page.key_text,
        "depends_on": list(page.needs),
        "muted": [{"interval": one.name, "kind": one.kind, "hours": one.hours} for one in page.muting],
        "outside": page.outside or None,
        "hold_seconds": page.hold / 1_000_000,
        "then": page.then or None,
        "summary": summary.text,
        "template_failures": list(summary.failed),
    }


def text(told: Told) -> Iterator[str]:
    """Tell of a rule in some lines."""
    found, rule = told.found, told.found.rule
    group = f"  (group {rule.group})" if rule.group else ""
    yield f"{rule.file}:{rule.line}:{rule.column}: {rule.alert}{group}"
    for page, summary in zip(found.pages, told.summaries, strict=True):
        yield from _told(page, summary)
    for route in found.routes if not found.pages else ():
        what = ("change", "makes a change event, at") if route.change else ("pages", "nobody:")
        yield _line(what[0], f"{what[1]} receiver {route.receiver}, by route {route.id}")
    for one in found.may_also:
        yield _line(
            "may go", f"to {one.route.receiver}, depending on {', '.join(sorted(one.needs))}: route {one.route.id}"
        )
    if told.ignored:
        yield _line("ignored", ", ".join(told.ignored))
    for finding in told.findings:
        yield finding_line(finding, f"  {finding.level}: ")


def _told(page: Page, summary: Summary) -> Iterator[str]:
    yield _line("pages", f"{page.receiver} as {page.severity} ({page.urgency} urgency), by route {page.route.id}")
    yield _line("summary", summary.text)
    for because in summary.failed:
        yield _line("", because)
    if page.dedup_key:
        yield _line("dedup key", page.dedup_key)
    else:
        yield _line("dedup key", f"known once it fires, by {', '.join(page.needs)}: made of {page.key_text}")
    for one in page.muting:
        when = f"during {one.name}" if one.kind == "mute" else f"outside of {one.name}"
        yield _line("muted", f"{when}: {one.hours}; outside: {page.outside}")
    if page.hold:
        yield _line("held", f"{page.hold / 1_000_000:g}s before it pages")
    if page.then:
        yield _line("then", page.then)


def _line(name: str, said: str) -> str:
    return f"  {name:<{_WIDTH}} {clean(said)}"


def finding_line(finding: Finding, before: str = "") -> str:
    """Tell of a finding on one line: where, what, and the name of the check."""
    place = f"{finding.file}:{finding.line}:{finding.column}: " if not before.startswith("  ") else ""
    at = "" if place else f"line {finding.line}:{finding.column}: "
    return clean(f"{before}{place}{at}{finding.message} [{finding.rule}]")


def totals(rules: int, files: int, pages: int, findings: Sequence[Finding]) -> str:
    """Sum up on one line."""
    found = counts(findings)
    said = ", ".join(f"{number} {_one(name, number)}" for name, number in found.items())
    read = f"{rules} alerting {_one('rules', rules)} in {files} {_one('files', files)}"
    return f"{read}, {pages} of them {'pages' if pages == 1 else 'page'}: {said}"


def _one(name: str, number: int) -> str:
    return name[:-1] if number == 1 else name


def markdown(rules: Sequence[Told], findings: Sequence[Finding], total: str) -> Iterator[str]:
    """Write what a merge request shows: a table of the rules, then what was found."""
    yield "## What these rules page"
    yield ""
    yield total + "."
    if rules:
        yield ""
        yield "| Rule | Pages | As | Summary | Muted |"
        yield "| --- | --- | --- | --- | --- |"
    for told in rules:
        rule = told.found.rule
        named = f"{_cell(rule.alert)} <br> `{_code(rule.file)}:{rule.line}`"
        if not told.found.pages:
            nobody = ", ".join(dict.fromkeys(route.receiver for route in told.found.routes))
            yield f"| {named} | nobody ({_cell(nobody)}) | | | |"
        for page, summary in zip(told.found.pages, told.summaries, strict=True):
            muted = "; ".join(f"{one.kind} {one.name}: {one.hours}" for one in page.muting)
            severity = f"{page.severity}, {page.urgency} urgency"
            yield f"| {named} | {_cell(page.receiver)} | {severity} | {_cell(summary.text)} | {_cell(muted)} |"
    if findings:
        yield ""
        yield "| | Where | What | Check |"
        yield "| --- | --- | --- | --- |"
    for finding in findings:
        where = f"`{_code(finding.file)}:{finding.line}:{finding.column}`"
        yield f"| {finding.level} | {where} | {_cell(finding.message)} | `{finding.rule}` |"


def _cell(said: str) -> str:
    """Write a text into a cell of a table, where nothing in it is markup."""
    line = " ".join(clean(said).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in "\\|`*_[]":
        line = line.replace(mark, f"\\{mark}")
    return line


def _code(said: str) -> str:
    return clean(said).replace("`", "'").replace("|", "\\|")
