"""`config show` writes what counts: it loads to the same rules, says where things are from, and hides secrets."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from relay.cli.config import config
from relay.config import load
from relay.event import Severity
from relay.rules.routing import walk
from relay.rules.ruleset import Hold, RuleSet
from tests.unit.configuring import KEY, OTHER_KEY, paging, write

DATA = Path(__file__).parent.parent / "data"
TABLE = json.loads((DATA / "conformance/config_load.json").read_text(encoding="utf-8"))
EVERYTHING = """\
global:
  inhibit_hold: 7s
  storm: off
  heartbeat_url: https://heartbeat.example.com/hunter2
  http_config: {proxy_url: "http://u:hunter2@proxy", basic_auth: {password: hunter2}}
  slack_api_url: https://hooks.example.com/hunter2
route:
  receiver: a
  group_by: [z, a]
  severity: {P1: critical, default: info}
  hold_trigger: 5m
  flap: {changes: 3}
  routes:
  - match: {code: 404}
    match_re: {service: "a: b, {c}|#d"}
    continue: yes
    mute_time_intervals: [night]
    labels: {x: "y"}
    routes:
    - {dedup_key: "{labels.a} # {labels.b}", hold_resolve: {warning: 1m}, regroup: {growth: 2}, change: true}
    - {group_by: [], outside: hold, on_mute: resolve, flap: off}
  - {matchers: ['a=~"x|y", b!="z"'], receiver: "null", group_interval: 1h30m, active_time_intervals: [never]}
receivers:
- name: a
  fallback: b
  pagerduty_configs:
  - routing_key: KEY
    url: https://events.example.com/v2/enqueue
    timeout: 1.5s
    budget: {events: 5}
    description: |
      {{ default_summary }}
      and more
    details: {a: ["{{ now }}", 1], empty: }
    links: [{href: "{{ common_annotations.runbook_url }}", text: "x, y"}]
    http_config: {proxy_url: "http://u:hunter2@proxy", tls_config: {insecure_skip_verify: true}}
- {name: b, pagerduty_configs: [{routing_key: OTHER_KEY}], slack_configs: [{api_url: "https://hunter2"}]}
- name: "null"
inhibit_rules:
- name: n
  source_match: {a: b}
  target_matchers: [c=d]
  equal: [x]
  inhibit_hold: {default: 3s, critical: 1s}
  across_sources: true
time_intervals:
- name: night
  time_intervals: [{times: [{start_time: "22:00", end_time: "06:00"}], location: Europe/Berlin}]
- {name: never, time_intervals: [{weekdays: []}]}
sources:
- {name: prod, repeat_interval: 4h, basic_auth: {username: u, password: hunter2hunter2hunter2}}
heartbeats: [{name: h, matchers: [a=b], within: 15m, receiver: a}]
pagerduty: {webhook_secrets: [hunter2hunter2], reconcile: off}
"""


def show(file: Path, *options: str) -> Result:
    return CliRunner().invoke(config, ["show", *options, str(file)])


def said(rules: RuleSet) -> Any:
    """All that rules say but for lines, names of keys, and what is compared by identity."""
    routes = [
        {one.name: _held(getattr(route, one.name)) for one in fields(route) if one.name not in ("routes", "line")}
        for route in walk(rules.root)
    ]
    parts = {name: window.parts for name, window in rules.windows.items()}
    inhibits = [(rule.name, rule.source, rule.target, rule.equal, _held(rule.hold)) for rule in rules.inhibit_rules]
    texts = [[target.texts for target in receiver.targets] for receiver in rules.receivers.values()]
    budgets = [(one.url, one.budget, one.storm) for one in rules.integrations.values()]
    return routes, parts, inhibits, texts, budgets, rules.sources, rules.account, rules.meta_receiver


def _held(value: Any) -> Any:
    return [value.of(severity) for severity in Severity] if isinstance(value, Hold) else value


def again(folder: Path, text: str) -> RuleSet:
    """Load what was shown, each secret of it another key."""
    while "<secret>" in text:
        at = text.count("<secret>")
        before, _, after = text.rpartition("<secret>")
        is_url = before.rstrip().endswith("url:")
        text = f"{before}{'http://x' if is_url else f'{at:032}'}{after}"
    file = folder / "again.yml"
    file.write_text(text, encoding="utf-8")
    return load(file, {}).rules


@pytest.mark.parametrize(
    "text",
    [EVERYTHING, paging("routing_key: KEY"), *(row["yaml"] for row in TABLE["good"])],
    ids=["everything", "small", *(row["name"] for row in TABLE["good"])],
)
@pytest.mark.parametrize("options", [(), ("--origin",)], ids=["plain", "origin"])
def test_what_is_shown_loads_to_the_same(text: str, options: tuple[str, ...], tmp_path: Path) -> None:
    file = write(tmp_path, text)

    answer = show(file, *options)

    assert answer.exit_code == 0, answer.output
    assert said(again(tmp_path, answer.stdout)) == said(load(file, {}).rules)


def test_no_secret_is_shown(tmp_path: Path) -> None:
    answer = show(write(tmp_path, EVERYTHING), "--origin")

    assert answer.exit_code == 0
    assert "hunter2" not in answer.output
    assert KEY not in answer.output
    assert OTHER_KEY not in answer.output
    assert answer.stdout.count("routing_key: <secret>") == 2


def test_each_inherited_value_says_where_it_is_from(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "route:\n  receiver: a\n  group_by: [x]\n  routes:\n  - matchers: [a=b]\n    group_wait: 5s\n    routes:\n"
        "    - {receiver: b, dedup_key: '{labels.a}'}\nreceivers: [{name: a}, {name: b}]\n",
    )

    lines = [line.split("  # ") for line in show(file, "--origin").stdout.splitlines() if "  # " in line]

    told = [(text.lstrip(" -"), origin.replace(str(file), "relay.yml")) for text, origin in lines]
    child = told[told.index(('matchers: ["a=b"]', "relay.yml:5")) :]
    assert ("receiver: a", "relay.yml:2") in told
    assert child[1:4] == [
        ("receiver: a", "inherited from relay.yml:2"),
        ("group_by: [x]", "inherited from relay.yml:3"),
        ("group_wait: 5s", "relay.yml:6"),
    ]
    grandchild = child[child.index(("receiver: b", "relay.yml:8")) :]
    assert grandchild[1][0].startswith("dedup_key: ")
    assert grandchild[1][1] == "relay.yml:8"
    assert grandchild[2] == ("group_wait: 5s", "inherited from relay.yml:6")
    assert ("on_mute: leave", "default") in grandchild
    assert not any(text.startswith("group_by") for text, _ in grandchild[:4])


def test_secrets_need_not_be_at_hand(tmp_path: Path) -> None:
    answer = show(write(tmp_path, paging("routing_key_file: /nowhere/key")))

    assert answer.exit_code == 0
    assert yaml.safe_load(answer.stdout)["receivers"][0]["pagerduty_configs"] == [
        {"routing_key_file": "/nowhere/key", "send_resolved": True}
    ]


def test_a_file_that_would_not_load_is_not_shown(tmp_path: Path) -> None:
    answer = show(write(tmp_path, "route: {receiver: gone}\nreceivers: []\n"))

    assert (answer.exit_code, answer.stdout) == (1, "")
    assert 'undefined receiver "gone"' in answer.stderr
