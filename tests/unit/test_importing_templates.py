"""Go templates become the Jinja that says the same, or are refused with what stands in the way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.alert import Status
from relay.event import Severity
from relay.importing.go_jinja import translate
from relay.importing.go_lexer import GoTemplateError
from relay.importing.go_parser import parse
from relay.importing.severities import Fixed, Mapped, severity_form
from relay.importing.values import Untranslatable
from relay.rules.differences import parts, words
from relay.rules.templates import Alerts, Engine
from relay.rules.view import MemberView, PageView

ONE = {"alertname": "Down", "job": "api", "instance": "b", "team": "shop", "values": "label"}
TWO = {"alertname": "Down", "job": "api", "instance": "a", "team": "shop", "values": "label"}
MEMBERS = (
    MemberView(Status.FIRING, ONE, {"summary": "it is down"}, 0, 0),
    MemberView(Status.FIRING, TWO, {"summary": "it is down"}, 0, 0),
)
PAGE = PageView(
    "p", "k", "ops", "", Severity.ERROR, "", {"alertname": "Down"}, "http://am/x y", "", 0, MEMBERS, len(MEMBERS), 0
)


def rendered(jinja: str) -> str:
    """Render for two alerts that fire."""
    found = parts(PAGE)
    engine = Engine({})
    return engine.text(jinja, engine.data(PAGE, found, words(PAGE, found)))


@pytest.mark.parametrize(
    ("go", "jinja", "gives"),
    [
        ("{{ .CommonLabels.team }}", "{{ common_labels.team }}", "shop"),
        ('{{ index .CommonLabels "odd.name" }}|', '{{ common_labels["odd.name"] }}|', "|"),
        ("{{ .CommonLabels.values }}", '{{ common_labels.get("values") }}', "label"),
        ("{{ .CommonLabels.nothing }}.", "{{ common_labels.nothing }}.", "."),
        ("{{ .Status | toUpper }}", "{{ status | to_upper }}", "FIRING"),
        ("{{ toUpper .Status | title }}", "{{ status | to_upper | title }}", "Firing"),
        ("{{ .Alerts.Firing | len }}", "{{ num_firing }}", "2"),
        ("{{ len .Alerts }}", "{{ alerts | length }}", "2"),
        ("{{ (index .Alerts 0).Labels.instance }}", "{{ alerts.by_labels[0].labels.instance }}", "a"),
        (
            "{{ range .Alerts }}{{ .Labels.instance }}{{ end }}",
            "{% for alert in alerts.by_labels %}{{ alert.labels.instance }}{% endfor %}",
            "ab",
        ),
        (
            "{{ range $i, $a := .Alerts }}{{ if $i }}, {{ end }}{{ $a.Labels.instance }}{{ end }}",
            "{% for a in alerts.by_labels %}{% set i = loop.index0 %}{% if i %}, {% endif %}"
            "{{ a.labels.instance }}{% endfor %}",
            "a, b",
        ),
        (
            "{{ range $k, $v := .GroupLabels }}{{ $k }}={{ $v }}{{ end }}",
            "{% for k, v in group_labels | dictsort(true) %}{{ k }}={{ v }}{% endfor %}",
            "alertname=Down",
        ),
        (
            "{{ range .Alerts.Resolved }}x{{ else }}none{{ end }}",
            "{% for alert in alerts.resolved.by_labels %}x{% else %}none{% endfor %}",
            "none",
        ),
        (
            "{{ with .CommonAnnotations.summary }}{{ . }}{{ else }}-{{ end }}",
            "{% if common_annotations.summary %}{{ common_annotations.summary }}{% else %}-{% endif %}",
            "it is down",
        ),
        (
            "{{ with $x := .Receiver | toUpper }}{{ $x }}{{ . }}{{ $.Status }}{{ end }}",
            "{% set x = receiver | to_upper %}{% if x %}{{ x }}{{ x }}{{ status }}{% endif %}",
            "OPSOPSfiring",
        ),
        (
            '{{ if eq .Status "resolved" }}r{{ else if and .CommonLabels.team (ne .Receiver "x") }}t{{ end }}',
            '{% if status == "resolved" %}r{% elif (not not common_labels.team) and (receiver != "x") %}t{% endif %}',
            "t",
        ),
        ('{{ if eq .Status "a" "firing" }}y{{ end }}', '{% if status in ("a", "firing") %}y{% endif %}', "y"),
        ("{{ not .CommonLabels.x }}", '{{ "true" if not common_labels.x else "false" }}', "true"),
        ('{{ or .CommonLabels.x "none" }}', '{{ common_labels.x or "none" }}', "none"),
        ('{{ "a" }}{{ `b\\` }}{{ "\\u00e9\\"" }}', 'ab\\é"', 'ab\\é"'),
        (
            '{{ printf "%s: %d of %5.1f%%" .Receiver (len .Alerts) 2.5 }}',
            '{{ receiver ~ ": " ~ alerts | length ~ " of " ~ "%5.1f" | format(2.5) ~ "%" }}',
            "ops: 2 of   2.5%",
        ),
        ('{{ printf "%-5s|" .Receiver }}', '{{ "%-5s" | format(receiver) ~ "|" }}', "ops  |"),
        ('{{ reReplaceAll "d(o+)" "<$1>" "doo" }}', '{{ "doo" | re_replace_all("d(o+)", "<$1>") }}', "<oo>"),
        ('{{ if match "^o" .Receiver }}y{{ end }}', '{% if receiver | match("^o") %}y{% endif %}', "y"),
        (
            '{{ .CommonLabels.Names | join "," }}',
            '{{ common_labels.names | join(",") }}',
            "alertname,job,team,values",
        ),
        (
            '{{ (.CommonLabels.Remove (stringSlice "alertname" "values")).SortedPairs.Values | join " " }}',
            '{{ common_labels.remove(string_slice("alertname", "values")).sorted_pairs.values | join(" ") }}',
            "api shop",
        ),
        ("{{ .GroupLabels.Values }}", '[{{ group_labels.values | join(" ") }}]', "[Down]"),
        (
            "{{ .ExternalURL | urlquery }}",
            '{{ external_url | urlencode | replace("%20", "+") | replace("/", "%2F") }}',
            "http%3A%2F%2Fam%2Fx+y",
        ),
        ("a \n {{- .Status -}} \n b", "a{{ status }}b", "afiringb"),
        ("a {{- /* no */ -}} b{{/* no */}}", "ab", "ab"),
        ("{% if %} {# no #}", '{{ "{\\x25" }} if %} {{ "{\\x23" }} no #}', "{% if %} {# no #}"),
        ("{ {{- .Status }}", '{{ "{" }}{{ status }}', "{firing"),
        ('{{ define "t" }}<{{ .Receiver }}>{{ end }}{{ template "t" . }}', "<{{ receiver }}>", "<ops>"),
        ("{{ $x := .Receiver }}{{ if $x }}{{ $x }}{{ end }}",
         "{% set x = receiver %}{% if x %}{{ x }}{% endif %}", "ops"),
        ("{{ $status := .Receiver }}{{ $status }}{{ .Status }}",
         "{% set status_2 = receiver %}{{ status_2 }}{{ status }}", "opsfiring"),
    ],
)  # fmt: skip
def test_a_go_template_becomes_the_jinja_that_says_the_same(go: str, jinja: str, gives: str) -> None:
    assert translate(go) == jinja
    assert rendered(translate(go)) == gives


def test_alerts_come_in_alertmanagers_order() -> None:
    """As a real Alertmanager has them (tests/acceptance/test_importing.py)."""
    rest = ({"pod": "b"}, {"disk": "z"}, {"disk": "a", "pod": "a"}, {"disk": "y"}, {"pod": "a"}, {"job": "a"})
    alerts = Alerts(tuple(MemberView(Status.FIRING, {"instance": "i", **labels}, {}, 0, 0) for labels in rest))

    found = [dict(alert.labels) for alert in alerts.by_labels]

    tied = ({"pod": "a"}, {"pod": "b"}, {"disk": "y"}, {"disk": "z"}, {"disk": "a", "pod": "a"}, {"job": "a"})
    assert found == [{"instance": "i", **labels} for labels in tied]


@pytest.mark.parametrize(
    ("go", "why"),
    [
        ("{{ .Alerts }}", "a list of alerts is printed as Go prints it"),
        ("{{ .Nonsense }}", ".Nonsense is asked of the whole notification"),
        ("{{ sprig .Status }}", "the function sprig has no like here"),
        ("{{ eq .Status 1 }}", "eq compares a string with a whole number"),
        ('{{ template "mine" . }}', "the template 'mine' is not at hand: give the file that defines it"),
        ('{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}', "the template 'a' calls itself"),
        ("{{ $x := 1 }}{{ range .Alerts }}{{ $x = 2 }}{{ end }}", "$x is set anew by ="),
        ("{{ if .Status }}{{ $x := 1 }}{{ end }}{{ $x }}", "$x is not set there"),
        ('{{ printf "%d" .Status }}', "printf writes a string by %d"),
        ("{{ len .Status }}", "len is given no list or map"),
        ("{{ range .Status }}{{ end }}", "range goes over a string"),
        ("{{ nil }}", "nil is nothing that Jinja knows"),
    ],
)
def test_what_jinja_might_say_otherwise_is_refused_by_name(go: str, why: str) -> None:
    with pytest.raises(Untranslatable) as refused:
        translate(go)

    assert str(refused.value) == why


@pytest.mark.parametrize(
    "go",
    ["{{", "{{ }}", "{{ if .A }}", "{{ end }}", "{{ .A | }}", '{{ "a }}', "{{ (.A }}", "{{ else }}", "{{ ; }}"],
)  # fmt: skip
def test_what_is_no_go_template_is_refused(go: str) -> None:
    with pytest.raises(GoTemplateError):
        parse(go)


@given(st.text(alphabet="{%#}- \na'\"\\", max_size=20))
def test_text_without_actions_stays_as_it_is(text: str) -> None:
    if "{{" not in text and not text.endswith("\n"):
        assert rendered(translate(text)) == text
        assert rendered(translate(f"{text} {{{{- .Status }}}}")) == f"{text.rstrip()}firing"


@given(st.text(alphabet="{}%#\"'\\\na ", max_size=12))
def test_a_string_stays_as_it_is_whatever_is_in_it(text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    assert rendered(translate(f'{{{{ toLower "{escaped}" }}}}.')) == f"{text}."


@pytest.mark.parametrize(
    ("go", "form"),
    [
        ("warning", Fixed("warning")),
        ('{{ "info" }}', Fixed("info")),
        ('{{ if eq .Status "firing" }}error{{ else }}info{{ end }}', Fixed("error")),
        (
            "{{ .CommonLabels.severity }}",
            Mapped(
                "severity",
                {"critical": "critical", "error": "error", "warning": "warning", "info": "info", "default": "error"},
            ),
        ),
        (
            '{{ if eq .CommonLabels.prio "P1" "p2" }}critical{{ else }}warning{{ end }}',
            Mapped("prio", {"p1": "critical", "p2": "critical", "warning": "warning", "default": "warning"}),
        ),
        (
            "{{ with .GroupLabels.severity }}{{ . | toLower }}{{ else }}info{{ end }}",
            Mapped(
                "severity",
                {"critical": "critical", "error": "error", "warning": "warning", "info": "info", "default": "info"},
            ),
        ),
        (
            '{{ if not .CommonLabels.s }}critical{{ else if eq .CommonLabels.s "x" }}info{{ else }}error{{ end }}',
            Mapped("s", {"error": "error", "x": "info", "": "critical", "default": "error"}),
        ),
    ],
)
def test_a_severity_template_becomes_one_word_or_a_map_over_a_label(go: str, form: Fixed | Mapped) -> None:
    assert severity_form(go, {}) == form


@pytest.mark.parametrize("go", ["{{ .CommonLabels.a }}{{ .CommonLabels.b }}", "page", "{{ .CommonLabels.a }}!"])
def test_a_severity_that_no_map_can_say_is_refused(go: str) -> None:
    with pytest.raises(Untranslatable):
        severity_form(go, {})
