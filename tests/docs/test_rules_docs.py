"""docs/rules.md says of `rules check` what it does."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from relay.__main__ import main
from relay.promrules.checks import CHECKS
from relay.promrules.functions import BEYOND, FUNCTIONS
from tests.docs import pages

PAGE = "docs/rules.md"
RULES = """\
groups:
  - name: shop
    rules:
      - alert: HighLatency
        expr: latency_seconds{quantile="0.99"} > 2
        labels: {severity: warning}
        annotations:
          summary: p99 of {{ $labels.service }} is {{ $value | humanizeDuration }}
"""


def test_every_check_is_documented_with_its_level() -> None:
    table = next(rows for rows in pages.tables(pages.page(PAGE)) if rows[0][0] == "check")

    assert {row[0].strip("`"): row[1] for row in table[1:]} == {name: check.level for name, check in CHECKS.items()}


def test_every_function_that_is_worked_out_is_documented_and_no_other() -> None:
    after = pages.page(PAGE).split("work, and so do ")[1].split(".\n")[0]
    named = set(re.findall(r"`(\w+)`", after.split("Tests compare")[0]))
    comparisons = {"eq", "ne", "lt", "le", "gt", "ge", "pathPrefix", "urlQueryEscape"}

    assert named == (FUNCTIONS.keys() | {"and", "or"}) - comparisons
    assert not named & BEYOND


def test_the_command_prints_what_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = next(block for block in pages.blocks(pages.page(PAGE), "") if block.startswith("$ "))
    command, _, printed = shown.partition("\n")
    shutil.copy(pages.ROOT / "config" / "relay.yml", tmp_path)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "shop.yml").write_text(RULES)
    monkeypatch.chdir(tmp_path)

    assert CliRunner().invoke(main, command.split()[2:], prog_name="pagerelay").output == printed


def test_the_hook_runs_the_command_on_files_of_rules() -> None:
    (hook,) = yaml.safe_load(pages.page(".pre-commit-hooks.yaml"))
    command = CliRunner().invoke(main, [*hook["entry"].split()[1:], "--help"])
    taken = [
        name
        for name in ("rules/node-rules.yml", "alerts.yaml", "my.rules.yml", "relay.yml")
        if re.search(hook["files"], name)
    ]

    assert command.exit_code == 0
    assert taken == ["rules/node-rules.yml", "alerts.yaml", "my.rules.yml"]
    assert f"id: {hook['id']}\n" in pages.page(PAGE)
