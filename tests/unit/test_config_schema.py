"""The schema for editors takes every file that loads, and refuses the mistakes that it can see."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml as pyyaml
from click.testing import CliRunner

from relay.cli.config import config
from relay.config import examine
from relay.config.json_schema import json_schema
from relay.config.yaml import BadYaml, Mapping, Node, Scalar, Sequence, read

ROOT = Path(__file__).parent.parent.parent
SHIPPED = ROOT / "config/relay.schema.json"
DATA = ROOT / "tests/data"
TABLE = json.loads((DATA / "conformance/config_load.json").read_text(encoding="utf-8"))
BROKEN = pyyaml.safe_load((DATA / "broken_configs.yml").read_text(encoding="utf-8"))
FILES = [ROOT / "config/relay.yml", ROOT / "examples/relay.yml", *sorted((DATA / "corpus").rglob("*.y*ml"))]
CHECKER = jsonschema.Draft7Validator(json_schema())


def as_an_editor(text: str) -> Any:
    """Read YAML by the core schema of YAML 1.2, as language servers do."""
    return _value(read(text)[0])


def _value(node: Node) -> Any:
    match node:
        case Mapping():
            return {name: _value(value) for name, (_, value) in node.pairs.items()}
        case Sequence():
            return [_value(item) for item in node.items]
        case Scalar(value=str() as text, plain=True):
            if text.lower() in ("true", "false"):
                return text.lower() == "true"
            number = re.fullmatch(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?", text)
            return (float(text) if {".", "e", "E"} & set(text) else int(text)) if number else text
        case Scalar(value=text):
            return text
    raise TypeError(node)


def complaints(text: str) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in CHECKER.iter_errors(as_an_editor(text))]


def test_the_shipped_schema_is_the_one_that_is_printed() -> None:
    printed = CliRunner().invoke(config, ["schema"]).stdout

    assert SHIPPED.read_text(encoding="utf-8") == printed, "pagerelay config schema > config/relay.schema.json"
    jsonschema.Draft7Validator.check_schema(json.loads(printed))
    assert (ROOT / "config/relay.yml").read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_has_the_right_shape_is_taken(file: Path) -> None:
    found = examine(file, {}, stand_ins=True)
    told = complaints(file.read_text(encoding="utf-8"))

    assert told == [] or found.loaded is None


@pytest.mark.parametrize("row", TABLE["good"], ids=lambda row: row["name"])
def test_what_alertmanager_loads_is_taken(row: dict[str, Any]) -> None:
    assert complaints(row["yaml"]) == [] or "receivers:" not in row["yaml"]


def _is_whole(row: dict[str, Any]) -> bool:
    """Say whether a file is YAML, and not empty: editors tell the rest by themselves."""
    try:
        root, faults = read(row["file"])
    except BadYaml:
        return False
    return not faults and not isinstance(root, Scalar)


_SEEN = frozenset({"unknown-field", "wrong-value", "no-route"})


@pytest.mark.parametrize("row", [row for row in BROKEN if _is_whole(row)], ids=lambda row: row["name"])
def test_mistakes_of_shape_are_refused(row: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "relay.yml"
    file.write_text(row["file"].replace("KEY", "k" * 32), encoding="utf-8")
    found = examine(file, {})
    rules = {problem.rule for problem in found.problems if not problem.warning}

    told = complaints(file.read_text(encoding="utf-8"))

    if rules & _SEEN:
        assert told
    elif found.loaded is not None:
        assert told == []


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("route: {receiver: a, grup_by: [x]}\nreceivers: [{name: a}]", "$.route"),
        ("route: {receiver: a, group_wait: 5 minutes}\nreceivers: [{name: a}]", "$.route.group_wait"),
        ("route: {receiver: a, group_wait: 5}\nreceivers: [{name: a}]", "$.route.group_wait"),
        ("route: {receiver: a, routes: {}}\nreceivers: [{name: a}]", "$.route.routes"),
        ("route: {receiver: a, outside: sleep}\nreceivers: [{name: a}]", "$.route.outside"),
        ("route: {receiver: a, flap: on}\nreceivers: [{name: a}]", "$.route.flap"),
        ("route: {receiver: [a]}\nreceivers: [{name: a}]", "$.route.receiver"),
        ("route: {receiver: a}\nreceivers: [{}]", "$.receivers[0]"),
        (
            "route: {receiver: a}\nreceivers: [{name: a, pagerduty_configs: [{}]}]",
            "$.receivers[0].pagerduty_configs[0]",
        ),
        ("route: {receiver: a}\nreceivers: [{name: a}]\nglobal: {budget: {events: 0}}", "$.global.budget.events"),
        ("route: {receiver: a}", "$"),
    ],
)
def test_a_mistake_is_told_at_its_place(text: str, place: str) -> None:
    (told,) = complaints(text)

    assert told.startswith(place)


@pytest.mark.parametrize(
    "text",
    [
        "route: {receiver: a, continue: no, flap: off, hold_trigger: {critical: 30s, default: 5m}, match: {code: 404}}",
        "route: {receiver: 1, group_wait: 0, group_by: , routes: [{match_re: {a: 4.5, b: true}}]}",
        "route: {receiver: a, regroup: {growth: 2.5, urgency: false}, dedup_key: '{labels.a}'}",
        "route:\n  receiver: a\nsources: [{name: p, alertmanager_url: [http://x], basic_auth: {username: 7}}]",
        "route: {receiver: a}\nglobal: {storm: off, smtp_from: x, inhibit_hold: 0, budget: {events: '5'}}",
    ],
)
def test_the_forms_that_a_field_has_are_all_taken(text: str) -> None:
    assert complaints(f"{text}\nreceivers: [{{name: a}}]") == []
