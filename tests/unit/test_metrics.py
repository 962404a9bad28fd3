"""What /metrics says: every metric documented, every label set there from the start, clean by promtool."""

import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace as Said

import pytest

from relay.decision import Verdict
from relay.event import Action, Delivered, Rejected, Retry, Severity
from relay.metrics import Metrics
from relay.metrics.words import LANES, SEVERITIES, SOURCES, VERDICTS
from relay.page import Lane
from relay.rules.responding import Response

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
_SAMPLE = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")


def fresh() -> Metrics:
    metrics = Metrics("0.1.0")
    metrics.initialise(["platform"], ["main"])
    return metrics


def samples(metrics: Metrics) -> dict[str, float]:
    text = metrics.render()[0].decode()
    found = (_SAMPLE.match(line) for line in text.splitlines() if not line.startswith("#"))
    return {f"{one['name']}{{{one['labels'] or ''}}}": float(one["value"]) for one in found if one}


def families(metrics: Metrics) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """Name, as exposed, to kind, help and label names."""
    text = metrics.render()[0].decode()
    kinds = dict(re.findall(r"^# TYPE (pagerelay_\w+) (\w+)$", text, re.M))
    helps = dict(re.findall(r"^# HELP (pagerelay_\w+) (.*)$", text, re.M))
    labels: dict[str, tuple[str, ...]] = {}
    for name, kind in kinds.items():
        sample = re.search(rf"^{name}(?:_count)?(?:\{{(.*)\}})? ", text, re.M) if kind == "histogram" else None
        sample = sample or re.search(rf"^{name}(?:\{{(.*)\}})? ", text, re.M)
        labels[name] = tuple(re.findall(r'(\w+)="', sample[1] or "")) if sample else ()
    return {name: (kinds[name], helps[name], labels[name]) for name in kinds}


def test_each_metric_has_its_row_in_the_docs_and_each_row_its_metric() -> None:
    rows = re.findall(r"^\| `(pagerelay_\w+)` \| (\w+) \| ([^|]*) \| (.*) \|$", DOCS.read_text(), re.M)
    metrics = fresh()
    metrics.heard("main", 1)
    for kind in ("opened", "acknowledged", "closed"):
        metrics.responded(Response(kind, "platform", Severity.ERROR, after_hours=True))
    documented = {
        name: (kind, words, tuple(sorted(re.findall(r"`(\w+)`", labels)))) for name, kind, labels, words in rows
    }

    assert documented == {
        name: (kind, words, tuple(sorted(labels))) for name, (kind, words, labels) in families(metrics).items()
    }


def test_promtool_has_nothing_to_say() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian package `prometheus`): the metrics were NOT checked")

    checked = subprocess.run([promtool, "check", "metrics"], input=fresh().render()[0], capture_output=True)

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_the_label_sets_of_a_receiver_are_there_before_its_first_event() -> None:
    found = samples(fresh())

    for severity in Severity:
        assert (
            found[f'pagerelay_events_delivered_total{{action="trigger",receiver="platform",severity="{severity}"}}']
            == 0
        )
    assert found['pagerelay_delivery_failures_total{reason="serverError",receiver="platform"}'] == 0
    assert found['pagerelay_webhook_requests_total{code="503",source="main"}'] == 0
    assert found['pagerelay_delivery_request_duration_seconds_count{receiver="platform"}'] == 0


def test_initialising_again_keeps_what_was_counted() -> None:
    metrics = fresh()
    metrics.requested("main", 200, 1000, 0.01)

    metrics.initialise(["platform", "payments"], ["main"])

    assert samples(metrics)['pagerelay_webhook_requests_total{code="200",source="main"}'] == 1


def test_the_words_are_those_of_the_house() -> None:
    assert set(VERDICTS) == {verdict.value for verdict in Verdict}
    assert [lane.name.lower() for lane in Lane] == list(LANES)
    assert set(SEVERITIES) == {severity.value for severity in Severity}


def test_sources_beyond_the_fiftieth_share_one_name() -> None:
    metrics = Metrics()
    for number in range(SOURCES + 20):
        metrics.requested(f"s{number}", 404, 0, 0.0)
    metrics.requested("s0", 404, 0, 0.0)

    found = samples(metrics)
    assert found['pagerelay_webhook_requests_total{code="404",source="other"}'] == 20
    assert found['pagerelay_webhook_requests_total{code="404",source="s0"}'] == 2
    assert sum("webhook_requests_total" in name for name in found) == SOURCES + 1


def test_a_message_is_counted_by_status_severity_and_verdict() -> None:
    metrics = fresh()
    paged = Said(
        alert=Said(status="firing"), placements=[Said(severity=Severity.CRITICAL)], steps=[Said(by="severity")]
    )
    stray = Said(alert=Said(status="resolved"), placements=[], steps=[])
    draft = Said(entries=[paged, stray], repeated=7)
    plan = Said(
        decisions=[Said(verdict=Verdict.OPENS), Said(verdict=Verdict.NOT_OURS)],
        suppressed=("silence", "hold", "hold"),
        folded=(),
    )

    metrics.received(Said(source="main", truncated_alerts=3), draft, plan)

    found = samples(metrics)
    assert found['pagerelay_alerts_received_total{severity="critical",source="main",status="firing"}'] == 1
    assert found['pagerelay_alerts_received_total{severity="none",source="main",status="resolved"}'] == 1
    assert found["pagerelay_unknown_severity_total{}"] == 1
    assert found['pagerelay_decisions_total{verdict="opens"}'] == 1
    assert found['pagerelay_decisions_total{verdict="repeats"}'] == 7
    assert found['pagerelay_suppressed_total{reason="hold"}'] == 2
    assert found['pagerelay_suppressed_total{reason="inhibition"}'] == 0
    assert found["pagerelay_alerts_deduplicated_total{}"] == 7
    assert found['pagerelay_alerts_truncated_upstream_total{source="main"}'] == 3


def test_attempts_are_counted_by_what_they_came_to() -> None:
    metrics = fresh()
    attempt = Said(action=Action.TRIGGER, at=1_000_000_000, rung="fallback minimal")
    outcomes = (
        Delivered(),
        Retry("tls"),
        Retry("authError", configuration=True),
        Rejected("tooLarge"),
        Rejected("new"),
        None,
    )

    for outcome in outcomes:
        metrics.attempted("platform", attempt, Severity.ERROR, outcome, 250_000, 2_000_000)
    metrics.dead_lettered(Rejected("tooLarge"))

    found = samples(metrics)
    for word, count in {"delivered": 1, "retry": 2, "rejected": 2, "unchanged": 1}.items():
        assert found[f'pagerelay_delivery_attempts_total{{outcome="{word}",receiver="platform"}}'] == count
    for reason in ("tls", "authError", "tooLarge", "other"):
        assert found[f'pagerelay_delivery_failures_total{{reason="{reason}",receiver="platform"}}'] == 1
    assert found['pagerelay_events_dead_lettered_total{reason="tooLarge"}'] == 1
    assert found['pagerelay_events_minimal_total{receiver="platform"}'] == 1
    assert found['pagerelay_events_fallback_total{receiver="platform"}'] == 1
    assert found['pagerelay_events_delivered_total{action="trigger",receiver="platform",severity="error"}'] == 1
    assert found['pagerelay_accept_to_delivery_seconds_sum{severity="error"}'] == 2.25
    assert found['pagerelay_delivery_request_duration_seconds_count{receiver="platform"}'] == 5
    assert found['pagerelay_last_delivery_success_timestamp_seconds{receiver="platform"}'] == 1000.25


def test_a_template_field_outside_the_known_ones_has_no_label_of_its_own() -> None:
    metrics = fresh()
    for field in ("details.firing", "links[0].href", "description", "made up"):
        metrics.template_failed(field)

    found = samples(metrics)
    assert [found[f'pagerelay_template_errors_total{{field="{name}"}}'] for name in ("details", "links", "other")] == [
        1,
        1,
        1,
    ]


def test_gauges_show_the_last_state() -> None:
    metrics = fresh()
    metrics.queued({Lane.CRITICAL: 2}, {Lane.CRITICAL: 1_000_000}, 4_500_000)
    metrics.held({"platform": 3, "payments": 1}, dead=1, key_gone=2)
    metrics.held({"payments": 4}, dead=0, key_gone=0)
    metrics.reloaded(ok=True, at=5_000_000, fingerprint="00000000000f0000")
    metrics.reloaded(ok=False, at=9_000_000)
    metrics.stored(up=True, size=10, free=20)
    metrics.budget("platform", 17, circuit_open=True)
    metrics.heard("main", 7_000_000)

    found = samples(metrics)
    assert found['pagerelay_queue_events{lane="critical"}'] == 2
    assert found['pagerelay_queue_oldest_age_seconds{lane="critical"}'] == 3.5
    assert found['pagerelay_open_pages{receiver="platform"}'] == 0
    assert found['pagerelay_open_pages{receiver="payments"}'] == 4
    assert found["pagerelay_config_last_reload_successful{}"] == 0
    assert found["pagerelay_config_last_reload_success_timestamp_seconds{}"] == 5
    assert found["pagerelay_config_hash{}"] == 15
    assert found["pagerelay_store_up{}"] == 1
    assert found['pagerelay_rate_limit_tokens{receiver="platform"}'] == 17
    assert found['pagerelay_circuit_open{receiver="platform"}'] == 1
    assert found['pagerelay_source_last_heard_timestamp_seconds{source="main"}'] == 7
    assert found['pagerelay_config_reloads_total{outcome="failure"}'] == 1


def test_the_nameless_source_is_called_default() -> None:
    metrics = Metrics()
    metrics.requested("", 200, 0, 0.0)

    assert samples(metrics)['pagerelay_webhook_requests_total{code="200",source="default"}'] == 1
