"""Rule files are read with every place in them, whatever they hold; comments leave checks out; nothing raises."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.promrules import read, read_text
from relay.promrules.expanding import Samples, fill, shows
from relay.promrules.paging import likely_value
from relay.promrules.reaching import reach
from relay.rules.matchers import Matcher
from relay.rules.routing import Router
from relay.rules.ruleset import Route

PLAIN = """\
groups:
  - name: node
    labels: {team: infra}
    rules:
      - record: job:up:sum
        expr: sum by (job) (up)
      - alert: NodeDown
        expr: up == 0
        for: 5m
        labels:
          severity: 1
        annotations: {summary: "{{ $labels.instance }} is down"}
"""
MANIFEST = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: rules}
spec:
  groups:
    - {name: a, rules: [{alert: A, expr: "1"}]}
---
kind: List
items:
  - kind: PrometheusRule
    spec: {groups: [{name: b, rules: [{alert: B, expr: "1"}, {alert: C, expr: "1"}]}]}
"""


def test_an_alerting_rule_is_read_with_the_place_of_each_part() -> None:
    (rule,) = read_text(PLAIN, "f.yml").rules

    assert (rule.alert, rule.group, rule.line, rule.column, rule.for_) == ("NodeDown", "node", 7, 9, "5m")
    assert rule.path == "groups[0].rules[1]"
    assert {name: (text.text, text.line) for name, text in rule.labels.items()} == {
        "team": ("infra", 3),
        "severity": ("1", 11),
    }
    assert (rule.annotations["summary"].line, rule.annotations["summary"].column) == (12, 32)


def test_manifests_are_read_in_every_document_and_other_kinds_are_left_alone() -> None:
    found = read_text(MANIFEST)

    assert [(rule.alert, rule.path) for rule in found.rules] == [
        ("A", "[1].spec.groups[0].rules[0]"),
        ("B", "[2].items[0].spec.groups[0].rules[0]"),
        ("C", "[2].items[0].spec.groups[0].rules[1]"),
    ]
    assert found.flaws == ()


@pytest.mark.parametrize(
    ("text", "flaws"),
    [
        ("groups: [", ["1:10 bad-yaml"]),
        ("groups:\n- rules: {}", ["2:3 bad-rule groups[0].rules"]),
        ("groups: [x]", ["1:10 bad-rule groups[0]"]),
        ("groups:\n- rules:\n  - alert: A", ["3:5 bad-rule groups[0].rules[0]"]),
        ("groups:\n- rules:\n  - expr: '1'", ["3:5 bad-rule groups[0].rules[0]"]),
        ("groups:\n- rules:\n  - {alert: A, record: b, expr: '1'}", ["3:16 bad-rule groups[0].rules[0].record"]),
        ("groups:\n- rules:\n  - {alert: A, expr: '1', labels: [x]}", ["3:27 bad-rule groups[0].rules[0].labels"]),
        ("groups:\n- rules:\n  - {alert: A, expr: '', labels: {}}", ["3:5 bad-rule groups[0].rules[0]"]),
        ("groups:\n- rules:\n  - {alert: A, alert: B, expr: '1'}", ["3:16 bad-yaml"]),
        (
            "groups:\n- rules:\n  - {alert: A, expr: '1',\n     labels: {a: [x]}}",
            ["4:15 bad-rule groups[0].rules[0].labels.a"],
        ),
        ("rule_files: [x]", ["1:1 no-rules"]),
        ("", ["1:1 no-rules"]),
        ("kind: Service\nspec: {groups: []}", ["1:1 no-rules"]),
        ("groups:", []),
        ("{{ if .Values.x }}\ngroups: []", ["1:2 bad-yaml"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said_with_its_place(text: str, flaws: list[str]) -> None:
    found = read_text(text)

    assert [f"{one.line}:{one.column} {one.check} {one.path}".strip() for one in found.flaws] == flaws


def test_a_file_that_cannot_be_read_is_a_flaw(tmp_path: Path) -> None:
    (tmp_path / "latin.yml").write_bytes(b"groups: \xe4")

    assert [one.check for one in read(tmp_path / "none.yml").flaws] == ["bad-yaml"]
    assert [(one.line, one.column) for one in read(tmp_path / "latin.yml").flaws] == [(1, 9)]


COMMENTED = """\
# pagerelay: ignore bad-runbook
groups:
  - name: a # pagerelay: ignore no-team
    rules:
      # because it is old
      # pagerelay: ignore no-summary, no-severity
      - alert: A
        expr: '1' # pagerelay: ignore no-runbook
      - alert: B
        expr: |
          # pagerelay: ignore
          1
  # pagerelay: ignore unrouted
  - name: b
    rules: [{alert: C, expr: '1'}]
"""


KNOWN = {"bad-runbook", "no-team", "no-summary", "no-severity", "no-runbook", "unrouted"}


@pytest.mark.parametrize(
    ("path", "checks"),
    [
        ("groups[0].rules[0]", {"bad-runbook", "no-team", "no-summary", "no-severity", "no-runbook"}),
        ("groups[0].rules[1].labels.x", KNOWN),
        ("groups[1].rules[0]", {"bad-runbook", "unrouted"}),
    ],
)
def test_a_comment_is_about_what_it_stands_above_or_in(path: str, checks: set[str]) -> None:
    ignored = read_text(COMMENTED).ignored

    assert {check for check in KNOWN if ignored.covers(path, check)} == checks


@pytest.mark.parametrize(
    ("expr", "value"),
    [
        ("up == 0", 0.0), ("x > 90", 99.0), ("x > 0", 1.0), ("(a / b) < 0.05", 0.045), ("absent(up)", 1.0),
        ("x >= bool 5", 5.0), ("x > y", 1.0), ("x > 1e3", 1100.0), ("x != 2", 2.2), ("rate(x[5m]) > (0.5)", 1.0),
    ],
)  # fmt: skip
def test_the_value_is_one_that_the_rule_lets_through(expr: str, value: float) -> None:
    assert likely_value(expr) == value


@pytest.mark.parametrize(
    ("text", "filled", "needs"),
    [
        ("{{ $labels.pod }} on {{ $externalLabels.cluster }}", "<pod> on <cluster>", 0),
        ("{{ $value | humanizePercentage }} of {{ $labels.job }}", "95% of api", 0),
        ('{{ query "up" | first | value }} up', '{{ query "up" | first | value }} up', 1),
        ('{{ range query "up" }}{{ .Value }}{{ end }}!', '{{ range query "up" }}{{ .Value }}{{ end }}!', 1),
        ('{{ $x := query "up" }}a {{ $x }}', "a {{ $x }}", 2),
        ("{{ humanize $labels.n }}", "{{ humanize $labels.n }}", 1),
        ("{{ $labels }}", "{{ $labels }}", 1),
        ('{{ printf "%999999d" 1 }}', '{{ printf "%999999d" 1 }}', 1),
        ("{{ externalURL }}/x{{ pathPrefix }}", "http://prometheus.example.com/x", 0),
    ],
)
def test_what_only_a_running_prometheus_can_tell_stands_as_it_was_written(text: str, filled: str, needs: int) -> None:
    found = fill(text, Samples(0.95, {"job": "api"}))

    assert (found.text, found.broken, len(found.unfilled)) == (filled, "", needs)


FIELDS = "Labels, ExternalLabels, ExternalURL, Value"


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("{{ $label.x }}", 'undefined variable "$label"'),
        ("{{ unknown 1 }}", 'function "unknown" not defined'),
        ("{{ $value", "unclosed action"),
        ("{{ }}", "missing value for command"),
        ("{{ if $value }}x", "unexpected EOF: an {{ end }} is missing"),
        ("{{ .labels.x }}", f"can't evaluate field labels in an alert's data: it has {FIELDS}"),
        ("{{ if gt $value 90 }}x{{ end }}", "error calling gt: incompatible types for comparison"),
        ('{{ humanize "one" }}', 'error calling humanize: strconv.ParseFloat: parsing "one": invalid syntax'),
        ("{{ if not $value }}{{ $y := 1 }}{{ else }}{{ $y }}{{ end }}", "undefined variable: $y"),
        ("{{ match 1 $value }}", "error calling match: wrong type for value; expected string; got int"),
    ],
)  # fmt: skip
def test_a_template_that_prometheus_cannot_use_is_broken(text: str, because: str) -> None:
    found = fill(text, Samples())

    assert (found.text, found.broken) == (text, because)


@pytest.mark.parametrize(
    ("text", "does"),
    [
        ("{{ $value }}", True), ("{{ .Value | humanize }}", True), ("{{ $.Value }}", True),
        ("{{ $x := $value }}", True),
        ("{{ with $value }}{{ . }}{{ end }}", True), ("{{ (printf \"%f\" $value) }}", True),
        ("{{ if gt $value 1.0 }}critical{{ else }}warning{{ end }}", False), ("{{ $labels.Value }}", False),
        ("$value", False), ("{{ broken", False),
    ],
)  # fmt: skip
def test_a_template_shows_the_value_where_it_writes_it(text: str, does: bool) -> None:
    assert shows(text, "$value", "Value") is does


@given(st.text(alphabet="{}$.|()-\"`' \n:=/*abcdefinor0123456789labelsvalue"))
def test_no_template_makes_the_filling_in_raise(text: str) -> None:
    fill("{{" + text, Samples())
    fill(text, Samples())


@given(st.text(alphabet="{}[]:-#&*!|>'\"\n\t abgroupsrulesalert,"))
def test_no_text_makes_the_reading_raise(text: str) -> None:
    read_text(text)
    read_text(f"groups:\n- rules:\n  - {text}")


LABELS = ("a", "b", "c")
VALUES = ("", "x", "y")


@st.composite
def trees(draw: st.DrawFn, depth: int = 3) -> Route:
    def route(order: str, level: int) -> Route:
        matchers = draw(
            st.lists(
                st.builds(Matcher, st.sampled_from(("=", "!=")), st.sampled_from(LABELS), st.sampled_from(VALUES)),
                max_size=2,
            )
        )
        number = draw(st.integers(0, 3)) if level else 0
        children = tuple(route(f"{order}/{at}", level - 1) for at in range(number))
        return Route(
            id=order, key=order, order=0, receiver=order, matchers=tuple(matchers) if order != "{}" else (),
            continue_=draw(st.booleans()), routes=children,
        )  # fmt: skip

    return route("{}", depth)


@settings(max_examples=60)
@given(trees(), st.sets(st.sampled_from(LABELS)), st.lists(st.sampled_from(VALUES), min_size=3, max_size=3))
def test_every_route_that_some_value_leads_to_is_reached(root: Route, open_: set[str], values: list[str]) -> None:
    known = dict(zip(LABELS, values, strict=True))
    router = Router(root)
    taken = [
        {route.id for route in router.match({**known, **dict(zip(sorted(open_), one, strict=True))})}
        for one in itertools.product((*VALUES, "z"), repeat=len(open_))
    ]
    reached = reach(root, known, open_.__contains__)

    assert {one.route.id for one in reached} >= set.union(*taken)
    assert {one.route.id for one in reached if not one.needs} <= set.intersection(*taken)
    assert open_ or {one.route.id for one in reached} == taken[0]
