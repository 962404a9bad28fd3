"""The stand-in's account: people, who of them is on call, and the services that routing keys belong to."""

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from relay.sandbox.validation import KEY_LENGTH


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who can be paged, and who acts on the page of an incident."""

    id: str
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Override:
    """Somebody who is on call in place of whoever would be."""

    id: str
    user: User
    start: float
    end: float


@dataclass(slots=True, eq=False)
class Schedule:
    """Who is on call, and when: the first user, but for overrides."""

    id: str
    name: str
    users: tuple[User, ...]
    overrides: list[Override] = field(default_factory=list)

    def on_call(self, now: float) -> User | None:
        """Say who is on call; nobody where the schedule is empty."""
        for override in reversed(self.overrides):
            if override.start <= now < override.end:
                return override.user
        return self.users[0] if self.users else None


@dataclass(frozen=True, slots=True)
class Policy:
    """An escalation policy: whom to page first, and whom next."""

    id: str
    name: str
    levels: tuple[Schedule | User, ...]

    def on_call(self, now: float) -> tuple["OnCall", ...]:
        """List who is on call at each level."""
        found = []
        for level, target in enumerate(self.levels, 1):
            user = target if isinstance(target, User) else target.on_call(now)
            if user is not None:
                found.append(OnCall(self, level, user, target if isinstance(target, Schedule) else None))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class OnCall:
    """Who is on call at a level of an escalation policy, counted from 1, and by which schedule."""

    policy: Policy
    level: int
    user: User
    schedule: Schedule | None


@dataclass(slots=True, eq=False)
class Service:
    """What incidents are opened on."""

    id: str
    name: str
    policy: Policy
    created_at: float
    description: str = ""
    disabled: bool = False
    acknowledgement_timeout: int | None = None
    """Seconds after which an acknowledged incident is triggered again; none: never."""
    auto_resolve_timeout: int | None = None
    """Seconds after which an open incident is resolved by nobody; none: never."""
    integrations: list["Integration"] = field(default_factory=list)

    @property
    def has_timeout(self) -> bool:
        """Whether time alone changes its incidents."""
        return self.acknowledgement_timeout is not None or self.auto_resolve_timeout is not None


@dataclass(frozen=True, slots=True)
class Integration:
    """A way into a service: an Events API v2 integration, unless a type says otherwise."""

    id: str
    name: str
    routing_key: str = field(repr=False)
    service: Service = field(repr=False)
    created_at: float = 0.0
    type: str = "events_api_v2_inbound_integration"


@dataclass(frozen=True, slots=True)
class Window:
    """A maintenance window: meanwhile its services open and resolve nothing through events."""

    id: str
    start: float
    end: float
    services: tuple[Service, ...]
    description: str = ""


class Account:
    """People, schedules and services. Every routing key is an integration of a service of its own."""

    def __init__(
        self, keys: Mapping[str, str], clock: Callable[[], float], timeouts: tuple[int | None, int | None]
    ) -> None:
        """`keys` are routing keys by name; `timeouts` of each new service: acknowledgement, auto-resolve."""
        self.origin = ""
        """`http://host:port` of the doors; what links begin with."""
        self.users = tuple(
            User(_id("user", name), name, f"{name.split()[0].lower()}@example.com")
            for name in ("Anna Adler", "Ben Brandt", "Chloe Chen")
        )
        ben = self.users[1]
        primary = Schedule(_id("schedule", "Primary"), "Primary", self.users[:2])
        nobody = Schedule(_id("schedule", "Nobody"), "Nobody", ())
        self.schedules = {schedule.id: schedule for schedule in (primary, nobody)}
        policies = (
            Policy(_id("policy", "Default"), "Default", (primary, ben)),
            Policy(_id("policy", "Nobody"), "Nobody", (nobody,)),
        )
        self.policies = {policy.id: policy for policy in policies}
        self.windows: list[Window] = []
        self.services: dict[str, Service] = {}
        self._timeouts = timeouts
        self._by_key: dict[str, Integration] = {}
        for name, key in keys.items():
            self.adopt(key, name, clock())

    @property
    def default_policy(self) -> Policy:
        """The escalation policy of a service that names none."""
        return next(iter(self.policies.values()))

    def integration(self, routing_key: str) -> Integration | None:
        """Find the integration that a routing key opens."""
        return self._by_key.get(routing_key)

    def adopt(self, routing_key: str, name: str, now: float) -> Integration:
        """Make a service for a routing key that is known beforehand; its id is the same at each start."""
        service = self._add(Service(_id("service", routing_key), name, self.default_policy, now))
        return self._hook(service, _id("integration", routing_key), "Events API v2", routing_key, now)

    def add_service(self, name: str, policy: Policy, description: str, now: float) -> Service:
        """Make a service without an integration."""
        return self._add(Service(_id(), name, policy, now, description))

    def add_integration(self, service: Service, name: str, now: float, type_: str) -> Integration:
        """Give a service an integration, with a new routing key."""
        return self._hook(service, _id(), name, secrets.token_hex(KEY_LENGTH // 2), now, type_)

    def in_maintenance(self, service: Service, now: float) -> bool:
        """Whether a maintenance window holds a service just now."""
        return any(window.start <= now < window.end and service in window.services for window in self.windows)

    def on_call(self, service: Service, now: float) -> tuple[User, ...]:
        """List who would be paged first for a service: everybody of the first level that has somebody."""
        return tuple(on_call.user for on_call in service.policy.on_call(now)[:1])

    def user(self, name: str) -> User | None:
        """Find a user by id, by name or by e-mail address."""
        return next((user for user in self.users if name in (user.id, user.name, user.email)), None)

    def _add(self, service: Service) -> Service:
        service.acknowledgement_timeout, service.auto_resolve_timeout = self._timeouts
        self.services[service.id] = service
        return service

    def _hook(
        self,
        service: Service,
        id_: str,
        name: str,
        key: str,
        now: float,
        type_: str = "events_api_v2_inbound_integration",
    ) -> Integration:
        integration = Integration(id_, name, key, service, now, type_)
        service.integrations.append(integration)
        self._by_key[key] = integration
        return integration


def _id(*of: str) -> str:
    """Make an id as PagerDuty writes them: the same for the same words, a new one without any."""
    return f"P{short_id(of)}"


def short_id(of: Iterable[str] = (), length: int = 6) -> str:
    """Make capital letters and digits, 32 at most: the same for the same words, by chance without any."""
    words = "\0".join(of)
    raw = hashlib.blake2b(words.encode(), digest_size=16).digest() if words else os.urandom(16)
    return raw.hex().upper()[:length]
