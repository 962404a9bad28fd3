"""P10, P11, P12: what a page costs until PagerDuty has it, and what the relay holds, against Alertmanager itself."""

import json
import shutil
import sys
import time
from urllib.request import Request, urlopen

from bench.client import AT_ONCE
from bench.figures import Row, Scale, Target, interleaved
from bench.load import Order
from bench.processes import ROUTING_KEY, Bench, Server, config, quiet, wait_until

_UNLIMITED = 10_000_000
_AT_ONCE = 256
_PER_ALERT = "[alertname, cluster, instance]"


def p10(bench: Bench, scale: Scale) -> list[Row]:
    """Accept, render and send pages of one alert, against a bare aiohttp client that posts an event."""
    stand_in = bench.bare()
    relay = bench.relay(config(stand_in.url, events=_UNLIMITED))
    client = bench.start([sys.executable, "-m", "bench.client", f"{stand_in.url}/v2/enqueue"], stdin=True, stdout=True)
    pages = scale.of(1_600, 64) // AT_ONCE * AT_ONCE

    def bare(_: int) -> float:
        client.write(str(pages))
        return float(client.read()) / pages

    def paged(number: int) -> float:
        expected, before = stand_in.count() + pages, relay.process.cpu()
        bench.load(relay, Order("new", number * 10_000, pages))
        _delivered(stand_in, expected, relay)
        return (relay.process.cpu() - before) / pages

    found = interleaved(scale, bare, paged)
    return [
        Row(
            "P10",
            "accept + render + send a page against one client post: CPU",
            tuple(b / a for a, b in found),
            Target(5),
        ),
        Row("P10", "the same: relay", tuple(spent * 1e6 for _, spent in found), unit=" us CPU a page"),
    ]


def p11(bench: Bench, scale: Scale) -> list[Row]:
    """A real Alertmanager that groups, with the relay behind it, against one that pages by itself."""
    if not _has_alertmanager("P11"):
        return []
    ours, theirs = bench.bare(), bench.bare()
    relay = bench.relay(config(ours.url, events=_UNLIMITED, pages=f"group_by: {_PER_ALERT}"))
    before_relay = bench.alertmanager(_to_relay(relay))
    native = bench.alertmanager(_native(theirs))
    alerts = scale.of(1_000, 50)

    def with_relay(number: int) -> float:
        before = before_relay.process.cpu() + relay.process.cpu()
        expected = ours.count() + alerts
        _fire(before_relay, number, alerts)
        _delivered(ours, expected, relay)
        return (before_relay.process.cpu() + relay.process.cpu() - before) / alerts

    def by_itself(number: int) -> float:
        before, expected = native.process.cpu(), theirs.count() + alerts
        _fire(native, number, alerts)
        _delivered(theirs, expected, native)
        return (native.process.cpu() - before) / alerts

    found = interleaved(scale, by_itself, with_relay)
    return [
        Row(
            "P11",
            "Alertmanager + relay against Alertmanager alone: CPU a page",
            tuple(b / a for a, b in found),
            Target(1),
        ),
        Row("P11", "the same: Alertmanager + relay", tuple(b * 1000 for _, b in found), unit=" ms CPU a page"),
        Row("P11", "the same: Alertmanager alone", tuple(a * 1000 for a, _ in found), unit=" ms CPU a page"),
    ]


def p12(bench: Bench, scale: Scale) -> list[Row]:
    """Memory, idle and with 10,000 live pages; the renderer's process is counted in."""
    ours, theirs = bench.bare(), bench.bare()
    relay = bench.relay(config(ours.url, events=_UNLIMITED))
    quiet(relay.process)
    idle = relay.process.memory()
    pages = scale.of(10_000, 100)
    bench.load(relay, Order("new", 0, pages))
    _delivered(ours, pages, relay)
    live = relay.process.memory()
    rows = [Row("P12", "memory of an idle relay", (idle,), Target(80, unit=" MB"), " MB")]
    if not _has_alertmanager("P12"):
        return [*rows, Row("P12", "memory with 10,000 live pages", (live,), unit=" MB")]
    native = bench.alertmanager(_native(theirs))
    for number in range(10):
        _fire(native, number, pages // 10)
    _delivered(theirs, pages // 10 * 10, native)
    limit = native.process.memory()
    what = "memory with 10,000 live pages; the target is Alertmanager's own with 10,000 groups"
    return [*rows, Row("P12", what, (live,), Target(limit, unit=" MB"), " MB")]


def _delivered(stand_in: Server, expected: int, sender: Server) -> None:
    """Wait until so many events have arrived, and the sender has settled them."""
    wait_until(lambda: stand_in.count() >= expected, "all events arrive", seconds=240, every=0.05)
    quiet(sender.process, share=0.1)


def _fire(alertmanager: Server, number: int, alerts: int) -> None:
    """Post alerts as Prometheus does, in batches, all of them within the time that Alertmanager waits for a group."""
    for at in range(0, alerts, _AT_ONCE):
        some = [_alert(number, place) for place in range(at, min(alerts, at + _AT_ONCE))]
        request = Request(
            f"{alertmanager.url}/api/v2/alerts", json.dumps(some).encode(), {"Content-Type": "application/json"}
        )
        with urlopen(request, timeout=10):
            pass


def _alert(number: int, place: int) -> dict[str, object]:
    labels = {"alertname": "HighErrorRate", "cluster": f"c{number}", "instance": f"10.0.{number}.{place}:9100"}
    return {
        "labels": labels | {"job": "api", "namespace": "shop", "severity": "critical", "pod": f"web-{place}"},
        "annotations": {"summary": "A pod answers with errors", "description": "Look closely. " * 20},
        "generatorURL": "http://prometheus.example.com/graph",
        "endsAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600)),
    }


_ROUTE = "{receiver: pd, group_wait: 2s, group_interval: 1h, repeat_interval: 4h"


def _to_relay(relay: Server) -> str:
    hook = f"{{name: pd, webhook_configs: [{{url: '{relay.url}/webhook', send_resolved: true, max_alerts: 0}}]}}"
    return f"route: {_ROUTE}, group_by: [cluster]}}\nreceivers: [{hook}]\n"


def _native(stand_in: Server) -> str:
    entry = f"{{routing_key: {ROUTING_KEY}, url: '{stand_in.url}/v2/enqueue', severity: critical, send_resolved: true}}"
    receiver = f"{{name: pd, pagerduty_configs: [{entry}]}}"
    return f"route: {_ROUTE}, group_by: {_PER_ALERT}}}\nreceivers: [{receiver}]\n"


def _has_alertmanager(id: str) -> bool:
    found = shutil.which("prometheus-alertmanager") is not None
    if not found:
        print(f"{id}: SKIPPED: Debian's prometheus-alertmanager is not installed", file=sys.stderr)
    return found
