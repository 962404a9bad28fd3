"""Change events: where they go, what an alert says as one, and whether an alert that begins to fire becomes one."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from relay.alert import Alert, moment
from relay.decision import Step
from relay.rules.classify import Entry
from relay.rules.cleaning import address, cut, line, prose
from relay.rules.desk import Desk
from relay.rules.details import EARLIEST
from relay.rules.ledger import Changed
from relay.rules.matchers import valid_label_name
from relay.rules.rulebook import Rulebook

ALERTNAME = "change"
"""The alertname that a change event is routed by."""
LONGEST_SUMMARY = 1_024
_LONGEST_VALUE = 8_192
_RUNBOOK = "runbook_url"


def labels_of(payload: Mapping[str, Any]) -> dict[str, str]:
    """Say what a change event is routed by: its name, its source, and each custom detail that could be a label."""
    details = payload.get("custom_details") or {}
    labels = {name: text for name, text in details.items() if isinstance(text, str) and _is_label(name)}
    source = {"event_source": payload["source"]} if payload.get("source") else {}
    return labels | source | {"alertname": ALERTNAME}


def _is_label(name: str) -> bool:
    return name.isascii() and valid_label_name(name)


def routed(labels: Mapping[str, str], book: Rulebook) -> tuple[str, ...]:
    """Name the integrations of every receiver that a change event is routed to."""
    targets = [target for route in book.router.match(labels) for target in book.targets(route)]
    return tuple({target.integration: None for target in targets})


def of_receiver(name: str, book: Rulebook) -> tuple[str, ...]:
    """Name the integrations of a receiver."""
    receiver = book.rules.receivers.get(name)
    return tuple({target.integration: None for target in receiver.targets}) if receiver is not None else ()


class Made(NamedTuple):
    """What becomes of an alert whose route makes change events."""

    changes: tuple[Changed, ...]
    steps: tuple[Step, ...]


def made(entry: Entry, desk: Desk) -> Made:
    """Make the change events of an alert that begins to fire; what would keep its page quiet keeps it back as well."""
    event = msgspec.json.encode(event_of(entry.alert))
    changes: list[Changed] = []
    steps: list[Step] = []
    for place in entry.changes:
        quiet = desk.suppressor.quiet(entry, place)
        if quiet:
            steps += [Step("suppression", f"no change event for receiver {place.receiver}: {quiet[0].because}")]
            continue
        changes.append(Changed(place.integration, desk.now, event))
        steps.append(Step("change", f"a change event for receiver {place.receiver} is made of it: it pages nobody"))
    return Made(tuple(changes), tuple(dict.fromkeys(steps)))


def event_of(alert: Alert) -> dict[str, Any]:
    """Say what an alert says as a change event, without a routing key."""
    details = {"labels": _cleaned(alert.labels), "annotations": _cleaned(alert.annotations)}
    payload: dict[str, Any] = {"summary": _summary(alert), "custom_details": {k: v for k, v in details.items() if v}}
    source = line(alert.labels.get("event_source") or alert.labels.get("instance") or alert.source)
    if source:
        payload["source"] = cut(source, LONGEST_SUMMARY)
    if alert.starts_at >= EARLIEST:
        payload["timestamp"] = moment(alert.starts_at).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    links = [("Runbook", alert.annotations.get(_RUNBOOK, "")), ("Graph", alert.generator_url)]
    shown = [{"href": address(href), "text": text} for text, href in links if address(href)]
    return {"payload": payload} | ({"links": shown} if shown else {})


def _summary(alert: Alert) -> str:
    said = (alert.annotations.get(name, "") for name in ("summary", "message", "description"))
    text = next((one for one in map(line, said) if one), "")
    name = line(alert.labels.get("alertname", ""))
    return cut(text or name or f"alert {alert.fingerprint}", LONGEST_SUMMARY)


def _cleaned(values: Mapping[str, str]) -> dict[str, str]:
    return {prose(name): cut(prose(text), _LONGEST_VALUE) for name, text in sorted(values.items())}
