"""Templates of alerts are filled in as Prometheus fills them: every one of a table, and random ones, by promtool."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from relay.promrules.expanding import Samples, fill

LABELS = {"instance": "host-1.example.com:9100", "job": "node", "n": "1234.5", "empty": ""}
TEMPLATES = (
    "plain {text}",
    "{{ $value }} {{ .Value }} {{ $labels.instance }} {{ .Labels.job }} {{ $.Labels.job }}",
    "{{$labels.instance | stripPort}} {{ $labels.instance | stripDomain }}",
    "{{ $value | humanize }} {{ humanize1024 $value }} {{ humanizeDuration $value }} {{ humanizePercentage $value }}",
    "{{ humanize $labels.n }} {{ $labels.n | humanizeDuration }} {{ humanizePercentage 1 }} {{ humanize 0.0001 }}",
    "{{ humanizeTimestamp 1435065584.128 }} {{ humanizeDuration 0.1 }} {{ humanizeDuration -3725.5 }}",
    '{{ printf "%.2f %d %s %v %q %5.1f|%-6s|%06.2f %e %g %%" $value 7 "a" $value "b" 2.25 "c" 3.5 $value $value }}',
    '{{ printf "%d %s" $value $value }} {{ printf "%d" }} {{ printf "%s" 1 2 }} {{ printf "%x %X" 255 "hi" }}',
    '{{ reReplaceAll "([^:]+):(.*)" "$2-${1}" $labels.instance }} {{ $labels.job | reReplaceAll "n" "" }}',
    '{{ if gt $value 0.5 }}high{{ else if eq 1 1 }}other{{ else }}low{{ end }}',
    '{{ if $labels.empty }}x{{ else }}y{{end}}',
    '{{ with $labels.job -}} job={{ . }} {{- end }}{{ with $labels.empty }}no{{ else }} none{{ end }}',
    '{{ $s := "" }}{{ if ne $labels.job "x" }}{{ $s = "s" }}{{ end }}disk{{ $s }}',
    "{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ $x }}{{ end }}{{ $x }}",
    "a {{- /* a comment */ -}} b {{- 1   -}}  c",
    '{{ and 1 0 }} {{ or "" "b" }} {{ not true }} {{ eq "a" "b" "a" }} {{ le 1 2 }} {{ len "abc" }}',
    '{{ title "aa bb CC" }} {{ toUpper $labels.job }} {{ toLower "AB" }} {{ match "^no" $labels.job }}',
    '{{ urlquery $labels.instance }} {{ "a b&c" | urlquery }} {{ print "a" 1 2 "b" }} {{ println 1 "x" }}|',
    '{{ parseDuration "1h2m10ms" }} {{ `raw "text"` }} {{ "esc\\t\\"\\u00e9" }} {{ 0x10 }} {{ 1e3 }} {{ 1.0 }}',
    "{{ 1000000.0 }} {{ 999999.0 }} {{ 0.00001 }} {{ 123456789.0 }} {{ 100.0 }} {{ -2.5 }} {{ 'a' }}",
    '{{ ($labels.instance | printf "%s!") }} {{ index $labels "job" }} {{ (printf "%s" "x") | toUpper }}',
)  # fmt: skip


def checked(folder: Path, templates: list[str], value: float) -> str:
    """Ask promtool whether these templates come to what they are filled in with here; "" if they do."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("!! promtool is not installed (make test installs it where it can): templates are NOT compared")
    samples = Samples(value, LABELS)
    names = {f"t{number}": template for number, template in enumerate(templates)}
    rule = {"alert": "A", "expr": "m", "annotations": names}
    (folder / "rules.yml").write_text(json.dumps({"groups": [{"name": "g", "rules": [rule]}]}))
    series = {"series": f"m{{{','.join(f'{name}={json.dumps(text)}' for name, text in LABELS.items())}}}"}
    expected = {
        "exp_labels": {name: text for name, text in LABELS.items() if text},
        "exp_annotations": {name: fill(template, samples).text for name, template in names.items()},
    }
    case = {
        "interval": "1m",
        "input_series": [{**series, "values": repr(value)}],
        "alert_rule_test": [{"eval_time": "0m", "alertname": "A", "exp_alerts": [expected]}],
    }
    (folder / "test.yml").write_text(json.dumps({"rule_files": ["rules.yml"], "tests": [case]}))
    done = subprocess.run(
        [promtool, "test", "rules", "test.yml"], cwd=folder, capture_output=True, text=True, timeout=30, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("value", [0.95, 1234567.0, -3.0, 1048576.0])
def test_templates_come_to_what_prometheus_makes_of_them(tmp_path: Path, value: float) -> None:
    for template in TEMPLATES:
        filled = fill(template, Samples(value, LABELS))
        assert (filled.broken, filled.unfilled) == ("", ()), template

    assert checked(tmp_path, list(TEMPLATES), value) == ""


PIECES = (
    "x", " ", "{{ $value }}", "{{ if $value }}", "{{ else }}", "{{ end }}", "{{ with $labels.job }}", "{{ . }}",
    "{{- 1 }}",
    "{{ 2 -}}", "{{ $labels.job", " | toUpper }}", "{{ $x := 1 }}", "{{ $x }}", '{{ "a" }}', "{{ foo }}", "{{ }}", "}}",
    "{{ (1) }}", "{{ (1 }}", "{{ $y }}", "{{ if }}", "{{/* c */}}", "{{ range $labels }}", '{{ "a" | "b" }}',
)  # fmt: skip


def test_promtool_refuses_the_templates_that_are_called_broken(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("!! promtool is not installed (make test installs it where it can): templates are NOT compared")
    found: dict[str, bool] = {}

    @settings(max_examples=400, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(st.lists(st.sampled_from(PIECES), max_size=6).map("".join))
    def gather(template: str) -> None:
        found[template] = bool(fill(template, Samples(1.0, LABELS)).broken)

    gather()
    rules = [
        {"alert": f"A{number}", "expr": "m", "annotations": {"t": template}} for number, template in enumerate(found)
    ]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "g", "rules": rules}]}))
    done = subprocess.run(
        [promtool, "check", "rules", "rules.yml"], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
    )
    said = done.stdout + done.stderr
    refused = {template: f'"A{number}": ' in said for number, template in enumerate(found)}

    assert {template for template in found if refused[template] != found[template]} == set()
    assert any(refused.values())
    assert not all(refused.values())
