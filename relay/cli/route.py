"""`pagerelay route`: ask the routing tree of a file where an alert would go, as `amtool config routes` does."""

import asyncio
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click

from relay.alert import Instant
from relay.answers.words import clock
from relay.cli.config import shown
from relay.cli.drawing import matching_tree, whole_tree
from relay.cli.hits import Hits, count_hits
from relay.cli.instants import When
from relay.cli.tables import print_lines, table
from relay.config import Examined, examine
from relay.errors import RelayError
from relay.logs import clean
from relay.rules.beginning import Beginning, Then, begins
from relay.rules.matchers import MatcherError, parse_matcher
from relay.rules.routing import Router
from relay.rules.rulebook import Rulebook
from relay.rules.ruleset import Route

_FILE = click.option(
    "--config.file", "file", required=True, envvar="PAGERELAY_CONFIG_FILE", metavar="FILE", help="Routing file."
)


@click.group()
def route() -> None:
    """Work with the routing tree."""


@route.command()
@_FILE
@click.option(
    "--store",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where a relay stores: also say how many alerts each route has, and had. It may run meanwhile.",
)
def show(file: str, store: Path | None) -> None:
    """Draw the routing tree.

    Behind each route stands its receiver. With --store also how many alerts fire that this file sends there, and how
    many decisions about firing alerts the journal has; the file need not be the one that was in force then.

    \b
    Examples:
      pagerelay route show --config.file=relay.yml
      pagerelay route show --config.file=new.yml --store=/var/lib/pagerelay
    """
    root = _root_of(_examined(Path(file)))
    hits = _counted(store, root) if store is not None else None
    _draw(["Routing tree:", *whole_tree(root, hits.behind if hits else lambda _: ""), ""])
    if hits is not None:
        print_lines([*hits.summary(), ""])


@route.command()
@_FILE
@click.option("--verify.receivers", "verify", metavar="A,B", help="Exit with status 1 unless these are the receivers.")
@click.option("--tree", is_flag=True, help="Show the matching part of the routing tree as well.")
@click.option(
    "--time",
    "at",
    type=When(),
    metavar="TIME",
    help="Also say what each receiver would do with it then: 2026-11-24T03:00:00Z, or 03:00 (the next one, in UTC).",
)
@click.argument("labels", nargs=-1, metavar="LABEL=VALUE...")
def test(file: str, verify: str | None, tree: bool, at: Instant | None, labels: tuple[str, ...]) -> None:
    """Print the receivers of an alert with these labels, joined by commas, in the order of the tree.

    With --time each receiver has a line of its own after that: whether an alert that begins to fire then would be
    muted, held or downgraded, and by what. Silences and what else fires are not looked at: `pagerelay explain` does.

    \b
    Examples:
      pagerelay route test --config.file=relay.yml severity=critical team=payments
      pagerelay route test --config.file=relay.yml --verify.receivers=payments severity=critical team=payments
      pagerelay route test --config.file=relay.yml --time=03:00 severity=warning team=batch
    """
    alert = labels_of(labels)
    examined = _examined(Path(file))
    root = _root_of(examined)
    matched = Router(root).match(alert)
    if tree:
        _draw(["Matching routes:", *matching_tree(root, matched), "", ""])
    receivers = ",".join(found.receiver for found in matched)
    click.echo(receivers)
    if at is not None:
        _print_then(examined, matched, alert, at)
    if verify is not None and verify != receivers:
        click.echo("WARNING: Expected receivers did not match resolved receivers.")
        sys.exit(1)


def labels_of(pairs: Sequence[str]) -> dict[str, str]:
    """Read labels as people write them, `name=value`; a UsageError says what is wrong."""
    labels = {}
    for pair in pairs:
        try:
            matcher, _ = parse_matcher(pair)
        except MatcherError as error:
            raise click.UsageError(f"{pair}: {error}") from None
        if matcher.op != "=":
            raise click.UsageError(f"{pair}: write labels as name=value")
        labels[matcher.name] = matcher.value
    return labels


def _draw(lines: Iterable[str]) -> None:
    """Print a drawing: to a program as amtool does, to a terminal without anything that would repaint it."""
    if sys.stdout.isatty():
        print_lines(lines)
        return
    for line in lines:
        click.echo(line)


def _examined(path: Path) -> Examined:
    """Read a file; secrets that are not at hand do not change where alerts go."""
    return examine(path, os.environ, stand_ins=True)


def _root_of(examined: Examined) -> Route:
    """Return the tree; what is wrong elsewhere in the file is counted, since it does not change where alerts go."""
    if examined.root is None:
        _print_errors(examined)
        sys.exit(1)
    if examined.loaded is None:
        errors = [problem for problem in examined.problems if not problem.warning]
        click.echo(
            f"warning: {errors[0].file} would not load: {len(errors)} error(s) outside the routes; "
            "see `pagerelay config check`",
            err=True,
        )
    return examined.root


def _print_errors(examined: Examined) -> None:
    for problem in examined.problems:
        if not problem.warning:
            click.echo(shown(problem, examined.text), err=True)


def _counted(store: Path, root: Route) -> Hits:
    try:
        return asyncio.run(count_hits(store, root))
    except (RelayError, OSError) as error:
        click.echo(f"pagerelay: {clean(str(error))}", err=True)
        sys.exit(1)


def _print_then(examined: Examined, matched: Sequence[Route], alert: dict[str, str], at: Instant) -> None:
    """Say of each receiver what would become of the alert at a time; needs a file that loads."""
    if examined.loaded is None:
        _print_errors(examined)
        sys.exit(1)
    book = Rulebook(examined.loaded.rules)
    click.echo(f"\nIf it begins to fire at {clock(at)}:")
    rows = [row for one in matched for row in _rows(one, begins(one, alert, at, book))]
    print_lines(table(("RECEIVER", "THEN", "SEVERITY", "BECAUSE"), rows))  # uncut: the reason is what was asked for


def _rows(one: Route, found: Beginning) -> Iterator[tuple[str, ...]]:
    severity = "" if found.then in (Then.NOBODY, Then.CHANGE) else found.severity.value
    for number, because in enumerate(found.because or ("",)):
        yield (one.receiver, found.then.value, severity, because) if number == 0 else ("", "", "", because)
