"""docs/clients.md tells the truth: every section, command, snippet and test that it names is there."""

import ast
import re
from functools import cache
from pathlib import Path

import click
import pytest

from relay.__main__ import main
from tests.docs import pages

DOCUMENT = pages.page("docs/clients.md")
DRIVERS = pages.ROOT / "tests" / "clients" / "drivers"

SECTIONS = {
    "SDK Installation": ("Python SDK", "Node.js SDK", "Go SDK"),
    "Python Examples": ("Send Alerts", "Manage Incidents", "On-Call Management", "Service Management"),
    "Node.js Examples": ("Send Alerts", "Manage Incidents", "Webhook Handler (Express.js)"),
    "AlertManager Integration": ("AlertManager Configuration", "Prometheus Alert Rules"),
    "Kubernetes Integration": ("Kubernetes Operator Events", "Helm Values for AlertManager"),
    "Change Events": ("Send Change Events", "GitHub Actions Integration"),
    "Troubleshooting": ("Debug API Calls", "Validate Events"),
    "Best Practices": ("Incident Management", "On-Call Health", "Alert Quality", "Security"),
}
"""The headings of the guide that the users of the relay come from, in its order."""

TROUBLES = [
    *("Alerts not triggering", "Duplicate incidents", "Webhook failures", "No notifications", "High noise"),
    *("Escalations not working", "API rate limits", "Missing alerts"),
]
"""The rows of its table of troubles."""


def table(heading: str) -> list[list[str]]:
    """Return the rows of the first table under a heading."""
    section = DOCUMENT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return next(pages.tables(section))[1:]


def test_every_section_of_the_guide_has_its_row() -> None:
    expected = [f"{chapter}: {section}" for chapter, sections in SECTIONS.items() for section in sections]

    assert [row[0] for row in table("Section by section")] == expected


def test_every_trouble_of_the_guide_has_its_row() -> None:
    assert [row[0] for row in table("When something is wrong")] == TROUBLES


@pytest.mark.parametrize(
    "row", [*table("Section by section"), *table("When something is wrong")], ids=lambda row: row[0]
)
def test_every_row_says_what_to_do_and_names_a_test(row: list[str]) -> None:
    assert row[1]
    assert named_tests(row[2])


def named_tests(text: str) -> list[tuple[str, str]]:
    return re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)


@cache
def functions_of(file: Path) -> set[str]:
    """Name the functions of a file, tests among them."""
    nodes = ast.walk(ast.parse(file.read_text()))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("named", sorted(set(named_tests(DOCUMENT))), ids=lambda named: named[1])
def test_every_test_that_is_named_exists(named: tuple[str, str]) -> None:
    file, name = named

    assert name in functions_of(pages.ROOT / file)


def commands() -> list[str]:
    return sorted(set(re.findall(r"`(pagerelay [^`]+)`", DOCUMENT)))


@pytest.mark.parametrize("line", commands())
def test_every_command_that_is_named_exists_with_its_flags(line: str) -> None:
    _, *words = line.split()
    command: click.Command = main
    context = click.Context(main)
    while isinstance(command, click.Group) and words:
        found = command.get_command(context, words.pop(0))
        assert found is not None, line
        command = found
    assert not isinstance(command, click.Group), line
    known = {name for option in command.params for name in option.opts}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known


def drivers() -> str:
    """Return what the tests have the clients do."""
    files = sorted(file for file in DRIVERS.rglob("*") if file.suffix in (".py", ".mjs", ".go", ".sh"))
    return "\n".join(file.read_text() for file in files)


@pytest.mark.parametrize("language", ["python", "javascript", "go", "sh"])
def test_every_snippet_is_one_that_the_tests_run(language: str) -> None:
    found = list(pages.blocks(DOCUMENT, language))

    assert found
    for block in found:
        assert block in drivers(), block


def test_every_client_of_the_tests_has_its_row() -> None:
    from tests.clients.programs import EVENTS

    named = {row[0].partition(",")[0].removeprefix("@pagerduty/") for row in table("The clients")}

    assert named == {*EVENTS, "requests", "Alertmanager"}
