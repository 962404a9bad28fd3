"""docs/templates.md tells the truth: its examples, its names and its functions."""

import re
from pathlib import Path

import pytest

from relay.rendering import read_sources
from relay.rendering.values import read_value
from relay.rendering.worker import PAGE_WALL, WALL
from relay.rules.filters import ALERTMANAGER, snake
from relay.rules.render import LONGEST_EVENT, render
from relay.rules.ruleset import Texts
from relay.rules.templates import MOST_OUTPUT, NAMES, Engine
from relay.rules.view import LONGEST_VALUE, MOST_LABELS
from tests.unit.pages import member, page

DOCUMENT = (Path(__file__).parent.parent.parent / "docs" / "templates.md").read_text()
PAGE = page(member("a"), member("b"), member("c", resolved=True))


def section(title: str) -> str:
    """The part of the document under a heading."""
    return DOCUMENT.split(f"## {title}\n")[1].split("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    """The cells of a section's table, but for its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")][2:]
    return [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


@pytest.mark.parametrize(("template", "gives"), [(row[0].strip("`"), row[1].strip("`")) for row in rows("Examples")])
def test_each_example_gives_what_it_says(template: str, gives: str) -> None:
    rendered = render(PAGE, Texts(description=template), Engine(read_sources(), read_value))

    assert rendered.failed_fields == ()
    assert rendered.event.summary == gives


def test_every_name_is_listed() -> None:
    listed = {name for row in rows("What a template sees") for name in re.findall(r"`([a-z_]+)`", row[0])}

    assert listed == NAMES


def test_every_function_is_listed_under_both_names() -> None:
    listed = {row[0].strip("`"): row[1].strip("`") for row in rows("Functions")}

    assert listed == {name: snake(name) for name in ALERTMANAGER}


def test_the_example_of_a_file_works(tmp_path: Path) -> None:
    text, use = re.findall(r"```\w*\n(.*?)```", section("Files"), re.DOTALL)
    (tmp_path / "mine.j2").write_text(text)
    description = use.split("description: ")[1].strip().strip("'")

    engine = Engine(read_sources([tmp_path / "mine.j2"]), read_value)
    assert render(PAGE, Texts(description=description), engine).event.summary == "CHECKOUT"


def test_every_default_file_is_named_and_every_bound_is_true() -> None:
    files, bounds = section("Files"), section("Bounds")

    assert all(f"`{name}`" in files for name in read_sources())
    assert f"{WALL:g} s, {MOST_OUTPUT // 1024} KiB" in bounds
    assert f"{PAGE_WALL:g} s;" in bounds
    assert f"{LONGEST_VALUE:,} characters, {MOST_LABELS} of each" in bounds
    assert f"{LONGEST_EVENT:,} bytes" in bounds
