"""The REST API's doors for incidents: list, show, change, their alerts, notes and log."""

from collections.abc import Callable
from typing import Any

from relay.sandbox.account import User
from relay.sandbox.incident import Incident
from relay.sandbox.incidents import NotPossible
from relay.sandbox.rest import Call, Refused, invalid, not_found, referred
from relay.sandbox.shapes import Shape

_STATUSES = ("triggered", "acknowledged", "resolved")
_MONTH = 31 * 86_400.0
_MOST_AT_ONCE = 250


def list_incidents(call: Call) -> Shape:
    """List incidents; without a range of dates, those of the last month."""
    found = sorted(_found(call), key=lambda incident: incident.number)
    return call.page("incidents", _sorted(call, found), call.shapes.incident)


def show_incident(call: Call) -> Shape:
    """Show one incident."""
    return {"incident": call.shapes.incident(_incident(call))}


def change_incident(call: Call) -> Shape:
    """Acknowledge, resolve or reassign one incident, or change its title."""
    actor, incident = call.actor, _incident(call)
    _change(call, incident, call.asked("incident"), actor)
    return {"incident": call.shapes.incident(incident)}


def change_incidents(call: Call) -> Shape:
    """Change several incidents at once."""
    actor, asked = call.actor, call.body.get("incidents")
    if not isinstance(asked, list) or not 0 < len(asked) <= _MOST_AT_ONCE:
        raise invalid(f"Incidents must be an array of 1 to {_MOST_AT_ONCE} incidents")
    found = [(_named(call, referred(each, "incident")), each) for each in asked]
    for incident, each in found:
        _change(call, incident, each, actor)
    return {"incidents": [call.shapes.incident(incident) for incident, _ in found]}


def list_alerts(call: Call) -> Shape:
    """List the alerts of an incident."""
    statuses, key = call.texts("statuses"), call.text("alert_key")
    alerts = [
        alert
        for alert in _incident(call).alerts
        if (not statuses or ("triggered" if alert.open else "resolved") in statuses)
        and (not key or alert.dedup_key == key)
    ]
    return call.page("alerts", alerts, call.shapes.alert)


def list_notes(call: Call) -> Shape:
    """List the notes on an incident, newest first, as PagerDuty does without pages."""
    return {"notes": [call.shapes.note(note) for note in reversed(_incident(call).notes)]}


def add_note(call: Call) -> Shape:
    """Write a note on an incident."""
    actor, incident = call.actor, _incident(call)
    content = call.asked("note").get("content")
    if not isinstance(content, str) or not content.strip():
        raise invalid("Content cannot be empty")
    return {"note": call.shapes.note(call.sandbox.incidents.annotate(incident, content, actor))}


def merge_incidents(call: Call) -> Shape:
    """Move the alerts of other incidents into one."""
    actor, target = call.actor, _incident(call)
    asked = call.body.get("source_incidents")
    if not isinstance(asked, list) or not asked:
        raise invalid("Source incidents must be an array of incident references")
    sources = [_named(call, referred(each, "source incident")) for each in asked]
    _try(lambda: call.sandbox.incidents.merge(target, sources, actor))
    return {"incident": call.shapes.incident(target)}


def list_log_entries(call: Call) -> Shape:
    """List what happened to an incident, newest first."""
    incident = _incident(call)
    entries = list(reversed(incident.log))
    if call.text("is_overview") == "true":
        entries = [entry for entry in entries if entry.what != "triggered again"]
    return call.page("log_entries", entries, lambda entry: call.shapes.log_entry(incident, entry))


def _found(call: Call) -> list[Incident]:
    statuses, services, key = call.texts("statuses"), call.texts("service_ids"), call.text("incident_key")
    urgencies, users = call.texts("urgencies"), call.texts("user_ids")
    if any(status not in _STATUSES for status in statuses):
        raise invalid("Status must be a list of triggered, acknowledged, or resolved.")
    since, until = _range(call)
    return [
        incident
        for incident in call.sandbox.incidents.all
        if since <= incident.created_at < until
        and (not statuses or incident.status in statuses)
        and (not services or incident.service.id in services)
        and (not urgencies or incident.urgency in urgencies)
        and (not users or any(user.id in users for user in incident.assignees))
        and (not key or _has_key(incident, key))
    ]


def _range(call: Call) -> tuple[float, float]:
    if call.text("date_range") == "all":
        return 0.0, float("inf")
    until = call.time("until") or float("inf")
    since = call.time("since")
    return (call.sandbox.now() - _MONTH if since is None else since), until


def _has_key(incident: Incident, key: str) -> bool:
    return incident.incident_key == key or any(alert.dedup_key == key for alert in incident.alerts)


_SORTS: dict[str, Callable[[Incident], Any]] = {
    "incident_number": lambda incident: incident.number,
    "created_at": lambda incident: incident.created_at,
    "resolved_at": lambda incident: incident.resolved_at or float("inf"),
    "urgency": lambda incident: incident.urgency,
}


def _sorted(call: Call, incidents: list[Incident]) -> list[Incident]:
    """Sort as `sort_by` says, by two fields at most: `created_at:desc,urgency`."""
    asked = ",".join([*call.texts("sort_by"), *filter(None, [call.text("sort_by")])])
    fields = [field for field in asked.split(",") if field]
    if len(fields) > 2:
        raise invalid("Sort by takes two fields at most")
    for field in reversed(fields):
        name, _, order = field.partition(":")
        if name not in _SORTS or order not in ("", "asc", "desc"):
            raise invalid(f"Sort by {field} is not possible")
        incidents = sorted(incidents, key=_SORTS[name], reverse=order == "desc")
    return incidents


def _incident(call: Call) -> Incident:
    return _named(call, call.word("id"))


def _named(call: Call, name: str) -> Incident:
    incident = call.sandbox.incidents.named(name)
    if incident is None:
        raise not_found()
    return incident


def _change(call: Call, incident: Incident, asked: Shape, actor: User) -> None:
    incidents, status, title = call.sandbox.incidents, asked.get("status"), asked.get("title")
    if status not in (None, "acknowledged", "resolved"):
        raise Refused(400, "Invalid Status Provided", 1003)
    if title is not None and (not isinstance(title, str) or not title.strip()):
        raise invalid("Title cannot be empty")
    assignees = _assignees(call, asked)
    resolution = asked.get("resolution")
    if title is not None:
        incident.title = title
    if status == "acknowledged":
        _try(lambda: incidents.acknowledge(incident, actor))
    elif status == "resolved":
        words = resolution if isinstance(resolution, str) else ""
        _try(lambda: incidents.resolve(incident, actor, words))
    if assignees:
        _try(lambda: incidents.reassign(incident, assignees, actor))


def _assignees(call: Call, asked: Shape) -> list[User]:
    given = asked.get("assignments") or []
    if not isinstance(given, list):
        raise invalid("Assignments must be an array")
    found = []
    for each in given:
        user = call.sandbox.account.user(referred(each.get("assignee") if isinstance(each, dict) else None, "assignee"))
        if user is None:
            raise invalid("Assignee is not a user of this account")
        found.append(user)
    return found


def _try(act: Callable[[], None]) -> None:
    try:
        act()
    except NotPossible as refused:
        code = 1001 if "Already Resolved" in str(refused) else 2001
        raise Refused(400, str(refused), code) from None
