"""The two ways to PagerDuty, side by side: a real Alertmanager by itself, and one with the relay behind it."""

import shutil
import sys
from dataclasses import dataclass

from bench.processes import ROUTING_KEY, Bench, Server, config
from bench.prometheus import GROUP_BY
from bench.sandbox import Sandbox, sandbox

EVENTS, WITHIN = 20, 1
"""What a stand-in takes of one key: 20 calls in a second, where PagerDuty takes 120 in a minute."""
RATE = EVENTS / WITHIN


@dataclass(frozen=True, slots=True)
class Side:
    """One way to PagerDuty: what Prometheus talks to, what pages, and the stand-in at its end."""

    alertmanager: Server
    sender: Server
    """Whoever posts to the stand-in."""
    stand_in: Sandbox


def by_itself(bench: Bench, group_interval: str) -> Side:
    """Start an Alertmanager with `pagerduty_configs`."""
    stand_in = sandbox(bench, events=EVENTS, within=WITHIN)
    severity = "{{ .CommonLabels.severity }}"
    entry = f"{{routing_key: {ROUTING_KEY}, url: '{stand_in.server.url}/v2/enqueue', severity: '{severity}'}}"
    alertmanager = bench.alertmanager(_routing(f"pagerduty_configs: [{entry}]", group_interval))
    return Side(alertmanager, alertmanager, stand_in)


def with_relay(bench: Bench, group_interval: str) -> Side:
    """Start an Alertmanager with `webhook_configs`, a relay that folds no storms, and the relay's stand-in."""
    (side,) = with_relays(bench, group_interval, ["off"])
    return side


def with_relays(bench: Bench, group_interval: str, storms: list[str]) -> list[Side]:
    """Start an Alertmanager that tells several relays, which differ in their `storm` setting alone."""
    stand_ins = [sandbox(bench, events=EVENTS, within=WITHIN) for _ in storms]
    relays = [bench.relay(_relay(one, storm)) for one, storm in zip(stand_ins, storms, strict=True)]
    hooks = ", ".join(f"{{url: '{relay.url}/webhook', send_resolved: true, max_alerts: 0}}" for relay in relays)
    alertmanager = bench.alertmanager(_routing(f"webhook_configs: [{hooks}]", group_interval))
    return [Side(alertmanager, relay, one) for relay, one in zip(relays, stand_ins, strict=True)]


def has_alertmanager(id: str) -> bool:
    """Say whether there is a real Alertmanager here; tell people if there is none."""
    found = shutil.which("prometheus-alertmanager") is not None
    if not found:
        print(f"{id}: SKIPPED: Debian's prometheus-alertmanager is not installed", file=sys.stderr)
    return found


def _relay(stand_in: Sandbox, storm: str) -> str:
    text = config(stand_in.server.url, events=EVENTS, within=f"{WITHIN}s", pages=f"group_by: {GROUP_BY}")
    return text.replace("global: {", f"global: {{storm: {storm}, ", 1)


def _routing(receiver: str, group_interval: str) -> str:
    waits = f"group_wait: 0s, group_interval: {group_interval}, repeat_interval: 4h"
    return f"route: {{receiver: pd, group_by: {GROUP_BY}, {waits}}}\nreceivers: [{{name: pd, {receiver}}}]\n"
