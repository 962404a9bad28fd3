"""`pagerelay pagerduty incidents`: list incidents, look at one, write to it, acknowledge and resolve."""

import sys
from collections.abc import Iterator

import click

from relay.cli.account import Who, account, asked, complain
from relay.cli.progress import progress
from relay.cli.tables import print_json, print_lines, print_table, table
from relay.pagerduty.records import Incident, IncidentAlert, Note, iso, plain
from relay.pagerduty.rest import OPEN, Rest, RestError, incident_id

_STATUSES = (*OPEN, "resolved")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_INCIDENT = click.argument("incident", metavar="INCIDENT")
_INCIDENTS = click.argument("named", nargs=-1, required=True, metavar="INCIDENT...")
_NOTE = click.option("--note", default="", metavar="TEXT", help="Write this to it as well.")


@click.group()
def incidents() -> None:
    """Look at incidents and act on them. INCIDENT is an id, a number, or the address of its page at PagerDuty."""


@incidents.command("list")
@click.option("--status", "statuses", multiple=True, type=click.Choice(_STATUSES), help="Repeatable. [default: open]")
@click.option("--service", "services", multiple=True, metavar="ID", help="Only of this service. Repeatable.")
@click.option("--dedup-key", "keys", multiple=True, metavar="KEY", help="Only with an alert of this key. Repeatable.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Incidents at most.")
@_JSON
@account
def list_(
    who: Who,
    statuses: tuple[str, ...],
    services: tuple[str, ...],
    keys: tuple[str, ...],
    limit: int,
    as_json: bool,
) -> None:
    """List incidents, the newest first: those that are open, unless --status says otherwise."""

    async def ask(rest: Rest) -> list[Incident]:
        with progress("incidents") as told:
            wanted = statuses or OPEN
            return await rest.incidents(statuses=wanted, keys=keys, services=services, limit=limit, told=told)

    found = asked(who, ask)
    if as_json:
        print_json([plain(one) for one in found])
        return
    print_table(("NUMBER", "ID", "STATUS", "URGENCY", "OPENED", "SERVICE", "ASSIGNED TO", "TITLE"), map(_row, found))
    if not found:
        print_lines(["no incidents"])
    elif len(found) == limit:
        print_lines([f"the newest {limit}; there may be more: see --limit"])


@incidents.command()
@_INCIDENT
@_JSON
@account
def show(who: Who, incident: str, as_json: bool) -> None:
    """Show one incident with its alerts and notes."""

    async def ask(rest: Rest) -> tuple[Incident, list[IncidentAlert], list[Note]]:
        found = await rest.incident(incident_id(incident))
        return found, await rest.alerts(found.id), await rest.notes(found.id)

    found, alerts, notes = asked(who, ask)
    if as_json:
        beside = {"alerts": [plain(one) for one in alerts], "notes": [plain(one) for one in notes]}
        print_json(plain(found) | beside)
        return
    print_lines(_told(found, alerts, notes))


@incidents.command()
@_INCIDENT
@click.argument("text", metavar="TEXT")
@account
def note(who: Who, incident: str, text: str) -> None:
    """Write a note to an incident."""
    written = asked(who, lambda rest: rest.note(incident_id(incident), text))
    print_lines([f"note {written.id} written to incident {incident_id(incident)}"])


@incidents.command()
@_INCIDENTS
@_NOTE
@_JSON
@account
def ack(who: Who, named: tuple[str, ...], note: str, as_json: bool) -> None:
    """Acknowledge incidents: PagerDuty calls nobody further for them. Exit status 1 if one could not be."""
    _act(who, named, "acknowledged", note, as_json=as_json)


@incidents.command()
@_INCIDENTS
@_NOTE
@_JSON
@account
def resolve(who: Who, named: tuple[str, ...], note: str, as_json: bool) -> None:
    """Resolve incidents. Exit status 1 if one could not be.

    The relay opens a page that still fires again, unless its route says `on_pd_resolve: respect`.
    """
    _act(who, named, "resolved", note, as_json=as_json)


def _act(who: Who, named: tuple[str, ...], status: str, note: str, *, as_json: bool) -> None:
    async def act(rest: Rest) -> list[Incident]:
        done = []
        for one in map(incident_id, named):
            try:
                done.append(await rest.act(one, status, note=note))
            except RestError as error:
                complain(f"incident {one}: {error}")
        return done

    done = asked(who, act)
    if as_json:
        print_json([plain(one) for one in done])
    else:
        print_lines(f"incident {one.id} (#{one.number}) is {one.status}: {one.title}" for one in done)
    if len(done) < len(named):
        sys.exit(1)


def _row(one: Incident) -> tuple[str, ...]:
    opened, assigned = iso(one.created_at), ", ".join(one.assigned)
    return (str(one.number), one.id, one.status, one.urgency, opened, one.service_name, assigned, one.title)


def _told(one: Incident, alerts: list[IncidentAlert], notes: list[Note]) -> Iterator[str]:
    by = f" by {one.changed_by}" if one.changed_by else ""
    words = (
        ("status", f"{one.status}, {one.urgency} urgency, since {iso(one.changed_at)}{by}"),
        ("opened", iso(one.created_at)),
        ("service", f"{one.service_name} ({one.service})"),
        ("assigned to", ", ".join(one.assigned)),
        ("look", one.url),
    )
    yield f"incident #{one.number} {one.id}: {one.title}"
    yield from (f"  {name:<11}  {value}" for name, value in words if value)
    if alerts:
        yield "  alerts"
        rows = [(one.status, one.severity, iso(one.created_at), one.key, one.title) for one in alerts]
        yield from (f"    {line}" for line in table(("STATUS", "SEVERITY", "OPENED", "DEDUP KEY", "TITLE"), rows))
    if notes:
        yield "  notes"
        yield from (f"    {iso(one.at)}  {one.who}: {one.text}" for one in notes)
