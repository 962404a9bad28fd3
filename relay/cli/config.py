"""`pagerelay config`: check routing files, saying everything that is wrong with them at once."""

import asyncio
import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import click

from relay.alert import instant
from relay.cli.formats import FORMATS, Finding, Level, github_text, json_text, sarif_text
from relay.cli.sampling import failures
from relay.cli.traffic import recorded
from relay.config import Examined, examine
from relay.config.doubts import Traffic, doubted
from relay.config.json_schema import json_schema
from relay.config.rules import RULES
from relay.config.showing import shown_config
from relay.errors import Problem, RelayError
from relay.logs import clean
from relay.rules.confirming import planned

_WIDTH = 160
_LONG_WORD = re.compile(r"(?=[A-Za-z_+/=-]*[0-9])[A-Za-z0-9_+/=-]{16,}")
_SECRET_FIELD = re.compile(
    r"(?P<field>[\w-]*(?:key|token|password|secret|credentials|webhook_url|api_url)[\w-]*)[\"']?\s*:\s+"
    r"(?P<value>\"[^\"]*\"?|'[^']*'?|\{[^}]*\}?|\[[^\]]*\]?|[^\s,{}\[\]#][^,{}\[\]#]*)",
    re.IGNORECASE,
)
_OPEN_FIELDS = re.compile(r".*_files?|dedup_key|native_keys|\w*_public\w*", re.IGNORECASE)
_USER_INFO = re.compile(r"://([^/@\s]+)@")


@click.group()
def config() -> None:
    """Work with routing files."""


class _Checked(NamedTuple):
    """A file, and all that is to be said of it."""

    name: str
    examined: Examined
    problems: tuple[Problem, ...]


@config.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="text is for people, sarif for code scanning, github for the annotations of GitHub Actions.",
)
@click.option("--strict", is_flag=True, help="Exit with status 1 for warnings too.")
@click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where a relay stores: also warn of labels and values that none of its alerts has. Nothing is written there.",
)
def check(files: tuple[str, ...], form: str, strict: bool, store: Path | None) -> None:
    """Check routing files: every error and warning with its place.

    Warnings tell of what loads, but cannot be meant: routes that are never reached, inhibit rules that never apply,
    templates that fail on sample data ... docs/checking.md lists them all.

    \b
    Examples:
      pagerelay config check config/relay.yml
      pagerelay config check --strict --format=github config/*.yml
      pagerelay config check --store=/var/lib/pagerelay relay.yml

    Exit status 1: a file would not load; with --strict also: there are warnings. 2: the command line is wrong.
    """
    try:
        traffic = asyncio.run(recorded(store)) if store is not None else None
    except (RelayError, OSError) as error:
        click.echo(f"pagerelay: {clean(str(error))}", err=True)
        sys.exit(2)
    checked = [_checked(name, traffic) for name in files]
    _print(checked, form)
    failed = sum(one.examined.loaded is None for one in checked)
    doubtful = sum(one.examined.loaded is not None and any(one.problems) for one in checked) if strict else 0
    if failed:
        click.echo(f"error: failed to validate {failed} file(s)", err=True)
    if doubtful:
        click.echo(f"error: {doubtful} file(s) with warnings, and --strict was asked for", err=True)
    if failed or doubtful:
        sys.exit(1)


@config.command()
def schema() -> None:
    """Print the JSON Schema (draft-07) of the routing YAML, for editors.

    What it refuses does not load; `config check` says far more. It is shipped as config/relay.schema.json.

    \b
    Examples:
      pagerelay config schema > relay.schema.json
      # and as the first line of relay.yml:
      # yaml-language-server: $schema=relay.schema.json
    """
    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))


@config.command()
@click.argument("file", metavar="FILE")
@click.option("--origin", is_flag=True, help="Say of each value where it comes from: file and line, or the default.")
def show(file: str, origin: bool) -> None:
    """Print the effective configuration: defaults and what routes inherit filled in, secrets as <secret>.

    It is YAML. Secrets need not be at hand, and integrations that are not PagerDuty's are left out.

    \b
    Examples:
      pagerelay config show config/relay.yml
      pagerelay config show --origin config/relay.yml | grep group_by

    Exit status 1: the file would not load.
    """
    examined = examine(Path(file), os.environ, stand_ins=True)
    if examined.loaded is None or examined.config is None or examined.notes is None:
        for problem in examined.problems:
            if not problem.warning:
                click.echo(shown(problem, examined.text), err=True)
        sys.exit(1)
    click.echo(shown_config(examined.config, examined.notes, file, origins=origin), nl=False)


def _checked(name: str, traffic: Traffic | None) -> _Checked:
    examined, now = examine(Path(name), os.environ), instant(datetime.now(UTC))
    doubted(examined, now, traffic)
    if examined.notes is None:
        return _Checked(name, examined, examined.problems)
    failed, untried = asyncio.run(failures(examined, now))
    for failure in failed:
        if not examined.notes.failed(failure.path):
            examined.notes.warn(failure.path, failure.message, rule="template-fails")
    if untried:
        click.echo(f"warning: no template was tried on sample data: {clean(untried)}", err=True)
    return _Checked(name, examined, examined.notes.found)


def _print(checked: Sequence[_Checked], form: str) -> None:
    findings = [_finding(problem) for one in checked for problem in one.problems]
    if form == "json":
        files = [{"file": one.name, "loads": one.examined.loaded is not None} for one in checked]
        click.echo(json_text(findings, files=files))
    elif form == "sarif":
        click.echo(sarif_text(findings, RULES))
    elif form == "github":
        if findings:
            click.echo(github_text(findings))
    else:
        _print_text(checked)


def _print_text(checked: Iterable[_Checked]) -> None:
    for one in checked:
        loads = one.examined.loaded is not None
        click.echo(f"Checking '{one.name}'  {_coloured('SUCCESS', 'green') if loads else _coloured('FAILED', 'red')}")
        if loads:
            click.echo(_found(one.examined))
        for problem in one.problems:
            first, *rest = shown(problem, one.examined.text).split("\n")
            click.echo("\n".join([_coloured(first, "yellow" if problem.warning else "red"), *rest]))
        click.echo()


def _coloured(text: str, colour: str) -> str:
    """Colour a text for a terminal; click takes colours out where output goes elsewhere."""
    return text if os.environ.get("NO_COLOR") else click.style(text, fg=colour)


def _finding(problem: Problem) -> Finding:
    level: Level = "warning" if problem.warning else "error"
    place = (problem.file, problem.line, problem.column, problem.path)
    return Finding(problem.rule, level, *place, problem.message)


def shown(problem: Problem, text: bytes) -> str:
    """Write a problem as people read it: where and what, then the line and a caret under the place."""
    lines = text.decode("utf-8", "replace").removeprefix("\ufeff").splitlines()
    if not 0 < problem.line <= len(lines):
        return str(problem)
    line = masked(lines[problem.line - 1]).replace("\t", " ")
    start = max(0, problem.column - _WIDTH // 2) if len(line) > _WIDTH else 0
    caret = " " * (problem.column - 1 - start) + "^"
    return f"{problem}\n    {line[start : start + _WIDTH].rstrip()}\n    {caret}"


def masked(line: str) -> str:
    """Put asterisks over what may be a secret in a line of a file, leaving every column where it is."""
    for found in reversed(list(_SECRET_FIELD.finditer(line))):
        if not _OPEN_FIELDS.fullmatch(found["field"]):
            line = _stars(line, *found.span("value"))
    for found in (*_USER_INFO.finditer(line), *_LONG_WORD.finditer(line)):
        line = _stars(line, *found.span(found.re.groups))
    return line


def _stars(line: str, start: int, end: int) -> str:
    return line[:start] + re.sub(r"\S", "*", line[start:end]) + line[end:]


def _found(examined: Examined) -> str:
    """Count what is in the file, as amtool does."""
    assert examined.loaded is not None
    assert examined.config is not None
    rules = examined.loaded.rules
    counts = (
        "global config",
        "route",
        f"{len(examined.config.inhibit_rules)} inhibit rules",
        f"{len(rules.receivers)} receivers",
        f"{len(rules.integrations)} PagerDuty integrations",
        f"{len(examined.loaded.template_files)} templates",
    )
    found = "\n".join(("Found:", *(f" - {count}" for count in counts)))
    return f"{found}\nConfirmation of pages is {planned(rules.account)}"
