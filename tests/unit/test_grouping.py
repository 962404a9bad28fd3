"""Route keys, group keys, dedup keys and fingerprints are Alertmanager's own."""

import unicodedata
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.alert import fingerprint_of
from relay.rules.grouping import dedup_key, go_quote, group_key, group_labels, route_key
from relay.rules.matchers import Matcher
from relay.rules.quoting import printable
from relay.rules.ruleset import Route
from tests.unit.conformance import rows

ALERT = {"alertname": "HighLatency", "cluster": "bb", "service": "db", "instance": "inst3"}


def route(key: str = "{}", group_by: tuple[str, ...] | None = None, group_by_all: bool = False) -> Route:
    return Route(id=key, key=key, order=0, receiver="r", group_by=group_by, group_by_all=group_by_all)


# Expected texts are those of Go's strconv.Quote.
@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("", '""'),
        ("prod", '"prod"'),
        ('a"b\\c', r'"a\"b\\c"'),
        ("\a\b\f\n\r\t\v", r'"\a\b\f\n\r\t\v"'),
        ("\x00\x1f\x7f", r'"\x00\x1f\x7f"'),
        ("\x80\xa0\xad", r'"\u0080\u00a0\u00ad"'),
        ("é 漢 🙂", '"é 漢 🙂"'),
        ("\u200b\u2028\u3000\ufeff\ue000", r'"\u200b\u2028\u3000\ufeff\ue000"'),
        ("\U0010ffff\U000e0001", r'"\U0010ffff\U000e0001"'),
        ("e\u0301", '"e\u0301"'),
        ("\ud800", '"\ufffd"'),
        ("\U0001fae8", '"\U0001fae8"'),
        ("\u2ffc", r'"\u2ffc"'),
    ],
    ids=ascii,
)
def test_values_are_quoted_as_go_quotes_them(text: str, quoted: str) -> None:
    assert go_quote(text) == quoted


def test_what_is_printable_does_not_hang_on_the_unicode_version_of_this_python() -> None:
    """The table is Unicode 15.0; what this Python knows may be older or newer, never contradictory."""
    age = tuple(map(int, unicodedata.unidata_version.split(".")))
    differ = [code for code in range(0x110000) if printable(code) != chr(code).isprintable()]

    assert len(differ) == 4482 if age == (14, 0, 0) else all(printable(code) == (age < (15,)) for code in differ)


@pytest.mark.parametrize(
    ("parent", "matchers", "key"),
    [
        ("", (), "{}"),
        ("{}", (("=", "env", "prod"),), '{}/{env="prod"}'),
        ("{}", (), "{}/{}"),
        (
            '{}/{a="x"}',
            (("=~", "b", "y"), ("=", "b", "y"), ("!=", "b", "x"), ("!~", "a", "z"), ("!=", "a", "z")),
            '{}/{a="x"}/{a!="z",a!~"z",b!="x",b="y",b=~"y"}',
        ),
        ("{}", (("=~", "owner", "^(?:team-(B|C))$"),), '{}/{owner=~"^(?:team-(B|C))$"}'),
        ("{}", (("=", "foo bar", "baz"),), '{}/{"foo bar"="baz"}'),
    ],
)
def test_a_route_key_lists_sorted_matchers(parent: str, matchers: tuple[tuple[str, str, str], ...], key: str) -> None:
    assert route_key(parent, [Matcher(*matcher) for matcher in matchers]) == key


@pytest.mark.parametrize(
    ("key", "group_by", "group_by_all", "labels", "expected"),
    [
        ("{}", ("alertname",), False, ALERT, '{}:{alertname="HighLatency"}'),
        (
            '{}/{kafka="yes"}',
            ("alertname", "cluster", "service"),
            False,
            ALERT,
            '{}/{kafka="yes"}:{alertname="HighLatency", cluster="bb", service="db"}',
        ),
        ("{}", ("alertname", "team"), False, ALERT, '{}:{alertname="HighLatency"}'),
        ("{}", ("alertname", "team"), False, {**ALERT, "team": ""}, '{}:{alertname="HighLatency"}'),
        ("{}", (), False, ALERT, "{}:{}"),
        ("{}", None, False, ALERT, "{}:{}"),
        ("{}", None, True, {"b": "2", "a": '"'}, r'{}:{a="\"", b="2"}'),
        ("{}", None, True, {"a1": "x", "a": "y"}, '{}:{a="y", a1="x"}'),
        ("{}", ("odd name",), False, {"odd name": "x"}, '{}:{odd name="x"}'),
    ],
)
def test_a_group_key_is_the_route_key_and_the_group_labels(
    key: str, group_by: tuple[str, ...] | None, group_by_all: bool, labels: dict[str, str], expected: str
) -> None:
    for _ in range(2):  # the second time from memory
        assert group_key(route(key, group_by, group_by_all), labels) == expected


def test_group_labels_leave_out_what_the_alert_does_not_have() -> None:
    assert group_labels(route(group_by=("alertname", "team")), ALERT) == {"alertname": "HighLatency"}
    assert group_labels(route(group_by=()), ALERT) == {}
    assert group_labels(route(group_by_all=True), ALERT) == ALERT


def test_two_routes_with_one_key_keep_their_own_grouping() -> None:
    """Sibling routes with equal matchers share a key (dispatch/route.go ID)."""
    by_name, by_cluster = route(group_by=("alertname",)), route(group_by=("cluster",))

    labels = {"alertname": "x", "cluster": "x"}
    assert group_key(by_name, labels) == '{}:{alertname="x"}'
    assert group_key(by_cluster, labels) == '{}:{cluster="x"}'


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.text("xy", max_size=2)), max_size=30))
def test_alerts_share_a_group_key_exactly_when_they_share_group_labels(alerts: list[dict[str, str]]) -> None:
    by = route(group_by=("a", "b"))

    keys = [group_key(by, labels) for labels in alerts]
    groups = [tuple(group_labels(by, labels).items()) for labels in alerts]
    assert len(set(keys)) == len(set(groups)) == len(set(zip(keys, groups, strict=True)))


@given(st.dictionaries(st.text(max_size=3), st.text(max_size=3)))
def test_the_order_of_labels_changes_no_key(labels: dict[str, str]) -> None:
    backwards = dict(reversed(labels.items()))

    assert group_key(route(group_by_all=True), labels) == group_key(route(group_by_all=True), backwards)
    assert fingerprint_of(labels) == fingerprint_of(backwards)


def test_a_dedup_key_is_the_hash_of_the_group_key() -> None:
    key = '{}:{alertname="HighLatency"}'

    assert dedup_key("", key) == sha256(key.encode()).hexdigest()
    assert dedup_key("backup", key) == sha256(b"backup\0" + key.encode()).hexdigest()
    assert len({dedup_key("", key), dedup_key("backup", key), dedup_key("other", key)}) == 3


def test_a_very_long_label_value_still_has_its_keys() -> None:
    labels = {"alertname": "x" * 100_000}
    key = group_key(route(group_by=("alertname",)), labels)

    assert key == '{}:{alertname="' + "x" * 100_000 + '"}'
    assert dedup_key("", key) == sha256(key.encode()).hexdigest()


@pytest.mark.parametrize("row", rows("fingerprint"), ids=lambda row: row["fingerprint"])
def test_a_fingerprint_is_alertmanagers(row: dict[str, Any]) -> None:
    assert fingerprint_of(row["labels"]) == row["fingerprint"]
