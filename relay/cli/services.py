"""`pagerelay pagerduty services`: list services, and make one with a routing key to paste."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import click

from relay.cli.account import Who, account, asked, complain, fail
from relay.cli.choosing import choose, query
from relay.cli.progress import progress
from relay.cli.tables import print_json, print_lines, print_table
from relay.pagerduty.records import Service, plain
from relay.pagerduty.rest import Rest, RestError
from relay.secret import Secret

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_POLICIES = "`pagerelay pagerduty services list` shows those that services have"


@click.group()
def services() -> None:
    """Look at services, and make one."""


@services.command("list")
@click.argument("name", default="", metavar="[NAME]")
@_JSON
@account
def list_(who: Who, name: str, as_json: bool) -> None:
    """List services, or those whose name holds NAME. No routing key is shown."""

    async def ask(rest: Rest) -> list[Service]:
        with progress("services") as told:
            return await rest.services(named=name, told=told)

    found = asked(who, ask)
    if as_json:
        print_json([plain(one) for one in found])
        return
    rows = [(one.id, one.name, one.status, one.policy_name, ", ".join(one.integrations)) for one in found]
    print_table(("ID", "NAME", "STATUS", "ESCALATION POLICY", "INTEGRATIONS"), rows)
    if not found:
        print_lines(["no services"])


@services.command()
@click.argument("name", metavar="NAME")
@click.option("--escalation-policy", "policy", required=True, metavar="POLICY", help="Its id or name: who is called.")
@click.option("--description", default="", metavar="TEXT", help="What it is for.")
@click.option("--receiver", default="", metavar="NAME", help="Name of the receiver to paste.  [default: NAME]")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the routing key to this new file, for its owner alone, and do not show it.",
)
@_JSON
@account
def create(
    who: Who, name: str, policy: str, description: str, receiver: str, key_file: Path | None, as_json: bool
) -> None:
    """Make a service with an Events API v2 integration, and print the `pagerduty_configs` to paste.

    The routing key is shown here and nowhere else: with --key-file not even here.
    """
    descriptor = _opened(key_file) if key_file else None

    async def act(rest: Rest) -> tuple[Service, Secret]:
        chosen = choose(await rest.policies(named=query(policy)), policy, "escalation policy", _POLICIES)
        made = await rest.create_service(name, chosen.id, description)
        complain(f"service {made.name} ({made.id}) made, with escalation policy {chosen.name}")
        try:
            _, key = await rest.create_integration(made.id, "Pagerelay")
        except RestError as error:
            where = f"add one at {made.url}" if made.url else "add one there"
            raise RestError(error.reason, f"{error}. The service has no integration yet: {where}") from None
        return made, key

    try:
        made, key = asked(who, act)
    except BaseException:
        if key_file and descriptor is not None:
            os.close(descriptor)
            key_file.unlink()
        raise
    if descriptor is not None:
        with os.fdopen(descriptor, "w") as opened:
            opened.write(key.reveal() + "\n")
    named = {"routing_key_file": str(key_file)} if key_file else {"routing_key": key.reveal()}
    if as_json:
        print_json(plain(made) | named)
    else:
        print_lines(_receiver(receiver or name, named))


def _receiver(name: str, entry: dict[str, str]) -> Iterator[str]:
    """Write a receiver as it goes into the routing file; a JSON string is one of YAML's."""
    yield "receivers:"
    yield f"  - name: {json.dumps(name)}"
    yield "    pagerduty_configs:"
    yield from (f"      - {field}: {json.dumps(value)}" for field, value in entry.items())


def _opened(file: Path) -> int:
    """Open a new file before anything is made, so that a key never has nowhere to go."""
    try:
        return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        fail(f"cannot write {file}: {error.strerror}")
