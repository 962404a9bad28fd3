"""Follows a routing key to the people it pages: integration, service, escalation policy, who is on call."""

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import msgspec

from relay.pagerduty.records import EVENTS_V2, Hooked, OnCall
from relay.pagerduty.rest import Rest
from relay.secret import Key

EVENTS_V1 = "generic_events_api_inbound_integration"
_EU = ".eu.pagerduty.com"


class Fault(msgspec.Struct, frozen=True):
    """Something on the way of a page, in plain words."""

    says: str
    remedy: str
    fatal: bool = True
    """Whether a page would reach nobody now."""


class Reach(msgspec.Struct, frozen=True):
    """Whom one routing key pages now."""

    name: str
    """Of the integration, as the routing file names it: `receiver`, or `receiver/2`."""
    hooked: Hooked | None
    oncalls: tuple[OnCall, ...]
    """Who is called first first."""
    faults: tuple[Fault, ...]

    @property
    def reaches(self) -> bool:
        """Say whether a page would reach somebody."""
        return not any(fault.fatal for fault in self.faults)

    @property
    def first(self) -> tuple[OnCall, ...]:
        """Who is called first."""
        return tuple(one for one in self.oncalls if one.level == self.oncalls[0].level)


async def reach(rest: Rest, key: Key, name: str = "") -> Reach:
    """Follow a routing key. Raises RestError."""
    hooked = await rest.integration_of(key.routing_key)
    oncalls = await rest.oncalls(hooked.policy) if hooked and hooked.policy else []
    faults = tuple(faults_of(key, hooked, oncalls, rest.url))
    return Reach(name or key.name, hooked, tuple(oncalls), faults)


def faults_of(key: Key, hooked: Hooked | None, oncalls: Sequence[OnCall], api_url: str) -> Iterator[Fault]:
    """Say all that is wrong on the way of a page, what comes first first."""
    if _is_eu(key.url) != _is_eu(api_url) and _is_pagerduty(key.url) and _is_pagerduty(api_url):
        says = f"its events go to {_host(key.url)}, and the account was asked at {_host(api_url)}"
        yield Fault(says, "an account is in one region: set url (or global.pagerduty_url) and pagerduty.api_url alike")
    if hooked is None:
        yield _unknown(key)
        return
    if hooked.kind != EVENTS_V2:
        yield _other_kind(hooked)
    service = f"service {hooked.service_name}"
    if hooked.status == "disabled":
        yield Fault(f"{service} is disabled: it opens no incidents", f"enable it at {hooked.url}")
    elif hooked.status == "maintenance":
        says = f"{service} is in a maintenance window: it opens no incidents, and resolves are lost"
        yield Fault(says, f"end the window at {hooked.url}, or wait for its end")
    yield from _calling(hooked, oncalls)


def _unknown(key: Key) -> Fault:
    if key.routing_key.reveal().startswith("R"):
        says = "no service has this routing key; it may be an event orchestration's, which was not looked into"
        return Fault(says, "see in PagerDuty, under Event Orchestration, where it leads", fatal=False)
    remedy = "take the key of an Events API v2 integration from its service, or make one: pagerduty services create"
    return Fault("no service of this account has this routing key: PagerDuty would drop or refuse the page", remedy)


def _other_kind(hooked: Hooked) -> Fault:
    kind = "Events API v1" if hooked.kind == EVENTS_V1 else hooked.vendor or hooked.kind or "another kind"
    says = f"its integration on service {hooked.service_name} is for {kind}, not Events API v2"
    return Fault(says, f"add an Events API v2 integration at {hooked.url} and use its key")


def _calling(hooked: Hooked, oncalls: Sequence[OnCall]) -> Iterator[Fault]:
    policy = f"escalation policy {hooked.policy_name or hooked.policy or '(none)'}"
    if not oncalls:
        says = f"nobody is on call now in {policy} of service {hooked.service_name}: PagerDuty drops the page"
        yield Fault(says, "put somebody on call: pagerduty schedules override, or add a person to the policy")
    elif oncalls[0].level > 1:
        says = f"nobody is on call on level 1 of {policy}: it begins with level {oncalls[0].level}"
        yield Fault(says, "see whether the schedule of level 1 has a gap", fatal=False)


def _is_eu(url: str) -> bool:
    return _host(url).endswith(_EU)


def _is_pagerduty(url: str) -> bool:
    return _host(url).endswith(".pagerduty.com")


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").lower()
