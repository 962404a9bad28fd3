"""S1 and a half of P6: what it costs a changed alert that many others are held, and that inhibit rules are many."""

import json
import time
from urllib.request import Request, urlopen

from bench.figures import Row, Scale, Target, interleaved
from bench.load import Order
from bench.processes import Bench, Server, Spent, config, quiet

_KINDS = 50
"""So many silences, and so many inhibit rules."""
_GROUP = 100
"""At most so many alerts are in each group that is held; each rule has as many groups."""
_SETTLING = 900.0
"""Seconds the largest relay may take to judge what it holds."""


def s1(bench: Bench, scale: Scale) -> list[Row]:
    """Webhooks of one new alert into relays that hold 1,000 and 100,000 under 50 silences and 50 inhibit rules."""
    url = bench.bare().url
    most = scale.of(100_000, 2_000)
    few, many = _holding(bench, url, 1_000), _holding(bench, url, most)

    def side(server: Server, number: int) -> tuple[Spent, ...]:
        quiet(server.process, share=0.1, seconds=_SETTLING)
        return tuple(_changed(bench, scale, server, number, severity) for severity in ("critical", "warning"))

    found = interleaved(scale, lambda number: side(few, number), lambda number: side(many, number))
    both = [(_cpu(few), _cpu(many)) for few, many in found]
    rows = [_ratio(f"{most:,} held alerts against 1,000: CPU a changed alert", both, Target(1.25))]
    for at, what in enumerate(("one that inhibits", "one that is inhibited")):
        rows.append(_ratio(f"the same: {what}", [(few[at].cpu, many[at].cpu) for few, many in found]))
    return [*rows, Row("S1", "the same: relay", tuple(_cpu(many) * 1e6 for _, many in found), unit=" us CPU")]


def _ratio(what: str, found: list[tuple[float, float]], target: Target | None = None) -> Row:
    return Row("S1", what, tuple(many / few for few, many in found), target)


def _cpu(spent: tuple[Spent, ...]) -> float:
    return sum(one.cpu for one in spent) / len(spent)


def _changed(bench: Bench, scale: Scale, server: Server, number: int, severity: str) -> Spent:
    first = 1_000_000 + number * 20_000 + (10_000 if severity == "warning" else 0)
    return bench.load(server, Order("new", first, scale.of(400, 64), severity=severity, teams=_KINDS))


def _holding(bench: Bench, url: str, alerts: int) -> Server:
    """Start a relay, and let it hold so many firing alerts: half inhibit the other half, and some are silenced."""
    rules = [_rule(f'team="t{at}"', "namespace") for at in range(_KINDS)]
    relay = bench.relay(config(url, rest=_inhibit_rules(rules)))
    each = min(_GROUP, alerts // _KINDS // 2)
    half = alerts // each // 2
    for first, severity in ((0, "critical"), (half, "warning")):
        bench.load(relay, Order("new", first, half, each, connections=4, severity=severity, teams=_KINDS))
    for at in range(_KINDS):
        _silence(relay, f"web-{at}-.*")
    quiet(relay.process, share=0.1, seconds=_SETTLING)
    return relay


def _silence(relay: Server, pods: str) -> None:
    """Silence the alerts of one group."""
    matchers = [
        {"name": "namespace", "value": "shop", "isRegex": False, "isEqual": True},
        {"name": "pod", "value": pods, "isRegex": True, "isEqual": True},
    ]
    now = time.time()
    body = {"matchers": matchers, "createdBy": "bench", "comment": "so that some are", "startsAt": _at(now)}
    request = Request(
        f"{relay.url}/api/v2/silences",
        json.dumps({**body, "endsAt": _at(now + 24 * 3600)}).encode(),
        {"Content-Type": "application/json"},
    )
    with urlopen(request, timeout=30):
        pass


def _at(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def p6(bench: Bench, scale: Scale) -> list[Row]:
    """10 against 1,000 inhibit rules, looking at two labels, one of which is never the same twice."""
    url = bench.bare().url
    few, many = (bench.relay(config(url, rest=_inhibit_rules(_never_remembered(count)))) for count in (10, 1_000))

    def side(server: Server, number: int) -> Spent:
        return bench.load(server, Order("new", number * 10_000, scale.of(1_000, 20), 10, connections=16, teams=10))

    found = interleaved(scale, lambda number: side(few, number), lambda number: side(many, number))
    figures = tuple(many.cpu / few.cpu for few, many in found)
    return [Row("P6", "1,000 inhibit rules against 10: CPU a body of 10 alerts", figures, Target(1.10))]


def _never_remembered(count: int) -> list[str]:
    """Rules that test equality of `team` and look at the instance; those of the first teams come last."""
    return [_rule(f"""team="t{at}"', 'instance=~"10[.].+\"""", "cluster") for at in reversed(range(count))]


def _rule(matchers: str, equal: str) -> str:
    """Write a rule: of the alerts that the matchers take, critical ones inhibit warnings."""
    source, target = (f"""['severity="{severity}"', '{matchers}']""" for severity in ("critical", "warning"))
    return f"{{source_matchers: {source}, target_matchers: {target}, equal: [{equal}]}}"


def _inhibit_rules(rules: list[str]) -> str:
    return f"inhibit_rules: [{', '.join(rules)}]\n"
