"""What becomes of the list of alerts that Prometheus, vmalert and amtool post."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.alert import MINUTE, SECOND, Alert, Status, fingerprint_of, instant, moment
from relay.errors import BadBody
from relay.ingress.prometheus import parse

NOW = instant(datetime(2026, 11, 23, 12, tzinfo=UTC))
TIMEOUT = 5 * MINUTE
LABELS = {"alertname": "Down", "instance": "a"}


def at(minutes: float) -> str:
    """A time so many minutes from now, as Prometheus writes it (strfmt.DateTime: milliseconds, `Z`)."""
    return (moment(NOW) + timedelta(minutes=minutes)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def posted(**fields: Any) -> dict[str, Any]:
    """One alert as Prometheus 2.42 posts it; a field set to ... is left out."""
    said: dict[str, Any] = {
        "annotations": {"summary": "It is down."},
        "endsAt": at(4),
        "startsAt": at(-2),
        "generatorURL": "http://prometheus:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
        "labels": LABELS,
    } | fields
    return {name: value for name, value in said.items() if value is not ...}


def body(*alerts: Any) -> bytes:
    return json.dumps(alerts).encode()


def only(*alerts: Any, now: int = NOW) -> Alert:
    [said] = parse(body(*alerts), "prom", now, TIMEOUT).alerts
    return said


def said_of(alert: Alert) -> str:
    return " / ".join(step.because for step in alert.notes)


def test_an_alert_is_read_field_for_field() -> None:
    message = parse(body(posted()), "prom", NOW, TIMEOUT)

    [said] = message.alerts
    assert (message.source, message.group_key, message.grouped, message.status) == ("prom", "", False, "firing")
    assert (said.source, said.status, said.fingerprint) == ("prom", Status.FIRING, fingerprint_of(LABELS))
    assert (said.labels, said.annotations) == (LABELS, {"summary": "It is down."})
    assert (said.starts_at, said.expires_at) == (NOW - 2 * MINUTE, NOW + 4 * MINUTE)
    assert said.generator_url.startswith("http://prometheus:9090/graph")
    assert message.notes == said.notes == ()
    assert message.refused == ()


def test_what_is_kept_is_an_alert_in_the_form_of_version_4() -> None:
    kept = json.loads(only(posted()).raw)

    assert kept == {
        "status": "firing",
        "labels": LABELS,
        "annotations": {"summary": "It is down."},
        "startsAt": "2026-11-23T11:58:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": posted()["generatorURL"],
        "fingerprint": fingerprint_of(LABELS),
    }


def test_an_alert_as_vmalert_writes_it_is_read_to_the_microsecond() -> None:
    """vmalert's times have nine digits, and it leaves endsAt out where there is none (app/vmalert/notifier)."""
    said = only({"startsAt": "2026-11-23T11:58:00.123456789Z", "generatorURL": "u", "labels": LABELS})

    assert (said.starts_at, said.expires_at) == (NOW - 2 * MINUTE + 123_457, NOW + TIMEOUT)


ZERO = "0001-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("times", "status", "starts_at", "ends_or_expires"),
    [
        ({}, "firing", NOW, NOW + TIMEOUT),
        ({"startsAt": ZERO, "endsAt": ZERO}, "firing", NOW, NOW + TIMEOUT),
        ({"startsAt": None, "endsAt": None}, "firing", NOW, NOW + TIMEOUT),
        ({"startsAt": "", "endsAt": ""}, "firing", NOW, NOW + TIMEOUT),
        ({"startsAt": at(-1)}, "firing", NOW - MINUTE, NOW + TIMEOUT),
        ({"startsAt": at(-1), "endsAt": ZERO}, "firing", NOW - MINUTE, NOW + TIMEOUT),
        ({"startsAt": at(-1), "endsAt": at(1)}, "firing", NOW - MINUTE, NOW + MINUTE),
        ({"endsAt": at(1)}, "firing", NOW, NOW + MINUTE),
        ({"endsAt": at(-1)}, "resolved", NOW - MINUTE, NOW - MINUTE),
        ({"startsAt": at(-3), "endsAt": at(-1)}, "resolved", NOW - 3 * MINUTE, NOW - MINUTE),
        ({"startsAt": at(-3), "endsAt": at(0)}, "resolved", NOW - 3 * MINUTE, NOW),
        ({"startsAt": at(1)}, "firing", NOW + MINUTE, NOW + TIMEOUT),
        ({"startsAt": "2026-11-23T13:59:00+02:00"}, "firing", NOW - MINUTE, NOW + TIMEOUT),
    ],
)
def test_times_that_are_missing_are_taken_as_alertmanager_takes_them(
    times: dict[str, Any], status: str, starts_at: int, ends_or_expires: int
) -> None:
    said = only({"labels": LABELS} | times)

    assert (said.status, said.starts_at) == (status, starts_at)
    assert (said.ends_at if status == "resolved" else said.expires_at) == ends_or_expires
    assert (said.expires_at == 0) == (status == "resolved")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"labels": {}}, "at least one label pair required"),
        ({"labels": ...}, "at least one label pair required"),
        ({"labels": None}, "at least one label pair required"),
        ({"labels": "x"}, "at least one label pair required"),
        ({"labels": {"alertname": "", "b": ""}}, "at least one label pair required"),
        ({"labels": {"alertname": "A", "": "x"}}, 'invalid label set: invalid name ""'),
        ({"startsAt": at(-1), "endsAt": at(-2)}, "start time must be before end time"),
    ],
)
def test_an_alert_that_alertmanager_refuses_is_refused_and_the_others_are_taken(
    fields: dict[str, Any], words: str
) -> None:
    message = parse(body(posted(**fields), posted(labels={"alertname": "Good"})), "", NOW, TIMEOUT)

    assert [alert.labels["alertname"] for alert in message.alerts] == ["Good"]
    assert message.refused == (f"alert 0 of the list: {words}",)
    with pytest.raises(BadBody) as nothing:
        parse(body(posted(**fields)), "", NOW, TIMEOUT)
    assert words in str(nothing.value)


def test_refusals_are_told_of_up_to_a_bound() -> None:
    message = parse(body(posted(), *[{}] * 30), "", NOW, TIMEOUT)

    assert len(message.refused) == 21
    assert message.refused[-1] == "10 more alerts were refused"


def test_labels_without_a_value_are_dropped() -> None:
    said = only(posted(labels=LABELS | {"empty": ""}, annotations={"empty": ""}))

    assert (said.labels, said.annotations) == (LABELS, {"empty": ""})
    assert said.fingerprint == fingerprint_of(LABELS)


def test_names_that_only_newer_alertmanagers_allow_are_taken() -> None:
    assert only(posted(labels={"a-b": "x", "ä": "y"})).labels == {"a-b": "x", "ä": "y"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"labels": {"alertname": "Down", "code": 503}}, "written as text: code"),
        ({"annotations": {"value": 1.5}}, "written as text: value"),
        ({"annotations": ["x"]}, "`annotations` is not an object"),
        ({"startsAt": "yesterday"}, "its `startsAt` 'yesterday' is no time"),
        ({"endsAt": "soon"}, "its `endsAt` 'soon' is no time"),
        ({"endsAt": 17}, "its `endsAt` '17' is no time"),
        ({"startsAt": at(8), "endsAt": at(4)}, "it starts after it ends"),
        ({"startsAt": "2026-11-23 11:58:00.5 +0000 UTC m=+8560.28"}, ""),
    ],
)
def test_what_alertmanager_would_refuse_the_whole_list_for_still_pages(fields: dict[str, Any], words: str) -> None:
    said = only(posted(**fields))

    assert said.status is Status.FIRING
    assert words in said_of(said)
    assert said.starts_at <= NOW < said.expires_at


def test_text_that_is_no_utf8_is_mended() -> None:
    [said] = parse(b'[{"labels":{"alertname":"D\xff"}}]', "", NOW, TIMEOUT).alerts

    assert said.labels == {"alertname": "D�"}
    said.raw.decode()


def test_the_same_alert_twice_in_a_list_is_what_was_said_of_it_last() -> None:
    fires, ended = posted(), posted(endsAt=at(-1))

    assert only(fires, ended).status is Status.RESOLVED
    assert only(ended, fires).status is Status.FIRING
    assert "more than once" in said_of(only(fires, ended))


def test_one_alert_without_its_list_is_read_and_nothing_is_nothing() -> None:
    message = parse(json.dumps(posted()).encode(), "", NOW, TIMEOUT)

    assert len(message.alerts) == 1
    assert "read as a list of one" in message.notes[0].because
    assert parse(b"[]", "", NOW, TIMEOUT).alerts == parse(b"null", "", NOW, TIMEOUT).alerts == ()
    assert len(parse(b"\xef\xbb\xbf" + body(posted()), "", NOW, TIMEOUT).alerts) == 1


@pytest.mark.parametrize(
    ("text", "reason", "words"),
    [
        (b"", "empty", "the body is empty"),
        (b" \n", "empty", "the body is empty"),
        (b'"x"', "not_a_webhook", "expected a list of alerts, got '\"x\"'"),
        (b"17", "not_a_webhook", "got '17'"),
        (b'{"a":1}', "not_a_webhook", "expected a list"),
        (b'{"version":"4","alerts":[]}', "not_a_webhook", "post it to /webhook"),
        (b"[{", "malformed", "breaks off at line 1, column 3"),
        (b'[{"labels":{"a":"b"}}] x', "malformed", "trailing characters"),
        (b'["x",null]', "nothing_salvageable", "alert 0 of the list: it is not an object"),
        (b"[" * 100_000, "malformed", "nested too deeply"),
        (b'{"labels":' * 50_000, "malformed", "nested too deeply"),
        ("[]".encode("utf-16"), "encoding", "UTF-16"),
        (b"\x1f\x8b\x08\x00", "encoding", "compressed"),
    ],
)
def test_a_body_that_holds_nothing_is_refused_with_its_place_and_a_remedy(text: bytes, reason: str, words: str) -> None:
    with pytest.raises(BadBody) as refused:
        parse(text, "", NOW, TIMEOUT)

    assert refused.value.reason == reason
    assert words in str(refused.value)


def test_sending_again_says_the_same_though_the_times_move() -> None:
    first, later = only(posted()), only(posted(endsAt=at(5), startsAt=at(-1)), now=NOW + MINUTE)
    replica = only(posted(generatorURL="http://prometheus-1:9090/graph"))
    unsaid = only({"labels": LABELS, "annotations": {"summary": "It is down."}}, now=NOW + SECOND)

    assert first.digest == later.digest == replica.digest == unsaid.digest
    assert later.expires_at == first.expires_at + MINUTE


@pytest.mark.parametrize("fields", [{"annotations": {"summary": "Worse."}}, {"labels": {"a": "b"}}, {"endsAt": at(-1)}])
def test_what_says_something_else_has_another_digest(fields: dict[str, Any]) -> None:
    assert only(posted(**fields)).digest != only(posted()).digest


_TIMES = st.one_of(
    st.none(), st.just(ZERO), st.just(""), st.floats(-1e4, 1e4).map(at), st.text(max_size=12), st.integers()
)
_MAPS = st.one_of(
    st.none(),
    st.integers(),
    st.dictionaries(st.text(max_size=4), st.one_of(st.text(max_size=4), st.integers(), st.none()), max_size=4),
)
_ALERTS = st.fixed_dictionaries(
    {}, optional={"labels": _MAPS, "annotations": _MAPS, "startsAt": _TIMES, "endsAt": _TIMES, "generatorURL": _TIMES}
)


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.one_of(_ALERTS, st.none(), st.integers()), min_size=1, max_size=6))
def test_every_entry_is_taken_or_refused_and_what_is_taken_reads_the_same_again(entries: list[Any]) -> None:
    try:
        message = parse(body(*entries), "prom", NOW, TIMEOUT)
    except BadBody:
        return

    assert len(message.alerts) + len(message.refused) <= len(entries)
    for alert in message.alerts:
        assert alert.fingerprint == fingerprint_of(alert.labels)
        assert all(alert.labels.values())
        kept = json.loads(alert.raw)
        assert (kept["labels"], kept["status"]) == (alert.labels, alert.status)
        if alert.status is Status.FIRING:
            assert alert.starts_at <= alert.expires_at > NOW
        else:
            assert alert.starts_at <= alert.ends_at <= NOW


@settings(deadline=None)  # a busy machine is no failure
@given(st.binary(max_size=60))
def test_any_bytes_at_all_are_read_or_refused(text: bytes) -> None:
    for wrapped in (text, b'[{"labels":{"a":"' + text + b'"}}]', b"[" + text + b"]"):
        try:
            message = parse(wrapped, "", NOW, TIMEOUT)
        except BadBody:
            continue
        for alert in message.alerts:
            alert.raw.decode()
            assert len(alert.digest) == 16
