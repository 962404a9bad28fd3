"""Makes the webhook body that a question is about: of labels, of what fires in a page, of the alerts of a rule file."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from relay.alert import Instant, fingerprint_of
from relay.answers import PageAnswer
from relay.answers.words import clock
from relay.promrules.expanding import Samples, fill
from relay.promrules.paging import likely_value
from relay.promrules.reading import Rule, RuleFile


def of_labels(labels: Mapping[str, str], annotations: Mapping[str, str], at: Instant) -> bytes:
    """State one alert that begins to fire, as a sender without groups would."""
    return _body("", [_alert(labels, annotations, clock(at))])


def of_page(page: PageAnswer) -> bytes:
    """State what fires in a page as it was stated last."""
    firing = [one for one in page.members if one.status == "firing"]
    return _body(
        page.group_key,
        [{**_alert(one.labels, one.annotations, one.since), "fingerprint": one.fingerprint} for one in firing],
    )


def of_rules(file: RuleFile, labels: Mapping[str, str], at: Instant) -> bytes:
    """State one alert of each rule; `labels` are those of its series, as far as they are known."""
    return _body("", [_of_rule(rule, labels, clock(at)) for rule in file.rules])


def _of_rule(rule: Rule, labels: Mapping[str, str], since: str | None) -> dict[str, Any]:
    samples = Samples(likely_value(rule.expr.text if rule.expr else ""), labels, labels)
    own = {name: fill(text.text, samples).text for name, text in rule.labels.items()}
    annotations = {name: fill(text.text, samples).text for name, text in rule.annotations.items()}
    return _alert({**labels, **own, "alertname": rule.alert}, annotations, since)


def _alert(labels: Mapping[str, str], annotations: Mapping[str, str], since: str | None) -> dict[str, Any]:
    # Alertmanager knows no empty label: it is the same as none.
    kept = {name: value for name, value in labels.items() if value}
    said = {"status": "firing", "labels": kept, "annotations": annotations, "fingerprint": fingerprint_of(kept)}
    return said if since is None else {**said, "startsAt": since, "endsAt": "0001-01-01T00:00:00Z"}


def _body(group_key: str, alerts: Iterable[Mapping[str, Any]]) -> bytes:
    return msgspec.json.encode({"version": "4", "groupKey": group_key, "status": "firing", "alerts": list(alerts)})
