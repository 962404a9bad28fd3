"""`pagerelay config`: check routing files, saying everything that is wrong with them at once."""

import os
import re
import sys
from pathlib import Path

import click

from relay.config import Examined, examine
from relay.errors import Problem
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


@config.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def check(files: tuple[str, ...]) -> None:
    """Check routing files: every error and warning with its place. Exit status 1 if one of them would not load."""
    failed = 0
    for name in files:
        examined = examine(Path(name), os.environ)
        failed += examined.loaded is None
        click.echo(f"Checking '{name}'  {'SUCCESS' if examined.loaded else 'FAILED'}")
        if examined.loaded:
            click.echo(_found(examined))
        for problem in examined.problems:
            click.echo(shown(problem, examined.text))
        click.echo()
    if failed:
        click.echo(f"error: failed to validate {failed} file(s)", err=True)
        sys.exit(1)


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
