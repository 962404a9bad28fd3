"""An alertmanager.yml becomes a routing file that routes alike, and an alertmanager.yml that sends everything to it."""

import json
import os
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from relay.cli.importing import import_
from relay.config import examine
from relay.errors import BadConfig, Problem
from relay.importing import Imported, convert
from relay.rules.routing import Router

URL = "http://127.0.0.1:9095/webhook"
KEY = "0123456789abcdef0123456789abcdef"
_FOLDER = Path(__file__).parent.parent / "data" / "corpus"
CONFIGS = {row["file"]: row for row in json.loads((_FOLDER / "alertmanager_configs.json").read_text(encoding="utf-8"))}
TRUTH = json.loads((_FOLDER / "routes_truth.json").read_text(encoding="utf-8"))["configs"]
ACCEPTED = [name for name, row in CONFIGS.items() if row["amtool_accepts"]]

NATIVE = f"""
# The whole of it.
global:
  resolve_timeout: 3m
  slack_api_url: https://hooks.slack.example/services/SECRET
route:
  # everybody
  receiver: ops  # for now
  repeat_interval: 2h
  routes:
    # api_token: abcdefgh12345678abcdefgh
    - matchers: [team="db"]
      receiver: db
      group_by: [alertname]
      group_wait: 10s
      continue: true
    - receiver: slack
      match: {{on: true, code: 500}}
inhibit_rules:
  # a cluster that is down says it all
  - source_matchers: [alertname="ClusterDown"]
    target_matchers: [severity="warning"]
    equal: [cluster]
receivers:
  - name: ops
    pagerduty_configs:
      - routing_key: {KEY}
        description: '{{{{ .CommonAnnotations.summary }}}}'
        severity: '{{{{ if eq .CommonLabels.prio "p1" }}}}critical{{{{ else }}}}warning{{{{ end }}}}'
        details: {{nr: '{{{{ len .Alerts }}}}', odd: '{{{{ sprig . }}}}'}}
        http_config: {{follow_redirects: true, proxy_url: 'http://proxy:3128'}}
  - name: slack
    slack_configs:
      - channel: '#a'  # ours
        send_resolved: True
  - name: db
    slack_configs: [{{channel: '#db'}}]
    pagerduty_configs:
    - service_key: {KEY[::-1]}
"""


def made(text: str) -> Imported:
    return convert("alertmanager.yml", text.encode(), templates={}, url=URL)


def written(imported: Imported, folder: Path) -> Path:
    """Write it as `-o` does, with a key where one has to be put in by hand."""
    path = folder / "relay.yml"
    path.write_text(imported.relay, encoding="utf-8")
    for name in re.findall(r"routing_key_file: (keys/\S+)", imported.relay):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(KEY)
    return path


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_amtool_accepts_is_imported_and_loads(name: str, tmp_path: Path) -> None:
    imported = made(CONFIGS[name]["text"])

    examined = examine(written(imported, tmp_path), {})

    assert [str(problem) for problem in examined.problems if not problem.warning] == []
    assert KEY not in imported.relay


@pytest.mark.parametrize("row", TRUTH, ids=lambda row: row["config"])
def test_the_imported_tree_routes_as_amtool_recorded(row: dict[str, object], tmp_path: Path) -> None:
    root = examine(written(made(CONFIGS[str(row["config"])]["text"]), tmp_path), {}).root
    assert root is not None
    cases = row["cases"]
    assert isinstance(cases, list)

    found = [[route.receiver for route in Router(root).match(case["labels"])] for case in cases]

    assert found == [case["receivers"] for case in cases]


@pytest.mark.parametrize("name", [name for name in CONFIGS if name not in ACCEPTED])
def test_what_amtool_refuses_is_imported_or_refused_with_places(name: str) -> None:
    found: tuple[Problem, ...] = ()
    try:
        made(CONFIGS[name]["text"])
    except BadConfig as error:
        found = error.problems

    assert all(problem.line > 0 for problem in found)


def test_a_routing_file_keeps_order_and_comments_and_says_what_alertmanager_left_unsaid() -> None:
    relay = made(NATIVE).relay

    assert re.findall(r"^(\w+):", relay, re.MULTILINE) == ["global", "route", "inhibit_rules", "receivers"]
    assert "  # everybody\n  receiver: ops  # for now\n" in relay
    assert "group_by: []\n" in relay
    assert "severity_label: prio\n  severity: {critical: critical" not in relay
    assert "severity_label: prio\n  severity: {p1: critical, warning: warning, default: warning}\n" in relay
    assert "# a cluster that is down says it all" in relay
    assert "    # details.odd was not translated: the function sprig has no like here\n" in relay.replace(
        "  " * 2, "    "
    )


def test_no_key_and_no_comment_that_may_hold_a_secret_stands_in_the_routing_file() -> None:
    imported = made(NATIVE)

    assert not re.search(f"{KEY}|{KEY[::-1]}|abcdefgh|SECRET", imported.relay)
    assert {name: key.reveal() for name, key in imported.keys.items()} == {
        "keys/ops.key": KEY,
        "keys/db.key": KEY[::-1],
    }
    assert not any(KEY in note.message or KEY[::-1] in note.message for note in imported.notes)


def test_the_new_alertmanager_yml_sends_all_to_the_relay_and_the_rest_where_it_went() -> None:
    text = made(NATIVE).alertmanager
    new = yaml.load(text, yaml.BaseLoader)

    first, last = new["route"]["routes"]
    assert (first["receiver"], first["continue"], len(first["routes"])) == ("ops", "true", 2)
    assert last == {"receiver": "pagerelay", "group_by": ["alertname"], "group_wait": "10s", "repeat_interval": "2h"}
    assert [sorted(receiver) for receiver in new["receivers"]] == [
        ["name"], ["name", "slack_configs"], ["name", "slack_configs"], ["name", "webhook_configs"],
    ]  # fmt: skip
    assert new["inhibit_rules"]
    assert "channel: '#a'  # ours" in text
    assert "        # everybody\n" in text or "      # everybody\n" in text
    assert "pagerduty" not in text.replace("PagerDuty", "")


def test_where_all_receivers_are_pagerduty_nothing_but_the_relay_is_left() -> None:
    text = f"route: {{receiver: a, group_by: ['...']}}\ninhibit_rules: [{{equal: [x]}}]\nreceivers: [{{name: a, pagerduty_configs: [{{routing_key: {KEY}}}]}}]\n"  # noqa: E501
    imported = made(text)

    new = yaml.load(imported.alertmanager, yaml.BaseLoader)

    assert new["route"] == {"receiver": "pagerelay", "group_by": ["..."]}
    assert [receiver["name"] for receiver in new["receivers"]] == ["pagerelay"]
    assert "inhibit_rules" not in new
    assert yaml.load(imported.relay, yaml.BaseLoader)["inhibit_rules"] == [{"equal": ["x"]}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("route: {receiver: a}\nreceivers: [{name: a, pagerduty_configs: [{}]}]", "missing service or routing key"),
        ("route: {receiver: a, hold_trigger: 5m}\nreceivers: [{name: a}]", "hold_trigger is no field"),
        ("route: {receiver: b}\nreceivers: [{name: a}]", 'undefined receiver "b"'),
        (f"route: {{receiver: a}}\nreceivers: [{{name: a, pagerduty_configs: [{{routing_key: {KEY}, x: 1}}]}}]", '"x"'),
        ("[]", "not an alertmanager.yml"),
        ("a: [", "not YAML"),
    ],
)
def test_what_alertmanager_would_refuse_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(BadConfig) as refused:
        made(text)

    assert said in str(refused.value.problems[0])


def test_the_command_writes_files_that_load_and_keeps_keys_to_their_owner(tmp_path: Path) -> None:
    (tmp_path / "alertmanager.yml").write_text(NATIVE)
    output = tmp_path / "relay.yml"

    result = CliRunner().invoke(import_, [str(tmp_path / "alertmanager.yml"), "-o", str(output)])

    assert result.exit_code == 0, result.output
    assert (tmp_path / "keys" / "ops.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "alertmanager.new.yml").stat().st_mode & 0o777 == 0o600
    assert "service_key is for PagerDuty's Events API v1" in result.stderr
    assert "details.odd: not translated" in result.stderr
    assert examine(output, os.environ).loaded
    again = CliRunner().invoke(import_, [str(tmp_path / "alertmanager.yml"), "-o", str(output)])
    assert (again.exit_code, "is there already" in again.stderr) == (2, True)


def test_the_command_prints_the_routing_file_and_uses_templates_at_hand(tmp_path: Path) -> None:
    (tmp_path / "own.tmpl").write_text('{{ define "own" }}{{ .Receiver | toUpper }} has trouble{{ end }}')
    (tmp_path / "alertmanager.yml").write_text(
        f"templates: ['*.tmpl']\nroute: {{receiver: a}}\nreceivers: [{{name: a, pagerduty_configs: "
        f"[{{routing_key: {KEY}, description: '{{{{ template \"own\" . }}}}'}}]}}]\n"
    )

    result = CliRunner().invoke(import_, [str(tmp_path / "alertmanager.yml")])

    assert result.exit_code == 0
    assert "description: '{{ receiver | to_upper }} has trouble'" in result.stdout
    assert KEY not in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alertmanager.yml", "own.tmpl"]


def test_a_file_that_cannot_be_used_ends_the_command_with_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "alertmanager.yml").write_text(
        f"receivers:\n- name: a\n  pagerduty_configs: [{{routing_key: {KEY}}}]\n"
    )

    result = CliRunner().invoke(import_, [str(tmp_path / "alertmanager.yml")])

    assert (result.exit_code, result.stdout) == (1, "")
    assert "no routes provided" in result.stderr
    assert KEY not in result.stderr
