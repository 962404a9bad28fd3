"""Writes webhook bodies as Alertmanager sends them: about 950 bytes an alert."""

import json
from collections.abc import Collection, Iterator, Sequence
from functools import cache

ALERT_BYTES = 950
_STARTED = "2026-01-01T00:00:00.123Z"
_AGAIN = "2026-01-01T01:00:00.123Z"
_ENDED = "2026-01-01T00:30:00.123Z"
_OPEN = "0001-01-01T00:00:00Z"


def new(number: int, alerts: int, *, severity: str = "critical", team: str = "core") -> bytes:
    """A body of a group never sent before, of so many firing alerts."""
    return _body(number, [_alert(number, place, severity=severity, team=team) for place in range(alerts)])


def mixed(number: int, alerts: int, criticals: Collection[int]) -> bytes:
    """A body of a group never sent before, of warnings and, at these places, criticals."""
    severities = ["critical" if place in criticals else "warning" for place in range(alerts)]
    return _body(number, [_alert(number, place, severity=severity) for place, severity in enumerate(severities)])


def fingerprint(number: int, place: int) -> str:
    """Name an alert of a group as its body does."""
    return f"{number:08x}{place:08x}"


def flips(number: int, alerts: int, bodies: int) -> Iterator[bytes]:
    """Bodies of one group, each with one alert changed against the one before: it resolves, then it fires again."""
    firing = [_alert(number, place) for place in range(alerts)]
    yield _body(number, firing)
    for turn in range(bodies - 1):
        place = turn // 2 % alerts
        changed = list(firing)
        changed[place] = _alert(number, place, resolved=turn % 2 == 0, again=turn % 2 == 1)
        firing = firing if turn % 2 == 0 else changed
        yield _body(number, changed)


def _body(number: int, alerts: Sequence[bytes]) -> bytes:
    labels = {"alertname": "HighErrorRate", "cluster": f"c{number}"}
    head = {"receiver": "relay", "status": "firing"}
    tail = {
        "groupLabels": labels,
        "commonLabels": {**labels, "job": "api", "namespace": "shop"},
        "commonAnnotations": {"runbook_url": "https://runbooks.example.com/shop/high-error-rate"},
        "externalURL": "http://alertmanager.example.com:9093",
        "version": "4",
        "groupKey": f'{{}}:{{alertname="HighErrorRate", cluster="c{number}"}}',
        "truncatedAlerts": 0,
    }
    opened, closed = _json(head)[:-1], _json(tail)[1:]
    return opened + b',"alerts":[' + b",".join(alerts) + b"]," + closed


def _alert(
    number: int,
    place: int,
    *,
    severity: str = "critical",
    team: str = "core",
    resolved: bool = False,
    again: bool = False,
) -> bytes:
    start, rest = _pieces(severity, team)
    status = b"resolved" if resolved else b"firing"
    times = f'"startsAt":"{_AGAIN if again else _STARTED}","endsAt":"{_ENDED if resolved else _OPEN}"'
    name = fingerprint(number, place)
    end = f',{times},"generatorURL":"http://prometheus.example.com/graph?g0.expr=errors","fingerprint":"{name}"}}'
    return (
        b'{"status":"%b",' % status
        + start.replace(b"@", b"%d" % number).replace(b"#", b"%d" % place)
        + rest
        + end.encode()
    )


@cache
def _pieces(severity: str, team: str) -> tuple[bytes, bytes]:
    """The labels, with @ for the group's number and # for the alert's place, and the annotations."""
    labels = {
        "alertname": "HighErrorRate",
        "cluster": "c@",
        "container": "web",
        "endpoint": "http-metrics",
        "instance": "10.0.@.#:9100",
        "job": "api",
        "namespace": "shop",
        "pod": "web-@-#",
        "prometheus": "monitoring/k8s",
        "severity": severity,
        "team": team,
    }
    annotations = {
        "description": "More than 5 % of the requests of this pod have failed for ten minutes. "
        + "Look closely. " * 18,
        "runbook_url": "https://runbooks.example.com/shop/high-error-rate",
        "summary": "A pod of the shop answers many requests with errors",
    }
    return b'"labels":' + _json(labels), b',"annotations":' + _json(annotations)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
