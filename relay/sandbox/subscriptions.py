"""Who is told by V3 webhook, of what, and signed with which secrets."""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from relay.sandbox.account import short_id
from relay.sandbox.incidents import Happened

DROPPED_IN_A_ROW = 3
"""So many webhooks dropped one after another disable a subscription."""
DISABLED_FOR = 24 * 3600.0
"""Seconds, unless somebody enables it before."""


@dataclass(slots=True)
class Subscription:
    """One address that is told."""

    id: str
    url: str
    secrets: tuple[str, ...] = field(repr=False)
    events: frozenset[str]
    """Event types; empty: all."""
    filter_type: str = "account_reference"
    filter_id: str = ""
    description: str = ""
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    active: bool = True
    dropped: int = 0
    """Webhooks dropped one after another."""
    disabled_until: float | None = None

    def wants(self, happened: Happened, now: float) -> bool:
        """Whether it shall be told of something."""
        if not self.enabled(now):
            return False
        if self.events and happened.event_type not in self.events:
            return False
        return self.filter_type != "service_reference" or self.filter_id == happened.incident.service.id

    def enabled(self, now: float) -> bool:
        """Whether anything is sent to it at all."""
        if self.disabled_until is not None and now >= self.disabled_until:
            self.enable()
        return self.active and self.disabled_until is None

    def enable(self) -> None:
        """Begin again after it was disabled."""
        self.disabled_until, self.dropped = None, 0

    def count_dropped(self, now: float, pace: float) -> bool:
        """Count a webhook that was dropped; say whether that disables the subscription."""
        self.dropped += 1
        if self.dropped < DROPPED_IN_A_ROW:
            return False
        self.disabled_until = now + DISABLED_FOR * pace
        return True

    def signature(self, body: bytes) -> str:
        """Sign the bytes of a body with each secret: a receiver may know any of them."""
        return ",".join(f"v1={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}" for secret in self.secrets)


class Subscriptions:
    """Every subscription."""

    def __init__(self) -> None:
        self._all: dict[str, Subscription] = {}
        self.removed: list[Callable[[str], None]] = []
        """Told of each id that is gone."""

    def __iter__(self) -> Iterator[Subscription]:
        return iter(tuple(self._all.values()))

    def find(self, id_: str) -> Subscription | None:
        """Find a subscription by its id."""
        return self._all.get(id_)

    def add(
        self,
        url: str,
        signing: tuple[str, ...] = (),
        events: frozenset[str] = frozenset(),
        filter_: tuple[str, str] = ("account_reference", ""),
        description: str = "",
        headers: dict[str, str] | None = None,
    ) -> Subscription:
        """Subscribe an address; without a secret one is made."""
        made = Subscription(
            id=f"P{short_id()}",
            url=url,
            secrets=signing or (secrets.token_urlsafe(48),),
            events=events,
            filter_type=filter_[0],
            filter_id=filter_[1],
            description=description,
            headers=headers or {},
        )
        self._all[made.id] = made
        return made

    def remove(self, id_: str) -> bool:
        """Forget a subscription; False if there is none."""
        found = self._all.pop(id_, None)
        for tell in self.removed if found else ():
            tell(id_)
        return found is not None
