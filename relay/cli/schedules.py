"""`pagerelay pagerduty schedules`: list schedules, and put somebody else on call for a while."""

import time
from datetime import datetime

import click

from relay.alert import Instant, instant
from relay.cli.account import Who, account, asked
from relay.cli.choosing import choose, query
from relay.cli.tables import print_json, print_lines, print_table
from relay.config.schema import duration
from relay.pagerduty.records import Schedule, User, iso, plain
from relay.pagerduty.rest import Rest

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_SCHEDULES = "`pagerelay pagerduty schedules list` shows them"
_USERS = "give an id, an e-mail address or a name; `pagerelay pagerduty schedules list` shows who is in them"


@click.group()
def schedules() -> None:
    """Look at schedules, and override them."""


@schedules.command("list")
@click.argument("name", default="", metavar="[NAME]")
@_JSON
@account
def list_(who: Who, name: str, as_json: bool) -> None:
    """List schedules, or those whose name holds NAME."""
    found = asked(who, lambda rest: rest.schedules(named=name))
    if as_json:
        print_json([plain(one) for one in found])
        return
    rows = [(one.id, one.name, one.time_zone, ", ".join(one.on_call), ", ".join(one.policies)) for one in found]
    print_table(("ID", "NAME", "TIME ZONE", "MEMBERS", "ESCALATION POLICIES"), rows)
    if not found:
        print_lines(["no schedules"])


@schedules.command()
@click.argument("schedule", metavar="SCHEDULE")
@click.argument("user", metavar="USER")
@click.option("--for", "length", metavar="DURATION", help="For how long: 2h.")
@click.option("--start", metavar="TIME", help="ISO 8601 with its zone: 2026-11-23T18:00:00+01:00.  [default: now]")
@click.option("--end", metavar="TIME", help="In place of --for.")
@_JSON
@account
def override(
    who: Who, schedule: str, user: str, length: str | None, start: str | None, end: str | None, as_json: bool
) -> None:
    """Put USER on call in SCHEDULE for a while, in place of whom it says.

    SCHEDULE is an id or a name, USER an id, an e-mail address or a name.
    """
    begins, ends = _times(start, end, length)

    async def act(rest: Rest) -> tuple[Schedule, User]:
        found = choose(await rest.schedules(named=query(schedule)), schedule, "schedule", _SCHEDULES)
        person = choose(await rest.users(named=query(user)), user, "user", _USERS)
        await rest.override(found.id, person.id, begins, ends)
        return found, person

    found, person = asked(who, act)
    if as_json:
        print_json({"schedule": plain(found), "user": plain(person), "start": iso(begins), "end": iso(ends)})
        return
    print_lines([f"{person.name} is on call in {found.name} from {iso(begins)} to {iso(ends)}"])


def _times(start: str | None, end: str | None, length: str | None) -> tuple[Instant, Instant]:
    if (end is None) == (length is None):
        raise click.UsageError("give --for or --end: how long, or until when")
    begins = _time(start, "--start") if start else time.time_ns() // 1000
    if end is not None:
        ends = _time(end, "--end")
    else:
        assert length is not None
        try:
            ends = begins + duration(length)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--for") from None
    if ends <= begins:
        raise click.UsageError("it would end before it begins")
    return begins, ends


def _time(text: str, option: str) -> Instant:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        message = f"{text!r}: write it with its zone, as 2026-11-23T18:00:00+01:00 or 2026-11-23T17:00:00Z"
        raise click.BadParameter(message, param_hint=option)
    return instant(found)
