"""What becomes of a webhook body that is not as Alertmanager writes it."""

import json
import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.alert import Alert, Status, WebhookMessage, fingerprint_of, instant
from relay.errors import BadBody
from relay.ingress import salvage
from relay.ingress.alertmanager import body_digest, parse, peek_group_key

YEAR_ONE = instant(datetime(1, 1, 1, tzinfo=UTC))


def alert(**fields: Any) -> dict[str, Any]:
    """One alert as Alertmanager writes it; a field set to ... is left out."""
    said: dict[str, Any] = {
        "status": "firing",
        "labels": {"alertname": "Down", "instance": "a"},
        "annotations": {"summary": "It is down."},
        "startsAt": "2026-11-23T05:51:12.529852123Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": fingerprint_of(fields.get("labels") or {"alertname": "Down", "instance": "a"})
        if isinstance(fields.get("labels", {}), dict) and "fingerprint" not in fields
        else "",
    } | fields
    return {name: value for name, value in said.items() if value is not ...}


def message(*alerts: Any, **fields: Any) -> bytes:
    """One body as Alertmanager writes it."""
    said: dict[str, Any] = {
        "receiver": "relay",
        "status": "firing",
        "alerts": list(alerts),
        "groupLabels": {"alertname": "Down"},
        "commonLabels": {"alertname": "Down", "cluster": "eu"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "version": "4",
        "groupKey": '{}:{alertname="Down"}',
        "truncatedAlerts": 0,
    } | fields
    said = {name: value for name, value in said.items() if value is not ...}
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


def only(body: bytes) -> Alert:
    [said] = parse(body, "main").alerts
    return said


def said_of(notes: tuple[Any, ...]) -> str:
    return " / ".join(step.because for step in notes)


# Refusals


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        (b"", "empty", "empty"),
        (b" \n", "empty", "empty"),
        (b"null", "not_a_webhook", "got 'null' at byte 0"),
        (b"17", "not_a_webhook", "got '17'"),
        (b"[]", "not_a_webhook", "got a list"),
        (b'[{"labels":{"alertname":"A"},"startsAt":"x"}]', "not_a_webhook", "the list of alerts that Prometheus posts"),
        (b"{}", "not_a_webhook", "no `alerts` in it (it has: nothing)"),
        (b'{"text":"hello"}', "not_a_webhook", "it has: text"),
        (b'{"event_action":"trigger"}', "not_a_webhook", "Events API"),
        (b'{"alerts":"none"}', "not_a_webhook", "not a list at line 1, column 2 (byte 1)"),
        (b'{"alerts":null}', "not_a_webhook", "no `alerts`"),
        (b'{"alerts":[1,null,"x"]}', "nothing_salvageable", "alerts[0] is not an object"),
        (b'{"alerts":[{}]}', "nothing_salvageable", "alerts[0] has no status"),
        (b'{"alerts":[]} x', "malformed", "trailing characters at line 1, column 15 (byte 14)"),
        (b'{"alerts":[],\n "x":}', "malformed", "line 2, column 6"),
        (b'{"alerts":[{"labels":{"a":NaN}}]}', "malformed", "byte 26"),
        (b'{"alerts":[{"labels":{"a":Infinity}}]}', "malformed", "byte 26"),
        (b'{"alerts":[{"status":"fir', "malformed", "breaks off at line 1, column 26 (byte 25)"),
        (b'{"alerts":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "malformed", "nested too deeply"),
        ('{"alerts":[]}'.encode("utf-16"), "encoding", "UTF-16"),
        ('{"alerts":[]}'.encode("utf-16-le"), "encoding", "UTF-16"),
        (b"\x1f\x8b\x08\x00", "encoding", "compressed"),
        (b"\x89PNG\r\n", "malformed", "not JSON"),
    ],
)
def test_a_body_that_says_nothing_is_refused_with_its_place_and_a_remedy(body: bytes, reason: str, words: str) -> None:
    with pytest.raises(BadBody) as refused:
        parse(body, "main")

    assert refused.value.reason == reason
    assert words in str(refused.value)
    assert any(remedy in str(refused.value) for remedy in ("; send ", "; point ", "; post "))


# The envelope


def test_a_complete_message_is_read_without_notes() -> None:
    body = message(alert(), receiver="web\\.hook \\(prod\\)", notification_reason="x", routeLabels={"team": "a"}, new=1)

    said = parse(body, "main")

    assert said.receiver == "web.hook (prod)"
    assert said.group_key == '{}:{alertname="Down"}'
    assert (said.notification_reason, said.route_labels) == ("x", {"team": "a"})
    assert said.digest == body_digest(body)
    assert said.notes == said.alerts[0].notes == ()


def test_an_alert_is_read_field_for_field() -> None:
    said = only(message(alert(status="resolved", endsAt="2026-11-23T07:00:00+02:00")))

    assert (said.source, said.status) == ("main", Status.RESOLVED)
    assert said.starts_at == instant(datetime(2026, 11, 23, 5, 51, 12, 529852, tzinfo=UTC))
    assert said.ends_at == instant(datetime(2026, 11, 23, 5, 0, tzinfo=UTC))
    assert said.generator_url == "http://prometheus/graph"


@pytest.mark.parametrize(
    ("fields", "noted"),
    [
        ({"version": "3"}, "version '3'"),
        ({"version": 4}, ""),
        ({"version": ...}, ""),
        ({"groupKey": ...}, ""),
        ({"groupLabels": None, "commonLabels": None, "truncatedAlerts": None}, ""),
        ({"groupLabels": {"n": 5}}, "`groupLabels` that are not strings were written as text: n"),
        ({"commonLabels": ["a"]}, "`commonLabels` is not an object"),
        ({"truncatedAlerts": -1}, "no whole number"),
        ({"orgId": 1, "title": "x", "version": "1"}, "version '1'"),
    ],
)
def test_an_odd_envelope_does_not_lose_its_alerts(fields: dict[str, Any], noted: str) -> None:
    said = parse(message(alert(), **fields), "main")

    assert len(said.alerts) == 1
    assert noted in said_of(said.notes)
    assert bool(noted) == bool(said.notes)


@pytest.mark.parametrize(("number", "kept"), [("3", 3), ('"3"', 3), ("3.0", 3), ("9" * 5000, 2**53)])
def test_the_count_of_truncated_alerts_survives_its_type(number: str, kept: int) -> None:
    body = message(alert()).replace(b'"truncatedAlerts":0', b'"truncatedAlerts":' + number.encode())

    assert parse(body, "main").truncated_alerts == kept


def test_a_group_key_that_is_a_number_is_its_text() -> None:
    assert parse(message(alert(), groupKey=1067893), "main").group_key == "1067893"


def test_a_body_without_alerts_is_taken_and_says_nothing() -> None:
    assert parse(message(), "main").alerts == ()


def test_one_alert_in_place_of_the_list_is_read() -> None:
    said = parse(message(alerts=alert()), "main")

    assert len(said.alerts) == 1
    assert "one object" in said_of(said.notes)


def test_a_byte_order_mark_is_dropped_and_noted() -> None:
    said = parse(b"\xef\xbb\xbf" + message(alert()), "main")

    assert len(said.alerts) == 1
    assert "byte order mark" in said_of(said.notes)


# Single alerts


@pytest.mark.parametrize("status", ["suppressed", "", "alerting", 5, None, ...])
def test_an_alert_whose_status_is_unknown_fires(status: object) -> None:
    said = only(message(alert(status=status)))

    assert said.status is Status.FIRING
    assert "counts as firing" in said_of(said.notes)


def test_the_case_of_a_status_does_not_matter() -> None:
    assert only(message(alert(status=" Resolved"))).status is Status.RESOLVED


@pytest.mark.parametrize("fingerprint", [..., None, "", "xyz", "fp1", 17, "g" * 16, "a" * 15])
def test_a_fingerprint_that_is_none_is_computed_from_the_labels(fingerprint: object) -> None:
    said = only(message(alert(fingerprint=fingerprint)))

    assert said.fingerprint == fingerprint_of({"alertname": "Down", "instance": "a"})
    assert "was computed from its labels" in said_of(said.notes)
    assert json.loads(said.raw)["fingerprint"] == said.fingerprint


def test_a_fingerprint_is_lower_cased() -> None:
    assert only(message(alert(fingerprint="ABCDEF0123456789"))).fingerprint == "abcdef0123456789"


def test_label_values_that_are_not_strings_become_their_text_and_nulls_are_left_out() -> None:
    labels = {"s": "x", "t": True, "f": False, "n": None, "l": [1, {"a": 2}]}
    body = message(alert(labels=labels, fingerprint=...)).replace(
        b'"s":"x"', b'"i":%b,"e":1e999,"d":1.50' % (b"7" * 5000)
    )

    said = only(body)

    assert said.labels == {"i": "7" * 5000, "e": "1e999", "d": "1.50", "t": "true", "f": "false", "l": '[1,{"a":2}]'}
    assert "values in `labels` that are not strings" in said_of(said.notes)
    assert json.loads(said.raw)["labels"] == said.labels


@pytest.mark.parametrize("labels", [..., None, {}, "none"])
def test_an_alert_without_labels_takes_those_of_its_group(labels: object) -> None:
    said = only(message(alert(labels=labels, fingerprint=...)))

    assert said.labels == {"alertname": "Down", "cluster": "eu"}
    assert said.fingerprint == fingerprint_of({"alertname": "Down"})
    assert "those of its group were taken" in said_of(said.notes)


def test_equal_alerts_without_labels_in_two_groups_are_two_statements() -> None:
    one = only(message(alert(labels={}, fingerprint=...)))
    body = message(alert(labels={}, fingerprint=...), groupLabels={"alertname": "Up"}, groupKey="other")

    other = parse(body, "main", known={one.digest})

    assert [said.fingerprint for said in other.alerts] == [fingerprint_of({"alertname": "Up"})]
    assert other.alerts[0].digest != one.digest


def test_an_alert_that_only_says_it_fires_is_taken() -> None:
    said = only(b'{"alerts":[{"status":"firing"}]}')

    assert (said.status, said.labels) == (Status.FIRING, {})


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("2026-11-23T05:51:12.123456789+05:30", datetime(2026, 11, 23, 0, 21, 12, 123457, tzinfo=UTC)),
        ("2026-05-27 15:36:00.112013015 +0200 UTC m=+8560.28", datetime(2026, 5, 27, 13, 36, 0, 112013, tzinfo=UTC)),
        ("2026-05-27T15:36Z", datetime(2026, 5, 27, 15, 36, tzinfo=UTC)),
        ("2026-05-27 15:36:00", datetime(2026, 5, 27, 15, 36, tzinfo=UTC)),
    ],
)
def test_times_are_read_in_the_ways_senders_write_them(written: str, read: datetime) -> None:
    assert only(message(alert(startsAt=written))).starts_at == instant(read)


def test_a_time_beyond_the_calendar_in_utc_is_read() -> None:
    said = only(message(alert(startsAt="0001-01-01T00:00:00+14:00", fingerprint=...)))

    assert said.starts_at == YEAR_ONE - 14 * 3600 * 1_000_000
    assert json.loads(said.raw)["startsAt"] == "0001-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "written", [..., None, "", "soon", "10000-01-01T00:00:00Z", "2026-13-01T00:00:00Z", 1700000000]
)
def test_a_time_that_is_none_is_unknown(written: object) -> None:
    said = only(message(alert(status="resolved", startsAt=written, endsAt=written)))

    assert (said.starts_at, said.ends_at) == (0, 0)
    assert "`startsAt`" in said_of(said.notes)


def test_a_firing_alert_ends_in_year_one_whatever_it_says() -> None:
    assert only(message(alert(endsAt="nonsense"))).ends_at == YEAR_ONE
    assert only(message(alert(endsAt="2026-11-23T05:51:12Z"))).ends_at == YEAR_ONE


@pytest.mark.parametrize("broken", [b"\xff\xfe", b"\xed\xa0\x80", b"\\ud800", b"\\udc00x", b"a\nb", b"\x1b[31m"])
def test_text_that_is_broken_is_mended_and_the_alert_taken(broken: bytes) -> None:
    said = parse(message(alert(annotations={"summary": "@@"})).replace(b"@@", broken), "main")

    [taken] = said.alerts
    assert taken.labels == {"alertname": "Down", "instance": "a"}
    assert "\ud800" not in taken.annotations["summary"]
    assert json.loads(taken.raw.decode())
    assert "were replaced" in said_of(said.notes + taken.notes)


@pytest.mark.parametrize("broken", [b"\xff", b"\\ud800"])
@pytest.mark.parametrize("version", ["4", 4])
def test_a_group_key_that_is_broken_is_mended(broken: bytes, version: object) -> None:
    said = parse(message(alert(), groupKey="@@", version=version).replace(b"@@", broken), "main")

    assert said.group_key == "�"
    assert len(said.alerts) == 1


def test_escaped_characters_survive_the_mending() -> None:
    written = rb"\ud83d\ude00 \\ud800 \" \ud800"

    said = only(message(alert(annotations={"summary": "@@"})).replace(b"@@", written))

    assert said.annotations["summary"] == '😀 \\ud800 " �'


def test_bad_text_in_a_field_that_is_ignored_does_not_reach_what_is_kept() -> None:
    said = only(message(alert(extra="@@")).replace(b"@@", b"\xff"))

    assert json.loads(said.raw.decode())["labels"] == said.labels


def test_a_rotten_alert_among_good_ones_costs_only_itself() -> None:
    said = parse(message(alert(), 17, {}, alert(labels={"alertname": "Up"}, status=None)), "main")

    assert [taken.labels["alertname"] for taken in said.alerts] == ["Down", "Up"]
    assert "alerts[1] is not an object: it was left out" in said_of(said.notes)
    assert "alerts[2] has no status" in said_of(said.notes)


def test_a_thousand_rotten_alerts_do_not_make_a_thousand_notes() -> None:
    said = parse(message(alert(), *range(1000)), "main")

    assert len(said.notes) == 21
    assert "980 more" in said.notes[-1].because


def test_what_is_kept_of_a_salvaged_alert_reads_back_as_the_same_alert() -> None:
    said = only(message(alert(labels={"a": 1}, status="odd", startsAt="2026-05-27 15:36:00", fingerprint=...)))

    again = only(message(json.loads(said.raw)))

    assert again.notes == ()
    assert (again.fingerprint, again.status, again.labels) == (said.fingerprint, said.status, said.labels)
    assert (again.starts_at, again.ends_at) == (said.starts_at, said.ends_at)


# Several statements


def test_equal_alerts_in_one_body_are_one() -> None:
    assert len(parse(message(alert(), alert()), "main").alerts) == 1


def test_known_alerts_are_not_read() -> None:
    one, other = alert(), alert(labels={"alertname": "Up"})
    known = {only(message(one)).digest}

    said = parse(message(one, other), "main", known)

    assert [taken.labels["alertname"] for taken in said.alerts] == ["Up"]
    assert set(said.repeated) == known


def test_one_fingerprint_for_two_label_sets_is_not_believed() -> None:
    one, other = alert(labels={"a": "1"}, fingerprint="0" * 16), alert(labels={"a": "2"}, fingerprint="0" * 16)

    said = parse(message(one, other, alert(labels={"a": "3"}, fingerprint="3" * 16)), "main")

    assert [taken.fingerprint for taken in said.alerts] == [
        fingerprint_of({"a": "1"}),
        fingerprint_of({"a": "2"}),
        "3" * 16,
    ]
    assert [json.loads(taken.raw)["fingerprint"] for taken in said.alerts] == [
        taken.fingerprint for taken in said.alerts
    ]


@pytest.mark.parametrize("spaced", [False, True])
def test_one_fingerprint_for_a_known_and_a_new_label_set_is_not_believed(spaced: bool) -> None:
    one, other = alert(labels={"a": "1"}, fingerprint="0" * 16), alert(labels={"a": "2"}, fingerprint="0" * 16)
    first, second = message(one, other), message(one, other | {"status": "resolved"})
    if spaced:
        first, second = (json.dumps(json.loads(body), indent=1).encode() for body in (first, second))
    known = {said.digest for said in parse(first, "main").alerts}

    said = parse(second, "main", known)

    assert {taken.fingerprint: taken.status for taken in said.alerts} == {
        fingerprint_of({"a": "1"}): Status.FIRING,
        fingerprint_of({"a": "2"}): Status.RESOLVED,
    }


def test_a_fingerprint_that_claims_another_alerts_computed_name_is_not_believed() -> None:
    stolen = fingerprint_of({"a": "1"})
    alerts = [
        alert(labels={"a": "3"}, fingerprint=stolen),
        alert(labels={"a": "1"}, fingerprint="0" * 16),
        alert(labels={"a": "2"}, fingerprint="0" * 16),
    ]

    said = parse(message(*alerts), "main")

    assert {taken.fingerprint for taken in said.alerts} == {fingerprint_of({"a": str(n)}) for n in (1, 2, 3)}


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_statements_about_one_alert_the_firing_one_is_taken(order: int) -> None:
    firing, resolved = alert(), alert(status="resolved", endsAt="2026-11-23T06:00:00Z")

    said = only(message(*[firing, resolved][::order]))

    assert said.status is Status.FIRING
    assert "two things" in said_of(said.notes)


def test_of_two_equal_statements_the_same_one_is_taken_whatever_is_known() -> None:
    body = message(alert(generatorURL="http://a"), alert(generatorURL="http://b"))
    whole = only(body)

    [again] = parse(body, "main", {whole.digest}).alerts

    assert again == whole


# Peeking


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (message(alert()), '{}:{alertname="Down"}'),
        (json.dumps(json.loads(message(alert())), indent=2).encode(), '{}:{alertname="Down"}'),
        (message(alert(), groupKey=...), None),
        (message(alert(), groupKey=17), None),
        (message(alert(labels={"x": '"groupKey":"forged"'})), '{}:{alertname="Down"}'),
        (message(alert(labels={"groupKey": "forged"})), '{}:{alertname="Down"}'),
        (message(alert(), groupKey='Ünï\\"{'), 'Ünï\\"{'),
        (b'{"groupKey":"', None),
        (b"", None),
    ],
)
def test_the_group_key_is_peeked_without_reading_the_body(body: bytes, key: str | None) -> None:
    assert peek_group_key(body) == key


# Properties

TEXT = st.text(max_size=8)
JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
MAPS = st.dictionaries(TEXT, TEXT | JUNK, max_size=4) | JUNK
TIMES = st.sampled_from(["0001-01-01T00:00:00Z", "2026-11-23T05:51:12.5+02:00", "soon"]) | JUNK
ALERTS = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["firing", "resolved", "odd"]) | JUNK,
        "labels": MAPS,
        "annotations": MAPS,
        "startsAt": TIMES,
        "endsAt": TIMES,
        "generatorURL": TEXT | JUNK,
        "fingerprint": st.sampled_from(["0" * 16, "1" * 16, "x"]) | JUNK,
        "extra": JUNK,
    },
)
BODIES = st.fixed_dictionaries(
    {"alerts": st.lists(ALERTS | JUNK, max_size=5)},
    optional={
        "version": st.sampled_from(["4", "5"]) | JUNK,
        "groupKey": TEXT | JUNK,
        "receiver": TEXT | JUNK,
        "status": TEXT | JUNK,
        "truncatedAlerts": st.integers() | JUNK,
        "groupLabels": MAPS,
        "commonLabels": MAPS,
        "commonAnnotations": MAPS,
    },
)


def taken(body: bytes, known: set[bytes] | None = None) -> WebhookMessage | None:
    try:
        return parse(body, "main", known or ())
    except BadBody:
        return None


@given(BODIES)
def test_an_alert_that_fires_is_taken_or_noted_whatever_stands_around_it(said: dict[str, Any]) -> None:
    firing = [one for one in said["alerts"] if isinstance(one, dict) and one.get("status") == "firing"]

    message = taken(json.dumps(said).encode())

    assert bool(firing) <= (message is not None and any(one.status is Status.FIRING for one in message.alerts))


@given(BODIES)
def test_each_label_set_that_fires_comes_through(said: dict[str, Any]) -> None:
    fired = [
        one["labels"]
        for one in said["alerts"]
        if isinstance(one, dict)
        and one.get("status") == "firing"
        and isinstance(one.get("labels"), dict)
        and one["labels"]
        and all(isinstance(value, str) for value in one["labels"].values())
    ]

    message = taken(json.dumps(said).encode())

    through = [one.labels for one in message.alerts if one.status is Status.FIRING] if message else []
    assert all(labels in through for labels in fired)


@given(BODIES)
def test_each_identity_is_stated_once_and_reads_back(said: dict[str, Any]) -> None:
    message = taken(json.dumps(said).encode())

    for one in message.alerts if message else ():
        again = json.loads(one.raw)
        assert (again["fingerprint"].lower(), again["labels"]) == (one.fingerprint, one.labels)
    fingerprints = [one.fingerprint for one in message.alerts] if message else []
    assert len(fingerprints) == len(set(fingerprints))


@given(BODIES)
def test_a_body_read_twice_says_the_same(said: dict[str, Any]) -> None:
    body = json.dumps(said).encode()

    assert taken(body) == taken(body)


@given(BODIES, st.data())
def test_mutilated_bodies_are_read_or_refused_and_nothing_else(said: dict[str, Any], data: st.DataObject) -> None:
    body = bytearray(json.dumps(said, ensure_ascii=data.draw(st.booleans())).encode("utf-8", "surrogatepass"))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(body)))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3) | st.just(b"\\ud800"))

    taken(bytes(body))
    peek_group_key(bytes(body))


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused_and_nothing_else(body: bytes) -> None:
    taken(body)
    peek_group_key(body)


@given(st.lists(ALERTS, min_size=1, max_size=4), st.sets(st.integers(0, 3)))
def test_what_is_known_is_named_and_the_rest_is_read(alerts: list[dict[str, Any]], indices: set[int]) -> None:
    whole = taken(message(*alerts))
    if whole is None:
        return
    known = {one.digest for index, one in enumerate(whole.alerts) if index in indices}

    part = parse(message(*alerts), "main", known)

    digests = {one.digest for one in part.alerts}
    assert {one.digest for one in whole.alerts} <= digests | set(part.repeated)
    assert set(part.repeated) <= known


@given(
    st.lists(
        st.sampled_from(
            [
                *(b"\\", b"\\u", b"\\ud83d", b"\\ude00", b'"', b"u", b"d8", b"a", b"abcdefghijklmnop"),
                *(b"\xff", b"\x80", b"\xe2\x82", b"\xe2\x82\xac", b"\xf0\x9f", b"\xf0\x9f\x98\x80", b"\x01", b"\n"),
            ]
        ),
        max_size=60,
    ).map(b"".join)
)
def test_text_mended_piece_by_piece_is_mended_as_a_whole(text: bytes) -> None:
    whole = salvage._mended(text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(salvage, "_PIECE", 20)
        assert salvage.mend(text) == whole


@pytest.mark.parametrize("broken", [b"\xff" * 8_000_000, b"\\ud800" * 1_000_000, b"a" * 8_000_000 + b"\xff"])
def test_megabytes_of_broken_text_leave_other_threads_their_turn(broken: bytes) -> None:
    body = b'{"alerts":[{"labels":{"alertname":"%b"},"fingerprint":"0123456789abcdef"}]}' % broken
    reading = threading.Thread(target=parse, args=(body, ""))
    longest, last = 0.0, time.monotonic()
    reading.start()
    while reading.is_alive():
        time.sleep(0.001)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()

    assert longest < 1
