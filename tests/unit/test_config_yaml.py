"""YAML is read as Alertmanager reads it: scalars are text, places are kept, double keys are named."""

import pytest

from relay.config import yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (
            "{code: 500, on: true, ver: 1.10, n: ~, s: 17:00, d: 2020-01-01, o: 010}",
            {"code": "500", "on": "true", "ver": "1.10", "n": None, "s": "17:00", "d": "2020-01-01", "o": "010"},
        ),
        ("{a: null, b: 'null', c: \"~\", d: , e: nULL}", {"a": None, "b": "null", "c": "~", "d": None, "e": "nULL"}),
        ("{a: !!str 5, b: !!str , c: !!int '7', d: !!null x}", {"a": "5", "b": "", "c": "7", "d": None}),
        ("a: &x [1, yes]\nb: *x", {"a": ["1", "yes"], "b": ["1", "yes"]}),
        ("base: &b {a: 1, b: 2}\nc: {<<: *b, b: 3}", {"base": {"a": "1", "b": "2"}, "c": {"b": "3", "a": "1"}}),
        ("c: {<<: [&b {a: 1}, {a: 2, e: 3}], x: 0}", {"c": {"x": "0", "a": "1", "e": "3"}}),
        ("{'<<': 5}", {"<<": "5"}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ("", None),
        ("# only a comment\n", None),
        ("--- \n...\n", None),
        ("\u00e4: \U0001f642", {"\u00e4": "\U0001f642"}),
    ],
)
def test_every_scalar_is_text_as_alertmanager_reads_it(text: str, value: object) -> None:
    root, faults = yaml.read(text)

    assert yaml.plain(root) == value
    assert not faults


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: [1, 2", (1, 9, "not YAML: did not find expected ',' or ']'")),
        ("a:\n\tb: 1", (2, 1, "not YAML: a tab: indent with spaces")),
        ("a: *gone", (1, 4, "nothing is named &gone above this alias")),
        ("a: &x [1, *x]", (1, 11, "the alias *x stands inside what it names")),
        ("a: 1\n---\nb: 2", (2, 1, "a second document begins here")),
        ("{[a]: 1}", (1, 2, "a key must be text, not a list or a mapping")),
        ("a: 1\n<<: 5", (2, 5, "`<<` takes a mapping or a list of mappings")),
        ("a: b\x00c", (1, 5, "the character U+0000 may not stand in YAML")),
        ("x: 1\na: b\x07c", (2, 5, "the character U+0007 may not stand in YAML")),
        ("[" * 5000, (1, 121, "nested more than 120 levels deep")),
        ("- " * 300 + "x", (1, 241, "nested more than 120 levels deep")),
        ("[" + "1," * 200_001 + "]", (1, 1, "more than 200,000 values")),
        ("- !!python/object:os.system x", (1, 3, "the tag tag:yaml.org,2002:python/object:os.system means")),
        ("a: 1\nb: 2\na: 3", (3, 1, 'key "a" is already set in line 1')),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(text: str, fault: tuple[int, int, str]) -> None:
    try:
        _, faults = yaml.read(text)
    except yaml.BadYaml as error:
        faults = error.faults

    (found,) = faults
    assert (found.line, found.column) == fault[:2]
    assert found.message.startswith(fault[2])


def test_aliases_may_not_grow_a_small_file_into_a_large_one() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 40)]

    with pytest.raises(yaml.BadYaml, match="more than 200,000 values when every alias is written out"):
        yaml.read("\n".join(lines))


def test_merge_keys_may_not_grow_a_small_file_into_a_large_one() -> None:
    wide = ", ".join(f"k{n}: 1" for n in range(1000))
    text = f"a: &a {{{wide}}}\n" + "".join(f"b{n}: {{<<: *a}}\n" for n in range(400))

    with pytest.raises(yaml.BadYaml, match="values"):
        yaml.read(text)


def test_aliases_may_not_nest_deeper_than_text_may() -> None:
    text = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 300))

    with pytest.raises(yaml.BadYaml, match="nested more than 120 levels deep"):
        yaml.read(text)


def test_every_double_key_is_found_and_the_first_value_stands() -> None:
    root, faults = yaml.read("a: {x: 1, x: 2}\nb: {y: 1, y: 2}\na: 5")

    assert [(fault.line, fault.column) for fault in faults] == [(1, 11), (2, 11), (3, 1)]
    assert yaml.plain(root) == {"a": {"x": "1"}, "b": {"y": "1"}}


@pytest.mark.parametrize(
    ("path", "key", "at"),
    [
        ((), False, (1, 1)),
        (("route",), False, (2, 3)),
        (("route",), True, (1, 1)),
        (("route", "routes", 0, "match", "a"), False, (4, 16)),
        (("route", "routes", 0, "match", "a"), True, (4, 13)),
        (("route", "empty"), False, (5, 3)),
        (("route", "gone", "deeper"), False, (2, 3)),
        (("copy", "a"), False, (4, 16)),
    ],
)
def test_a_path_leads_to_line_and_column(path: yaml.Path, key: bool, at: tuple[int, int]) -> None:
    text = "route:\n  receiver: x\n  routes:\n  - match: {a: &v 1}\n  empty:\ncopy: &c {<<: {a: *v}}\n"

    root, _ = yaml.read(text)

    assert yaml.place(root, path, key=key) == at
