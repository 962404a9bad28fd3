"""The documentation and the program say the same."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from relay.cli.serve import serve
from relay.config import load
from relay.config.schema import Config, Section
from relay.config.shape import _model_in
from relay.metrics import Metrics
from relay.page import NEXT, Lane, State, Wanted
from tests.docs import pages, reference
from tests.docs.test_examples import with_secrets


def sections(model: type[Section] = Config) -> dict[type[Section], set[str]]:
    """Return every section of the routing YAML with its keys."""
    found = {model: {str(field.validation_alias or name) for name, field in model.model_fields.items()}}
    for field in model.model_fields.values():
        inner = _model_in(field.annotation)
        if inner is not None and inner is not model:
            found |= sections(inner)
    return found


def test_every_key_of_the_routing_yaml_is_documented() -> None:
    text = pages.page("docs/routing.md")
    keys = {key for names in sections().values() for key in names}
    # What Alertmanager documents, and the relay reads but does not apply or use.
    foreign = {key for key in keys if key.endswith("_configs") and key != "pagerduty_configs"}

    assert {key for key in keys - foreign if not re.search(rf"\b{re.escape(key)}\b", text)} == set()


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("### global", "Global"),
        ("## Routes", "Route"),
        ("### pagerduty_configs", "PagerDuty"),
        ("## Sources", "Source"),
        ("### Delays", "Hold"),
        ("## Inhibit rules", "InhibitRule"),
        ("## Time intervals", "TimeInterval"),
        ("## Heartbeats", "Heartbeat"),
        ("## PagerDuty", "Account"),
    ],
)
def test_each_section_documents_its_own_keys_and_no_others(heading: str, model: str) -> None:
    after = pages.page("docs/routing.md").split(f"\n{heading}\n")[1]
    section = re.split(r"\n#{2,3} ", after)[0]
    keys = next(names for found, names in sections().items() if found.__name__ == model)

    assert pages.listed(section) == keys


def whole_files() -> list[str]:
    return [block for block in pages.blocks(pages.page("docs/routing.md"), "yaml") if block.startswith("# relay.yml")]


@pytest.mark.parametrize("block", whole_files(), ids=lambda block: str(len(block)))
def test_every_whole_file_in_the_routing_page_loads(tmp_path: Path, block: str) -> None:
    assert load(with_secrets(tmp_path, block), {}).warnings == ()


def test_the_routing_page_has_whole_files() -> None:
    assert len(whole_files()) >= 4


def yaml_blocks() -> list[Any]:
    found = [(page, block) for page in pages.markdown() for block in pages.blocks(page.read_text(), "yaml")]
    return [pytest.param(block, id=f"{page.stem}-{number}") for number, (page, block) in enumerate(found)]


@pytest.mark.parametrize("block", yaml_blocks())
def test_every_yaml_block_anywhere_is_yaml(block: str) -> None:
    assert isinstance(yaml.safe_load(block), dict)


def test_the_life_of_a_page_is_the_table_that_the_program_follows() -> None:
    head, *rows = next(pages.tables(pages.page("docs/page-life.md")))
    shown = {
        (row[0].strip("*"), delivered): cell for row in rows for delivered, cell in zip(head[1:], row[1:], strict=True)
    }

    assert shown == {(str(wanted), str(state)): str(do) for (wanted, state), do in NEXT.items()}
    assert len(shown) == len(Wanted) * len(State)


def test_the_life_of_a_page_names_every_lane() -> None:
    text = pages.page("docs/page-life.md")
    words = {
        Lane.CRITICAL: "new critical",
        Lane.ERROR: "new error",
        Lane.RESOLVE: "resolve;",
        Lane.WARNING: "new warning or info",
        Lane.UPDATE: "update;",
        Lane.REFRESH: "refresh.",
    }

    positions = [text.index(words[lane], text.index("stands in one lane")) for lane in Lane]

    assert positions == sorted(positions)


def test_every_metric_that_any_page_names_exists() -> None:
    families = Metrics().registry.collect()
    exposed = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    named = {name for page in pages.markdown() for name in re.findall(r"`(pagerelay_\w+)", page.read_text())}

    assert named - exposed == set()


def sections_of_the_command_page() -> dict[str, str]:
    parts = pages.page("docs/cli.md").split("\n## ")[1:]
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}


def words(text: str) -> set[str]:
    """Return what is said, however this version of click lays it out; the list of subcommands is cut to fit."""
    return set(re.findall(r"[\w.:/=-]{2,}", text.partition("\nCommands:\n")[0]))


def test_every_command_is_documented() -> None:
    names = [" ".join(("pagerelay", *path)) for path, _ in reference.commands()]

    assert names == list(sections_of_the_command_page()), "run: python -m tests.docs.reference"


@pytest.mark.parametrize(
    ("path", "text"), [pytest.param(*found, id=".".join(found[0])) for found in reference.commands()]
)
def test_every_command_is_documented_with_what_its_help_says(path: tuple[str, ...], text: str) -> None:
    shown = sections_of_the_command_page()[" ".join(("pagerelay", *path))]

    assert words(shown) == words(text), "run: python -m tests.docs.reference"


def test_every_flag_of_serve_is_documented_with_its_environment_twin() -> None:
    rows = next(pages.tables(pages.page("docs/operations.md")))[1:]
    flags = {(str(option.opts[0]), str(option.envvar)) for option in serve.params if hasattr(option, "envvar")}

    assert {(row[0].strip("`"), row[1].strip("`")) for row in rows} == flags


@pytest.mark.parametrize("file", pages.markdown(), ids=lambda file: str(file.relative_to(pages.ROOT)))
def test_every_relative_link_leads_somewhere(file: Path) -> None:
    broken = []
    for link in pages.links(file.read_text()):
        target, _, anchor = link.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        there = (file.parent / target).resolve() if target else file
        if not there.exists() or (anchor and anchor not in pages.anchors(there.read_text())):
            broken.append(link)

    assert broken == []


def test_every_decision_is_listed() -> None:
    folder = pages.ROOT / "docs" / "decisions"
    listed = pages.links((folder / "README.md").read_text())

    assert listed == sorted(file.name for file in folder.glob("0*.md"))


def test_every_page_is_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [pages.ROOT / "README.md"]
    while waiting:
        file = waiting.pop()
        seen.add(file)
        for link in pages.links(file.read_text()):
            there = (file.parent / link.partition("#")[0]).resolve()
            if there.suffix == ".md" and there.exists() and there not in seen:
                waiting.append(there)

    assert set(pages.markdown()) - seen == set()


def test_the_example_page_and_files_that_the_quickstart_names_are_there() -> None:
    named = set(re.findall(r"examples/[\w./-]+\w", pages.page("docs/quickstart.md") + pages.page("README.md")))

    assert named
    assert {name for name in named if not (pages.ROOT / name).exists()} == set()
