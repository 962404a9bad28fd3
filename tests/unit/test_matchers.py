"""Matchers are read, written and tested as Alertmanager does it."""

from contextlib import suppress
from typing import Any

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from relay.rules.matchers import Matcher, MatcherError, Mode, parse_matcher, parse_matchers, valid_label_name
from tests.unit.conformance import rows

MODES: dict[str, tuple[Mode, ...]] = {
    "utf8": ("utf8",),
    "classic": ("classic",),
    "fallback": ("fallback",),
    "both": ("utf8", "classic"),
}
READ = [pytest.param(row, mode, id=f"{row['id']}-{mode}") for row in rows("matchers") for mode in MODES[row["parser"]]]


def read(text: str, mode: Mode, api: str = "matchers") -> list[list[str]]:
    found = parse_matchers(text, mode)[0] if api == "matchers" else (parse_matcher(text, mode)[0],)
    return [[matcher.op, matcher.name, matcher.value] for matcher in found]


@pytest.mark.parametrize(("row", "mode"), READ)
def test_a_text_is_read_as_alertmanager_reads_it(row: dict[str, Any], mode: Mode) -> None:
    if not row["error"]:
        assert read(row["input"], mode, row["api"]) == row["expect"]
        return
    with pytest.raises(MatcherError) as caught:
        read(row["input"], mode, row["api"])

    text = row.get("error_text") or (row.get("error_text_classic") if mode == "classic" else None)
    assert text in (None, str(caught.value))


# The texts of matcher/parse/lexer.go and parse.go that no row of the table above reaches.
@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("~", "0:1: ~: invalid input"),
        ("foo", "end of input: expected an operator such as '=', '!=', '=~' or '!~'"),
        ("foo bar", "4:7: unexpected bar: expected an operator such as '=', '!=', '=~' or '!~'"),
        ("foo=", "end of input: expected label value"),
        ("foo=,", "4:5: unexpected ,: expected label value"),
        (
            "foo!",
            "3:4: unexpected end of input, expected one of '=~': expected an operator such as '=', '!=', '=~' or '!~'",
        ),
        ("foo!bar", "3:4: !: expected one of '=~': expected an operator such as '=', '!=', '=~' or '!~'"),
        ('foo="bar', '4:8: "bar: missing end ": expected label value'),
        ("foo=bar,,", "8:9: unexpected ,: expected a matcher or close brace after comma"),
        ("{foo=bar} x", "10:11: x: expected end of input"),
        ("{foo=bar} '", "10:11: ': invalid input: expected end of input"),
        ("foo=bar,}", "0:9: }: expected opening brace"),
        ('"a\nb"=c', '0:5: "a\nb": invalid input'),
        ('a="\\400"', '2:8: "\\400": invalid input'),
        ('a="\\ud800"', '2:10: "\\ud800": invalid input'),
        ('a="\\x+1"', '2:8: "\\x+1": invalid input'),
        ("a=~'", "3:4: ': invalid input: expected label value"),
        ("a=~(", "failed to create matcher: error parsing regexp: missing closing ): `^(?:()$`"),
    ],
)
def test_the_utf8_parser_says_where_it_stopped(text: str, error: str) -> None:
    with pytest.raises(MatcherError) as caught:
        parse_matchers(text, "utf8")

    assert str(caught.value) == error


@pytest.mark.parametrize(
    ("quoted", "value"),
    [
        (r"\a\b\f\n\r\t\v\\\"", '\a\b\f\n\r\t\v\\"'),
        (r"\101\x41AA", "AAAA"),
        (r"\360\237\231\202", "🙂"),
    ],
)
def test_quoted_values_know_gos_escapes(quoted: str, value: str) -> None:
    assert read(f'a="{quoted}"', "utf8") == [["=", "a", value]]


@pytest.mark.parametrize(
    ("pattern", "error"),
    [
        ("*", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a{2000}", "invalid repeat count: `{2000}`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        (r"\y", r"invalid escape sequence: `\y`"),
        ("a)", "unexpected ): `^(?:a))$`"),
    ],
)
def test_a_bad_regular_expression_is_refused_in_gos_words(
    pattern: str, error: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(MatcherError) as caught:
        Matcher("=~", "a", pattern)

    assert str(caught.value) == f"error parsing regexp: {error}"
    assert capfd.readouterr().err == ""


def test_the_default_mode_warns_where_only_the_classic_parser_reads_a_text() -> None:
    matchers, warnings = parse_matchers("foo=")

    assert matchers == (Matcher("=", "foo", ""),)
    assert warnings == (
        "foo= is read by the classic parser only, the UTF-8 parser says: "
        'end of input: expected label value; write foo="" instead',
    )


def test_the_default_mode_warns_where_the_parsers_disagree_and_believes_the_classic_one() -> None:
    matcher, warnings = parse_matcher(r'foo="\x41"')

    assert matcher == Matcher("=", "foo", r"\x41")
    assert warnings == (
        r'foo="\x41" means foo="\\x41" to the classic parser, which is used, and foo="A" to the UTF-8 parser',
    )


def test_one_matcher_takes_no_braces_in_the_default_mode() -> None:
    with pytest.raises(MatcherError, match=r"^unexpected open or close brace: \{foo=bar\}$"):
        parse_matcher("{foo=bar}")


@pytest.mark.parametrize("row", rows("matching"), ids=lambda row: row["id"])
def test_matchers_match_as_alertmanagers_do(row: dict[str, Any]) -> None:
    sets = row.get("matcher_sets") or [row.get("matchers") or [row["matcher"]]]

    assert row["match"] == any(all(Matcher(*one).matches(row["labels"]) for one in every) for every in sets)


@pytest.mark.parametrize("row", rows("matcher_string"), ids=lambda row: row["string"])
def test_a_matcher_is_written_as_in_route_keys(row: dict[str, Any]) -> None:
    assert str(Matcher(*row["matcher"])) == row["string"]


@pytest.mark.parametrize("row", rows("label_names"), ids=lambda row: f"{row['mode']}-{row['name']}")
def test_label_names_are_valid_by_mode(row: dict[str, Any]) -> None:
    assert valid_label_name(row["name"], row["mode"]) == row["valid"]
    assert valid_label_name(row["name"], "fallback") == (row["name"] != "")


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("a|b", "b", True),
        ("a|b", "ab", False),
        ("a|", "", True),
        ("", "", True),
        ("", "a", False),
        ("a", "a\n", False),
        ("(?i)prod", "PROD", True),
        (r"\pL+", "Ünï", True),
        (r"\Qa.b\E", "a.b", True),
        (r"\Qa.b\E", "axb", False),
        (".", "🙂", True),
        (".", "\ud800", True),
        ("a", "\ud800", False),
        ("(a+)+$", "a" * 5000 + "b", False),
    ],
)
def test_regular_expressions_are_anchored_re2(pattern: str, value: str, matches: bool) -> None:
    assert Matcher("=~", "x", pattern).matches({"x": value}) == matches
    assert Matcher("!~", "x", pattern).matches({"x": value}) != matches


@given(st.text("ab|-", max_size=8), st.text("ab-", max_size=3))
def test_a_list_of_plain_words_means_what_re2_says_it_means(pattern: str, value: str) -> None:
    assert Matcher("=~", "x", pattern).matches({"x": value}) == bool(re2.search(f"^(?:{pattern})$", value))


@given(st.sampled_from(["=", "!="]), st.text(min_size=1), st.text())
def test_what_is_written_reads_back(op: str, name: str, value: str) -> None:
    """Of the UTF-8 parser, for quoted names; a name that needs no quotes has its value escaped for both parsers."""
    matcher = Matcher(op, f"{name} ", value)

    assert parse_matchers(str(matcher), "utf8") == ((matcher,), ())


@given(st.sampled_from(["=", "!="]), st.from_regex(r"[a-z_]+", fullmatch=True), st.text())
def test_what_is_written_of_a_plain_name_reads_back_in_the_classic_mode(op: str, name: str, value: str) -> None:
    matcher = Matcher(op, name, value)

    assert parse_matchers(str(matcher), "classic") == ((matcher,), ())


@given(st.text("{}!=~,\\\"'` ab\n🙂"), st.sampled_from(["fallback", "utf8", "classic"]))
def test_any_text_is_read_or_refused(text: str, mode: Mode) -> None:
    for parse in (parse_matchers, parse_matcher):
        with suppress(MatcherError):
            parse(text, mode)
