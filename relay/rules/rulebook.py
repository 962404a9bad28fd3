"""A loaded rule set, opened at the right places: the router and the look-ups that judging needs."""

from collections.abc import Collection
from dataclasses import replace

from relay.decision import Step
from relay.rules.inhibiting import Inhibition
from relay.rules.routing import Router, walk
from relay.rules.ruleset import NO_HOLD, Route, RuleSet, Target


class Rulebook:
    """Everything a judgement asks of the configuration; one per load, compared by identity."""

    def __init__(self, rules: RuleSet, keys: Collection[str] = ()) -> None:
        self.rules = rules
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

    def reads_severity(self, route: Route) -> bool:
        """Say whether the route's severity map decides over a page: an entry may have a severity of its own."""
        return any(target.severity is None for target in self.targets(route))

    def target(self, receiver: str, integration: str) -> Target | None:
        """Return the first entry of a receiver that uses an integration."""
        return self._targets.get((receiver, integration))

    def current_key(self, integration: str) -> tuple[str, str] | None:
        """Return (key id, url) an integration uses now; None once it is gone from the configuration."""
        found = self.rules.integrations.get(integration)
        return (found.key_id, found.url) if found else None


def _suppresses(route: Route) -> bool:
    windows = route.mute_time_intervals or route.active_time_intervals
    return bool(windows) or route.hold_trigger != NO_HOLD
