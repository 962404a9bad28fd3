"""Webhook bodies as Alertmanager would post them, for the stories that do without one."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from relay.alert import fingerprint_of

_BEGAN = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
_NEVER = "0001-01-01T00:00:00Z"


def alert(labels: Mapping[str, str], *, firing: bool = True, episode: int = 1) -> dict[str, Any]:
    """State one alert; a later episode begins later."""
    began = _BEGAN + timedelta(minutes=episode)
    return {
        "status": "firing" if firing else "resolved",
        "labels": dict(labels),
        "annotations": {"summary": f"{labels['alertname']} is not well"},
        "startsAt": began.isoformat(),
        "endsAt": _NEVER if firing else (began + timedelta(seconds=30)).isoformat(),
        "generatorURL": "http://prometheus.example.com/graph",
        "fingerprint": fingerprint_of(labels),
    }


def body(alertname: str, *alerts: Mapping[str, Any], truncated: int = 0) -> dict[str, Any]:
    """State one group, grouped by alertname."""
    return {
        "version": "4",
        "groupKey": f'{{}}:{{alertname="{alertname}"}}',
        "truncatedAlerts": truncated,
        "status": "firing" if any(one["status"] == "firing" for one in alerts) else "resolved",
        "receiver": "relay",
        "groupLabels": {"alertname": alertname},
        "commonLabels": {"alertname": alertname},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example.com:9093",
        "alerts": list(alerts),
    }


def labels(alertname: str, instance: str = "a", severity: str = "critical") -> dict[str, str]:
    """Name an alert."""
    return {"alertname": alertname, "instance": instance, "severity": severity}
