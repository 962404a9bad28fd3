"""Bodies that Alertmanager and other senders really wrote get the answer a person would give."""

import json
from pathlib import Path
from typing import Any

import pytest

from relay.alert import Status, WebhookMessage, fingerprint_of
from relay.errors import BadBody
from relay.ingress import FORMATS
from relay.ingress.alertmanager import parse, peek_group_key

WEBHOOKS = Path(__file__).parent.parent / "data" / "webhooks"
EXPECTATIONS: dict[str, dict[str, Any]] = json.loads((WEBHOOKS / "expectations.json").read_text())
REAL = sorted(WEBHOOKS.glob("real-0.25/*.json"))
SAMPLES = json.loads((WEBHOOKS / "webhook_samples.json").read_text())["samples"]


def counts(message: WebhookMessage) -> dict[str, int]:
    statuses = [alert.status for alert in message.alerts]
    notes = len(message.notes) + sum(len(alert.notes) for alert in message.alerts)
    said = {"firing": statuses.count(Status.FIRING), "resolved": statuses.count(Status.RESOLVED)}
    return said | ({"notes": notes} if notes else {})


@pytest.mark.parametrize("name", EXPECTATIONS)
def test_each_body_is_taken_or_refused_as_expected(name: str) -> None:
    expected = EXPECTATIONS[name]
    body = (WEBHOOKS / name).read_bytes()

    if "refused" in expected:
        with pytest.raises(BadBody) as refused:
            FORMATS["alertmanager"](body, "main")
        assert str(refused.value).startswith(expected["refused"])
    else:
        assert counts(FORMATS["alertmanager"](body, "main")) == expected


def test_every_body_has_an_expectation() -> None:
    bodies = {str(path.relative_to(WEBHOOKS)) for path in WEBHOOKS.rglob("*.json")}

    assert bodies - {"expectations.json", "webhook_samples.json"} == set(EXPECTATIONS)


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_a_real_body_is_read_field_for_field(path: Path) -> None:
    body = path.read_bytes()
    said = json.loads(body)

    message = parse(body, "main")

    assert (message.group_key, message.status) == (said["groupKey"], said["status"])
    assert message.truncated_alerts == said["truncatedAlerts"]
    assert message.group_labels == said["groupLabels"]
    assert message.common_labels == said["commonLabels"]
    assert message.common_annotations == said["commonAnnotations"]
    assert message.external_url == said["externalURL"]
    assert [json.loads(alert.raw) for alert in message.alerts] == said["alerts"]
    assert [alert.labels for alert in message.alerts] == [alert["labels"] for alert in said["alerts"]]
    assert [alert.annotations for alert in message.alerts] == [alert["annotations"] for alert in said["alerts"]]


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_the_fingerprint_of_a_real_alert_is_the_one_computed_from_its_labels(path: Path) -> None:
    for alert in parse(path.read_bytes(), "main").alerts:
        assert alert.fingerprint == fingerprint_of(alert.labels)


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_the_group_key_of_a_real_body_can_be_peeked(path: Path) -> None:
    body = path.read_bytes()

    assert peek_group_key(body) == parse(body, "main").group_key


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_a_real_body_whose_alerts_are_known_repeats_them_all(path: Path) -> None:
    body = path.read_bytes()
    known = {alert.digest for alert in parse(body, "main").alerts}

    again = parse(body, "main", known)

    assert again.alerts == ()
    assert set(again.repeated) == known


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["name"][:30])
def test_bodies_of_newer_alertmanagers_are_read_whole(sample: dict[str, Any]) -> None:
    said = sample["body"]

    message = parse(json.dumps(said, separators=(",", ":")).encode() + b"\n", "main")

    assert [(alert.status, alert.fingerprint) for alert in message.alerts] == [
        (alert["status"], alert["fingerprint"]) for alert in said["alerts"]
    ]
    assert message.notes == ()
    assert message.notification_reason == said.get("notification_reason", "")
    assert message.route_labels == said.get("routeLabels", {})
    assert message.receiver == said["receiver"].replace("\\.", ".")
