"""Case files are read with every mistake at its place, and compared as they say."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.cases import read_cases
from relay.cases.case import Value
from relay.cases.checking import Comparison, matches
from relay.cases.seen import Seen
from relay.errors import BadConfig

HEAD = """\
config: relay.yml
alerts:
  disk: {labels: {alertname: DiskFull}}
cases:
  - name: one
"""
ONE = HEAD + "    then: [{sent: []}]\n"


def read(tmp_path: Path, text: str) -> list[str]:
    """Return what is said of a file, without its name."""
    file = tmp_path / "cases.yml"
    file.write_text(text)
    try:
        read_cases(file)
    except BadConfig as error:
        return [str(problem).removeprefix(f"{file}:") for problem in error.problems]
    return []


def test_a_file_of_cases_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, ONE) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1: here a mapping is needed, `key: value`"),
        ("cases: []\n", "1:1: `config` is missing: the routing file, or all of it"),
        ("config: a.yml\n", "1:1: `cases` is missing: the list of cases"),
        ("config: a.yml\ncases: []\n", "2:1: cases: there is no case here"),
        (
            "config: a.yml\ncases: [\n",
            "2:9: not YAML: did not find expected node content (while parsing a flow node in line 3)",
        ),
        (HEAD, "5:5: cases[0]: `then` is missing: what is expected"),
        (HEAD + "    then: []\n", "6:5: cases[0].then: nothing is expected here"),
        (ONE + "    begin: x\n", "7:5: cases[0].begin: unknown key begin: did you mean given?"),
        (
            ONE + "    start: 2026-11-23T22:30:00\n",
            "7:12: cases[0].start: say in which zone: 2026-11-23T22:30:00Z, or 2026-11-23T22:30:00+01:00",
        ),
        (ONE + "    start: noon\n", "7:12: cases[0].start: not a time: noon; write 2026-11-23T22:30:00Z"),
        (
            ONE + "    repeat_interval: 0s\n",
            "7:22: cases[0].repeat_interval: how often what still fires is said again: 4h; or off",
        ),
        (
            ONE + "  - name: one\n    then: [{sent: []}]\n",
            "7:11: cases[1].name: the case in line 5 has this name already",
        ),
        (
            ONE + "    given: [{fires: dsk}]\n",
            "7:21: cases[0].given[0].fires: no alert is named dsk: did you mean disk?",
        ),
        (
            ONE + "    given: [{fires: other}]\n",
            "7:21: cases[0].given[0].fires: no alert is named other: name it under `alerts`, or write its labels",
        ),
        (
            ONE + "    given: [{at: 5 minutes, fires: disk}]\n",
            '7:18: cases[0].given[0].at: not a valid duration string: "5 minutes"; write 30s, 5m, 4h or 1h30m',
        ),
        (
            ONE + "    given: [{fires: disk, resolves: disk}]\n",
            "7:13: cases[0].given[0]: say one of fires, resolves, silence, expire here, and only one",
        ),
        (
            ONE + "    given: [{fires: disk, lasts: 2h}]\n",
            "7:27: cases[0].given[0].lasts: `lasts` does not go with `fires`",
        ),
        (
            ONE + "    given: [{fires: disk, count: 5}]\n",
            "7:34: cases[0].given[0].count: no label has {n} in it, so all of these would be one alert",
        ),
        (
            ONE + "    given: [{fires: {a: 'x{n}'}, count: 0}]\n",
            "7:41: cases[0].given[0].count: a number from 1 to 10,000 is needed",
        ),
        (
            ONE + "    given: [{silence: ['a=\"b\"']}]\n",
            "7:13: cases[0].given[0]: `lasts` is missing: how long the silence lasts, such as 2h",
        ),
        (
            ONE + "    given: [{silence: [x], lasts: 1h}]\n",
            "7:24: cases[0].given[0].silence[0]: bad matcher format: x",
        ),
        (
            ONE + "    given: [{at: 1m, silence: ['a=b'], lasts: 1h, name: s}, {at: 0m, expire: s}]\n",
            "7:78: cases[0].given[1].expire: no silence above is named s: give it a `name`",
        ),
        (
            HEAD + "    then: [{alert: disk}]\n",
            "6:12: cases[0].then[0]: say what is expected of it: firing, receivers, severity, suppressed, because, "
            "page, dedup_key, verdict",
        ),
        (
            HEAD + "    then: [{alert: [disk, disk], severity: error}]\n",
            "6:20: cases[0].then[0].alert: one alert at a time: its name, or its labels",
        ),
        (
            HEAD + "    then: [{alert: disk, suppressed: night}]\n",
            "6:38: cases[0].then[0].suppressed: night is none of no, unrouted, silence, inhibition, "
            "mute_time_interval, active_time_interval, hold, inhibit_hold",
        ),
        (
            HEAD + "    then: [{sent: [{action: update}]}]\n",
            "6:29: cases[0].then[0].sent[0].action: update is none of trigger, acknowledge, resolve, change",
        ),
        (HEAD + "    then: [{sent: {}}]\n", "6:19: cases[0].then[0].sent: here a list is needed, `[]` for none"),
        (
            HEAD + "    then: [{sent: [{summary: {like: x}}]}]\n",
            "6:30: cases[0].then[0].sent[0].summary: write the text itself, or one of equals, contains, matches, "
            "as in {contains: text}",
        ),
        (
            HEAD + "    then: [{sent: [{summary: {matches: '('}}]}]\n",
            "6:40: cases[0].then[0].sent[0].summary.matches: not a regular expression: missing ): (",
        ),
        (HEAD + "    then: [{open: [{at: 5m}]}]\n", "6:21: cases[0].then[0].open[0].at: unknown key at: "),
    ],
)
def test_each_mistake_is_told_at_its_place(tmp_path: Path, text: str, said: str) -> None:
    (found,) = read(tmp_path, text)

    assert found.startswith(said)


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    found = read(tmp_path, HEAD + "    then: [{alert: dsk, severity: error}, {sent: [{subject: x}]}]\n    oops: 1\n")

    assert [one.split(": ")[0] for one in found] == ["6:20", "6:52", "7:5"]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="cannot read the file: No such file"):
        read_cases(tmp_path / "none.yml")


def test_a_routing_file_in_a_case_file_keeps_its_lines_and_columns(tmp_path: Path) -> None:
    file = tmp_path / "cases.yml"
    file.write_text("# above\nstart: 2026-11-23T12:00:00Z\n\nconfig:\n  route: # here\n    receiver: a\n\n" + ONE[18:])
    read = read_cases(file)

    assert read.config == file
    assert read.inline is not None
    assert read.inline.decode().rstrip() == "\n\n\n\n  route: # here\n    receiver: a"


def test_a_file_names_its_routing_file_from_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    file = tmp_path / "tests" / "cases.yml"
    file.write_text(ONE.replace("relay.yml", "../config/relay.yml"))

    assert read_cases(file).config == tmp_path / "config" / "relay.yml"


@pytest.mark.parametrize(
    ("expected", "got", "same"),
    [
        ("a", "a", True),
        ("a", "ab", False),
        ("1", 1, True),
        ("true", True, True),
        (None, "", True),
        (None, None, True),
        ("a", None, False),
        ({"contains": "b"}, "abc", True),
        ({"contains": ["a", "c"]}, "abc", True),
        ({"contains": ["a", "x"]}, "abc", False),
        ({"matches": "^a.c$"}, "abc", True),
        ({"matches": "^b"}, "abc", False),
        ({"equals": "abc"}, "abc", True),
        ({"equals": "ab"}, "abc", False),
        ({"contains": "1"}, 12, True),
        ({"dashboard": {"contains": "b"}}, {"dashboard": "abc", "more": "x"}, True),
        ({"dashboard": "x"}, {"dashboard": "abc"}, False),
        ({"dashboard": "x"}, "x", False),
        ({"contains": "x"}, {"contains": "x"}, True),
        (["a", "b"], ["a", "b"], True),
        (["a", "b"], ["b", "a"], False),
        (["a"], ["a", "b"], False),
        ([], None, True),
        ("a", ["a"], True),
        ([{"href": "h"}], [{"href": "h", "text": "t"}], True),
    ],
)
def test_what_is_expected_is_compared_as_text_by_an_operator_or_in_part(expected: Any, got: Any, same: bool) -> None:
    assert matches(expected, got) is same


def value(says: Any) -> Value:
    return Value(says, 1, 1)


def event(key: str, **fields: Any) -> Seen:
    return Seen({"action": "trigger", "dedup_key": key, **fields}, (("key", key),))


def test_a_name_is_one_page_and_a_page_has_one_name() -> None:
    comparison = Comparison(0)

    assert comparison.misses({"page": value("one")}, event("a")) == []
    assert comparison.misses({"page": value("one")}, event("a")) == []
    assert [miss.got for miss in comparison.misses({"page": value("one")}, event("b"))] == ["another page, b"]
    assert [miss.got for miss in comparison.misses({"page": value("two")}, event("a"))] == ["one"]


def test_a_name_counts_only_where_all_else_is_as_expected() -> None:
    comparison = Comparison(0)
    wrong = {"page": value("one"), "severity": value("error")}

    assert comparison.misses(wrong, event("a", severity="info")) != []
    assert comparison.misses({"page": value("one")}, event("b")) == []


@given(st.permutations(["a", "b", "c", "d"]))
def test_what_is_sent_at_one_time_has_no_order(keys: list[str]) -> None:
    expected = [{"dedup_key": value(key)} for key in "abcd"]

    assert Comparison(0).pair(expected, [event(key) for key in keys]) == ([], [])


def test_what_is_left_of_both_sides_is_told() -> None:
    missing, left = Comparison(0).pair([{"dedup_key": value("a")}, {"dedup_key": value("x")}], [event("a"), event("b")])

    assert [fields["dedup_key"].says for fields in missing] == ["x"]
    assert [one.fields["dedup_key"] for one in left] == ["b"]
