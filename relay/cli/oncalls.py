"""`pagerelay pagerduty oncalls`: who would be paged right now, for a receiver or for an alert."""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from relay.alert import Instant
from relay.cli.account import Who, account, asked, fail
from relay.cli.progress import progress
from relay.cli.reached import HEADS, as_plain, reached, rows_of, targets_of, told_of
from relay.cli.route import labels_of
from relay.cli.tables import print_json, print_lines, print_table
from relay.config import Loaded
from relay.event import Severity
from relay.pagerduty.reaching import Reach
from relay.pagerduty.rest import Rest
from relay.rules import severity as severities
from relay.rules.routing import Router
from relay.rules.ruleset import Route, Target
from relay.rules.suppression.window import muted


@dataclass(frozen=True, slots=True)
class _Way:
    """One way that a page would take."""

    receiver: str
    integration: str
    severity: Severity | None
    """None: it depends on the alert."""
    quiet: bool = False
    """Whether a time interval of its route keeps it back now."""


@click.command()
@click.option("--receiver", "receivers", multiple=True, metavar="NAME", help="Of this receiver. Repeatable.")
@click.option(
    "--label", "labels", multiple=True, metavar="NAME=VALUE", help="Of an alert with these labels. Repeatable."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@account
def oncalls(who: Who, receivers: tuple[str, ...], labels: tuple[str, ...], as_json: bool) -> None:
    """Say who would be paged right now: for a receiver, for an alert, or for every receiver of the file.

    An alert goes through the routing tree as a real one would; its severity says whether PagerDuty rings or stays
    quiet. Silences, inhibition and holds are not looked at: `pagerelay explain` asks a running relay for those.

    Exit status 1 if nobody would be paged.
    """
    if receivers and labels:
        raise click.UsageError("give --receiver or --label, not both")
    loaded = who.config
    routes = Router(loaded.rules.root).match(labels_of(labels)) if labels else ()
    ways = list(_ways(loaded, routes, labels) if labels else _ways_to(loaded, receivers))
    notes = list(_notes(loaded, routes))

    async def ask(rest: Rest) -> list[Reach]:
        with progress("routing keys") as told:
            found = await reached(rest, loaded, [way.integration for way in ways], told)
        return [found[way.integration] for way in ways]

    found = asked(who, ask)
    if as_json:
        print_json({"would_page": [_plain(*one) for one in zip(ways, found, strict=True)], "notes": notes})
    else:
        print_lines(notes)
        rows = [row for way, one in zip(ways, found, strict=True) for row in _rows(way, one)]
        print_table(("RECEIVER", "KEY OF", "SEVERITY", "URGENCY", *HEADS), rows)
        told = list(told_of(list(dict.fromkeys(found))))
        print_lines(["", *told] if told else [])
        if not ways:
            print_lines(["nobody is paged"])
    if not any(one.reaches and not way.quiet for way, one in zip(ways, found, strict=True)):
        sys.exit(1)


def _ways_to(loaded: Loaded, receivers: Sequence[str]) -> Iterator[_Way]:
    """List the ways to receivers, or to every one there is."""
    for name in receivers or loaded.rules.receivers:
        targets = targets_of(loaded, name)
        if receivers and not targets:
            fail(f"receiver {name!r} has no pagerduty_configs: it pages nobody")
        for target in targets:
            yield _Way(name, target.integration, target.severity)


def _ways(loaded: Loaded, routes: Sequence[Route], labels: Sequence[str]) -> Iterator[_Way]:
    """List the ways that an alert takes; each integration once, by the first route that leads to it."""
    seen: set[str] = set()
    for route in routes:
        if route.change:
            continue
        severity, _ = severities.decide(route, labels_of(labels))
        held = bool(muted(route, loaded.rules.windows, _now()))
        quiet = held and route.outside != "downgrade"
        for target in targets_of(loaded, route.receiver):
            if target.integration not in seen:
                seen.add(target.integration)
                pages_as = target.severity or severity
                if held and not quiet and pages_as.urgent:
                    pages_as = Severity.WARNING
                yield _Way(route.receiver, target.integration, pages_as, quiet)


def _notes(loaded: Loaded, routes: Sequence[Route]) -> Iterator[str]:
    """Say what the tree does with an alert, beyond whom it leads to."""
    for route in routes:
        place = f"route {route.id}" + (f" (line {route.line})" if route.line else "")
        targets: tuple[Target, ...] = targets_of(loaded, route.receiver)
        if route.change:
            yield f"{place}: makes a change event of it, which pages nobody"
        elif not targets:
            yield f"{place}: receiver {route.receiver} has no pagerduty_configs, it pages nobody"
        else:
            yield f"{place}: receiver {route.receiver}"
        if why := muted(route, loaded.rules.windows, _now()):
            yield f"{place}: now {why}"


def _rows(way: _Way, one: Reach) -> Iterator[tuple[str, ...]]:
    severity = way.severity.value if way.severity else "of the alert"
    shown = (way.receiver, one.name if one.name != way.receiver else "", severity, _urgency(way))
    for row in rows_of(one):
        yield (*shown, *row)
        shown = ("", "", "", "")


def _urgency(way: _Way) -> str:
    """Say how PagerDuty takes a severity (support.pagerduty.com/docs/dynamic-notifications)."""
    if way.quiet:
        return "muted now"
    return "" if way.severity is None else "high" if way.severity.urgent else "low"


def _plain(way: _Way, one: Reach) -> dict[str, object]:
    severity = way.severity.value if way.severity else None
    return {
        "receiver": way.receiver,
        "severity": severity,
        "urgency": _urgency(way) or None,
        "muted": way.quiet,
    } | as_plain(one)


def _now() -> Instant:
    return time.time_ns() // 1000
