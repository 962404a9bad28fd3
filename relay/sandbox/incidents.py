"""Every incident, and what events, people and time make of them."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from relay.sandbox.account import Account, Integration, User, short_id
from relay.sandbox.incident import Agent, Incident, LogEntry, Note, SandboxAlert

_PAST_KEPT = 5_000


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that subscribers of webhooks are told."""

    event_type: str
    """`incident.triggered` and its kin."""
    at: float
    incident: Incident
    agent: Agent
    note: Note | None = None


class NotPossible(Exception):
    """An act that the incident's state does not allow; the message says why."""


class Incidents:
    """Every incident, and every act on one. Time is given to it; what happened is told to `listeners`."""

    def __init__(self, account: Account, clock: Callable[[], float], *, show_key: bool = False) -> None:
        """`show_key`: give incidents of the Events API an incident_key, which PagerDuty's have not."""
        self.account = account
        self.listeners: list[Callable[[Happened], None]] = []
        self._now = clock
        self._show_key = show_key
        self._count = 0
        self.forget()

    def forget(self) -> None:
        """Forget every incident; numbers go on."""
        self._open: dict[tuple[str, str], SandboxAlert] = {}
        self._past: deque[SandboxAlert] = deque()
        self._by_id: dict[str, Incident] = {}
        self._by_number: dict[int, Incident] = {}

    @property
    def open_alerts(self) -> tuple[SandboxAlert, ...]:
        """Alerts that are not resolved, newest first."""
        return tuple(sorted(self._open.values(), key=lambda alert: -alert.number))

    @property
    def past_alerts(self) -> tuple[SandboxAlert, ...]:
        """Resolved alerts, the last resolved first; the last 5,000 are kept."""
        return tuple(reversed(self._past))

    @property
    def all(self) -> tuple[Incident, ...]:
        """Every incident that is kept, oldest first."""
        return tuple(self._by_id.values())

    def named(self, id_or_number: str) -> Incident | None:
        """Find an incident by its id, or by its number as PagerDuty allows too."""
        found = self._by_id.get(id_or_number)
        if found is None and id_or_number.isascii() and id_or_number.isdecimal():
            return self.numbered(int(id_or_number))
        return found

    def numbered(self, number: int) -> Incident | None:
        """Find an incident by its number."""
        return self._by_number.get(number)

    def open_alert(self, routing_key: str, dedup_key: str) -> SandboxAlert | None:
        """Find the open alert that an event speaks of."""
        return self._open.get((routing_key, dedup_key))

    def open_alert_of(self, integration: Integration, key: str, dedup_key: str, event: Mapping[str, Any]) -> Incident:
        """Open an alert and its incident. `key` is what the routing key is shown as."""
        self._count += 1
        now, payload, service = self._now(), event["payload"], integration.service
        incident = Incident(
            number=self._count,
            id=f"Q{short_id(length=13)}",
            service=service,
            title=payload["summary"],
            urgency="high" if payload["severity"] in ("critical", "error") else "low",
            created_at=now,
            status_changed_at=now,
            status_changed_by=integration,
            client=client if isinstance(client := event.get("client"), str) else "",
            incident_key=dedup_key if self._show_key else None,
            assignees=self.account.on_call(service, now),
            assigned_at=now,
        )
        alert = SandboxAlert(
            incident=incident,
            id=f"Q{short_id(length=13)}",
            integration=integration,
            key=key,
            dedup_key=dedup_key,
            summary=payload["summary"],
            severity=payload["severity"],
            created_at=now,
            updated_at=now,
            event=event,
            latest=event,
        )
        incident.alerts.append(alert)
        self._by_id[incident.id] = self._by_number[incident.number] = incident
        self._open[integration.routing_key, dedup_key] = alert
        self._record(incident, "triggered", integration, payload["summary"], payload["severity"])
        return incident

    def trigger_again(self, alert: SandboxAlert, event: Mapping[str, Any]) -> None:
        """Take another trigger of an open alert: a log entry, and the latest summary."""
        payload = event["payload"]
        alert.triggers += 1
        alert.summary, alert.severity, alert.updated_at = payload["summary"], payload["severity"], self._now()
        alert.latest = event
        entry = LogEntry(alert.updated_at, "triggered again", alert.summary, alert.severity, alert.integration)
        alert.incident.log.append(entry)

    def acknowledge(self, incident: Incident, agent: Agent) -> None:
        """Say that somebody works on it. Raises NotPossible for a resolved one."""
        self._must_be_open(incident)
        now = self._now()
        incident.acknowledged_by[agent.id if agent else ""] = now, agent
        incident.acknowledged_at = now
        self._turn(incident, "acknowledged", agent)

    def unacknowledge(self, incident: Incident, agent: Agent) -> None:
        """Page for it again. Raises NotPossible if nobody had acknowledged it."""
        if incident.status != "acknowledged":
            raise NotPossible("Incident is not acknowledged")
        incident.acknowledged_by.clear()
        self._turn(incident, "triggered", agent, "unacknowledged")

    def resolve_alert(self, alert: SandboxAlert, agent: Agent) -> None:
        """Resolve one alert; its incident is resolved with its last one."""
        self._close(alert)
        if not any(other.open for other in alert.incident.alerts):
            self._resolve(alert.incident, agent)

    def resolve(self, incident: Incident, agent: Agent, resolution: str = "") -> None:
        """End an incident with all its alerts; a resolution is a note too. Raises NotPossible for a resolved one."""
        self._must_be_open(incident)
        for alert in incident.alerts:
            if alert.open:
                self._close(alert)
        self._resolve(incident, agent)
        if resolution and isinstance(agent, User):
            # A resolution comes as a note of its own, with these words in front.
            self.annotate(incident, f"Resolution Note: {resolution}", agent)

    def reassign(self, incident: Incident, users: Iterable[User], agent: Agent) -> None:
        """Give it to other people; an acknowledgement does not pass to them. Raises NotPossible for a resolved one."""
        self._must_be_open(incident)
        incident.assignees, incident.assigned_at = tuple(users), self._now()
        incident.assigned_directly = True
        if incident.status == "acknowledged":
            incident.acknowledged_by.clear()
            incident.status = "triggered"
        names = ", ".join(user.name for user in incident.assignees)
        self._record(incident, "reassigned", agent, words=names)

    def annotate(self, incident: Incident, content: str, user: User) -> Note:
        """Add a note, which resolved incidents take as well."""
        note = Note(f"P{short_id()}", self._now(), user, content)
        incident.notes.append(note)
        self._record(incident, "annotated", user, words=content, note=note)
        return note

    def reopen(self, incident: Incident, agent: Agent) -> None:
        """Page for it again after its end. Raises NotPossible for an open or a merged one.

        Its alerts stay resolved: an alert is never opened again, so events do not reach the incident any more.
        That PagerDuty does so is our reading; it is not documented.
        """
        if incident.open:
            raise NotPossible("Incident is not resolved")
        if incident.merged_into is not None:
            raise NotPossible("Incident was merged into another")
        now = self._now()
        incident.resolved_at, incident.reopened_at = None, now
        incident.assignees, incident.assigned_at = self.account.on_call(incident.service, now), now
        self._turn(incident, "triggered", agent, "reopened")

    def merge(self, target: Incident, sources: Iterable[Incident], agent: Agent) -> None:
        """Move the alerts of other incidents into one; the others are resolved with that as the reason."""
        merged = [source for source in dict.fromkeys(sources) if source is not target]
        for incident in (target, *merged):
            self._must_be_open(incident)
        for source in merged:
            for alert in source.alerts:
                alert.incident = target
            target.alerts.extend(source.alerts)
            source.alerts.clear()
            source.merged_into = target
            self._resolve(source, agent)
            target.log.append(LogEntry(self._now(), "merged", source.title, "", agent, f"#{source.number}"))

    def tick(self) -> None:
        """Do what time does: acknowledgements run out, and incidents are resolved by nobody."""
        if not any(service.has_timeout for service in self.account.services.values()):
            return
        now = self._now()
        for incident in [incident for incident in self._by_id.values() if incident.open]:
            service = incident.service
            if _over(incident.created_at, service.auto_resolve_timeout, now):
                self.resolve(incident, None)
            elif incident.status == "acknowledged" and _over(
                incident.acknowledged_at, service.acknowledgement_timeout, now
            ):
                self.unacknowledge(incident, None)

    def _must_be_open(self, incident: Incident) -> None:
        if not incident.open:
            raise NotPossible("Incident Already Resolved")

    def _close(self, alert: SandboxAlert) -> None:
        alert.resolved_at = alert.updated_at = self._now()
        del self._open[alert.routing_key, alert.dedup_key]
        self._past.append(alert)
        if len(self._past) > _PAST_KEPT:
            self._drop(self._past.popleft().incident)

    def _drop(self, incident: Incident) -> None:
        """Forget an incident that ended long ago."""
        if not incident.open:
            self._by_id.pop(incident.id, None)
            self._by_number.pop(incident.number, None)

    def _resolve(self, incident: Incident, agent: Agent) -> None:
        incident.resolved_at = self._now()
        incident.assignees = ()
        incident.acknowledged_by.clear()
        self._turn(incident, "resolved", agent)

    def _turn(self, incident: Incident, status: str, agent: Agent, what: str = "") -> None:
        incident.status, incident.status_changed_at, incident.status_changed_by = status, self._now(), agent
        self._record(incident, what or status, agent)

    def _record(
        self,
        incident: Incident,
        what: str,
        agent: Agent,
        summary: str = "",
        severity: str = "",
        words: str = "",
        note: Note | None = None,
    ) -> None:
        now = self._now()
        for alert in incident.alerts:
            alert.updated_at = now
        incident.log.append(LogEntry(now, what, summary, severity, agent, words))
        for listener in self.listeners:
            listener(Happened(f"incident.{what}", now, incident, agent, note))


def _over(since: float, timeout: int | None, now: float) -> bool:
    return timeout is not None and now - since >= timeout
