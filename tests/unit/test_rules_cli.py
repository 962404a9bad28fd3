"""`pagerelay rules check` says what each rule would page and what is wrong with it, and shows no key."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from relay.__main__ import main
from relay.config import load
from relay.promrules import read_text
from relay.promrules.checks import CHECKS, complaints, complaints_of_file
from relay.promrules.paging import Asked, outlook
from relay.rules.rulebook import Rulebook
from tests.unit.configuring import KEY, OTHER_KEY, write

CONFIG = """\
route:
  receiver: platform
  group_by: [alertname, cluster]
  severity: {critical: critical, page: critical, warning: warning, default: error}
  routes:
    - matchers: ['team="payments"', 'severity="warning"']
      receiver: payments
      group_by: [alertname]
      mute_time_intervals: [nights]
      outside: hold
      hold_trigger: 5m
    - matchers: ['namespace="shop"']
      receiver: shop
    - matchers: ['severity="info"']
      receiver: chat
    - matchers: ['change="yes"']
      receiver: platform
      change: true
    - matchers: ['chat="yes"']
      receiver: chat
time_intervals:
  - name: nights
    time_intervals:
      - {weekdays: ['monday:friday'], times: [{start_time: '22:00', end_time: '24:00'}], location: Europe/Berlin}
receivers:
  - name: platform
    pagerduty_configs: [{routing_key: KEY}]
  - name: payments
    pagerduty_configs: [{routing_key: OTHER_KEY, description: 'PAY {{ default_summary }}'}]
  - name: shop
    pagerduty_configs: [{routing_key_file: not-at-hand}]
  - name: chat
"""
GOOD = """\
groups:
  - name: g
    rules:
      - alert: HighLatency
        expr: latency_seconds > 2
        labels: {severity: warning, team: payments, namespace: ""}
        annotations:
          summary: 'p99 of {{ $labels.service }} is {{ $value | humanizeDuration }}'
          runbook_url: https://runbooks.example.com/latency
"""


def ran(folder: Path, rules: str, *options: str, config: str = CONFIG) -> Result:
    file = write(folder, config)
    (folder / "rules.yml").write_text(rules)
    done = CliRunner().invoke(
        main, ["rules", "check", f"--config.file={file}", *options, str(folder / "rules.yml")], catch_exceptions=False
    )
    assert KEY not in done.output
    assert OTHER_KEY not in done.output
    return done


def rule(**parts: Any) -> str:
    """Write a file with one rule; it is faultless but for what the test says of it."""
    whole = {
        "alert": "A",
        "expr": "x > 1",
        "labels": {"severity": "critical", "team": "a", "namespace": ""},
        "annotations": {"summary": "s", "runbook_url": "https://r.example.com"},
    }
    return json.dumps({"groups": [{"name": "g", "rules": [{**whole, **parts}]}]})


def found(folder: Path, rules: str, *options: str, config: str = CONFIG) -> list[str]:
    done = ran(folder, rules, "--format=json", *options, config=config)
    return [f"{one['level']} {one['rule']}" for one in json.loads(done.stdout)["findings"]]


def test_a_rule_is_told_with_its_page(tmp_path: Path) -> None:
    done = ran(tmp_path, GOOD)
    key = sha256(b'{}/{severity="warning",team="payments"}:{alertname="HighLatency"}').hexdigest()

    assert done.exit_code == 0
    assert done.stdout.replace(str(tmp_path), "") == (
        "/rules.yml:4:9: HighLatency  (group g)\n"
        '  pages      payments as warning (low urgency), by route {}/{severity="warning",team="payments"}/0\n'
        "  summary    PAY [warning] HighLatency: p99 of <service> is 2.2s (team=payments)\n"
        f"  dedup key  {key}\n"
        "  muted      during nights: monday to friday 22:00-24:00 (Europe/Berlin); outside: hold\n"
        "  held       300s before it pages\n"
        "\n"
        "1 alerting rule in 1 file, 1 of them pages: 0 errors, 0 warnings, 0 notes\n"
    )


PAGED = {"severity": "critical", "team": "a", "namespace": ""}
NOTED = {"summary": "s", "runbook_url": "https://r.example.com"}


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({}, []),
        ({"labels": {"team": "a", "namespace": ""}}, ["warning no-severity"]),
        ({"labels": {**PAGED, "severity": " "}}, ["warning no-severity", "warning label-breaks-grouping"]),
        ({"labels": {**PAGED, "severity": "ticket"}}, ["warning unmapped-severity"]),
        ({"labels": {**PAGED, "severity": " Critical"}}, ["warning label-breaks-grouping"]),
        ({"labels": {**PAGED, "severity": "{{ $labels.severity }}"}}, []),
        ({"labels": {**PAGED, "severity": "{{ if gt $value 2.0 }}critical{{ else }}warning{{ end }}"}}, []),
        ({"labels": {**PAGED, "severity": "{{ if gt $value 2.0 }}critical{{ else }}ticket{{ end }}"}},
         ["warning unmapped-severity"]),
        ({"labels": {"severity": "critical", "namespace": ""}}, ["warning no-team"]),
        ({"labels": {**PAGED, "v": "{{ $value }}"}}, ["warning value-in-label"]),
        ({"labels": {**PAGED, "cluster": "{{ .Value }}"}}, ["warning value-in-label", "warning label-breaks-grouping"]),
        ({"labels": {**PAGED, "chat": "yes"}}, ["warning unrouted"]),
        ({"labels": {**PAGED, "chat": "yes", "severity": "other"}}, ["note unrouted"]),
        ({"labels": {"severity": "info", "namespace": ""}}, ["note unrouted"]),
        ({"labels": {"severity": "info"}}, []),  # in namespace shop it pages
        ({"labels": {"change": "yes", "severity": "x", "namespace": ""}}, []),
        ({"annotations": {"runbook_url": "https://r.example.com"}}, ["warning no-summary"]),
        ({"annotations": {**NOTED, "summary": ""}}, ["warning no-summary"]),
        ({"annotations": {"summary": "s"}}, ["warning no-runbook"]),
        ({"annotations": {"summary": "s", "runbook": "https://r.example.com"}}, []),
        ({"annotations": {**NOTED, "runbook_url": "TODO"}}, ["warning bad-runbook"]),
        ({"annotations": {**NOTED, "runbook_url": "https://{{ $labels.cluster }}.example.com/{{ $labels.a }}"}}, []),
        ({"annotations": {**NOTED, "runbook_url": "{{ $externalLabels.wiki }}/x"}}, []),
        ({"annotations": {**NOTED, "summary": "{{ $x }}"}}, ["error bad-template"]),
        ({"annotations": {**NOTED, "summary": "{{ query `up` }}"}}, ["note unfilled-template"]),
        ({"expr": ""}, ["error bad-rule"]),
    ],
)  # fmt: skip
def test_each_check_finds_what_it_is_about(tmp_path: Path, parts: dict[str, Any], said: list[str]) -> None:
    loaded = load(write(tmp_path, CONFIG), {}, stand_ins=True)
    file = read_text(rule(**parts))
    looked_at = outlook(file.rules[0], Asked(Rulebook(loaded.rules)))
    complained = (*complaints_of_file(file), *complaints(looked_at))

    assert sorted(f"{one.level} {one.check}" for one in complained) == sorted(said)


def test_every_check_is_tried_above_or_below() -> None:
    text = Path(__file__).read_text(encoding="utf-8") + Path(__file__).with_name("test_promrules.py").read_text()

    assert [name for name in CHECKS if name not in text] == []


@pytest.mark.parametrize(
    ("rules", "status"),
    [
        (GOOD, 0),
        (rule(annotations={}), 1),
        (rule(annotations={**NOTED, "summary": "{{ query `up` }}"}), 0),
        ("x: [", 1),
    ],
)
def test_errors_and_warnings_make_it_fail_and_notes_do_not(tmp_path: Path, rules: str, status: int) -> None:
    assert ran(tmp_path, rules).exit_code == status


def test_every_finding_has_its_place(tmp_path: Path) -> None:
    done = ran(tmp_path, GOOD.replace("severity: warning", "severity: odd").replace("https://", ""), "--quiet")

    assert done.stdout.replace(str(tmp_path), "").splitlines() == [
        'warning: /rules.yml:6:28: "odd" is not in the severity map of its route: it pages as error '
        "[unmapped-severity]",
        "warning: /rules.yml:9:24: runbook_url is no http:// or https:// address, so the page has no link to it: "
        "runbooks.example.com/latency [bad-runbook]",
    ]
    assert "2 warnings" in done.stderr


def test_a_comment_leaves_a_check_out_and_a_wrong_name_is_told(tmp_path: Path) -> None:
    rules = GOOD.replace("      - alert", "      # pagerelay: ignore no-team, bad-runbok\n      - alert")

    assert found(tmp_path, rules) == ["warning unknown-check"]
    assert "did you mean bad-runbook?" in ran(tmp_path, rules).stdout
    quiet = rules.replace("bad-runbok", "bad-runbook").replace("https://", "")
    assert found(tmp_path, quiet) == []
    assert json.loads(ran(tmp_path, quiet, "--format=json").stdout)["rules"][0]["ignored"] == ["bad-runbook"]
    assert found(tmp_path, GOOD.replace("https://", ""), "--ignore=bad-runbook") == []
    assert ran(tmp_path, GOOD, "--ignore=nothing").exit_code == 2


def test_labels_that_are_known_only_once_it_fires_are_said(tmp_path: Path) -> None:
    rules = rule(labels={"severity": "critical", "team": "a"})
    (entry,) = json.loads(ran(tmp_path, rules, "--format=json").stdout)["rules"]

    assert (entry["receivers"], entry["severity"], entry["urgency"]) == (["platform"], "critical", "high")
    assert [(one["receiver"], one["depends_on"]) for one in entry["may_also"]] == [
        ("shop", ["namespace"]),
        ("chat", ["change", "chat", "namespace"]),
    ]
    (page,) = entry["pages"]
    assert (page["dedup_key"], page["key_of"]) == (None, '{}:{alertname="A", cluster=<cluster>}')
    assert page["depends_on"] == ["cluster"]


def test_a_severity_that_a_rule_does_not_say_is_taken_to_be_missing(tmp_path: Path) -> None:
    rules = rule(labels={"team": "payments", "namespace": "", "chat": ""})
    (entry,) = json.loads(ran(tmp_path, rules, "--format=json").stdout)["rules"]

    assert (entry["receivers"], entry["severity"]) == (["platform"], "error")
    assert entry["may_also"] == []


def test_labels_can_be_given_that_its_alerts_have(tmp_path: Path) -> None:
    rules = rule(
        labels={"severity": "critical", "team": "a"}, annotations={**NOTED, "summary": "{{ $labels.cluster }}"}
    )
    done = ran(tmp_path, rules, "--format=json", "--label=cluster=eu1", "--label=namespace=shop")
    (entry,) = json.loads(done.stdout)["rules"]

    assert entry["receivers"] == ["shop"]
    assert entry["dedup_key"] == sha256(b'{}/{namespace="shop"}:{alertname="A", cluster="eu1"}').hexdigest()
    assert entry["summary"] == "[critical] A: eu1 (namespace=shop)"


def test_a_time_says_what_becomes_of_it_then(tmp_path: Path) -> None:
    at = json.loads(ran(tmp_path, GOOD, "--format=json", "--time=2026-11-23T21:30:00Z").stdout)
    day = json.loads(ran(tmp_path, GOOD, "--format=json", "--time=2026-11-23T12:00:00Z").stdout)

    assert at["rules"][0]["pages"][0]["then"].startswith(
        'held: muted by time interval "nights" until 2026-11-23 23:00 UTC'
    )
    assert day["rules"][0]["pages"][0]["then"].startswith("held: ")
    assert "nights" not in day["rules"][0]["pages"][0]["then"]


def test_the_key_that_a_route_words_itself_is_filled_in(tmp_path: Path) -> None:
    own = "dedup_key: '{labels.cluster|default(\"none\")}/{labels.alertname|lower}'"
    config = CONFIG.replace("group_by: [alertname, cluster]", own)

    for options, key, text in (((), None, "<cluster>/a"), (("--label=cluster=eu1",), "eu1/a", "eu1/a")):
        done = ran(tmp_path, rule(), "--format=json", *options, config=config)
        (page,) = json.loads(done.stdout)["rules"][0]["pages"]
        assert (page["dedup_key"], page["key_of"]) == (key, text)


def test_it_speaks_to_programs(tmp_path: Path) -> None:
    rules = rule(annotations={}, alert="A|<b>")
    sarif = json.loads(ran(tmp_path, rules, "--format=sarif").stdout)["runs"][0]
    github = ran(tmp_path, rules, "--format=github").stdout
    markdown = ran(tmp_path, rules, "--format=markdown").stdout

    assert [one["ruleId"] for one in sarif["results"]] == ["no-summary", "no-runbook"]
    assert {one["id"] for one in sarif["tool"]["driver"]["rules"]} == set(CHECKS)
    assert github.startswith("::warning file=")
    assert "A\\|&lt;b&gt;" in markdown
    assert (
        len(
            {
                line.replace("\\|", "").count("|")
                for line in markdown.splitlines()
                if "platform" in line and "A" in line[:4]
            }
        )
        == 1
    )


def test_a_routing_file_that_does_not_load_is_a_usage_error_with_its_problems(tmp_path: Path) -> None:
    done = ran(tmp_path, GOOD, config=CONFIG.replace("receiver: chat", "receiver: caht"))

    assert done.exit_code == 2
    assert 'undefined receiver "caht" used in route' in done.stderr
    assert done.stdout == ""
