"""One incident, its alerts, and what is written down of them."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relay.sandbox.account import Integration, Service, User, short_id
from relay.sandbox.times import iso

_LOG_KEPT = 200

Agent = User | Integration | None
"""Who did something: a person, an event of an integration, or nobody (a timer)."""


@dataclass(slots=True)
class LogEntry:
    """One thing that happened to an incident."""

    at: float
    what: str
    """triggered, triggered again, acknowledged, unacknowledged, resolved, reassigned, annotated, reopened, merged."""
    summary: str = ""
    severity: str = ""
    agent: Agent = None
    words: str = ""
    """What was said with it: a note, a resolution, a name."""
    id: str = field(default_factory=lambda: f"R{short_id(length=24)}")


@dataclass(frozen=True, slots=True)
class Note:
    """What a person wrote on an incident."""

    id: str
    at: float
    user: User
    content: str


@dataclass(slots=True, eq=False)
class Incident:
    """What people act on: it is opened by an alert, and holds those that were merged into it as well."""

    number: int
    id: str
    service: Service
    title: str
    """Of the alert that opened it."""
    urgency: str
    """high or low, fixed by the first trigger."""
    created_at: float
    status_changed_at: float
    status_changed_by: Agent
    client: str = ""
    incident_key: str | None = None
    status: str = "triggered"
    """triggered, acknowledged or resolved."""
    alerts: list["SandboxAlert"] = field(default_factory=list)
    assignees: tuple[User, ...] = ()
    assigned_at: float = 0.0
    assigned_directly: bool = False
    acknowledged_by: dict[str, tuple[float, Agent]] = field(default_factory=dict)
    acknowledged_at: float = 0.0
    notes: list[Note] = field(default_factory=list)
    log: deque[LogEntry] = field(default_factory=lambda: deque(maxlen=_LOG_KEPT))
    resolved_at: float | None = None
    reopened_at: float | None = None
    merged_into: "Incident | None" = None

    @property
    def open(self) -> bool:
        """Whether someone may still be paged for it."""
        return self.status != "resolved"

    @property
    def severity(self) -> str:
        """Of the alert that opened it, as it is now."""
        return self.alerts[0].severity if self.alerts else ""

    @property
    def triggers(self) -> int:
        """How often its alerts were triggered."""
        return sum(alert.triggers for alert in self.alerts)

    @property
    def summary(self) -> str:
        """What is shown of it: the latest summary of the alert that opened it."""
        return self.alerts[0].summary if self.alerts else self.title


@dataclass(slots=True, eq=False)
class SandboxAlert:
    """One alert. PagerDuty never reopens one: a trigger after its resolve makes a new alert and a new incident."""

    incident: Incident
    id: str
    integration: Integration
    key: str
    """What the routing key is shown as."""
    dedup_key: str
    summary: str
    """Of the latest trigger."""
    severity: str
    """Of the latest trigger."""
    created_at: float
    updated_at: float
    event: Mapping[str, Any]
    """The first trigger, without its routing key: what stays in view."""
    latest: Mapping[str, Any]
    """The last trigger, without its routing key."""
    triggers: int = 1
    resolved_at: float | None = None

    @property
    def open(self) -> bool:
        """Whether a trigger with its keys would join it."""
        return self.resolved_at is None

    @property
    def number(self) -> int:
        """The incident's number."""
        return self.incident.number

    @property
    def routing_key(self) -> str:
        """The key it was triggered with."""
        return self.integration.routing_key

    @property
    def status(self) -> str:
        """Its incident's status while it is open, else resolved."""
        return self.incident.status if self.open else "resolved"

    @property
    def urgency(self) -> str:
        """Its incident's urgency."""
        return self.incident.urgency

    @property
    def log(self) -> deque[LogEntry]:
        """What happened to its incident."""
        return self.incident.log

    def as_json(self) -> dict[str, Any]:
        """Return what the JSON list shows, without the events themselves; times are ISO 8601 in UTC."""
        return {
            "incident_number": self.number,
            "incident_id": self.incident.id,
            "dedup_key": self.dedup_key,
            "routing_key": self.key,
            "status": self.status,
            "summary": self.summary,
            "severity": self.severity,
            "urgency": self.urgency,
            "triggers": self.triggers,
            "created_at": iso(self.created_at),
            "updated_at": iso(self.updated_at),
            "resolved_at": None if self.resolved_at is None else iso(self.resolved_at),
            "log_entries": [
                {"at": iso(entry.at), "what": entry.what, "summary": entry.summary, "severity": entry.severity}
                for entry in self.log
            ],
        }
