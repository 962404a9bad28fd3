"""docs/testing.md is true: its case files pass, its commands print what is shown, its tables name every key."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from relay.__main__ import main
from relay.cases.expecting import ALERT, EVENT
from relay.cases.reader import ALSO, GIVEN
from tests.docs import pages

PAGE = "docs/testing.md"


def files(text: str) -> list[tuple[str, str]]:
    """Return (name, text) of the whole files on the page, in its order."""
    heads = [(re.match(r"# (\w+\.yml)\n", block), block) for block in pages.blocks(text, "yaml")]
    return [(head[1], block) for head, block in heads if head is not None]


def sections() -> dict[str, str]:
    parts = re.split(r"^## ", pages.page(PAGE), flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}


def commands() -> list[tuple[list[str], list[str]]]:
    """Return each command on the page with the lines that it prints."""
    found = []
    for block in pages.blocks(pages.page(PAGE), "console"):
        command, *printed = block.splitlines()
        found.append((command.removeprefix("$ pagerelay ").split(), printed))
    return found


def played(directory: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> list[str]:
    monkeypatch.chdir(directory)
    done = CliRunner().invoke(main, list(arguments))
    return re.sub(r"in \d+\.\d s", "in 0.4 s", done.output).splitlines()


@pytest.mark.parametrize(("arguments", "printed"), commands(), ids=lambda words: " ".join(words)[:40])
def test_each_command_prints_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], printed: list[str]
) -> None:
    for name, text in files(sections()["A first case"]):
        (tmp_path / name).write_text(text)
    expected = [re.sub(r"in \d+\.\d s", "in 0.4 s", line) for line in printed]

    assert played(tmp_path, monkeypatch, *arguments) == expected


def whole() -> list[str]:
    return [text for name, text in files(pages.page(PAGE)) if name == "cases.yml" and "config: relay.yml" not in text]


@pytest.mark.parametrize("text", whole(), ids=len)
def test_each_file_with_a_configuration_of_its_own_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "cases.yml").write_text(text)

    assert played(tmp_path, monkeypatch, "test", "cases.yml")[0] == "ok    cases.yml: 1 of 1 passed"


def test_the_page_has_whole_files_and_commands() -> None:
    assert (len(whole()), len(commands())) == (2, 3)


@pytest.mark.parametrize(
    ("title", "keys"),
    [
        ("A file of cases", {"config", "cases", *ALSO}),
        ("Given", set(GIVEN)),
        ("Expected of an alert", set(ALERT)),
        ("Expected of PagerDuty", set(EVENT)),
    ],
)
def test_each_table_names_every_key(title: str, keys: set[str]) -> None:
    assert pages.listed(sections()[title]) == keys


def test_what_goes_with_what_is_given_is_named() -> None:
    head, *rows = next(pages.tables(sections()["Given"]))

    assert head[-1] == "goes with"
    assert {row[0].strip("`"): tuple(re.findall(r"`(\w+)`", row[-1])) for row in rows} == GIVEN
