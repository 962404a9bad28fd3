"""`pagerelay pagerduty keys`: whether a page by each routing key of the file would reach somebody."""

import sys

import click

from relay.cli.account import Who, account, asked
from relay.cli.progress import progress
from relay.cli.reached import as_plain, reached, told_of
from relay.cli.tables import print_json, print_lines, print_table
from relay.pagerduty.reaching import Reach
from relay.pagerduty.rest import Rest


@click.group()
def keys() -> None:
    """Work with the routing keys of the routing file."""


@keys.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@account
def check(who: Who, as_json: bool) -> None:
    """Check that each routing key of the file leads to somebody.

    It must belong to a service of the account, by an Events API v2 integration; the service must be enabled and not in
    a maintenance window, and somebody must be on call. What is wrong is said with its remedy; no key is shown.

    Exit status 1 where a page would reach nobody.
    """
    loaded = who.config
    users: dict[str, list[str]] = {id_: [] for id_ in loaded.rules.integrations}
    for receiver in loaded.rules.receivers.values():
        for target in receiver.targets:
            users[target.integration].append(receiver.name)

    async def ask(rest: Rest) -> list[tuple[Reach, list[str]]]:
        with progress("routing keys") as told:
            found = await reached(rest, loaded, users, told)
        return [(found[id_], users[id_]) for id_ in users]

    found = asked(who, ask)
    if as_json:
        print_json([as_plain(one) | {"receivers": sorted(set(names))} for one, names in found])
    elif not found:
        print_lines(["the file has no routing keys: nobody is paged"])
    else:
        print_table(("KEY OF", "SERVICE", "STATUS", "CALLED FIRST", "A PAGE"), [_row(one) for one, _ in found])
        told = list(told_of([one for one, _ in found]))
        print_lines(["", *told] if told else [])
    if not found or not all(one.reaches for one, _ in found):
        sys.exit(1)


def _row(one: Reach) -> tuple[str, ...]:
    service, status = (one.hooked.service_name, one.hooked.status) if one.hooked else ("none", "")
    called = ", ".join(turn.who for turn in one.first) or ("nobody" if one.hooked else "")
    return (one.name, service, status, called, _verdict(one))


def _verdict(one: Reach) -> str:
    if not one.reaches:
        return "reaches nobody"
    if one.hooked is None:
        return "is not known"
    return "reaches somebody, but see below" if one.faults else "arrives"
