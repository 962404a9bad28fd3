"""Doubts that only recorded alerts can raise: labels and values that none of them has."""

from collections.abc import Iterator, Mapping, Sequence

from relay.config.doubts.look import Look, Traffic
from relay.config.yaml import Path
from relay.rules.matchers import Matcher, MatcherError, parse_matchers


def doubt_traffic(look: Look) -> None:
    """Warn of equalities and of labels of `equal` that no recorded alert carries."""
    traffic = look.traffic
    if traffic is None or not traffic.alerts:
        return
    for path, matcher in _equalities(look):
        if matcher.value and matcher.value not in traffic.values.get(matcher.name, ()):
            which = f"has {matcher}" if matcher.name in traffic.values else f"has a label {matcher.name} at all"
            message = f"none of {_many(traffic)} {which}: correct it, unless such alerts are yet to come"
            look.problems.warn(path, message, rule="equality-unknown")
    if not look.sound("inhibit_rules"):
        return
    for index, rule in enumerate(look.config.inhibit_rules):
        for number, label in enumerate(rule.equal):
            if label not in traffic.values:
                message = (
                    f"none of {_many(traffic)} has a label {label}: where both sides lack it they agree, so it "
                    "compares nothing; correct it or take it out"
                )
                look.problems.warn(("inhibit_rules", index, "equal", number), message, rule="equal-unknown")


def _many(traffic: Traffic) -> str:
    return f"{len(traffic.alerts):,} recorded alerts" if len(traffic.alerts) > 1 else "the one recorded alert"


def _equalities(look: Look) -> Iterator[tuple[Path, Matcher]]:
    for here in look.routes():
        yield from _written(here.path, here.spec.match, here.spec.matchers)
    if look.sound("inhibit_rules"):
        for index, rule in enumerate(look.config.inhibit_rules):
            yield from _written(("inhibit_rules", index), rule.source_match, rule.source_matchers, "source_")
            yield from _written(("inhibit_rules", index), rule.target_match, rule.target_matchers, "target_")
    if look.sound("heartbeats"):
        for index, heartbeat in enumerate(look.config.heartbeats):
            yield from _written(("heartbeats", index), {}, heartbeat.matchers)


def _written(
    path: Path, match: Mapping[str, str], matchers: Sequence[str], prefix: str = ""
) -> Iterator[tuple[Path, Matcher]]:
    for name, value in match.items():
        yield (*path, f"{prefix}match", name), Matcher("=", name, value)
    for index, text in enumerate(matchers):
        try:
            found, _ = parse_matchers(text)
        except MatcherError:
            continue
        for matcher in found:
            if matcher.op == "=":
                yield (*path, f"{prefix}matchers", index), matcher
