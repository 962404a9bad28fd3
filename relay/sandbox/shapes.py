"""Write the account and its incidents as PagerDuty's REST API does (its public OpenAPI description)."""

from collections.abc import Mapping
from typing import Any

from relay.sandbox.account import Account, Integration, OnCall, Override, Policy, Schedule, Service, User, Window
from relay.sandbox.incident import Agent, Incident, LogEntry, Note, SandboxAlert
from relay.sandbox.times import seconds

Shape = dict[str, Any]

_LOG_TYPES = {
    "triggered": "trigger_log_entry",
    "triggered again": "trigger_log_entry",
    "acknowledged": "acknowledge_log_entry",
    "unacknowledged": "unacknowledge_log_entry",
    "resolved": "resolve_log_entry",
    "reassigned": "assign_log_entry",
    "annotated": "annotate_log_entry",
    "reopened": "reopen_log_entry",
    "merged": "merge_log_entry",
}


class Shapes:
    """Shapes of one account, whose links begin with its origin."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def user(self, user: User) -> Shape:
        """Return a user."""
        return self._whole(self._user_ref(user), name=user.name, email=user.email, role="user", time_zone="Etc/UTC")

    def incident(self, incident: Incident) -> Shape:
        """Return an incident."""
        return self._whole(
            self.incident_ref(incident),
            summary=f"[#{incident.number}] {incident.title}",
            incident_number=incident.number,
            title=incident.title,
            description=incident.title,
            created_at=seconds(incident.created_at),
            updated_at=seconds(incident.log[-1].at if incident.log else incident.created_at),
            status=incident.status,
            incident_key=incident.incident_key,
            service=self.service_ref(incident.service),
            assignments=[
                {"at": seconds(incident.assigned_at), "assignee": self._user_ref(user)} for user in incident.assignees
            ],
            assigned_via="direct_assignment" if incident.assigned_directly else "escalation_policy",
            acknowledgements=[
                {"at": seconds(at), "acknowledger": self.agent(who)} for at, who in incident.acknowledged_by.values()
            ],
            last_status_change_at=seconds(incident.status_changed_at),
            # What a timer did counts as the service's own.
            last_status_change_by=self.agent(incident.status_changed_by) or self.service_ref(incident.service),
            resolved_at=None if incident.resolved_at is None else seconds(incident.resolved_at),
            first_trigger_log_entry=self._log_ref(incident.log[0]) if incident.log else None,
            alert_counts=_counts(incident),
            is_mergeable=incident.open,
            escalation_policy=self.policy_ref(incident.service.policy),
            teams=[],
            pending_actions=_pending(incident),
            priority=None,
            urgency=incident.urgency,
            resolve_reason=self.resolve_reason(incident),
            conference_bridge=None,
            incident_type={"name": "incident_default"},
        )

    def alert(self, alert: SandboxAlert) -> Shape:
        """Return an alert with what its first trigger said."""
        incident, payload = alert.incident, alert.event["payload"]
        return self._whole(
            self._ref("alert", alert.id, alert.summary, f"incidents/{incident.id}/alerts/{alert.id}"),
            html_url=self._page(incident),
            created_at=seconds(alert.created_at),
            updated_at=seconds(alert.updated_at),
            status="triggered" if alert.open else "resolved",
            resolved_at=None if alert.resolved_at is None else seconds(alert.resolved_at),
            alert_key=alert.dedup_key,
            suppressed=False,
            severity=alert.severity,
            service=self.service_ref(incident.service),
            incident=self.incident_ref(incident),
            integration=self.integration_ref(alert.integration),
            first_trigger_log_entry=self._log_ref(incident.log[0]) if incident.log else None,
            body={"type": "alert_body", "details": payload.get("custom_details", {}), "cef_details": _cef(alert)},
        )

    def note(self, note: Note) -> Shape:
        """Return a note on an incident."""
        return {
            "id": note.id,
            "user": self._user_ref(note.user),
            "content": note.content,
            "created_at": seconds(note.at),
            "channel": {"summary": "The PagerDuty website or APIs", "id": None, "type": "web_app"},
        }

    def log_entry(self, incident: Incident, entry: LogEntry) -> Shape:
        """Return one thing that happened to an incident."""
        return self._whole(
            self._log_ref(entry),
            created_at=seconds(entry.at),
            agent=self.agent(entry.agent) or self.service_ref(incident.service),
            channel=_channel(entry),
            service=self.service_ref(incident.service),
            incident=self.incident_ref(incident),
            teams=[],
            contexts=[],
            event_details={"description": entry.summary or entry.words},
        )

    def service(self, service: Service, status: str, include: frozenset[str] = frozenset()) -> Shape:
        """Return a service. Its integrations are mere references unless `include` names them."""
        whole = "integrations" in include
        return self._whole(
            self.service_ref(service),
            name=service.name,
            description=service.description,
            status=status,
            created_at=seconds(service.created_at),
            auto_resolve_timeout=service.auto_resolve_timeout,
            acknowledgement_timeout=service.acknowledgement_timeout,
            alert_creation="create_alerts_and_incidents",
            alert_grouping_parameters={"type": None},
            incident_urgency_rule={"type": "constant", "urgency": "severity_based"},
            escalation_policy=self.policy(service.policy)
            if "escalation_policies" in include
            else self.policy_ref(service.policy),
            integrations=[
                self.integration(each) if whole else self.integration_ref(each) for each in service.integrations
            ],
            teams=[],
            addons=[],
            scheduled_actions=[],
            support_hours=None,
        )

    def integration(self, integration: Integration) -> Shape:
        """Return an integration with its routing key."""
        return self._whole(
            self.integration_ref(integration),
            name=integration.name,
            service=self.service_ref(integration.service),
            created_at=seconds(integration.created_at),
            integration_key=integration.routing_key,
            vendor=None,
        )

    def policy(self, policy: Policy) -> Shape:
        """Return an escalation policy with its rules."""
        return self._whole(
            self.policy_ref(policy),
            name=policy.name,
            escalation_rules=[
                {
                    "id": f"{policy.id}{level}",
                    "escalation_delay_in_minutes": 30,
                    "targets": [self._user_ref(target) if isinstance(target, User) else self.schedule_ref(target)],
                }
                for level, target in enumerate(policy.levels, 1)
            ],
            services=[
                self.service_ref(service) for service in self._account.services.values() if service.policy is policy
            ],
            num_loops=0,
            on_call_handoff_notifications="if_has_services",
            teams=[],
            description=None,
        )

    def schedule(self, schedule: Schedule) -> Shape:
        """Return a schedule."""
        return self._whole(
            self.schedule_ref(schedule),
            name=schedule.name,
            time_zone="Etc/UTC",
            description=None,
            users=[self._user_ref(user) for user in schedule.users],
            escalation_policies=[
                self.policy_ref(policy) for policy in self._account.policies.values() if schedule in policy.levels
            ],
            teams=[],
        )

    def override(self, override: Override) -> Shape:
        """Return who is on call in place of whom a schedule names."""
        return {
            "id": override.id,
            "start": seconds(override.start),
            "end": seconds(override.end),
            "user": self._user_ref(override.user),
        }

    def window(self, window: Window) -> Shape:
        """Return a maintenance window."""
        return self._whole(
            self._ref("maintenance_window", window.id, window.description, f"maintenance_windows/{window.id}"),
            description=window.description,
            start_time=seconds(window.start),
            end_time=seconds(window.end),
            services=[self.service_ref(service) for service in window.services],
            teams=[],
        )

    def on_call(self, on_call: OnCall, include: frozenset[str]) -> Shape:
        """Return who is on call at a level of an escalation policy. Without an end: always."""
        policy, schedule, user = on_call.policy, on_call.schedule, on_call.user
        return {
            "escalation_policy": self.policy(policy) if "escalation_policies" in include else self.policy_ref(policy),
            "escalation_level": on_call.level,
            "schedule": None if schedule is None else self.schedule_ref(schedule),
            "user": self.user(user) if "users" in include else self._user_ref(user),
            "start": None,
            "end": None,
        }

    def agent(self, agent: Agent) -> Shape | None:
        """Refer to who did something; nothing for a timer."""
        if agent is None:
            return None
        if isinstance(agent, User):
            return self._user_ref(agent)
        # As people saw it in webhooks: not by the integration's own type.
        return self.integration_ref(agent) | {"type": "inbound_integration_reference"}

    def resolve_reason(self, incident: Incident) -> Shape | None:
        """Say that an incident ended because it was merged into another."""
        if incident.merged_into is None:
            return None
        return {"type": "merge_resolve_reason", "incident": self.incident_ref(incident.merged_into)}

    def incident_ref(self, incident: Incident) -> Shape:
        """Refer to an incident."""
        made = self._ref("incident_reference", incident.id, incident.title, f"incidents/{incident.id}")
        return made | {"html_url": self._page(incident)}

    def service_ref(self, service: Service) -> Shape:
        """Refer to a service."""
        return self._ref("service_reference", service.id, service.name, f"services/{service.id}")

    def integration_ref(self, integration: Integration) -> Shape:
        """Refer to an integration."""
        at = f"services/{integration.service.id}/integrations/{integration.id}"
        return self._ref(f"{integration.type}_reference", integration.id, integration.name, at)

    def policy_ref(self, policy: Policy) -> Shape:
        """Refer to an escalation policy."""
        return self._ref("escalation_policy_reference", policy.id, policy.name, f"escalation_policies/{policy.id}")

    def schedule_ref(self, schedule: Schedule) -> Shape:
        """Refer to a schedule."""
        return self._ref("schedule_reference", schedule.id, schedule.name, f"schedules/{schedule.id}")

    def _user_ref(self, user: User) -> Shape:
        return self._ref("user_reference", user.id, user.name, f"users/{user.id}")

    def _log_ref(self, entry: LogEntry) -> Shape:
        type_ = f"{_LOG_TYPES[entry.what]}_reference"
        return self._ref(type_, entry.id, entry.what.capitalize(), f"log_entries/{entry.id}")

    def _ref(self, type_: str, id_: str, summary: str, path: str) -> Shape:
        origin = self._account.origin
        return {"id": id_, "type": type_, "summary": summary, "self": f"{origin}/{path}", "html_url": f"{origin}/"}

    def _page(self, incident: Incident) -> str:
        return f"{self._account.origin}/alerts/{incident.number}"

    def _whole(self, reference: Shape, **fields: Any) -> Shape:
        """Make a whole object from its reference."""
        return {**reference, "type": reference["type"].removesuffix("_reference"), **fields}


def _counts(incident: Incident) -> Mapping[str, int]:
    triggered = sum(alert.open for alert in incident.alerts)
    return {"all": len(incident.alerts), "triggered": triggered, "resolved": len(incident.alerts) - triggered}


def _pending(incident: Incident) -> list[Shape]:
    """List what time alone will do."""
    service, found = incident.service, []
    if incident.status == "acknowledged" and service.acknowledgement_timeout is not None:
        at = incident.acknowledged_at + service.acknowledgement_timeout
        found.append({"type": "unacknowledge", "at": seconds(at)})
    if incident.open and service.auto_resolve_timeout is not None:
        found.append({"type": "resolve", "at": seconds(incident.created_at + service.auto_resolve_timeout)})
    return found


def _channel(entry: LogEntry) -> Shape:
    if entry.agent is None:
        return {"type": "timeout"}
    channel = {"type": "website" if isinstance(entry.agent, User) else "api"}
    return channel | ({"summary": entry.words} if entry.words else {})


def _cef(alert: SandboxAlert) -> Shape:
    """Return what the first trigger said, in the words of PagerDuty's common event format."""
    payload = alert.event["payload"]
    return {
        "dedup_key": alert.dedup_key,
        "description": alert.summary,
        "severity": alert.severity,
        "source_origin": payload.get("source"),
        "source_component": payload.get("component"),
        "service_group": payload.get("group"),
        "event_class": payload.get("class"),
        "details": payload.get("custom_details", {}),
        "client": alert.event.get("client"),
        "client_url": alert.event.get("client_url"),
    }
