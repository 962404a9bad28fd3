"""Alertmanager's template functions hold under our names and its own, as filters and as functions."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from relay.rendering.values import read_value
from relay.rules.cleaning import truncate_bytes, truncate_runes
from relay.rules.differences import parts, words
from relay.rules.filters import snake
from relay.rules.gotime import time_of
from relay.rules.render import deep
from relay.rules.templates import Engine, Labels, at
from tests.unit.pages import NOW, page

CONFORMANCE = Path(__file__).parent.parent / "data" / "conformance"
FUNCTIONS = json.loads((CONFORMANCE / "template_funcs.json").read_text())
TRUNCATE = json.loads((CONFORMANCE / "truncate.json").read_text())

ENGINE = Engine({})
MAKERS = ("dict", "list", "stringSlice")
SINGLE = [row for row in FUNCTIONS["functions"] if "|" not in row["func"] and "(" not in row["func"]]


def written(template: str, **data: Any) -> str:
    """Render a template with some names beside the page's."""
    return ENGINE.text(template, {**page_data(), **data})


def page_data() -> dict[str, Any]:
    view = page()
    found = parts(view)
    return ENGINE.data(view, found, words(view, found))


def arguments(row: dict[str, Any]) -> dict[str, Any]:
    """Name a row's arguments a0, a1 ...; what `date` and `tz` write is a time."""
    return {f"a{n}": moment(one) if row["func"] in ("date", "tz") and n else one for n, one in enumerate(row["args"])}


def moment(text: str) -> Any:
    return time_of(datetime.fromisoformat(text))


def as_function(name: str, count: int) -> str:
    return f"{name}({', '.join(f'a{n}' for n in range(count))})"


def as_filter(name: str, count: int) -> str:
    if name == "append":
        return f"a0 | append({', '.join(f'a{n}' for n in range(1, count))})"
    return f"a{count - 1} | {name}({', '.join(f'a{n}' for n in range(count - 1))})"


def forms(row: dict[str, Any]) -> list[str]:
    names, count = {row["func"], snake(row["func"])}, len(row["args"])
    written_forms = [as_function(name, count) for name in names]
    return written_forms if row["func"] in MAKERS else written_forms + [as_filter(name, count) for name in names]


@pytest.mark.parametrize("row", SINGLE, ids=lambda row: f"{row['func']}{row['args']}")
def test_a_function_answers_as_alertmanagers_does(row: dict[str, Any]) -> None:
    for form in forms(row):
        if row["error"]:
            with pytest.raises(ValueError, match=r".") as raised:
                written("{{ " + form + " }}", **arguments(row))
            assert row["error_text"] is None or str(raised.value) == row["error_text"]
        elif row["func"] == "tz":
            assert written("{{ " + form + " }}", **arguments(row)) == row["expect"]
        else:
            assert json.loads(written("{{ (" + form + ") | to_json }}", **arguments(row))) == row["expect"]


@pytest.mark.parametrize("row", [row for row in FUNCTIONS["functions"] if "toDate|" in row["func"].replace("must", "")])
def test_dates_are_read_and_written_by_go_layouts(row: dict[str, Any]) -> None:
    layout, text, shown = row["args"]
    name = row["func"].split("|")[0]
    for reader in (name, snake(name)):
        assert (
            written(f"{{{{ text | {reader}(layout) | date(shown) }}}}", text=text, layout=layout, shown=shown)
            == (row["expect"])
        )


@pytest.mark.parametrize(
    ("layout", "text", "expected"),
    [
        ("Jan _2 2006 3:04PM", "Mar  1 2024 9:04PM", "2024-03-01 21:04:00 +0000 UTC"),
        ("January 2, 06 03:04 pm", "March 11, 99 12:04 am", "1999-03-11 00:04:00 +0000 UTC"),
        ("2006-01-02T15:04:05Z07:00", "2024-03-01T21:04:05.25+05:30", "2024-03-01 21:04:05.25 +0530 +0530"),
        ("2006 002", "2024 061", "2024-03-01 00:00:00 +0000 UTC"),
        ("Mon 02 Jan 06 15:04 MST", "Fri 01 Mar 24 21:04 UTC", "2024-03-01 21:04:00 +0000 UTC"),
        ("2006-01-02", "2024-02-30", 'parsing time "2024-02-30": value out of range'),
        ("2006-01-02", "2024-02-03 x", 'parsing time "2024-02-03 x": extra text: " x"'),
        ("2006-01-02", "2024/02/03", 'parsing time "2024/02/03" as "2006-01-02": cannot parse "/02/03" as "-"'),
    ],
)
def test_times_are_read_by_go_layouts_or_refused_in_gos_words(layout: str, text: str, expected: str) -> None:
    try:
        result = written("{{ text | must_to_date(layout) }}", text=text, layout=layout)
    except ValueError as error:
        result = str(error)

    assert result == expected


def test_a_bad_date_is_an_error_in_gos_words() -> None:
    row = next(row for row in FUNCTIONS["functions"] if row["func"] == "mustToDate" and row["error"])
    with pytest.raises(ValueError, match="parsing time") as raised:
        written("{{ text | must_to_date(layout) }}", layout=row["args"][0], text=row["args"][1])

    assert str(raised.value) == row["error_text"]


def test_since_is_measured_from_the_judgement() -> None:
    hour_ago = at(NOW - 3_600_000_000)

    assert written("{{ t | since | humanize_duration }}", t=hour_ago) == "1h 0m 0s"
    assert written("{{ since(t) }}", t=hour_ago) == "1h0m0s"


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("Mon Jan _2 15:04:05 MST 2006", "Fri Mar  1 21:04:05 UTC 2024"),
        ("Monday, 02-Jan-06 03:04PM", "Friday, 01-Mar-24 09:04PM"),
        ("2006-01-02T15:04:05.000Z07:00", "2024-03-01T21:04:05.678Z"),
        ("2006-01-02T15:04:05.999999999-0700", "2024-03-01T21:04:05.678901+0000"),
        ("002 January 3 pm", "061 March 9 pm"),
        ("%Y/%m/%d", "2024/03/01"),
    ],
)
def test_the_date_filter_writes_go_layouts_and_strftime(layout: str, expected: str) -> None:
    t = moment("2024-03-01T21:04:05.678901+00:00")

    assert written("{{ t | date(layout) }}", t=t, layout=layout) == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ 'a.b.c' | re_replace_all('([a-z])[.]([a-z])', '${2}-$1') }}", "b-a.c"),
        ("{{ 'abc' | re_replace_all('b', '[$0]') }}", "a[b]c"),
        ("{{ 'x' | re_replace_all('x', '$1y') }}", ""),
        ("{{ 'price' | re_replace_all('price', '$$5') }}", "$5"),
        ("{{ 'ab' | reReplaceAll('(?P<first>a)', '<$first>') }}", "<a>b"),
        ("{{ 'o neil-smith' | title }}", "O Neil-Smith"),
        ("{{ [1, 2] | join('-') }}", "1-2"),
        ("{{ alerts | length }} {{ alerts[0].labels.pod }}", "1 a"),
        ("{{ alerts | to_json }}", None),
    ],
)
def test_functions_work_on_what_people_write(template: str, expected: str | None) -> None:
    result = written(template)

    assert result == expected if expected is not None else json.loads(result)[0]["labels"]["pod"] == "a"


@pytest.mark.parametrize("row", FUNCTIONS["kv"], ids=lambda row: f"{row['op']}")
def test_label_maps_have_alertmanagers_methods(row: dict[str, Any]) -> None:
    kv = Labels(row.get("kv") or row["pairs"])
    result = {
        "SortedPairs": "{{ kv.sorted_pairs | to_json }}",
        "Remove.Names": "{{ kv.remove(gone).names | to_json }}",
        "Remove.SortedPairs.Values": "{{ kv.remove(gone).sorted_pairs.values | to_json }}",
        "Pairs.Names": "{{ kv.sorted_pairs.names | to_json }}",
        "Pairs.Values": "{{ kv.sorted_pairs.values | to_json }}",
        "Pairs.String": "{{ kv.sorted_pairs | string | to_json }}",
    }[row["op"]]

    assert json.loads(written(result, kv=kv, gone=row.get("remove"))) == row["expect"]


@pytest.mark.parametrize("name", ["items", "keys", "values", "names", "get", "remove", "__proto__", ".", "é", "_x"])
def test_a_label_wins_over_a_method_of_its_name(name: str) -> None:
    kv = Labels({name: "mine"})

    assert written("{{ kv[name] }}", kv=kv, name=name) == "mine"
    if name.isidentifier():
        assert written(f"{{{{ kv.{name} }}}}", kv=kv) == "mine"


@pytest.mark.parametrize("name", ["items", "keys", "get", "remove", "nothing", "__class__", "__init__"])
def test_a_label_that_is_missing_is_empty_whatever_its_name(name: str) -> None:
    assert written(f"[{{{{ kv.{name} }}}}{{{{ 1 if kv.{name} }}}}]", kv=Labels()) == "[]"


def test_label_maps_can_be_walked_as_pythons_maps() -> None:
    kv = Labels({"b": "2", "a": "1"})

    assert written("{% for k, v in kv.items() %}{{ k }}{{ v }}{% endfor %}", kv=kv) == "b2a1"
    assert written("{{ kv.keys() | join }}{{ kv.get('z', 'no') }}{{ kv.values() | join }}", kv=kv) == "bano12"
    assert written("{% for p in kv.sorted_pairs %}{{ p.name }}={{ p.value }};{% endfor %}", kv=kv) == "a=1;b=2;"
    assert written("{{ kv }}", kv=kv) == "a=1, b=2"


@pytest.mark.parametrize("row", FUNCTIONS["details_values"], ids=lambda row: row["title"])
def test_details_are_read_back_as_alertmanager_reads_them(row: dict[str, Any]) -> None:
    suffix = "-templated" if row["fn"].startswith("append") else ""
    given = dict(pairs(row["input_pairs"])) if "input_pairs" in row else row["input"]

    assert deep(given, lambda text: text + suffix, read_value) == row["expect"]


def pairs(rows: list[list[Any]]) -> list[tuple[Any, Any]]:
    return [(name, value) for name, value in rows]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.10", "1.10"),
        ("yes", "yes"),
        ("null", "null"),
        ("2026-01-01", "2026-01-01"),
        ("12", 12),
        ("-3", -3),
        ("007", "007"),
        ("9" * 40, "9" * 40),
        ("see: yes", {"see": "yes"}),
        ("http://prometheus:9090/graph", "http://prometheus:9090/graph"),
        ("- a\n- 1", ["a", 1]),
        ("a: &x [1]\nb: *x", "a: &x [1]\nb: *x"),
        ("a: !!python/name:os.system x", "a: !!python/name:os.system x"),
        ("{broken", "{broken"),
        ("[" * 50_000, "[" * 50_000),
    ],
)
def test_only_lists_maps_and_whole_numbers_are_read_as_data(text: str, value: Any) -> None:
    assert read_value(text) == value


@pytest.mark.parametrize("row", TRUNCATE, ids=lambda row: f"{row['in'][:8]}-{row['n']}")
def test_texts_are_cut_as_alertmanager_cuts_them(row: dict[str, Any]) -> None:
    assert truncate_runes(row["in"], row["n"]) == (row["runes"]["out"], row["runes"]["truncated"])
    assert truncate_bytes(row["in"], row["n"]) == (row["bytes"]["out"], row["bytes"]["truncated"])
