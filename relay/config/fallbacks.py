"""Check where receivers send what PagerDuty refuses: to a receiver that can take it, by another key, in no ring."""

from collections.abc import Mapping
from difflib import get_close_matches

from relay.config import schema
from relay.config.problems import Problems
from relay.config.yaml import Path
from relay.rules.quoting import go_quote
from relay.rules.ruleset import Receiver


def check_fallbacks(config: schema.Config, receivers: Mapping[str, Receiver], problems: Problems) -> None:
    """Note everything that is wrong with the `fallback` of a receiver."""
    places = [("receivers", index) for index in range(len(config.receivers))]
    if problems.gone(("receivers",), *((*place, "name") for place in places)):
        return  # nothing can be said of names
    for spec, place in zip(config.receivers, places, strict=True):
        path = (*place, "fallback")
        if not spec.fallback or problems.gone(path):
            continue
        beyond = receivers.get(spec.fallback)
        if beyond is None:
            problems.error(path, _undefined(spec.fallback, receivers), rule="undefined-name")
        elif spec.fallback == spec.name:
            problems.error(path, "a receiver cannot be its own fallback: name another, or take the line out")
        elif not _sends(config, spec.fallback):
            remedy = "give it one with a routing key of its own, or name another receiver"
            problems.error(path, f"receiver {go_quote(spec.fallback)} has no pagerduty_configs: {remedy}")
        elif not spec.pagerduty_configs:
            message = (
                f"receiver {go_quote(spec.name)} has no pagerduty_configs, so that nothing ever falls back from it"
            )
            problems.warn(path, message, key=True, rule="no-effect")
        else:
            _check_ladder(spec.name, receivers, path, problems)


def _check_ladder(name: str, receivers: Mapping[str, Receiver], path: Path, problems: Problems) -> None:
    """Go down from a receiver: no receiver twice, and no integration twice."""
    used = {target.integration for target in receivers[name].targets}
    rungs = [name]
    while (below := receivers.get(receivers[rungs[-1]].fallback)) is not None and below.targets:
        if below.name in rungs:
            if below.name == name:
                ring = " -> ".join([*rungs, name])
                problems.error(path, f"the fallbacks form a ring, {ring}: take the fallback out of one of them")
            return
        if below.targets[0].integration in used:
            message = f"receiver {go_quote(below.name)} has the url and routing key of a receiver that falls back to it"
            problems.error(path, f"{message}: what is refused here is refused there; give it a routing key of its own")
            return
        used.add(below.targets[0].integration)
        rungs.append(below.name)


def _sends(config: schema.Config, name: str) -> bool:
    return any(spec.pagerduty_configs for spec in config.receivers if spec.name == name)


def _undefined(name: str, receivers: Mapping[str, Receiver]) -> str:
    near = get_close_matches(name, receivers, n=1, cutoff=0.6)
    hint = f"did you mean {go_quote(near[0])}?" if near else "add it to receivers, or take the fallback out"
    return f"undefined receiver {go_quote(name)} used as fallback; {hint}"
