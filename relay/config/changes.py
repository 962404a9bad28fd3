"""Checks routes that make change events of alerts: whether those could be sent at all."""

from relay.config import schema
from relay.config.problems import Problems
from relay.config.receivers import Cast
from relay.config.yaml import Path
from relay.rules.quoting import go_quote
from relay.rules.ruleset import Route, Target

_EVENTS = "/v2/enqueue"


def check_changes(spec: schema.Route, route: Route, cast: Cast, problems: Problems, path: Path = ("route",)) -> None:
    """Refuse a route with `change: true` whose receiver cannot take a change event."""
    receiver = cast.receivers.get(route.receiver)
    if route.change and receiver is not None:
        for target in receiver.targets:
            if fault := _fault(target, cast):
                place = (*path, "change" if spec.change is not None else "receiver")
                problems.error(place, f"no change event can be sent to receiver {go_quote(route.receiver)}: {fault}")
    for index, (child, built) in enumerate(zip(spec.routes, route.routes, strict=False)):
        check_changes(child, built, cast, problems, (*path, "routes", index))


def _fault(target: Target, cast: Cast) -> str:
    integration = cast.integrations[target.integration]
    if not integration.url.partition("?")[0].endswith(_EVENTS):
        return f"its url does not end in {_EVENTS}, so that nobody knows where change events go"
    # Keys of orchestrations and rulesets (developer.pagerduty.com/docs/events-api-v2/overview).
    if cast.keys[integration.key_id].routing_key.reveal().startswith("R"):
        return "its routing key begins with R: it is an orchestration's, which takes events alone; name a service's key"
    return ""
