"""Change events as they are read, routed and made of alerts."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from jsonschema import Draft202012Validator, FormatChecker

from relay.alert import Alert, Status
from relay.ingress.changes import read
from relay.ingress.pagerduty import InvalidEvent
from relay.pagerduty.encoding import LARGEST, encode_change
from relay.pagerduty.events import change_url
from relay.rules.changes import event_of, labels_of
from relay.secret import Secret

KEY = "0123456789abcdef0123456789abcdef"
SCHEMA = Draft202012Validator(
    json.loads((Path(__file__).parents[1] / "data" / "pagerduty" / "change-event.schema.json").read_text()),
    format_checker=FormatChecker(),
)
JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=20),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
ITEMS = some.lists(
    some.dictionaries(some.sampled_from(["href", "src", "text", "alt", "x"]), JSON, max_size=4) | JSON, max_size=3
)


@settings(max_examples=60, deadline=None)
@given(
    some.fixed_dictionaries(
        {"routing_key": some.just(KEY), "payload": some.fixed_dictionaries({"summary": some.text(max_size=1100)})},
        optional={"links": ITEMS | JSON, "images": ITEMS | JSON, "anything": JSON},
    ),
    some.fixed_dictionaries({}, optional={"source": JSON, "timestamp": JSON, "custom_details": JSON, "other": JSON}),
)
def test_whatever_is_accepted_is_what_pagerduty_accepts(body: dict[str, Any], payload: dict[str, Any]) -> None:
    body["payload"] |= payload
    try:
        incoming = read(json.dumps(body).encode())
    except InvalidEvent:
        return

    sent = json.loads(encode_change(incoming.event, Secret("f" * 32)))
    assert [error.message for error in SCHEMA.iter_errors(sent)] == []
    assert sent["routing_key"] == "f" * 32
    assert sent["payload"]["summary"] == body["payload"]["summary"]
    assert sent["payload"].get("custom_details") == body["payload"].get("custom_details")


@settings(max_examples=60, deadline=None)
@given(some.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(body: bytes) -> None:
    with pytest.raises(InvalidEvent):
        read(body)


@pytest.mark.parametrize(
    ("url", "changes"),
    [
        ("https://events.pagerduty.com/v2/enqueue", "https://events.pagerduty.com/v2/change/enqueue"),
        ("https://events.eu.pagerduty.com/v2/enqueue", "https://events.eu.pagerduty.com/v2/change/enqueue"),
        ("http://proxy:8080/pd/v2/enqueue?x=1", "http://proxy:8080/pd/v2/change/enqueue?x=1"),
        ("http://proxy:8080/somewhere/else", ""),
        ("http://proxy:8080", ""),
    ],
)
def test_change_events_go_beside_where_events_go(url: str, changes: str) -> None:
    assert change_url(url) == changes


@settings(max_examples=60, deadline=None)
@given(JSON)
def test_custom_details_never_say_which_kind_of_event_it_is(details: Any) -> None:
    named = details if isinstance(details, dict) else {}
    labels = labels_of({"summary": "x", "source": "ci", "custom_details": {**named, "alertname": "Else"}})

    assert (labels["alertname"], labels["event_source"]) == ("change", "ci")
    assert all(isinstance(text, str) for text in labels.values())


@settings(max_examples=60, deadline=None)
@given(
    some.dictionaries(some.text(max_size=20), some.text(max_size=3000), max_size=4),
    some.dictionaries(some.sampled_from(["summary", "runbook_url", "message", "x"]), some.text(max_size=3000)),
    some.text(max_size=40),
    some.integers(-(2**60), 2**57),
)
def test_an_alert_makes_what_pagerduty_accepts(
    labels: dict[str, str], annotations: dict[str, str], graph: str, starts_at: int
) -> None:
    alert = Alert("prod", "f" * 16, Status.FIRING, labels, annotations, starts_at, 0, graph, b"", b"")

    event = {**event_of(alert), "routing_key": KEY}

    assert [error.message for error in SCHEMA.iter_errors(event)] == []
    assert len(json.dumps(event)) < LARGEST
