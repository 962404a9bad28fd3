"""Writes the configuration in force as an `alertmanager.yml` that Alertmanager's own tools read; holds no secret."""

from typing import Any

import yaml

from relay.alert import DAY, HOUR, MINUTE, SECOND, Duration
from relay.rules.ruleset import InhibitRule, Route, RuleSet

_HEAD = "# As far as Alertmanager's own language can say it: receivers and time intervals by name only.\n"
_UNITS = (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", SECOND // 1000))


def config_text(rules: RuleSet) -> str:
    """Write routes with all they inherit, inhibit rules, and the names of receivers and time intervals."""
    document: dict[str, Any] = {
        "route": _route(rules.root),
        "inhibit_rules": [_inhibit_rule(rule) for rule in rules.inhibit_rules],
        "receivers": [{"name": name} for name in rules.receivers],
        "time_intervals": [{"name": name, "time_intervals": []} for name in rules.windows],
    }
    filled = {name: value for name, value in document.items() if value}
    return _HEAD + yaml.safe_dump(filled, sort_keys=False, allow_unicode=True, width=120)


def _route(route: Route) -> dict[str, Any]:
    group_by = ["..."] if route.group_by_all else None if route.group_by is None else list(route.group_by)
    said: dict[str, Any] = {
        "receiver": route.receiver,
        "group_by": group_by,
        "matchers": [str(matcher) for matcher in route.matchers] or None,
        "continue": route.continue_ or None,
        "group_wait": duration(route.group_wait),
        # Alertmanager refuses these two at zero.
        "group_interval": duration(route.group_interval) if route.group_interval else None,
        "repeat_interval": duration(route.repeat_interval) if route.repeat_interval else None,
        "mute_time_intervals": list(route.mute_time_intervals) or None,
        "active_time_intervals": list(route.active_time_intervals) or None,
        "routes": [_route(child) for child in route.routes] or None,
    }
    return {name: value for name, value in said.items() if value is not None}


def _inhibit_rule(rule: InhibitRule) -> dict[str, Any]:
    return {
        "source_matchers": [str(matcher) for matcher in rule.source],
        "target_matchers": [str(matcher) for matcher in rule.target],
        "equal": list(rule.equal),
    }


def duration(length: Duration) -> str:
    """Write a length of time as Prometheus does: `1h30m`, `0s`."""
    text = ""
    for unit, size in _UNITS:
        count, length = divmod(length, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"
