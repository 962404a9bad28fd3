"""`pagerelay route`: ask the routing tree of a file where an alert would go, as `amtool config routes test` does."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from relay.cli.config import shown
from relay.config import examine
from relay.rules.matchers import MatcherError, parse_matcher
from relay.rules.routing import Router
from relay.rules.ruleset import Route


@click.group()
def route() -> None:
    """Work with the routing tree."""


@route.command()
@click.option(
    "--config.file", "file", required=True, envvar="PAGERELAY_CONFIG_FILE", metavar="FILE", help="Routing file."
)
@click.option("--verify.receivers", "verify", metavar="A,B", help="Exit with status 1 unless these are the receivers.")
@click.option("--tree", is_flag=True, help="Show the matching part of the routing tree as well.")
@click.argument("labels", nargs=-1, metavar="LABEL=VALUE...")
def test(file: str, verify: str | None, tree: bool, labels: tuple[str, ...]) -> None:
    """Print the receivers of an alert with these labels, joined by commas, in the order of the tree."""
    alert = labels_of(labels)
    root = _tree_of(Path(file))
    matched = Router(root).match(alert)
    if tree:
        click.echo("Matching routes:")
        for line in _drawn(root, {id(found) for found in matched}):
            click.echo(line)
        click.echo("\n")
    receivers = ",".join(found.receiver for found in matched)
    click.echo(receivers)
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


def _tree_of(path: Path) -> Route:
    """Read the tree; what is wrong elsewhere in the file is counted, since it does not change where alerts go."""
    examined = examine(path, os.environ)
    if examined.root is None:
        for problem in examined.problems:
            if not problem.warning:
                click.echo(shown(problem, examined.text), err=True)
        sys.exit(1)
    if examined.loaded is None:
        errors = sum(not problem.warning for problem in examined.problems)
        message = f"warning: {path} would not load: {errors} error(s) outside the routes; see `pagerelay config check`"
        click.echo(message, err=True)
    return examined.root


def _drawn(root: Route, matched: set[int]) -> Iterator[str]:
    """Draw the routes that matched and those above them, as amtool does."""
    yield "."
    yield f"└── default-route{_receiver(root, matched)}"
    yield from _drawn_children(root, matched, "    ")


def _drawn_children(node: Route, matched: set[int], indent: str) -> Iterator[str]:
    children = [child for child in node.routes if _leads_to(child, matched)]
    for child in children:
        last = child is children[-1]
        own_key = child.key[len(node.key) + 1 :]
        name = "default-route" if own_key == "{}" else own_key
        yield f"{indent}{'└── ' if last else '├── '}{name}{_receiver(child, matched)}"
        yield from _drawn_children(child, matched, indent + ("    " if last else "│\u00a0\u00a0 "))


def _receiver(node: Route, matched: set[int]) -> str:
    kind = " (change events)" if node.change else ""
    return f"  receiver: {node.receiver}{kind}" if id(node) in matched else ""


def _leads_to(node: Route, matched: set[int]) -> bool:
    return id(node) in matched or any(_leads_to(child, matched) for child in node.routes)
