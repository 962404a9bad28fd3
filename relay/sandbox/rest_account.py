"""The REST API's doors for the account: users, services and integrations, who is on call, maintenance."""

from typing import TypeVar

from relay.sandbox.account import Override, Policy, Schedule, Service, Window, short_id
from relay.sandbox.rest import Call, Refused, invalid, moment, not_found, referred
from relay.sandbox.shapes import Shape

_INTEGRATIONS = ("events_api_v2_inbound_integration", "generic_events_api_inbound_integration")
_LONGEST_NAME = 255
_LONGEST_TIMEOUT = 10 * 365 * 86_400
Named = TypeVar("Named", Policy, Schedule)


def list_abilities(call: Call) -> Shape:
    """List what the account can do: what pdpyras and others ask to see whether a token works."""
    return {"abilities": ["sso", "teams", "event_rules", "response_operations"]}


def list_users(call: Call) -> Shape:
    """List the account's users."""
    query = call.text("query").lower()
    users = [user for user in call.sandbox.account.users if query in f"{user.name} {user.email}".lower()]
    return call.page("users", users, call.shapes.user)


def show_me(call: Call) -> Shape:
    """Show whose token it is; an account's token is nobody's."""
    if call.owner is None:
        # Here alone the error is a text: pdpyras tells tokens apart by it (APISession.api_key_access).
        raise Refused(400, "Cannot determine the current user with an account-level access token", 0)
    return {"user": call.shapes.user(call.owner)}


def show_user(call: Call) -> Shape:
    """Show one user."""
    user = next((user for user in call.sandbox.account.users if user.id == call.word("id")), None)
    if user is None:
        raise not_found()
    return {"user": call.shapes.user(user)}


def list_services(call: Call) -> Shape:
    """List services; `include[]=integrations` shows their routing keys."""
    query, busy = call.text("query").lower(), _busy(call)
    services = [each for each in call.sandbox.account.services.values() if query in each.name.lower()]
    services.sort(key=lambda service: service.name)
    return call.page("services", services, lambda each: _service_shape(call, each, busy))


def show_service(call: Call) -> Shape:
    """Show one service."""
    return {"service": _service_shape(call, _service(call), _busy(call))}


def add_service(call: Call) -> Shape:
    """Make a service; it has no integration yet."""
    asked, account = call.asked("service"), call.sandbox.account
    name, description = _name(asked), asked.get("description")
    if any(service.name == name for service in account.services.values()):
        raise invalid("Name has already been taken")
    policy = _policy(call, referred(asked.get("escalation_policy"), "escalation_policy"))
    made = account.add_service(name, policy, description if isinstance(description, str) else "", call.sandbox.now())
    _set_up(call, made, asked)
    return {"service": _service_shape(call, made, {})}


def change_service(call: Call) -> Shape:
    """Change a service: name, status, timeouts, escalation policy."""
    service, asked = _service(call), call.asked("service")
    if "name" in asked:
        service.name = _name(asked)
    if "escalation_policy" in asked:
        service.policy = _policy(call, referred(asked["escalation_policy"], "escalation_policy"))
    _set_up(call, service, asked)
    return {"service": _service_shape(call, service, _busy(call))}


def add_integration(call: Call) -> Shape:
    """Give a service an integration; its routing key works at once."""
    service, asked = _service(call), call.asked("integration")
    type_ = str(asked.get("type", "")).removesuffix("_reference")
    if type_ not in _INTEGRATIONS:
        raise invalid("Type is not a kind of integration")
    name = asked.get("name") or "Events API v2"
    return {"integration": call.shapes.integration(call.sandbox.make_integration(service, str(name), type_))}


def show_integration(call: Call) -> Shape:
    """Show one integration with its routing key."""
    integrations = _service(call).integrations
    found = next((each for each in integrations if each.id == call.word("integration")), None)
    if found is None:
        raise not_found()
    return {"integration": call.shapes.integration(found)}


def list_oncalls(call: Call) -> Shape:
    """List who is on call now, or at `since`, at each level of each escalation policy."""
    at = call.time("since") or call.sandbox.now()
    policies, schedules, users = (call.texts(f"{kind}_ids") for kind in ("escalation_policy", "schedule", "user"))
    found = [
        each
        for policy in call.sandbox.account.policies.values()
        for each in policy.on_call(at)
        if (not policies or policy.id in policies)
        and (not schedules or (each.schedule is not None and each.schedule.id in schedules))
        and (not users or each.user.id in users)
    ]
    return call.page("oncalls", found, lambda each: call.shapes.on_call(each, call.include))


def list_policies(call: Call) -> Shape:
    """List escalation policies."""
    return call.page("escalation_policies", _matching(call, call.sandbox.account.policies), call.shapes.policy)


def show_policy(call: Call) -> Shape:
    """Show one escalation policy."""
    found = call.sandbox.account.policies.get(call.word("id"))
    if found is None:
        raise not_found()
    return {"escalation_policy": call.shapes.policy(found)}


def list_schedules(call: Call) -> Shape:
    """List schedules."""
    return call.page("schedules", _matching(call, call.sandbox.account.schedules), call.shapes.schedule)


def show_schedule(call: Call) -> Shape:
    """Show one schedule."""
    return {"schedule": call.shapes.schedule(_schedule(call))}


def list_overrides(call: Call) -> Shape:
    """List who is on call in place of whom a schedule names."""
    return {"overrides": [call.shapes.override(each) for each in _schedule(call).overrides]}


def add_overrides(call: Call) -> Shape | list[Shape]:
    """Put somebody else on call for a while: one `override`, or a list of `overrides`, each with its own answer."""
    schedule, several = _schedule(call), call.body.get("overrides")
    if several is None:
        return {"override": call.shapes.override(_override(call, schedule, call.asked("override")))}
    if not isinstance(several, list) or not several:
        raise invalid("Overrides must be an array of overrides")
    answers: list[Shape] = []
    for asked in several:
        try:
            made = _override(call, schedule, asked if isinstance(asked, dict) else {})
            answers.append({"status": 201, "override": call.shapes.override(made)})
        except Refused as refused:
            answers.append({"status": refused.status, "errors": list(refused.errors)})
    return answers


def list_windows(call: Call) -> Shape:
    """List maintenance windows; `filter` is past, future, ongoing or open."""
    which, services = call.text("filter"), call.texts("service_ids")
    windows = [
        window
        for window in call.sandbox.account.windows
        if which in ("", "all", *_when(window, call.sandbox.now()))
        and (not services or any(service.id in services for service in window.services))
    ]
    return call.page("maintenance_windows", windows, call.shapes.window)


def add_window(call: Call) -> Shape:
    """Put services into maintenance for a while."""
    asked, account = call.asked("maintenance_window"), call.sandbox.account
    _ = call.actor
    start, end = moment(asked.get("start_time"), "start_time"), moment(asked.get("end_time"), "end_time")
    given = asked.get("services")
    if not isinstance(given, list) or not given:
        raise invalid("Services cannot be empty")
    services = tuple(_service(call, referred(each, "service")) for each in given)
    if end <= start:
        raise invalid("End time must be after start time")
    window = Window(f"P{short_id()}", start, end, services, str(asked.get("description") or ""))
    account.windows.append(window)
    return {"maintenance_window": call.shapes.window(window)}


def remove_window(call: Call) -> None:
    """End a maintenance window."""
    windows = call.sandbox.account.windows
    left = [window for window in windows if window.id != call.word("id")]
    if len(left) == len(windows):
        raise not_found()
    windows[:] = left


def _when(window: Window, now: float) -> tuple[str, ...]:
    """Say by which filters a maintenance window is found."""
    if window.end <= now:
        return ("past",)
    return ("future", "open") if window.start > now else ("ongoing", "open")


def _matching(call: Call, all_: dict[str, Named]) -> list[Named]:
    query = call.text("query").lower()
    return [each for each in all_.values() if query in each.name.lower()]


def _service(call: Call, id_: str = "") -> Service:
    found = call.sandbox.account.services.get(id_ or call.word("id"))
    if found is None:
        raise not_found()
    return found


def _schedule(call: Call) -> Schedule:
    found = call.sandbox.account.schedules.get(call.word("id"))
    if found is None:
        raise not_found()
    return found


def _policy(call: Call, id_: str) -> Policy:
    found = call.sandbox.account.policies.get(id_)
    if found is None:
        raise invalid("Escalation policy is not one of this account")
    return found


def _name(asked: Shape) -> str:
    name = asked.get("name")
    if not isinstance(name, str) or not name.strip():
        raise invalid("Name cannot be empty")
    if len(name) > _LONGEST_NAME:
        raise invalid(f"Name is too long (maximum is {_LONGEST_NAME} characters)")
    return name


def _set_up(call: Call, service: Service, asked: Shape) -> None:
    """Take over timeouts and whether the service is enabled."""
    for field in ("acknowledgement_timeout", "auto_resolve_timeout"):
        if field in asked:
            value = asked[field]
            if value is not None and (type(value) is not int or not 0 < value <= _LONGEST_TIMEOUT):
                raise invalid(f"{field} must be a number of seconds, at most {_LONGEST_TIMEOUT}, or null")
            setattr(service, field, value)
    status = asked.get("status")
    if status not in (None, "active", "warning", "critical", "maintenance", "disabled"):
        raise invalid("Status is not one that a service can have")
    if status is not None:
        service.disabled = status == "disabled"


def _busy(call: Call) -> dict[str, str]:
    """Say of each service with open incidents how bad it is: critical if nobody works on one of them."""
    found: dict[str, str] = {}
    for incident in call.sandbox.incidents.all:
        if incident.status == "triggered":
            found[incident.service.id] = "critical"
        elif incident.status == "acknowledged":
            found.setdefault(incident.service.id, "warning")
    return found


def _service_shape(call: Call, service: Service, busy: dict[str, str]) -> Shape:
    status = busy.get(service.id, "active")
    if service.disabled:
        status = "disabled"
    elif call.sandbox.account.in_maintenance(service, call.sandbox.now()):
        status = "maintenance"
    return call.shapes.service(service, status, call.include)


def _override(call: Call, schedule: Schedule, asked: Shape) -> Override:
    user = call.sandbox.account.user(referred(asked.get("user"), "user"))
    if user is None:
        raise invalid("User is not one of this account")
    start, end = moment(asked.get("start"), "start"), moment(asked.get("end"), "end")
    if end <= start or end <= call.sandbox.now():
        raise invalid("End must be after start, and not in the past")
    made = Override(f"Q{short_id(length=13)}", user, start, end)
    schedule.overrides.append(made)
    return made
