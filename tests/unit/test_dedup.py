"""A route's own dedup_key: literal text, fields of one alert, three filters, and never more than 255 characters."""

import re
from contextlib import suppress
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.rules.dedup import cap, parse_dedup

LABELS = {"cluster": "EU-1", "alertname": "DiskFull", "odd name": "odd", 'q"t': "quote", "empty": ""}


def evaluate(text: str) -> str:
    return parse_dedup(text).evaluate(LABELS, "backup", "platform", "9266ef3da838ad95")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("{labels.cluster}", "EU-1"),
        ("disk {labels.cluster} {labels.alertname|lower}", "disk EU-1 diskfull"),
        ('{labels["odd name"]}/{ labels[ "q\\"t" ] | upper }', "odd/QUOTE"),
        ("{source}:{receiver}:{fingerprint}", "backup:platform:9266ef3da838ad95"),
        ("{{{labels.cluster}}} {{x}}", "{EU-1} {x}"),
        ('{labels.absent|default("none")}', "none"),
        ('{labels.cluster|default("none")}', "EU-1"),
        ('{labels.empty|default("no|n}e")|upper}', "NO|N}E"),
        ('{labels.absent|upper|default("n")}', "n"),
        ('{labels.absent|default("\\"\\\\")}', '"\\'),
        ("disk {labels.absent}", "disk "),
        ("{labels.absent}", ""),
        ("  {labels.absent} {labels.empty}", ""),
        ("π\n{labels.cluster}", "π\nEU-1"),
    ],
)
def test_it_is_filled_in_for_one_alert(text: str, key: str) -> None:
    assert evaluate(text) == key


FIELDS = 'use labels.NAME, labels["odd name"], source, receiver or fingerprint'


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a } {source}", "column 3: a single }: write }} for a brace"),
        ("x {label.cluster}", f"column 4: unknown field label.cluster: {FIELDS}"),
        ("{}", f"column 2: unknown field }}: {FIELDS}"),
        ("{", f"column 2: unknown field end of text: {FIELDS}"),
        ("{ sources}", f"column 3: unknown field sources: {FIELDS}"),
        ("{source.name}", f"column 2: unknown field source.name: {FIELDS}"),
        ('{labels["x]}', f'column 2: unknown field labels["x]: {FIELDS}'),
        ("{labels.x|title}", 'column 11: unknown filter title: use lower, upper or default("text")'),
        ("{labels.x|default(x)}", 'column 11: unknown filter default(x): use lower, upper or default("text")'),
        ("{labels.x|}", 'column 11: unknown filter }: use lower, upper or default("text")'),
        ("{labels.x y}", "column 11: unexpected y: end the field with }, or put | before a filter"),
        ("a {labels.x", "column 3: a { that is never closed: close it with }, or write {{ for a brace"),
    ],
)
def test_a_mistake_is_refused_with_its_column(text: str, error: str) -> None:
    with pytest.raises(ValueError, match="column") as caught:
        parse_dedup(text)

    assert str(caught.value) == error


@pytest.mark.parametrize("text", ["", "disk", "{{ labels.cluster }}"])
def test_a_text_without_a_field_is_refused_since_every_alert_would_be_one_page(text: str) -> None:
    with pytest.raises(ValueError, match=r"dedup_key names no field .* as \{labels\.cluster\}"):
        parse_dedup(text)


def test_a_long_key_keeps_its_beginning_and_stays_distinct() -> None:
    template = parse_dedup("{labels.x}")
    keys = {template.evaluate({"x": "x" * 300 + end}, "", "", "") for end in "ab"}

    assert keys == {"x" * 190 + "-" + sha256(("x" * 300 + end).encode()).hexdigest() for end in "ab"}
    assert {len(key) for key in keys} == {255}
    assert cap("x" * 255) == "x" * 255


@given(st.text(), st.text())
def test_every_literal_text_can_be_written_and_no_key_is_too_long(literal: str, value: str) -> None:
    escaped = literal.replace("{", "{{").replace("}", "}}")
    key = parse_dedup(escaped + "{labels.x}").evaluate({"x": value}, "", "", "")

    text = literal + value
    own = f"{text}/" if re.search(r"/[0-9]+\Z", text) else text  # else it would look like a linked page's
    assert key == (cap(own) if text.strip() else "")
    assert len(key) <= 255


@given(st.text('{}|labes.x["] source default()lower'))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ValueError):
        parse_dedup(text).evaluate({}, "", "", "")


def test_no_key_of_its_own_looks_like_that_of_a_linked_page() -> None:
    """`x/2` is the page linked to `x`: an alert whose own key came out so would be mixed up with it."""
    template = parse_dedup("{labels.a}")

    assert template.evaluate({"a": "x/2"}, "", "", "") == "x/2/"
    assert template.evaluate({"a": "x/two"}, "", "", "") == "x/two"
    assert len(template.evaluate({"a": "x" * 252 + "/22"}, "", "", "")) <= 255
