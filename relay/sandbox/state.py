"""The stand-in's memory and judgement: what became of each event, and which alerts are open."""

import hashlib
import json
import random
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from relay.sandbox.account import Account, Integration, Service
from relay.sandbox.answers import Answer, accepted, said, spoilt, throttled, unknown_key, written
from relay.sandbox.faults import Fault, Faults, WebhookFault, WebhookFaults
from relay.sandbox.incident import SandboxAlert
from relay.sandbox.incidents import Incidents
from relay.sandbox.subscriptions import Subscriptions
from relay.sandbox.times import iso
from relay.sandbox.validation import alert_event_errors, change_event_errors, well_formed_key

ALERT_PATH = "/v2/enqueue"
CHANGE_PATH = "/v2/change/enqueue"

_REQUESTS_KEPT = 20_000
_CHANGES_KEPT = 500
_DEEPEST = 200


@dataclass(frozen=True, slots=True)
class Settings:
    """How strict the stand-in is, and what it writes down."""

    keys: Mapping[str, str] = field(default_factory=dict)
    """Routing keys by name. Empty: every well-formed key is known."""
    rate_events: int = 120
    """Calls one key may make in any `rate_within`; 0 for no limit."""
    rate_within: float = 60.0
    """Seconds."""
    largest_body: int = 512_000
    """Bytes; PagerDuty says 512 KB, Alertmanager cuts at 512,000."""
    oversize_status: int = 400
    """PagerDuty's answer to a larger body is not documented: 400 and 413 have both been reported."""
    ledger: Path | None = None
    """Append one JSON line per request to this file, before answering."""
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    """REST API tokens, each with the e-mail address of its user; "" for an account's. Empty: every token is known."""
    rate_calls: int = 960
    """REST calls one token may make in a minute; 0 for no limit."""
    webhook_url: str = ""
    """Subscribe this address to every event, from the start."""
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    """What its webhooks are signed with; several during a rotation. None: one is made."""
    webhook_pace: float = 1.0
    """Factor on the gaps between two attempts, and on how long they go on."""
    webhook_timeout: float = 5.0
    """Seconds in which a webhook has to be answered."""
    webhook_ca: Path | None = None
    """Trust this certificate where webhooks go to https; none: those that the system trusts."""
    show_incident_key: bool = False
    """Give incidents of the Events API an incident_key; PagerDuty's have none."""
    acknowledgement_timeout: int | None = None
    """Seconds, for every new service."""
    auto_resolve_timeout: int | None = None
    """Seconds, for every new service."""


@dataclass(slots=True)
class _Request:
    """One call while it is being judged, and then one line of the ledger."""

    path: str
    body: bytes
    event: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    result: str = ""
    """What became of it: triggered, triggered again, acknowledged, resolved, dropped, changed, invalid, throttled,
    unknown key, forgotten or refused."""
    dedup_key: str = ""
    errors: list[str] = field(default_factory=list)
    incident: int | None = None
    fault: str = ""

    @property
    def action(self) -> str:
        action = self.event.get("event_action")
        return action if isinstance(action, str) else ""


class Sandbox:
    """All the stand-in knows. Plain methods, no I/O but the ledger; time and chance are given to it."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`clock` returns seconds since 1970, `chance` a number in [0, 1)."""
        self.settings = settings or Settings()
        self.faults = Faults()
        self.now = clock
        self._chance = chance
        self._names = {key: name for name, key in self.settings.keys.items()}
        self._any_key = not self._names
        self._ledger: TextIO | None = None
        self.account = Account(self.settings.keys, clock, self._timeouts)
        self.incidents = Incidents(self.account, clock, show_key=self.settings.show_incident_key)
        self.subscriptions = Subscriptions()
        if self.settings.webhook_url:
            self.subscriptions.add(self.settings.webhook_url, self.settings.webhook_secrets)
        self.webhook_faults = WebhookFaults()
        self.reset()
        if self.settings.ledger is not None:
            self._ledger = self.settings.ledger.open("a", encoding="utf-8")

    def reset(self) -> None:
        """Forget every alert, request and rate; faults and incident numbers go on."""
        self.incidents.forget()
        self._requests: deque[dict[str, Any]] = deque(maxlen=_REQUESTS_KEPT)
        self._changes: deque[dict[str, Any]] = deque(maxlen=_CHANGES_KEPT)
        self._calls: dict[str, deque[float]] = {}
        self._counted = 0

    def close(self) -> None:
        """Close the ledger."""
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    @property
    def open_alerts(self) -> tuple[SandboxAlert, ...]:
        """Alerts someone is still paged for, newest first."""
        return self.incidents.open_alerts

    @property
    def past_alerts(self) -> tuple[SandboxAlert, ...]:
        """Resolved alerts, the last resolved first; the last 5,000 are kept."""
        return self.incidents.past_alerts

    @property
    def requests(self) -> tuple[Mapping[str, Any], ...]:
        """What became of each request, in order; the last 20,000 are kept."""
        return tuple(self._requests)

    @property
    def changes(self) -> tuple[Mapping[str, Any], ...]:
        """Accepted change events, in order; the last 500 are kept."""
        return tuple(self._changes)

    @property
    def _timeouts(self) -> tuple[int | None, int | None]:
        return self.settings.acknowledgement_timeout, self.settings.auto_resolve_timeout

    def make_integration(self, service: Service, name: str, type_: str) -> Integration:
        """Give a service an integration; its new routing key works from now on."""
        made = self.account.add_integration(service, name, self.now(), type_)
        self._names[made.routing_key] = service.name
        return made

    def shown_key(self, routing_key: object) -> str:
        """Show a routing key: by its name where it has one, else by its last four characters."""
        if not isinstance(routing_key, str):
            return ""
        return self._names.get(routing_key) or f"…{routing_key[-4:]}"

    def shown_fault(self, fault: Fault) -> str:
        """Say what a fault does, and to which requests."""
        if fault.key is None:
            return fault.words
        named = fault.key in self._names.values()
        return f"{fault.words} key={fault.key if named else self.shown_key(fault.key)}".strip()

    def rest_fault(self, method: str, path: str) -> Fault | None:
        """Take the fault that befalls a call of the REST API, if any."""
        return self.faults.next_call(method, path, self._chance())

    def webhook_fault(self, event_type: str) -> WebhookFault | None:
        """Take the fault that befalls a webhook, if any."""
        return self.webhook_faults.next(event_type, self._chance())

    def enqueue(self, body: bytes, path: str = ALERT_PATH) -> Answer:
        """Take one call to `/v2/enqueue` or `/v2/change/enqueue`, write down what became of it, and say what to answer.

        The order is: fault, size, JSON, known key, rate, validation, and only then does the event count.
        """
        request = _Request(path, body)
        parsed = _parse(body)
        if parsed is not None:
            request.event = parsed
            request.key = self.shown_key(parsed.get("routing_key"))
        fault = self._fault(request)
        answer = self._faulty(request, parsed, fault) if fault else self._judge(request, parsed)
        self._write_down(request, answer)
        return answer

    def _fault(self, request: _Request) -> Fault | None:
        key = request.event.get("routing_key")
        names = (key, self._names.get(key, "")) if isinstance(key, str) else ()
        return self.faults.next(names, request.event, self._chance())

    def _faulty(self, request: _Request, event: Mapping[str, Any] | None, fault: Fault) -> Answer:
        request.fault = fault.words
        if fault.ingests:
            answer = self._judge(request, event)
        elif fault.forget:
            answer = self._forget(request)
        else:
            request.result = "refused"
            answer = said(fault.status or 503, "fault", "A fault on demand")
        return spoilt(answer, fault)

    def _forget(self, request: _Request) -> Answer:
        request.result = "forgotten"
        request.dedup_key = _text(request.event.get("dedup_key")) or uuid.uuid4().hex
        return accepted(request.dedup_key)

    def _judge(self, request: _Request, event: Mapping[str, Any] | None) -> Answer:
        if len(request.body) > self.settings.largest_body:
            return self._refuse(
                request, [f"Event is too large (maximum is {self.settings.largest_body} bytes)"], large=True
            )
        if event is None:
            request.result, request.errors = "invalid", ["JSON parse error"]
            return said(400, "Unrecognized object", "Event object format is unrecognized", request.errors)
        key = event.get("routing_key")
        if isinstance(key, str) and well_formed_key(key):
            if not self._any_key and key not in self._names:
                request.result, request.errors = "unknown key", ["Invalid routing key"]
                return unknown_key()
            if not self._within_rate(key):
                request.result = "throttled"
                return throttled()
        change = request.path == CHANGE_PATH
        errors = change_event_errors(event) if change else alert_event_errors(event)
        if errors:
            return self._refuse(request, errors)
        return self._change(request, event) if change else self._take(request, event)

    def _refuse(self, request: _Request, errors: list[str], *, large: bool = False) -> Answer:
        request.result, request.errors = "invalid", errors
        status = self.settings.oversize_status if large else 400
        return said(status, "invalid event", "Event object is invalid", errors)

    def _within_rate(self, key: str) -> bool:
        """Count a call, unless the window is full: a throttled call is not ingested and does not count."""
        if not self.settings.rate_events:
            return True
        calls = self._calls.setdefault(key, deque())
        now = self.now()
        while calls and calls[0] <= now - self.settings.rate_within:
            calls.popleft()
        if len(calls) >= self.settings.rate_events:
            return False
        calls.append(now)
        return True

    def _change(self, request: _Request, event: Mapping[str, Any]) -> Answer:
        request.result = "changed"
        self._changes.append({"at": iso(self.now()), "routing_key": request.key, "event": _without_key(event)})
        return written(202, {"status": "success", "message": "Change event processed", "errors": []})

    def _take(self, request: _Request, event: Mapping[str, Any]) -> Answer:
        integration = self._integration(event["routing_key"], request.key)
        request.dedup_key = event.get("dedup_key") or uuid.uuid4().hex
        alert = self.incidents.open_alert(integration.routing_key, request.dedup_key)
        if self._lost(integration.service, request.action, alert):
            request.result = "dropped"
        elif request.action == "trigger":
            alert = self._trigger(request, integration, event, alert)
        elif alert is not None:
            self._end(request, alert)
        request.incident = alert.number if alert else None
        return accepted(request.dedup_key)

    def _integration(self, routing_key: str, shown: str) -> Integration:
        known = self.account.integration(routing_key)
        return known or self.account.adopt(routing_key, f"Service {shown}", self.now())

    def _lost(self, service: Service, action: str, alert: SandboxAlert | None) -> bool:
        """Whether an event is taken and dropped in silence.

        So are words about nothing that is open under this dedup_key on this routing key, everything for a disabled
        service or in a maintenance window, where nothing can be resolved through events either, and what would page
        nobody (support.pagerduty.com/docs: event-management, maintenance-windows, alerts).
        """
        now = self.now()
        if service.disabled or self.account.in_maintenance(service, now):
            return True
        if action != "trigger":
            return alert is None
        return alert is None and not self.account.on_call(service, now)

    def _trigger(
        self, request: _Request, integration: Integration, event: Mapping[str, Any], alert: SandboxAlert | None
    ) -> SandboxAlert:
        shown = _without_key(event)
        if alert is None:
            request.result = "triggered"
            return self.incidents.open_alert_of(integration, request.key, request.dedup_key, shown).alerts[0]
        request.result = "triggered again"
        self.incidents.trigger_again(alert, shown)
        return alert

    def _end(self, request: _Request, alert: SandboxAlert) -> None:
        if request.action == "acknowledge":
            request.result = "acknowledged"
            self.incidents.acknowledge(alert.incident, alert.integration)
        else:
            request.result = "resolved"
            self.incidents.resolve_alert(alert, alert.integration)

    def _write_down(self, request: _Request, answer: Answer) -> None:
        self._counted += 1
        payload = request.event.get("payload")
        about = payload if isinstance(payload, dict) else {}
        line: dict[str, Any] = {
            "n": self._counted,
            "at": round(self.now(), 6),
            "path": request.path,
            "status": 0 if answer.drop else answer.status,
            "result": request.result,
            "event_action": request.action,
            "dedup_key": request.dedup_key or _text(request.event.get("dedup_key")),
            "routing_key": request.key,
            "incident": request.incident,
            "summary": _text(about.get("summary"))[:1024],
            "severity": _text(about.get("severity"))[:32],
            "errors": request.errors,
            "fault": request.fault,
            "bytes": len(request.body),
            "sha256": hashlib.sha256(request.body).hexdigest(),
        }
        self._requests.append(line)
        if self._ledger is not None:
            self._ledger.write(json.dumps({**line, "event": _without_key(request.event)}) + "\n")
            self._ledger.flush()


def _parse(body: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(body, parse_constant=_not_json)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and not _too_deep(event) else None


def _too_deep(value: object) -> bool:
    """Whether it nests so deep that it could be read but not written again."""
    level: list[object] = [value]
    for _ in range(_DEEPEST):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return True


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _not_json(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _without_key(event: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != "routing_key"}
