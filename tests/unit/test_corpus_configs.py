"""Real Alertmanager files load, or are refused for one thing that is named; where they route is what amtool says."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from relay.cli.route import route
from relay.config import examine
from relay.rules.routing import Router

_FOLDER = Path(__file__).parent.parent / "data" / "corpus"
CONFIGS = {row["file"]: row for row in json.loads((_FOLDER / "alertmanager_configs.json").read_text(encoding="utf-8"))}
TRUTH = json.loads((_FOLDER / "routes_truth.json").read_text(encoding="utf-8"))["configs"]
ACCEPTED = [name for name, row in CONFIGS.items() if row["amtool_accepts"]]

NAMED = (
    "service_key is not supported",
    "a template cannot say the severity",
    "this is a Go template",
    "not a routing key",
)
"""Everything a file that amtool accepts may be refused for."""


def stored(name: str, folder: Path) -> Path:
    file = folder / "alertmanager.yml"
    file.write_text(CONFIGS[name]["text"], encoding="utf-8")
    return file


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_file_amtool_accepts_loads_or_is_refused_by_name(name: str, tmp_path: Path) -> None:
    errors = [problem for problem in examine(stored(name, tmp_path), {}).problems if not problem.warning]

    assert all(error.message.startswith(NAMED) for error in errors), errors
    assert all(error.path.startswith("receivers[") and ".pagerduty_configs[" in error.path for error in errors)


def test_most_files_amtool_accepts_load_as_they_are(tmp_path: Path) -> None:
    loads = [name for name in ACCEPTED if examine(stored(name, tmp_path), {}).loaded]

    assert len(loads) >= len(ACCEPTED) - 14


@pytest.mark.parametrize("name", [name for name in CONFIGS if name not in ACCEPTED])
def test_a_file_amtool_refuses_is_judged_without_a_crash(name: str, tmp_path: Path) -> None:
    found = examine(stored(name, tmp_path), {})

    assert (found.loaded is None) == any(not problem.warning for problem in found.problems)
    assert all(problem.line > 0 and problem.column > 0 for problem in found.problems)


@pytest.mark.parametrize("row", TRUTH, ids=lambda row: row["config"])
def test_real_trees_route_as_amtool_recorded(row: dict[str, Any], tmp_path: Path) -> None:
    root = examine(stored(row["config"], tmp_path), {}).root
    assert root is not None
    router = Router(root)

    for case in row["cases"]:
        assert [found.receiver for found in router.match(case["labels"])] == case["receivers"], case["labels"]


@pytest.mark.parametrize("row", TRUTH[::9], ids=lambda row: row["config"])
def test_route_test_prints_what_the_installed_amtool_prints(row: dict[str, Any], tmp_path: Path) -> None:
    amtool = shutil.which("amtool")
    if amtool is None:
        pytest.skip("AMTOOL IS MISSING: install prometheus-alertmanager to compare with it")
    file = stored(row["config"], tmp_path)
    for case in row["cases"][:3]:
        labels = [f'{name}="{value}"' for name, value in case["labels"].items()]
        asked = [f"--config.file={file}", "--tree", *labels]

        assert _ours(asked) == _run([amtool, "config", "routes", "test", *asked])


def _run(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout


def _ours(arguments: list[str]) -> str:
    answer = CliRunner().invoke(route, ["test", *arguments])
    assert answer.exit_code == 0, answer.output
    return answer.stdout
