"""Asks PagerDuty's REST API, and acts over it: incidents, who is on call, where a routing key leads."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Any, TypeVar
from urllib.parse import quote

from aiocache import SimpleMemoryCache

from relay.alert import Instant
from relay.logs import Log
from relay.metrics import Metrics
from relay.pagerduty.calling import UNTOLD, Caller, Limits, RestError
from relay.pagerduty.records import (
    EVENTS_V2,
    AlertKey,
    Hooked,
    Incident,
    IncidentAlert,
    Named,
    Note,
    OnCall,
    OpenAlert,
    Schedule,
    Service,
    User,
    iso,
    listed,
    read_alert,
    read_hook,
    read_hooks,
    read_incident,
    read_named,
    read_note,
    read_oncall,
    read_schedule,
    read_service,
    read_user,
    text,
)
from relay.rules.ruleset import Account
from relay.secret import Secret

__all__ = [
    "EVENTS_V2",
    "UNTOLD",
    "AlertKey",
    "Hooked",
    "Incident",
    "IncidentAlert",
    "Limits",
    "Named",
    "Note",
    "OnCall",
    "OpenAlert",
    "Rest",
    "RestError",
    "Schedule",
    "Service",
    "User",
]

OPEN = ("triggered", "acknowledged")
"""What an incident is while someone may be called for it."""

KEYS_KEPT = 600.0
"""Seconds for which it is remembered where every routing key leads."""
KEYS_FRESH = 30.0
"""Seconds for which a routing key that was not among them is not looked for again."""
ONCALLS_KEPT = 60.0
"""Seconds for which it is remembered who is on call."""

_PAGE = 100
_LAST = 10_000
"""PagerDuty lists no further than this (developer.pagerduty.com, pagination)."""
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

Told = Callable[[int], None]
"""Is told how many were read so far."""
Found = TypeVar("Found")


class Rest:
    """PagerDuty's REST API, for tasks beside the pages: a call may take minutes, and calls wait for each other.

    Every method raises RestError with what went wrong in plain words.
    """

    def __init__(
        self,
        token: Callable[[], Secret | None],
        account: Callable[[], Account],
        *,
        log: Log | None = None,
        metrics: Metrics | None = None,
        waits: Callable[[float], None] | None = None,
        limits: Limits | None = None,
    ) -> None:
        """`token` and `account` are asked before each call, so that a rotation counts at once.

        `waits` is told, from a thread, the seconds of each wait for PagerDuty's rate limit; without it the log is.
        """
        self._account = account
        self._caller = Caller(token, account, metrics=metrics, waits=waits or _logging(log), limits=limits)
        self._cache = SimpleMemoryCache(timeout=0)
        self._looking = asyncio.Lock()

    async def start(self) -> None:
        """Get ready; nothing is asked yet."""
        await self._cache.clear()

    async def close(self) -> None:
        """Give up the call under way; forget what was remembered."""
        await self._caller.close()
        await self._cache.clear()

    @property
    def has_token(self) -> bool:
        """Say whether there is a token, without which nothing can be asked."""
        return self._caller.has_token

    @property
    def url(self) -> str:
        """Where it is asked."""
        return self._account().api_url

    # Incidents

    async def incident(self, id: str) -> Incident:
        """Show one incident."""
        return read_incident(_entity(await self._caller.call("GET", f"/incidents/{_id(id)}"), "incident"))

    async def incidents(
        self,
        *,
        statuses: Iterable[str] = OPEN,
        keys: Iterable[str] = (),
        services: Iterable[str] = (),
        limit: int = 0,
        told: Told | None = None,
    ) -> list[Incident]:
        """List incidents of any age: with these statuses, with an alert of one of these dedup keys, of these services.

        Newest first; no more than `limit`, where it is not 0. PagerDuty lists by position: beyond the first hundred
        one can be missed while others are resolved. Raises RestError where there are more than 10,000: it lists no
        further.
        """
        asked: dict[str, Any] = {"statuses[]": list(statuses), "service_ids[]": list(services)}
        asked |= {"date_range": "all", "sort_by": "created_at:desc"}
        found: dict[str, Incident] = {}
        for key in list(keys) or [""]:
            named = {**asked, "incident_key": key} if key else asked
            async for one in self._all("/incidents", "incidents", named):
                incident = read_incident(one)
                found[incident.id] = incident
                if told:
                    told(len(found))
                if len(found) == limit:
                    return list(found.values())
        return list(found.values())

    async def alerts(self, incident: str, *, statuses: Iterable[str] = ()) -> list[IncidentAlert]:
        """List the alerts of an incident."""
        path, asked = f"/incidents/{_id(incident)}/alerts", {"statuses[]": list(statuses)}
        return [read_alert(one) async for one in self._all(path, "alerts", asked)]

    async def alert_keys(self, incident: str) -> tuple[AlertKey, ...]:
        """Say by which dedup keys an incident is known; those it was merged with are among them."""
        keys = (AlertKey(one.key, one.service, one.integration) for one in await self.alerts(incident) if one.key)
        return tuple(dict.fromkeys(keys))

    async def open_alerts(self, *, services: Iterable[str] = (), told: Told | None = None) -> list[OpenAlert]:
        """List every alert that is open in an incident that is open; one call for each incident.

        Alerts that PagerDuty suppressed have no incident and are not among them. Raises RestError if any call fails:
        what is missing from the list is not open.
        """
        found: list[OpenAlert] = []
        for count, incident in enumerate(await self.incidents(services=services), 1):
            found += await self._open_alerts_of(incident)
            if told:
                told(count)
        return found

    async def _open_alerts_of(self, incident: Incident) -> list[OpenAlert]:
        try:
            alerts = await self.alerts(incident.id, statuses=["triggered"])
        except RestError as error:
            if error.reason == "not_found":
                return []  # deleted since it was listed
            raise
        return [
            OpenAlert(
                key=one.key,
                incident=incident.id,
                incident_url=incident.url,
                number=incident.number,
                status=incident.status,
                service=one.service or incident.service,
                integration_id=one.integration,
                created_at=one.created_at,
                title=one.title or incident.title,
            )
            for one in alerts
            if one.key and one.status != "resolved"
        ]

    async def act(self, incident: str, status: str, *, note: str = "") -> Incident:
        """Make an incident `acknowledged` or `resolved`, and write a note to it first if there is one."""
        if note:
            await self.note(incident, note)
        body = {"incident": {"type": "incident_reference", "status": status}}
        answer = await self._caller.call("PUT", f"/incidents/{_id(incident)}", body=body)
        return read_incident(_entity(answer, "incident"))

    async def note(self, incident: str, text: str) -> Note:
        """Write a note to an incident."""
        answer = await self._caller.call("POST", f"/incidents/{_id(incident)}/notes", body={"note": {"content": text}})
        return read_note(_entity(answer, "note"))

    async def notes(self, incident: str) -> list[Note]:
        """List the notes of an incident."""
        answer = await self._caller.call("GET", f"/incidents/{_id(incident)}/notes")
        return [read_note(one) for one in listed(answer, "notes")]

    # Who is called

    async def integration_of(self, routing_key: Secret) -> Hooked | None:
        """Say where a routing key leads; None if no service has it. Remembered for ten minutes."""
        known = await self._hooks()
        name = _digest(routing_key.reveal())
        if name not in known and not await self._cache.get("fresh"):
            await self._cache.delete("hooks")
            known = await self._hooks()
        return known.get(name)

    async def _hooks(self) -> Mapping[str, Hooked]:
        """Return where every routing key leads, by the digest of the key: a cache holds no key."""
        return await self._remembered("hooks", KEYS_KEPT, self._read_hooks)

    async def _read_hooks(self) -> Mapping[str, Hooked]:
        services = self._all("/services", "services", {"include[]": ["integrations"]})
        found = {_digest(key): hook async for one in services for key, hook in read_hooks(one)}
        await self._cache.set("fresh", True, ttl=KEYS_FRESH)
        return found

    async def oncalls(self, policy: str) -> list[OnCall]:
        """Say who is on call now for an escalation policy, who is called first first. Remembered for a minute."""

        async def read() -> list[OnCall]:
            asked = {"escalation_policy_ids[]": [policy], "include[]": ["users"], "earliest": "true"}
            found = [read_oncall(one) async for one in self._all("/oncalls", "oncalls", asked)]
            return sorted(found, key=lambda one: (one.level, one.who))

        return list(await self._remembered(f"oncalls {policy}", ONCALLS_KEPT, read))

    async def schedules(self, *, named: str = "") -> list[Schedule]:
        """List schedules, or those whose name holds these words."""
        asked = {"query": named} if named else {}
        return [read_schedule(one) async for one in self._all("/schedules", "schedules", asked)]

    async def override(self, schedule: str, user: str, start: Instant, end: Instant) -> None:
        """Put a person on call in a schedule from one moment to another, in place of whom it says."""
        turn = {"start": iso(start), "end": iso(end), "user": {"id": user, "type": "user_reference"}}
        answer = await self._caller.call("POST", f"/schedules/{_id(schedule)}/overrides", body={"overrides": [turn]})
        for one in answer if isinstance(answer, list) else ():
            # One answer for each: {"status": 201, "override": {}} or {"status": 400, "errors": []}.
            if isinstance(one, dict) and one.get("status", 201) != 201:
                said = "; ".join(map(str, listed(one, "errors"))) or f"status {one.get('status')}"
                raise RestError("refused", f"PagerDuty refuses this override: {said}")

    async def users(self, *, named: str) -> list[User]:
        """List people whose name or e-mail address holds these words."""
        return [read_user(one) async for one in self._all("/users", "users", {"query": named})]

    # Services

    async def services(self, *, named: str = "", told: Told | None = None) -> list[Service]:
        """List services, or those whose name holds these words."""
        asked: dict[str, Any] = {"include[]": ["integrations"]}
        found: list[Service] = []
        async for one in self._all("/services", "services", asked | ({"query": named} if named else {})):
            found.append(read_service(one))
            if told:
                told(len(found))
        return found

    async def policies(self, *, named: str = "") -> list[Named]:
        """List escalation policies, or those whose name holds these words."""
        asked = {"query": named} if named else {}
        return [read_named(one) async for one in self._all("/escalation_policies", "escalation_policies", asked)]

    async def create_service(self, name: str, policy: str, description: str = "") -> Service:
        """Make a service with an escalation policy."""
        service = {
            "type": "service",
            "name": name,
            "description": description,
            "escalation_policy": {"id": policy, "type": "escalation_policy_reference"},
            "alert_creation": "create_alerts_and_incidents",
        }
        return read_service(_entity(await self._caller.call("POST", "/services", body={"service": service}), "service"))

    async def create_integration(self, service: str, name: str) -> tuple[str, Secret]:
        """Give a service an integration that takes Events API v2 events; return its id and its routing key."""
        body = {"integration": {"type": EVENTS_V2, "name": name}}
        answer = await self._caller.call("POST", f"/services/{_id(service)}/integrations", body=body)
        made = _entity(answer, "integration")
        await self._cache.delete("hooks")
        key = text(made, "integration_key")
        if not key:
            raise RestError("bad_answer", "PagerDuty made the integration but did not tell its routing key: look there")
        return read_hook(None, made).integration, Secret(key)

    # How it is asked

    async def _all(self, path: str, name: str, asked: Mapping[str, Any]) -> AsyncIterator[object]:
        """Go through a list page by page; each page is a call of its own, so that others get their turn."""
        offset = 0
        while True:
            if offset + _PAGE > _LAST:
                raise RestError("refused", f"there are more than {_LAST:,} {name}, and PagerDuty lists no further")
            found = await self._caller.call("GET", path, {**asked, "limit": _PAGE, "offset": offset})
            if not isinstance(found, dict) or not isinstance(found.get(name), list):
                raise RestError("bad_answer", f"the answer has no list of {name}: is pagerduty.api_url PagerDuty's?")
            page = found[name]
            for one in page:
                yield one
            # pdpyras's own iter_all never ends where a page is empty and says that there is more.
            if not page or found.get("more") is not True:
                return
            offset += len(page)

    async def _remembered(self, name: str, seconds: float, read: Callable[[], Awaitable[Found]]) -> Found:
        """Return what is remembered under a name, else read it; those who ask meanwhile wait for the same answer."""
        async with self._looking:
            known: Found | None = await self._cache.get(name)
            if known is None:
                known = await read()
                await self._cache.set(name, known, ttl=seconds)
            return known


def incident_id(given: str) -> str:
    """Take an incident's id, or the address where people look at it, and return the id."""
    return given.split("?")[0].rstrip("/").rpartition("/")[2]


def _logging(log: Log | None) -> Callable[[float], None]:
    def say(seconds: float) -> None:
        if log is not None:
            log.info("waiting for PagerDuty's REST rate limit", seconds=round(seconds, 1))

    return say


def _id(given: str) -> str:
    """Return an id as it may stand in a path; whatever is none would ask for something else."""
    if not _ID.fullmatch(given):
        raise RestError("not_found", f"{quote(given[:80])!r} is not an id of PagerDuty's: those are letters and digits")
    return given


def _entity(answer: object, name: str) -> dict[str, Any]:
    found = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(found, dict) or not text(found, "id"):
        raise RestError("bad_answer", f"the answer has no {name}: is pagerduty.api_url PagerDuty's?")
    return found


def _digest(routing_key: str) -> str:
    return blake2b(routing_key.encode(), digest_size=16).hexdigest()
