"""`pagerelay rules`: what Prometheus' alerting rules would page, and what is wrong with them for those they page."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from relay.alert import Instant
from relay.cli.config import shown
from relay.cli.foretelling import Told, entry, finding_line, markdown, text, totals
from relay.cli.formats import FORMATS, Finding, counts, github_text, json_text, sarif_text
from relay.cli.instants import When
from relay.cli.route import labels_of
from relay.config import Loaded, examine
from relay.promrules import RuleFile, read
from relay.promrules.checks import CHECKS, Complaint, complaints, complaints_of_file
from relay.promrules.paging import Asked, Outlook, outlook
from relay.promrules.summaries import Summary, summaries
from relay.rendering import read_sources
from relay.rules.rulebook import Rulebook


@click.group()
def rules() -> None:
    """Work with Prometheus' alerting rules."""


@rules.command()
@click.argument("files", nargs=-1, required=True, metavar="RULES.yml...")
@click.option(
    "--config.file", "config", required=True, envvar="PAGERELAY_CONFIG_FILE", show_envvar=True, metavar="FILE",
    help="The routing YAML that the alerts would meet. Its secrets need not be at hand.",
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice((*FORMATS, "markdown")), default="text", show_default=True,
    help="How to print what was found.",
)  # fmt: skip
@click.option(
    "--label", "labels", multiple=True, metavar="NAME=VALUE",
    help="A label that the alerts have beside those of their rule: of the series, or Prometheus' external_labels.",
)  # fmt: skip
@click.option(
    "--value", type=float, metavar="NUMBER",
    help="What $value is in templates. [default: a little beyond the threshold of each rule]",
)  # fmt: skip
@click.option("--source", default="", metavar="NAME", help="The source they would come from. [default: /webhook]")
@click.option("--time", "at", type=When(), help="Say too what would become of them then: muted, held, downgraded.")
@click.option("--team.label", "team", default="team", show_default=True, help="The label that says whose a page is.")
@click.option("--ignore", multiple=True, metavar="CHECK", help="Leave a check out everywhere.")
@click.option("--quiet", "-q", is_flag=True, help="As text: print only what is wrong.")
def check(
    files: tuple[str, ...],
    config: str,
    form: str,
    labels: tuple[str, ...],
    value: float | None,
    source: str,
    at: Instant | None,
    team: str,
    ignore: tuple[str, ...],
    quiet: bool,
) -> None:
    """Say where each alerting rule would go, and check it.

    RULES.yml is a rule file of Prometheus or a manifest of kind PrometheusRule, with any number of documents. Of each
    rule it says: receivers, PagerDuty severity and urgency, when it is muted, its dedup key and its summary, with
    templates filled in by sample values: <instance> stands for a label known once it fires. A comment leaves a check
    out: # pagerelay: ignore no-runbook

    \b
    Examples:
      pagerelay rules check --config.file=relay.yml rules/*.yml
      pagerelay rules check --config.file=relay.yml --label cluster=eu1 --quiet rules/*.yml
      pagerelay rules check --config.file=relay.yml --format=markdown rules/*.yml > comment.md

    Exit status 1: there are errors or warnings; notes are none. 2: the command line, or a routing file that does not
    load.
    """
    unknown = [name for name in ignore if name not in CHECKS]
    if unknown:
        raise click.UsageError(f"there is no check {unknown[0]}: there are {', '.join(CHECKS)}")
    loaded = _loaded(Path(config))
    asked = Asked(Rulebook(loaded.rules, loaded.keys), source, labels_of(labels), value, at)
    read_files = [read(Path(name)) for name in files]
    told = _told(read_files, asked, loaded, team, frozenset(ignore))
    findings = _findings(read_files, told, frozenset(ignore))
    _print(form, read_files, told, findings, quiet=quiet)
    found = counts(findings)
    if found["errors"] or found["warnings"]:
        sys.exit(1)


def _loaded(path: Path) -> Loaded:
    """Load the routing YAML, with made-up keys where its own are not at hand; exit with 2 if it does not load."""
    examined = examine(path, os.environ, stand_ins=True)
    if examined.loaded is None:
        for problem in examined.problems:
            if not problem.warning:
                click.echo(shown(problem, examined.text), err=True)
        click.echo(f"pagerelay: {path} does not load: see `pagerelay config check`", err=True)
        sys.exit(2)
    return examined.loaded


def _told(files: Sequence[RuleFile], asked: Asked, loaded: Loaded, team: str, ignore: frozenset[str]) -> list[Told]:
    found = [(file, outlook(rule, asked)) for file in files for rule in file.rules]
    outlooks = [one for _, one in found]
    now = asked.at if asked.at is not None else time.time_ns() // 1000
    rendered = asyncio.run(summaries(outlooks, read_sources(loaded.template_files), now))
    return [
        _one(file, one, tuple(rendered[number, at] for at in range(len(one.pages))), team, ignore)
        for number, (file, one) in enumerate(found)
    ]


def _one(file: RuleFile, found: Outlook, rendered: tuple[Summary, ...], team: str, ignore: frozenset[str]) -> Told:
    said, quiet = [], []
    for complaint in complaints(found, team):
        if complaint.check in ignore:
            continue
        if file.ignored.covers(complaint.path, complaint.check):
            quiet.append(complaint.check)
        else:
            said.append(_finding(file.file, complaint))
    return Told(found, rendered, tuple(said), tuple(dict.fromkeys(quiet)))


def _findings(files: Sequence[RuleFile], told: Sequence[Told], ignore: frozenset[str]) -> list[Finding]:
    """List what was found, by file and in the order of each."""
    by_file: dict[str, list[Finding]] = {file.file: [] for file in files}
    for file in files:
        by_file[file.file] += [_finding(file.file, one) for one in complaints_of_file(file) if one.check not in ignore]
    for one in told:
        by_file[one.found.rule.file] += one.findings
    return [one for found in by_file.values() for one in sorted(found, key=lambda one: (one.line, one.column))]


def _finding(file: str, one: Complaint) -> Finding:
    return Finding(one.check, one.level, file, one.line, one.column, one.path, one.message)


def _print(
    form: str, files: Sequence[RuleFile], told: Sequence[Told], findings: Sequence[Finding], *, quiet: bool
) -> None:
    paging = sum(bool(one.found.pages) for one in told)
    total = totals(len(told), len(files), paging, findings)
    match form:
        case "json":
            click.echo(json_text(findings, rules=[entry(one) for one in told]))
        case "sarif":
            click.echo(sarif_text(findings, {name: check.about for name, check in CHECKS.items()}))
        case "github":
            if findings:
                click.echo(github_text(findings))
        case "markdown":
            click.echo("\n".join(markdown(told, findings, total)))
        case _:
            for line in _lines(told, findings, quiet=quiet):
                click.echo(line)
            click.echo(total, err=quiet)


def _lines(told: Sequence[Told], findings: Sequence[Finding], *, quiet: bool) -> Iterator[str]:
    """Tell of each rule and then of what is wrong with the files themselves; quietly, only of what is wrong."""
    if quiet:
        yield from (finding_line(one, f"{one.level}: ") for one in findings if one.level != "note")
        return
    for one in told:
        yield from text(one)
        yield ""
    of_rules = {id(finding) for one in told for finding in one.findings}
    rest = [finding for finding in findings if id(finding) not in of_rules]
    yield from (finding_line(one, f"{one.level}: ") for one in rest)
    if rest:
        yield ""
