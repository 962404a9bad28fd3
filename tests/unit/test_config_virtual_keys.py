"""Virtual routing keys in the file: what is refused, and whose dedup keys are not sent as they came."""

from pathlib import Path

import pytest

from relay.rules.ruleset import RuleSet
from tests.unit.configuring import errors, loaded, paging, warnings

A, B = "a" * 32, "b" * 32
MIXED = (
    "its events may reach the same integrations as those of {}: its name is mixed into their dedup keys at PagerDuty, "
    "its senders are answered with their own. One source may say native_keys: true"
)


def text(*sources: str) -> str:
    listed = "".join(f"- {{{source}}}\n" for source in sources)
    return paging("routing_key: KEY", rest=f"sources:\n{listed}")


def rules(folder: Path, *sources: str) -> RuleSet:
    return loaded(folder, text(*sources)).rules


def test_one_source_of_events_has_its_dedup_keys_as_they_came(tmp_path: Path) -> None:
    found = rules(tmp_path, f"name: ci, native_keys: false, routing_keys: [{A}]", "name: prod, native_keys: true")

    assert [found.event_namespace(name) for name in ("ci", "prod", "")] == ["", "", ""]
    assert warnings(tmp_path, text(f"name: ci, routing_keys: [{A}]")) == []


@pytest.mark.parametrize(
    ("native", "namespaces", "told"),
    [
        ((True, False), ["", "b"], [f"8:33: sources[1].routing_keys: {MIXED.format(chr(34) + 'a' + chr(34))}"]),
        (
            (False, False),
            ["a", "b"],
            [
                f"7:33: sources[0].routing_keys: {MIXED.format(chr(34) + 'b' + chr(34))}",
                f"8:33: sources[1].routing_keys: {MIXED.format(chr(34) + 'a' + chr(34))}",
            ],
        ),
    ],
)
def test_of_two_sources_of_events_one_at_most_has(
    tmp_path: Path, native: tuple[bool, bool], namespaces: list[str], told: list[str]
) -> None:
    sources = [
        f"name: {name}, native_keys: {str(is_native).lower()}, routing_keys: [{key}]"
        for name, is_native, key in zip("ab", native, (A, B), strict=True)
    ]

    assert [rules(tmp_path, *sources).event_namespace(name) for name in "ab"] == namespaces
    assert [one.partition(": ")[2] for one in warnings(tmp_path, text(*sources))] == [
        one.partition(": ")[2] for one in told
    ]


def test_a_key_is_32_letters_and_digits_and_one_sources(tmp_path: Path) -> None:
    found = errors(
        tmp_path,
        text(
            f"name: a, native_keys: true, routing_keys: [{A}, {A}, too-short]",
            f"name: b, native_keys: false, routing_keys: [{A}]",
        ),
    )

    assert [one.partition(": ")[2] for one in found] == [
        "sources[0].routing_keys[2]: a routing key is 32 letters and digits, and clients check that: "
        "`openssl rand -hex 16` makes one",
        'sources[1].routing_keys[0]: is a routing key of source "a" as well: it could not be told who speaks',
    ]
    assert "too-short" not in "".join(found)


def test_a_receivers_key_that_a_source_has_as_well_is_told(tmp_path: Path) -> None:
    text_ = paging(f"routing_key: {A}", rest=f"sources:\n- {{name: ci, routing_keys: [{A}, {B}]}}\n")

    (told,) = warnings(tmp_path, text_)
    assert "sources[0].routing_keys[0]: is the routing key of a receiver as well" in told
    assert A not in told
