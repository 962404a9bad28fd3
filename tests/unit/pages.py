"""Pages to render in tests."""

from typing import Any

from relay.alert import Status
from relay.event import Severity
from relay.rules.view import MemberView, PageView

NOW = 1_795_420_800_000_000
"""2026-11-23T08:00:00Z."""

MINUTE = 60_000_000


def member(
    pod: str = "a",
    *,
    resolved: bool = False,
    severity: Severity = Severity.CRITICAL,
    annotations: dict[str, str] | None = None,
    suppressed: str = "",
    starts_at: int = NOW - 10 * MINUTE,
    generator_url: str = "http://prometheus.example:9090/graph?g0.expr=up",
    **labels: str,
) -> MemberView:
    """One alert of the service that always fails."""
    return MemberView(
        status=Status.RESOLVED if resolved else Status.FIRING,
        labels={"alertname": "HighErrorRate", "cluster": "eu1", "service": "checkout", "pod": pod, **labels},
        annotations=annotations or {},
        starts_at=starts_at,
        ends_at=NOW - MINUTE if resolved else -62_135_596_800_000_000,
        generator_url=generator_url,
        fingerprint="00c0ffee00c0ffee",
        severity=severity,
        suppressed=suppressed,
    )


def page(*members: MemberView, **changes: Any) -> PageView:
    """A page of the given members, or of one."""
    shown = members or (member(),)
    fields: dict[str, Any] = {
        "page": "aaaaaaaaaaaab",
        "dedup_key": "d" * 64,
        "receiver": "platform",
        "source": "default",
        "severity": Severity.CRITICAL,
        "group_key": '{}:{alertname="HighErrorRate", cluster="eu1"}',
        "group_labels": {"alertname": "HighErrorRate", "cluster": "eu1"},
        "alertmanager_url": "http://alertmanager.example:9093",
        "relay_url": "https://relay.example/pages/aaaaaaaaaaaab",
        "now": NOW,
        "members": shown,
        "firing": sum(one.status == Status.FIRING for one in shown),
        "resolved": sum(one.status != Status.FIRING for one in shown),
    }
    return PageView(**{**fields, **changes})
