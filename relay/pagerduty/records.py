"""What PagerDuty's REST API says, read into values: whatever is missing or odd becomes empty, never an error.

The shapes are those of PagerDuty's OpenAPI document (github.com/PagerDuty/api-schema, reference/REST).
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from relay.alert import Instant, instant, moment

EVENTS_V2 = "events_api_v2_inbound_integration"
"""The type of an integration that takes Events API v2 events."""


class AlertKey(msgspec.Struct, frozen=True):
    """What an incident is known by to those who sent its events."""

    key: str
    """The dedup key."""
    service: str
    """Id of the service."""
    integration: str
    """Id of the integration; "" where PagerDuty does not say."""


class IncidentAlert(msgspec.Struct, frozen=True):
    """One alert of an incident."""

    id: str
    key: str
    """The dedup key; "" where there is none."""
    status: str
    """triggered or resolved; an alert is never acknowledged."""
    severity: str
    title: str
    service: str
    integration: str
    created_at: Instant
    suppressed: bool


class Incident(msgspec.Struct, frozen=True):
    """One incident."""

    id: str
    number: int
    status: str
    """triggered, acknowledged or resolved."""
    title: str
    urgency: str
    service: str
    """Id of the service."""
    service_name: str
    policy: str
    """Id of the escalation policy."""
    key: str
    """`incident_key`; mostly "", since incidents with alerts have none."""
    url: str
    """Where people look at it."""
    created_at: Instant
    changed_at: Instant
    """When its status last changed."""
    changed_by: str
    """Who changed it: the name of a person, a service or an integration."""
    assigned: tuple[str, ...]
    """Names of those it is assigned to."""
    changed_by_type: str = ""
    """What that is, in PagerDuty's words: `user_reference` for a person."""


class OpenAlert(msgspec.Struct, frozen=True):
    """An alert of an incident that is open."""

    key: str
    """The dedup key."""
    incident: str
    """Id of the incident."""
    incident_url: str
    number: int
    """The incident's number."""
    status: str
    """The incident's: triggered or acknowledged."""
    service: str
    integration_id: str
    created_at: Instant
    """Of the alert; 0 where PagerDuty does not say."""
    title: str


class Note(msgspec.Struct, frozen=True):
    """What someone wrote to an incident."""

    id: str
    who: str
    at: Instant
    text: str


class Hooked(msgspec.Struct, frozen=True):
    """Where a routing key leads."""

    integration: str
    """Id."""
    kind: str
    """The integration's type: EVENTS_V2, or one that does not take such events."""
    vendor: str
    """Name of the product it was made for; "" for none."""
    service: str
    """Id."""
    service_name: str
    status: str
    """The service's: active, warning, critical (nothing open, something acknowledged, something triggered),
    maintenance or disabled."""
    policy: str
    """Id of the escalation policy."""
    policy_name: str
    url: str
    """Where people look at the service."""


class Service(msgspec.Struct, frozen=True):
    """One service."""

    id: str
    name: str
    status: str
    policy: str
    policy_name: str
    url: str
    integrations: tuple[str, ...]
    """What each takes, in PagerDuty's words."""


class OnCall(msgspec.Struct, frozen=True):
    """One person's turn in an escalation policy."""

    level: int
    """1 is who is called first."""
    who: str
    """The person's name."""
    user: str
    """The person's id."""
    email: str
    schedule: str
    """Name of the schedule that says so; "": always on call."""
    policy: str
    """Id of the escalation policy."""
    policy_name: str
    start: Instant
    """0: always."""
    end: Instant
    """0: without end."""


class Schedule(msgspec.Struct, frozen=True):
    """One schedule."""

    id: str
    name: str
    time_zone: str
    on_call: tuple[str, ...]
    """Names of its members."""
    policies: tuple[str, ...]
    """Names of the escalation policies that use it."""
    url: str


class User(msgspec.Struct, frozen=True):
    """One person."""

    id: str
    name: str
    email: str


class Named(msgspec.Struct, frozen=True):
    """Anything that has an id and a name."""

    id: str
    name: str


_TIMES = frozenset({"at", "created_at", "changed_at", "start", "end"})


def plain(record: msgspec.Struct) -> dict[str, Any]:
    """Return what JSON shows of a record: its times in ISO 8601, null where there is none."""
    found: Mapping[str, Any] = msgspec.to_builtins(record)
    return {name: (iso(value) or None) if name in _TIMES else value for name, value in found.items()}


def iso(at: Instant) -> str:
    """Write a time as PagerDuty does, in UTC and to the second; "" for none."""
    return moment(at).isoformat(timespec="seconds").replace("+00:00", "Z") if at else ""


def listed(answer: object, name: str) -> list[object]:
    """Return the list under `name` of an answer; [] where there is none."""
    found = _at(answer, name)
    return found if isinstance(found, list) else []


def read_incident(data: object) -> Incident:
    """Read one incident."""
    return Incident(
        id=text(data, "id"),
        number=number(data, "incident_number"),
        status=text(data, "status"),
        title=text(data, "title") or text(data, "summary"),
        urgency=text(data, "urgency"),
        service=text(data, "service", "id"),
        service_name=text(data, "service", "summary"),
        policy=text(data, "escalation_policy", "id"),
        key=text(data, "incident_key"),
        url=text(data, "html_url"),
        created_at=time(data, "created_at"),
        changed_at=time(data, "last_status_change_at"),
        changed_by=text(data, "last_status_change_by", "summary"),
        assigned=tuple(text(one, "assignee", "summary") for one in listed(data, "assignments")),
        changed_by_type=text(data, "last_status_change_by", "type"),
    )


def read_alert(data: object) -> IncidentAlert:
    """Read one alert of an incident."""
    return IncidentAlert(
        id=text(data, "id"),
        key=text(data, "alert_key"),
        status=text(data, "status"),
        severity=text(data, "severity"),
        title=text(data, "summary"),
        service=text(data, "service", "id"),
        integration=text(data, "integration", "id"),
        created_at=time(data, "created_at"),
        suppressed=_at(data, "suppressed") is True,
    )


def read_note(data: object) -> Note:
    """Read one note."""
    return Note(text(data, "id"), text(data, "user", "summary"), time(data, "created_at"), text(data, "content"))


def read_hooks(service: object) -> Iterator[tuple[str, Hooked]]:
    """Read every integration of a service that has a routing key; the key comes with it."""
    for one in listed(service, "integrations"):
        key = text(one, "integration_key")
        if key:
            yield key, read_hook(service, one)


def read_hook(service: object, integration: object) -> Hooked:
    """Read one integration of a service."""
    return Hooked(
        integration=text(integration, "id"),
        kind=text(integration, "type").removesuffix("_reference"),
        vendor=text(integration, "vendor", "summary"),
        service=text(service, "id"),
        service_name=text(service, "name") or text(service, "summary"),
        status=text(service, "status"),
        policy=text(service, "escalation_policy", "id"),
        policy_name=text(service, "escalation_policy", "summary"),
        url=text(service, "html_url"),
    )


def read_service(data: object) -> Service:
    """Read one service."""
    return Service(
        id=text(data, "id"),
        name=text(data, "name") or text(data, "summary"),
        status=text(data, "status"),
        policy=text(data, "escalation_policy", "id"),
        policy_name=text(data, "escalation_policy", "summary"),
        url=text(data, "html_url"),
        integrations=tuple(text(one, "name") or text(one, "summary") for one in listed(data, "integrations")),
    )


def read_oncall(data: object) -> OnCall:
    """Read one person's turn."""
    return OnCall(
        level=number(data, "escalation_level"),
        who=text(data, "user", "name") or text(data, "user", "summary"),
        user=text(data, "user", "id"),
        email=text(data, "user", "email"),
        schedule=text(data, "schedule", "summary"),
        policy=text(data, "escalation_policy", "id"),
        policy_name=text(data, "escalation_policy", "summary"),
        start=time(data, "start"),
        end=time(data, "end"),
    )


def read_schedule(data: object) -> Schedule:
    """Read one schedule."""
    return Schedule(
        id=text(data, "id"),
        name=text(data, "name") or text(data, "summary"),
        time_zone=text(data, "time_zone"),
        on_call=tuple(text(one, "summary") for one in listed(data, "users")),
        policies=tuple(text(one, "summary") for one in listed(data, "escalation_policies")),
        url=text(data, "html_url"),
    )


def read_user(data: object) -> User:
    """Read one person."""
    return User(text(data, "id"), text(data, "name") or text(data, "summary"), text(data, "email"))


def read_named(data: object) -> Named:
    """Read whatever has a name."""
    return Named(text(data, "id"), text(data, "name") or text(data, "summary"))


def text(data: object, *path: str) -> str:
    """Return the text at a path of names; "" where there is none. Half a surrogate pair in it becomes `?`."""
    found = _at(data, *path)
    return found.encode(errors="replace").decode() if isinstance(found, str) else ""


def number(data: object, *path: str) -> int:
    """Return the whole number at a path; 0 where there is none."""
    found = _at(data, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def time(data: object, *path: str) -> Instant:
    """Return the time at a path, which is ISO 8601; 0 where there is none."""
    try:
        found = datetime.fromisoformat(text(data, *path))
        return instant((found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC))
    except (ValueError, OverflowError):
        return 0


def _at(data: object, *path: str) -> object:
    for name in path:
        if not isinstance(data, dict):
            return None
        data = data.get(name)
    return data
