"""What a real Alertmanager tells PagerDuty natively, and what the relay that was imported from it tells it."""

import shutil
from pathlib import Path

import pytest

from tests.acceptance.importing import both_ways

pytestmark = pytest.mark.acceptance

TEMPLATES = (
    '{{ template "pagerduty.default.description" . }}',
    "{{ .CommonLabels.alertname }} on {{ .CommonLabels.instance }}",
    '[{{ .Status | toUpper }}:{{ .Alerts.Firing | len }}] {{ .GroupLabels.SortedPairs.Values | join " / " }}',
    "{{ range .Alerts }}{{ .Labels.instance }}={{ .Annotations.summary }} {{ end }}",
    "{{ range $i, $a := .Alerts }}{{ if $i }}, {{ end }}{{ $a.Labels.instance | title }}{{ end }}",
    "{{ (index .Alerts 0).Annotations.summary }} {{ (index .Alerts 0).StartsAt }}",
    '{{ if eq .CommonLabels.severity "critical" "page" }}!{{ else if .CommonLabels.team }}team{{ else }}-{{ end }}',
    "{{ with .CommonAnnotations.runbook_url }}see {{ . }}{{ else }}no runbook{{ end }}",
    '{{ printf "%s has %d of %.1f" .CommonLabels.job (len .Alerts) 2.5 }}',
    '{{ reReplaceAll "(\\\\w)_(\\\\w)" "$2-$1" .CommonLabels.alertname }} {{ .CommonLabels.alertname | toLower }}',
    "{{ range $k, $v := .CommonLabels }}{{ $k }}:{{ $v }};{{ end }}",
    '{{ if match "^api" .CommonLabels.alertname }}api{{ else }}not{{ end }} {{ .ExternalURL | urlquery }}',
    "{{ (index .Alerts.Firing 0).StartsAt.Format \"2006-01-02 15:04:05.000 MST\" }}",
    'a \n {{- " b " -}} \n c {% if %} {# x #}',
)  # fmt: skip


@pytest.mark.skipif(shutil.which("prometheus-alertmanager") is None, reason="no prometheus-alertmanager here")
def test_pages_have_the_keys_and_summaries_that_alertmanager_gave_them(tmp_path: Path) -> None:
    native, ours, imported = both_ways(TEMPLATES, tmp_path)

    assert ours == native
    assert len(native) == 3 * len(TEMPLATES)
    assert imported.notes == ()
