"""Write what happened as the body of a V3 webhook (developer.pagerduty.com/docs/webhooks/webhooks-overview)."""

import json
import uuid
from typing import Any

from relay.sandbox.account import User
from relay.sandbox.incident import Incident
from relay.sandbox.incidents import Happened
from relay.sandbox.shapes import Shape, Shapes
from relay.sandbox.times import iso, seconds

EVENT_TYPES = (
    "incident.acknowledged",
    "incident.annotated",
    "incident.conference_bridge.updated",
    "incident.custom_field_values.updated",
    "incident.delegated",
    "incident.escalated",
    "incident.incident_type.changed",
    "incident.priority_updated",
    "incident.reassigned",
    "incident.reopened",
    "incident.resolved",
    "incident.responder.added",
    "incident.responder.replied",
    "incident.service_updated",
    "incident.status_update_published",
    "incident.triggered",
    "incident.unacknowledged",
    "pagey.ping",
    "service.created",
    "service.deleted",
    "service.updated",
)
"""What one can subscribe to; not all of it happens here."""


def event(happened: Happened, shapes: Shapes) -> Shape:
    """Return the event of something that happened to an incident, as things are now."""
    data = _note(happened, shapes) if happened.note else _incident(happened.incident, shapes)
    client: Shape | None = None
    if isinstance(happened.agent, User):
        client = {"name": "PagerDuty"}
    elif happened.agent is not None and happened.incident.client:
        client = {"name": happened.incident.client}
    return _event(happened.event_type, "incident", happened.at, shapes.agent(happened.agent), client, data)


def ping(user: User | None, at: float, shapes: Shapes) -> Shape:
    """Return the event of a ping, which somebody asked for."""
    data = {"message": "Hello from your friend Pagey!", "type": "ping"}
    return _event("pagey.ping", "pagey", at, shapes.agent(user), None, data)


def body(event_: Shape) -> bytes:
    """Return the bytes that are signed and sent."""
    return json.dumps({"event": event_}, separators=(",", ":")).encode()


def _event(kind: str, resource: str, at: float, agent: Shape | None, client: Shape | None, data: Shape) -> Shape:
    return {
        "id": f"01{uuid.uuid4().hex[:24].upper()}",
        "event_type": kind,
        "resource_type": resource,
        "occurred_at": iso(at),
        "agent": agent,
        "client": client,
        "data": data,
    }


def _incident(incident: Incident, shapes: Shapes) -> dict[str, Any]:
    reference = shapes.incident_ref(incident)
    whole = shapes.incident(incident)
    again = {} if incident.reopened_at is None else {"reopened_at": seconds(incident.reopened_at)}
    return {
        "id": incident.id,
        "type": "incident",
        "self": reference["self"],
        "html_url": reference["html_url"],
        "number": incident.number,
        "status": incident.status,
        "incident_key": incident.incident_key,
        "created_at": seconds(incident.created_at),
        **again,
        "title": incident.title,
        "service": whole["service"],
        "assignees": [assignment["assignee"] for assignment in whole["assignments"]],
        "escalation_policy": whole["escalation_policy"],
        "teams": [],
        "priority": None,
        "urgency": incident.urgency,
        "conference_bridge": None,
        "resolve_reason": whole["resolve_reason"],
        "incident_type": whole["incident_type"],
    }


def _note(happened: Happened, shapes: Shapes) -> dict[str, Any]:
    note = happened.note
    return {
        "incident": shapes.incident_ref(happened.incident),
        "id": note.id if note else "",
        "content": note.content if note else "",
        "trimmed": False,
        "type": "incident_note",
    }
