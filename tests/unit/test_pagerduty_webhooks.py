"""Whether a V3 webhook is signed by PagerDuty, and what it says: tables, a real ping, and whatever else may come."""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.errors import BadBody
from relay.pagerduty.webhooks import is_signed, read
from relay.rules.news import SOMEWHERE, Agent
from relay.secret import Secret

VECTOR = json.loads((Path(__file__).parents[1] / "data/pagerduty/webhook-ping-vector.json").read_text())
PING, PINGED_BY = VECTOR["body"].encode(), [Secret(VECTOR["secret"])]
BODY = b'{"event": {"id": "01"}}'
OLD, NEW = Secret("the-old-signing-secret"), Secret("the-new-signing-secret")


def signature(secret: Secret, body: bytes = BODY) -> str:
    return "v1=" + hmac.new(secret.reveal().encode(), body, hashlib.sha256).hexdigest()


def test_a_ping_that_pagerduty_signed_is_signed() -> None:
    assert is_signed([VECTOR["header"]], PING, PINGED_BY)


def test_a_ping_that_pagerduty_signed_is_read() -> None:
    news = read(PING)

    assert (news.id, news.type, news.agent) == ("01FKZOXA868SHYEE4DVNWB5P9W", "pagey.ping", Agent.PERSON)
    assert news.incident == ""


RIGHT, WRONG = VECTOR["header"], "v1=" + "0" * 64


@pytest.mark.parametrize(
    ("headers", "signed"),
    [
        pytest.param([RIGHT], True, id="one"),
        pytest.param([f"{WRONG},{RIGHT}"], True, id="the second of two"),
        pytest.param([f"{RIGHT}, {WRONG}"], True, id="two with a space"),
        pytest.param([f" {RIGHT} "], True, id="spaces around"),
        pytest.param([WRONG, RIGHT], True, id="the header twice"),
        pytest.param([f"v2=abcdef,{RIGHT}"], True, id="beside another version"),
        pytest.param([RIGHT[:3] + RIGHT[3:].upper()], True, id="capital digits"),
        pytest.param([WRONG], False, id="of something else"),
        pytest.param([RIGHT.replace("v1", "v2")], False, id="of another version"),
        pytest.param([RIGHT.replace("v1=", "")], False, id="no version"),
        pytest.param([RIGHT.replace("v1", "V1")], False, id="a version that is none"),
        pytest.param([RIGHT[:-1]], False, id="cut short"),
        pytest.param([RIGHT + "0"], False, id="too long"),
        pytest.param(["v1="], False, id="no digits"),
        pytest.param(["v1"], False, id="no equals sign"),
        pytest.param([""], False, id="empty"),
        pytest.param([","], False, id="a comma"),
        pytest.param([], False, id="none"),
        pytest.param(["v1=é" + RIGHT[4:]], False, id="not ASCII"),
        pytest.param(["v1=\udcff\udcfe"], False, id="no text at all"),
        pytest.param(["v1=\u0661" * 64], False, id="digits of another script"),
        pytest.param(["v1=" + "?" * 64], False, id="what stands for a letter that is not ASCII"),
    ],
)
def test_a_body_is_signed_if_any_v1_signature_of_its_header_fits(headers: list[str], signed: bool) -> None:
    assert is_signed(headers, PING, PINGED_BY) is signed


@pytest.mark.parametrize(
    ("header", "known", "signed"),
    [
        pytest.param(signature(OLD), [OLD], True, id="before a rotation"),
        pytest.param(signature(OLD), [OLD, NEW], True, id="the relay knows the new one first"),
        pytest.param(f"{signature(NEW)},{signature(OLD)}", [OLD], True, id="PagerDuty signs with both first"),
        pytest.param(f"{signature(NEW)},{signature(OLD)}", [OLD, NEW], True, id="both know both"),
        pytest.param(signature(NEW), [OLD, NEW], True, id="PagerDuty has forgotten the old one"),
        pytest.param(signature(NEW), [OLD], False, id="the relay was not told"),
        pytest.param(signature(OLD), [NEW], False, id="the old one counts no more"),
        pytest.param(signature(OLD), [], False, id="no secret at all"),
    ],
)
def test_secrets_are_rotated_on_either_side_first(header: str, known: list[Secret], signed: bool) -> None:
    assert is_signed([header], BODY, known) is signed


@given(st.binary(max_size=200), st.text(min_size=1, max_size=40))
def test_what_is_signed_with_a_known_secret_is_signed(body: bytes, secret: str) -> None:
    known = Secret(secret.encode("utf-8", "replace").decode())

    assert is_signed([signature(known, body)], body, [OLD, known])


@given(st.binary(max_size=200), st.integers(0, 199), st.integers(1, 255))
def test_a_body_with_one_byte_changed_is_not_signed(body: bytes, at: int, change: int) -> None:
    given = signature(OLD, body)
    at %= len(body) + 1
    changed = body[:at] + bytes([(body[at] if at < len(body) else 0) ^ change]) + body[at + 1 :]

    assert not is_signed([given], changed, [OLD])


@given(st.lists(st.text(max_size=120), max_size=4))
@example(["v1=" + "a" * 64 + ",v1="])
def test_no_header_is_a_signature_or_breaks_anything_that_is_none(headers: list[str]) -> None:
    assert not is_signed(headers, BODY, [OLD, NEW])


def envelope(type_: str = "incident.acknowledged", **event: Any) -> bytes:
    data = {
        "id": "PGR0VU2",
        "type": "incident",
        "html_url": "https://acme.pagerduty.com/incidents/PGR0VU2",
        "number": 2,
        "status": "acknowledged",
        "incident_key": "d3640fbd41094207a1c11e58e46b1662",
        "service": {"id": "PF9KMXH", "summary": "API Service", "type": "service_reference"},
        "assignees": [{"id": "PTUXL6G", "summary": "Anna", "type": "user_reference"}, {"id": "PX"}, None],
        "priority": None,
        "resolve_reason": None,
    }
    agent = {"id": "PLH1HKV", "summary": "Tenex Engineer", "type": "user_reference"}
    plain = {"id": "5ac64822", "event_type": type_, "occurred_at": "2020-10-02T18:45:22.169Z", "agent": agent}
    return json.dumps({"event": {**plain, "data": data, **event}}).encode()


def test_an_incident_is_read_with_who_and_when() -> None:
    news = read(envelope())

    assert news.at == 1_601_664_322_169_000
    assert (news.incident, news.number, news.key) == ("PGR0VU2", 2, "d3640fbd41094207a1c11e58e46b1662")
    assert (news.who, news.agent, news.service) == ("Tenex Engineer", Agent.PERSON, "PF9KMXH")
    assert news.assignees == ("Anna", "PX")
    assert news.url == "https://acme.pagerduty.com/incidents/PGR0VU2"


def test_a_note_is_read_with_the_incident_it_is_about() -> None:
    incident = {"id": "PGR0VU2", "html_url": "https://acme/incidents/PGR0VU2", "type": "incident_reference"}
    data = {"id": "P2LA89X", "incident": incident, "content": "restarted it", "trimmed": False, "type": "incident_note"}

    news = read(envelope("incident.annotated", data=data))

    assert (news.incident, news.words, news.assignees) == ("PGR0VU2", "restarted it", None)
    assert news.key == ""


@pytest.mark.parametrize(
    ("agent", "known"),
    [
        (None, (Agent.NOBODY, "")),
        ("a timer", (Agent.NOBODY, "")),
        ({"id": "P1", "type": "user_reference"}, (Agent.PERSON, "P1")),
        ({"type": "user_reference"}, (Agent.PERSON, "a person")),
        ({"id": "P1", "summary": "Anna", "type": "user_reference"}, (Agent.PERSON, "Anna")),
        ({"id": "PI", "summary": "relay", "type": "inbound_integration_reference"}, (Agent.OURS, "relay")),
        ({"id": "PI", "type": "events_api_v2_inbound_integration_reference"}, (Agent.OURS, "PI")),
        ({"id": "PS", "summary": "checkout", "type": "service_reference"}, (Agent.NOBODY, "checkout")),
    ],
)
def test_who_did_something_is_a_person_ourselves_or_nobody(agent: object, known: tuple[Agent, str]) -> None:
    news = read(envelope(agent=agent))

    assert (news.agent, news.who) == known


@pytest.mark.parametrize(
    ("reason", "into"),
    [
        (None, ""),
        ({"type": "merge_resolve_reason", "incident": {"id": "PTARGET", "type": "incident_reference"}}, "PTARGET"),
        ({"type": "merge_resolve_reason", "incident": None}, SOMEWHERE),
        ({"type": "another_resolve_reason", "incident": {"id": "PTARGET"}}, ""),
    ],
)
def test_a_merge_names_the_incident_that_took_over(reason: object, into: str) -> None:
    data = {"id": "P1", "type": "incident", "resolve_reason": reason}

    assert read(envelope("incident.resolved", data=data)).merged_into == into


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2020-10-02T18:45:22.169Z", 1_601_664_322_169_000),
        ("2020-10-02T20:45:22+02:00", 1_601_664_322_000_000),
        ("2020-10-02T18:45:22", 1_601_664_322_000_000),
        ("yesterday", 0),
        (None, 0),
        (1_601_664_322, 0),
    ],
)
def test_a_time_that_cannot_be_read_is_unknown(written: object, at: int) -> None:
    assert read(envelope(occurred_at=written)).at == at


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"{}", b'{"event": []}', b'{"event": {}}', b"\xff\xfe", BODY[:9]]
)
def test_only_what_is_no_event_at_all_cannot_be_read(body: bytes) -> None:
    with pytest.raises(BadBody):
        read(body)


def test_an_event_without_an_id_goes_by_its_bytes() -> None:
    one, other = envelope(id=None), envelope(id=None, agent=None)

    assert read(one).id == read(one).id != read(other).id


_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = ("id", "event_type", "occurred_at", "agent", "data", "client")


@given(st.dictionaries(st.sampled_from(_FIELDS), _json, min_size=1))
@example({"data": {"type": "incident", "number": -1, "resolve_reason": [], "assignees": 3, "html_url": "javascript:x"}})
@example({"id": "\ud800", "data": {"incident": {"id": "\udfff"}, "content": "x" * 5_000}})
def test_whatever_stands_in_an_event_it_is_read_and_can_be_kept(event: dict[str, Any]) -> None:
    news = read(json.dumps({"event": event}).encode())

    assert news.id
    assert all(len(one.encode()) <= 4_000 for one in (news.who, news.words, news.type, news.incident, news.url))
    assert not news.url or news.url.startswith("http")
