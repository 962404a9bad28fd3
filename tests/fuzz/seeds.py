"""The bodies that mutation starts from: what Alertmanager and others really wrote, and what our other doors take."""

import json
from functools import cache
from pathlib import Path

_DATA = Path(__file__).parent.parent / "data"
_WEBHOOKS = _DATA / "webhooks"
LARGEST = 24 * 1024
"""Bytes of the largest seed: what is longer says the same more often."""


@cache
def webhooks() -> tuple[bytes, ...]:
    """Every recorded webhook body, in one fixed order."""
    recorded = [
        file.read_bytes()
        for file in sorted(_WEBHOOKS.rglob("*.json"))
        if file.name not in ("expectations.json", _SAMPLES)
    ]
    samples = json.loads((_WEBHOOKS / _SAMPLES).read_text())["samples"]
    recorded += [json.dumps(sample["body"], separators=(",", ":")).encode() for sample in samples]
    return tuple(body for body in recorded if len(body) <= LARGEST)


_SAMPLES = "webhook_samples.json"


@cache
def alert_lists() -> tuple[bytes, ...]:
    """Lists as Prometheus posts them, made of the alerts of every webhook body that has some."""
    found = []
    for body in webhooks():
        try:
            alerts = json.loads(body)["alerts"]
            assert isinstance(alerts, list)
        except (ValueError, KeyError, TypeError, AssertionError):
            continue
        found.append(json.dumps([_posted(alert) for alert in alerts]).encode())
    return tuple(found)


def _posted(alert: object) -> object:
    if not isinstance(alert, dict):
        return alert
    kept = ("labels", "annotations", "startsAt", "endsAt", "generatorURL")
    return {name: alert[name] for name in kept if name in alert}


@cache
def silences() -> tuple[bytes, ...]:
    """Silences as amtool posts them."""
    matchers = [
        [{"name": "alertname", "value": "Down", "isRegex": False}],
        [{"name": "team", "value": "a|b.*", "isRegex": True, "isEqual": False}],
        [{"name": "a", "value": "", "isRegex": True, "isEqual": True}, {"name": "b", "value": "x", "isRegex": False}],
    ]
    times = [("2026-11-23T12:00:00Z", "2099-11-23T14:00:00.5Z"), ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z")]
    return tuple(
        json.dumps(
            {"matchers": some, "startsAt": start, "endsAt": end, "createdBy": "anna", "comment": "disk is changed"}
        ).encode()
        for some in matchers
        for start, end in times
    )
