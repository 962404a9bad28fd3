"""`pagerelay test`: play case files against routing files, and say what is not as they expect."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from relay.cases import Case, CaseFile, Coverage, Failure, Report, Result, junit, percent, read_cases, run, since
from relay.cli.config import shown
from relay.errors import BadConfig, Problem
from relay.logs import clean

_REASONS = 12
"""Reasons that are told of one difference."""


@click.command("test")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="CASES.yml...")
@click.option("-k", "name", metavar="NAME", help="Run only the cases whose name contains NAME, in any case of letters.")
@click.option("--coverage", "told", is_flag=True, help="List the routes and inhibit rules that no case reached.")
@click.option(
    "--coverage.minimum",
    "minimum",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Exit with status 1 if less of the routes and inhibit rules was reached.",
)
@click.option(
    "--junit",
    "report",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write JUnit XML to FILE.",
)
@click.option("-v", "--verbose", is_flag=True, help="Name each case as it ends.")
def test(
    files: tuple[Path, ...], name: str | None, told: bool, minimum: float | None, report: Path | None, verbose: bool
) -> None:
    """Play cases against the routing files that they name, and say what is not as they expect.

    A case says which alerts fire and resolve, at which times, and what is expected: who is paged, how severe, what
    keeps an alert quiet, and every event that is sent. Hours pass in milliseconds, nothing leaves this machine, and the
    secrets that a routing file names need not be here. docs/testing.md shows how cases are written.

    \b
    Examples:
      pagerelay test tests/*.yml
      pagerelay test -k "at night" -v tests/windows.yml
      pagerelay test --coverage --coverage.minimum 80 --junit report.xml tests/*.yml

    Exit status 1: a case failed, or too little was reached. 2: a file cannot be read or does not load, or no case has
    that name.
    """
    read = _read(files)
    wanted = (name or "").casefold()

    def is_wanted(case: Case) -> bool:
        return wanted in case.name.casefold()

    if not any(is_wanted(case) for file in read for case in file.cases):
        raise click.UsageError(f"no case has {name!r} in its name")
    try:
        found = asyncio.run(run(read, os.environ, wanted=is_wanted, done=_tell_case if verbose else lambda _: None))
    except BadConfig as error:
        _refuse(error.problems)
    if report is not None:
        _write(report, junit(found))
    passed = _tell(found)
    if told or minimum is not None:
        passed &= _tell_coverage(found.covered, told, minimum)
    sys.exit(0 if passed else 1)


def _read(files: Sequence[Path]) -> list[CaseFile]:
    read: list[CaseFile] = []
    wrong: list[Problem] = []
    for path in dict.fromkeys(files):
        try:
            read.append(read_cases(path))
        except BadConfig as error:
            wrong += error.problems
    if wrong:
        _refuse(wrong)
    return read


def _refuse(problems: Sequence[Problem]) -> NoReturn:
    """Say what is wrong with files, each with its line, and end."""
    for problem in problems:
        if not problem.warning:
            _say(shown(problem, _text(Path(problem.file))), err=True)
    errors = sum(not problem.warning for problem in problems)
    _say(f"pagerelay: no case was run: {errors} error(s) in these files", err=True)
    sys.exit(2)


def _text(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _write(path: Path, text: bytes) -> None:
    try:
        path.write_bytes(text)
    except OSError as error:
        raise click.UsageError(f"cannot write {path}: {error.strerror}") from None


def _tell_case(one: Result) -> None:
    word = click.style("ok  ", fg="green") if one.passed else click.style("FAIL", fg="red")
    _say(f"{word}  {one.file}:{one.case.line}: {clean(one.case.name)} ({one.seconds:.2f} s)")


def _tell(found: Report) -> bool:
    """Tell of what failed, then of each file, then of all; return whether all is as expected."""
    failed = [one for one in found.results if not one.passed]
    for one in failed:
        _say(f"{click.style('FAIL', fg='red')}  {one.file}:{one.case.line}: {clean(one.case.name)}")
        for failure, after in zip(one.failures, (*one.failures[1:], None), strict=True):
            same = after is not None and after.why == failure.why  # then they are told once, below both
            _tell_failure(one.file, failure, () if same else failure.why)
        _say()
    for file in dict.fromkeys(one.file for one in found.results):
        cases = [one for one in found.results if one.file == file]
        passed = sum(one.passed for one in cases)
        word = click.style("ok  ", fg="green") if passed == len(cases) else click.style("FAIL", fg="red")
        _say(f"{word}  {file}: {passed} of {len(cases)} passed")
    total = len(found.results)
    _say(f"{total} {'case' if total == 1 else 'cases'}, {len(failed)} failed, in {found.seconds:.1f} s")
    return not failed


def _tell_failure(file: Path, failure: Failure, why: Sequence[str]) -> None:
    _say(f"  {file}:{failure.line}:{failure.column}: at {since(failure.at)}: {clean(failure.what)}")
    _say(f"      expected  {click.style(clean(failure.expected), fg='green')}")
    _say(f"      got       {click.style(clean(failure.got), fg='red')}")
    for at, reason in enumerate(why[:_REASONS]):
        _say(f"      {'because' if not at else '       '}   {clean(reason)}")


def _tell_coverage(covered: Sequence[Coverage], told: bool, minimum: float | None) -> bool:
    """Tell what was reached; return whether that is enough."""
    for one in covered:
        routes, all_routes, rules, all_rules = one.counts
        inhibit = f", {rules} of {all_rules} inhibit rules" if all_rules else ""
        _say(f"{one.file}: {routes} of {all_routes} routes{inhibit} reached")
        for place in one.missed() if told else ():
            _say(f"  {one.file}:{place.line}: {clean(place.what)}")
    reached = percent(covered)
    if minimum is None or reached >= minimum:
        _say(f"coverage {reached:.1f} %")
        return True
    _say(f"coverage {reached:.1f} %, less than {minimum:g} %", err=True)
    return False


def _say(text: str = "", *, err: bool = False) -> None:
    """Print; colours are for terminals, and for those who have not said NO_COLOR."""
    click.echo(text, err=err, color=False if os.environ.get("NO_COLOR") else None)
