"""P1, P2, P3, P6, P8: what it costs to take a webhook, against a bare handler in the same run."""

import json
import math

from bench.figures import Row, Scale, Target, interleaved
from bench.load import Order
from bench.processes import Bench, Server, Spent, config, quiet

_GROUPS = 100_000_000
"""Groups set aside for each benchmark that numbers them by itself."""


def p1(bench: Bench, scale: Scale) -> list[Row]:
    """One changed alert: 64 connections, each request a group and a firing alert never seen."""
    bare, relay = bench.bare(), bench.relay(config(bench.bare().url))
    found = _against(bench, scale, bare, relay, requests=3_000, alerts=1)
    return [
        _cpu_row("P1", "accept 1 changed alert: CPU, bare / relay", found, Target(0.35, at_least=True)),
        _wall_row("P1", "the same: requests a second, relay / bare", found),
        Row("P1", "the same: relay", tuple(relay.cpu * 1e6 for _, relay in found), unit=" us CPU"),
    ]


def p2(bench: Bench, scale: Scale) -> list[Row]:
    """100 changed alerts: each request a group of 100 firing alerts never seen."""
    bare, relay = bench.bare("pydantic"), bench.relay(config(bench.bare().url))
    found = _against(bench, scale, bare, relay, requests=120, alerts=100, connections=16)
    return [
        _cpu_row("P2", "accept 100 changed alerts: CPU, bare + pydantic / relay", found, Target(0.20, at_least=True)),
        _wall_row("P2", "the same: requests a second, relay / bare + pydantic", found),
        Row("P2", "the same: relay", tuple(relay.cpu * 1e4 for _, relay in found), unit=" us CPU an alert"),
    ]


def p3(bench: Bench, scale: Scale) -> list[Row]:
    """1,000 alerts, one changed; and none changed."""
    bare, relay = bench.bare("parser"), bench.relay(config(bench.bare().url))
    alerts = scale.of(1_000, 20)
    sides = {"one": ("flips", 120), "none": ("same", 120)}
    rows = []
    for word, (kind, requests) in sides.items():

        def order(number: int, kind: str = kind, requests: int = requests) -> Order:
            return Order(kind, 1, scale.of(requests, 8), alerts, connections=4)

        bench.load(relay, Order("same", 1, 4, alerts, connections=4))
        found = interleaved(
            scale,
            lambda number: bench.load(bare, order(number)),
            lambda number: bench.load(relay, order(number)),
        )
        what = f"1,000 alerts, {word} changed: CPU, bare + the same parser / relay"
        rows.append(_cpu_row("P3", what, found, Target(0.75, at_least=True)))
    return rows


def p6(bench: Bench, scale: Scale) -> list[Row]:
    """10 against 1,000 sibling routes, looking at two labels, one of which is never the same twice."""
    few, many = (bench.relay(config(bench.bare().url, routes=_routes(count))) for count in (10, 1_000))

    def side(server: Server, number: int) -> Spent:
        return bench.load(server, Order("new", number * 10_000, scale.of(1_000, 20), 10, connections=16, teams=10))

    found = interleaved(scale, lambda number: side(few, number), lambda number: side(many, number))
    figures = tuple(many.cpu / few.cpu for few, many in found)
    return [Row("P6", "1,000 sibling routes against 10: CPU a body of 10 alerts", figures, Target(1.10))]


def p8(bench: Bench, scale: Scale) -> list[Row]:
    """How cost grows with the alerts of a body, and how long the largest one holds the loop up."""
    relay = bench.relay(config(bench.bare().url), module="bench.probed")
    sizes = {10: scale.of(400, 10), 100: scale.of(40, 5), 1_000: scale.of(6, 2)}

    def side(alerts: int, number: int) -> Spent:
        first = number * 10_000 + alerts * 1_000_000
        return bench.load(relay, Order("new", first, sizes[alerts], alerts, connections=4))

    found = interleaved(scale, *(lambda number, alerts=alerts: side(alerts, number) for alerts in sizes))
    figures = tuple(math.log(spent[-1].cpu / spent[0].cpu, 100) for spent in found)
    return [
        Row("P8", "cost of a body of 10 to 1,000 new alerts grows with the power of", figures, Target(1.1)),
        *_blocks(bench, scale, relay),
    ]


def _blocks(bench: Bench, scale: Scale, relay: Server) -> list[Row]:
    """Ask the probe inside the relay for the longest it saw the loop held up while a body of 10,000 was taken."""
    alerts = scale.of(10_000, 500)
    idle, busy = [], []
    for number in range(scale.rounds):
        idle.append(_hold_up(bench, relay, 9_000_000_000 + number * 2, 10))
        busy.append(_hold_up(bench, relay, 9_000_000_001 + number * 2, alerts))
    what = "longest the loop is held up by one body of 10,000 new alerts, until its page is sent"
    return [
        Row("P8", what, tuple(busy), Target(20, unit=" ms"), " ms"),
        Row("P8", "the same by a body of 10, for the noise of this machine", tuple(idle), unit=" ms"),
    ]


def _hold_up(bench: Bench, relay: Server, number: int, alerts: int) -> float:
    quiet(relay.process)
    _longest(relay)
    bench.load(relay, Order("new", number, 1, alerts, connections=1))
    quiet(relay.process)
    return _longest(relay)


def _longest(relay: Server) -> float:
    return float(json.loads(relay.get("/bench/longest-block"))) * 1000


def _against(
    bench: Bench, scale: Scale, bare: Server, relay: Server, *, requests: int, alerts: int, connections: int = 64
) -> list[tuple[Spent, ...]]:
    def order(number: int) -> Order:
        return Order("new", number * 100_000, scale.of(requests, connections), alerts, connections)

    return interleaved(
        scale, lambda number: bench.load(bare, order(number)), lambda number: bench.load(relay, order(number))
    )


def _cpu_row(id: str, what: str, found: list[tuple[Spent, ...]], target: Target) -> Row:
    return Row(id, what, tuple(bare.cpu / relay.cpu for bare, relay in found), target)


def _wall_row(id: str, what: str, found: list[tuple[Spent, ...]]) -> Row:
    return Row(id, what, tuple(bare.seconds / relay.seconds for bare, relay in found))


def _routes(count: int) -> str:
    """Siblings that test equality of `team` and look at the instance; those of the first teams come last."""
    return ", ".join(f"""{{matchers: ['team="t{at}"', 'instance=~"10[.].+"']}}""" for at in reversed(range(count)))
