"""What an Events API event is taken for: the alert it becomes, and what of it is passed on."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.alert import SECOND, Status, instant, moment
from relay.errors import BadBody
from relay.ingress import pagerduty
from relay.ingress.pagerduty import Incoming, InvalidEvent
from relay.rules.sent import event_id, event_of

KEY = "0" * 32
NOW = 1_763_899_200 * SECOND
PAYLOAD = {"summary": "disk full", "source": "db1", "severity": "critical"}


def body(action: str = "trigger", payload: Any = PAYLOAD, **rest: Any) -> bytes:
    event = {"routing_key": KEY, "event_action": action, "dedup_key": "k", "payload": payload, **rest}
    return json.dumps(event).encode()


def read(action: str = "trigger", payload: Any = PAYLOAD, **rest: Any) -> Incoming:
    return pagerduty.read(body(action, payload, **rest))


def test_a_trigger_is_an_alert_that_fires_with_its_payload_for_labels() -> None:
    details = {"free": 1, "note": "text", "list": ["a", None]}
    told = PAYLOAD | {"class": "disk", "component": "db", "group": "prod", "custom_details": details}

    message = pagerduty.parse(body(payload=told), "ci", now=NOW)
    (alert,) = message.alerts

    assert (alert.status, alert.source, alert.starts_at, alert.expires_at) == (Status.FIRING, "ci", NOW, 0)
    assert alert.labels == {
        "alertname": "disk",
        "severity": "critical",
        "component": "db",
        "group": "prod",
        "class": "disk",
        "event_source": "db1",
    }
    assert alert.annotations == {"free": "1", "note": "text", "list": '["a",null]', "summary": "disk full"}
    assert not message.grouped
    kept = msgspec.json.decode(alert.raw)
    assert (kept["labels"], kept["event"]) == (alert.labels, {"payload": told})
    assert event_of(alert.raw) == {"payload": told}


def test_an_event_of_no_class_is_called_event() -> None:
    (alert,) = pagerduty.parse(body(), "ci", now=NOW).alerts

    assert alert.labels == {"alertname": "event", "severity": "critical", "event_source": "db1"}


def test_the_routing_key_is_nowhere_in_what_is_kept() -> None:
    incoming = read(client="cron")
    message = pagerduty.message(incoming, "ci", "", "k", NOW)

    assert KEY not in repr((incoming, message))
    assert KEY.encode() not in message.alerts[0].raw


def test_an_alert_is_known_by_its_source_its_receivers_key_and_its_dedup_key_alone() -> None:
    def named(source: str = "ci", receiver: str = "", key: str = "k", **payload: Any) -> int:
        incoming = read(payload=PAYLOAD | payload)
        return pagerduty.message(incoming, source, receiver, key, NOW).alerts[0].id

    assert named() == named(severity="info", component="x") == event_id("ci", "", "k")
    assert len({named(), named(source=""), named(receiver="a"), named(key="K"), named(source="", receiver="ci")}) == 5


@pytest.mark.parametrize("payload", [None, {}, {"summary": "", "severity": "none", "source": " "}, PAYLOAD])
def test_a_resolve_needs_no_payload(payload: Any) -> None:
    (alert,) = pagerduty.parse(body("resolve", payload), "ci", now=NOW).alerts

    assert (alert.status, alert.ends_at, alert.raw) == (Status.RESOLVED, NOW, b"")
    assert alert.id == event_id("ci", "", "k")


def test_an_acknowledge_states_no_alert() -> None:
    with pytest.raises(BadBody, match="states no alert"):
        pagerduty.parse(body("acknowledge"), "ci")


@pytest.mark.parametrize(
    ("stamp", "at"),
    [
        ("2015-07-17T08:42:58.315+0000", "2015-07-17T08:42:58.315000+00:00"),
        ("2015-07-17T08:42:58Z", "2015-07-17T08:42:58+00:00"),
        ("2015-07-17t08:42:58z", "2015-07-17T08:42:58+00:00"),
        ("2015-07-17T08:42+02", "2015-07-17T06:42:00+00:00"),
        ("2015-07-17T08:42:58-05:30", "2015-07-17T14:12:58+00:00"),
    ],
)
def test_timestamps_are_read_as_pagerduty_writes_them(stamp: str, at: str) -> None:
    incoming = read(payload=PAYLOAD | {"timestamp": stamp})

    assert moment(incoming.starts_at).isoformat() == at
    assert incoming.event["payload"]["timestamp"] == stamp


@pytest.mark.parametrize(
    "stamp",
    [
        "2021-10-22 5:01:32",
        "2021-10-22T5:01:32Z",
        "2021-10-22T05:01:32",
        "2021-13-22T05:01:32Z",
        "2021-10-22",
        1_634_878_892,
        "2021-10-22T05:01:32+00:00Z",
    ],
)
def test_what_is_no_timestamp_to_pagerduty_is_refused(stamp: object) -> None:
    with pytest.raises(InvalidEvent, match=r"'payload\.timestamp' is invalid"):
        read(payload=PAYLOAD | {"timestamp": stamp})


@pytest.mark.parametrize(
    ("rest", "passed_on", "notes"),
    [
        ({"links": [{"href": "h", "text": ""}]}, {"links": [{"href": "h"}]}, []),
        ({"links": [{"text": "t"}]}, {}, ["`links[0]` has no `href` and was left out"]),
        ({"links": {"href": "h"}}, {}, ["its `links` are no list and were left out"]),
        ({"images": [{"src": "s", "href": "", "alt": ""}]}, {"images": [{"src": "s"}]}, []),
        ({"images": [None]}, {}, ["`images[0]` has no `src` and was left out"]),
        ({"client": "", "client_url": ""}, {}, []),
        ({"client": 7}, {"client": "7"}, []),
        ({"client": ["c"]}, {}, ["its `client` is no text and was left out"]),
        ({"client_url": None, "anything": "else"}, {}, []),
    ],
)
def test_what_only_decorates_an_event_never_keeps_it_from_paging(
    rest: dict[str, Any], passed_on: dict[str, Any], notes: list[str]
) -> None:
    incoming = read(**rest)

    assert incoming.event == {"payload": PAYLOAD} | passed_on
    assert [one.because for one in incoming.notes] == notes


def test_numbers_may_stand_for_texts() -> None:
    incoming = read(payload=PAYLOAD | {"summary": 5, "component": True, "group": 1.5}, dedup_key=4711)

    assert incoming.dedup_key == "4711"
    assert incoming.event["payload"] == PAYLOAD | {"summary": "5", "component": "true", "group": "1.5"}


def test_what_is_said_has_one_name_whenever_and_with_whatever_key_it_is_said() -> None:
    first = read(payload=PAYLOAD | {"timestamp": "2026-11-23T12:00:00Z"})
    later = read(payload=PAYLOAD | {"timestamp": "2026-11-23T12:01:00Z"}, routing_key="1" * 32)
    other = read(payload=PAYLOAD | {"custom_details": {"free": 1}})

    assert first.said == later.said != other.said
    assert first.digest != later.digest


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(
    details=st.dictionaries(_TEXT, _VALUE, max_size=5), texts=st.lists(_TEXT.filter(str.strip), min_size=5, max_size=5)
)
def test_what_is_passed_on_is_what_came(details: dict[str, Any], texts: list[str]) -> None:
    names = ("summary", "source", "component", "group", "class")
    told = {**dict(zip(names, texts, strict=True)), "severity": "info", "custom_details": details}

    (alert,) = pagerduty.parse(body(payload=told), "ci", now=NOW).alerts

    assert event_of(alert.raw) == {"payload": told}
    assert alert.labels["alertname"] == told["class"]


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_nothing_but_badbody_is_raised_for_a_body_that_is_none(noise: bytes) -> None:
    with pytest.raises(InvalidEvent) as caught:
        pagerduty.read(noise)

    assert caught.value.errors


def test_now_stands_for_a_time_nobody_gave() -> None:
    assert pagerduty.parse(body(), "ci", now=NOW).alerts[0].starts_at == NOW
    given_ = pagerduty.parse(body(payload=PAYLOAD | {"timestamp": "2026-11-23T12:00:00Z"}), "ci", now=NOW)
    assert moment(given_.alerts[0].starts_at).isoformat() == "2026-11-23T12:00:00+00:00"
    assert instant(moment(NOW)) == NOW


@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 5_000, "9" * 20, str(-(2**63) - 1), str(2**63)])
def test_a_number_that_few_programs_can_hold_stays_as_text(number: str) -> None:
    written = body(payload=PAYLOAD | {"custom_details": {"n": 7654321}}).replace(b"7654321", number.encode())

    found = pagerduty.read(written)

    assert found.event["payload"]["custom_details"] == {"n": number}
    assert [note.because for note in found.notes] == ["numbers too large for most programs were written as text"]


def test_numbers_that_everybody_can_hold_stay_numbers() -> None:
    details = {"n": 2**63 - 1, "m": -(2**63) + 1, "f": 1.5e300, "text": "9" * 40, "exponent": "1e400"}

    found = pagerduty.read(body(payload=PAYLOAD | {"custom_details": details}))

    assert found.event["payload"]["custom_details"] == details
    assert not found.notes


@pytest.mark.parametrize("end", ["NaN}", "Infinity}", "1,", "01}"])
def test_what_is_no_json_is_said_as_such_whatever_numbers_stand_in_it(end: str) -> None:
    with pytest.raises(InvalidEvent, match="JSON parse error: not JSON: "):
        pagerduty.read(('{"n":' + "9" * 30 + ',"m":' + end).encode())
