"""A loaded rule set, opened at the right places: the router and the look-ups that judging needs."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from hashlib import sha256

from relay.decision import Step
from relay.rules.inhibiting import Inhibition
from relay.rules.routing import Router, walk
from relay.rules.ruleset import NO_HOLD, Route, RuleSet, Target


class Rulebook:
    """Everything a judgement asks of the configuration; one per load, compared by identity."""

    def __init__(self, rules: RuleSet, keys: Collection[str] = (), templates: str = "") -> None:
        """`keys` are ids of the routing keys at hand; `templates` names what the template files say."""
        self.rules = rules
        self._templates = templates
        self._ladders: dict[tuple[str, str], str] = {}
        self.router = Router(rules.root)
        self.inhibition = Inhibition(rules.inhibit_rules)
        self.routes = {route.id: route for route in walk(rules.root)}
        self.per_alert = {route.id: replace(route, group_by=(), group_by_all=True) for route in self.routes.values()}
        """Each route as it groups the alerts of a sender that has no groups: one page per alert."""
        self.routed = {
            route.id: Step("route", f"route {route.key} sends it to receiver {route.receiver}")
            for route in self.routes.values()
        }
        """The sentence each route says of an alert it took."""
        self.keys = frozenset(keys)
        """Ids of the routing keys that are at hand, previous ones included."""
        self.suppresses = bool(rules.inhibit_rules) or any(map(_suppresses, self.routes.values()))
        """Whether any rule of the file keeps an alert that fires quiet."""
        self._targets = {
            (receiver.name, target.integration): target
            for receiver in rules.receivers.values()
            for target in reversed(receiver.targets)
        }

    def targets(self, route: Route) -> tuple[Target, ...]:
        """Return the PagerDuty entries of a route's receiver; () where it has none."""
        receiver = self.rules.receivers.get(route.receiver)
        return receiver.targets if receiver else ()

    def target(self, receiver: str, integration: str) -> Target | None:
        """Return the first entry of a receiver that uses an integration."""
        return self._targets.get((receiver, integration))

    def fallback(self, receiver: str) -> Target | None:
        """Return the entry that gets what PagerDuty refuses of a receiver; None where it names none."""
        named = self.rules.receivers.get(receiver)
        beyond = self.rules.receivers.get(named.fallback) if named and named.fallback else None
        return beyond.targets[0] if beyond and beyond.targets else None

    def has_fallback(self, integration: str) -> bool:
        """Say whether a receiver that uses an integration names a fallback."""
        receivers = self.rules.receivers.values()
        return any(
            one.fallback and any(target.integration == integration for target in one.targets) for one in receivers
        )

    def ladder(self, receiver: str, integration: str) -> str:
        """Name the keys and texts on every rung of a page's ladder; 16 hex digits, others if one of them changes."""
        known = self._ladders.get((receiver, integration))
        if known is None:
            rungs = repr((self._templates, list(self._rungs(receiver, integration))))
            known = self._ladders[receiver, integration] = sha256(rungs.encode()).hexdigest()[:16]
        return known

    def _rungs(self, receiver: str, integration: str) -> Iterator[tuple[str, object, object]]:
        target = self.target(receiver, integration)
        yield receiver, self.current_key(integration), target.texts if target else None
        seen = {receiver}
        while (beyond := self.fallback(receiver)) is not None and beyond.receiver not in seen:
            receiver = beyond.receiver
            seen.add(receiver)
            yield receiver, self.current_key(beyond.integration), beyond.texts

    def current_key(self, integration: str) -> tuple[str, str] | None:
        """Return (key id, url) an integration uses now; None once it is gone from the configuration."""
        found = self.rules.integrations.get(integration)
        return (found.key_id, found.url) if found else None


def _suppresses(route: Route) -> bool:
    windows = route.mute_time_intervals or route.active_time_intervals
    return bool(windows) or route.hold_trigger != NO_HOLD
