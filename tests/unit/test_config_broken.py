"""`config check` says of each broken file exactly what the table says: where, what, the line, a caret, the remedy."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from relay.cli.config import config
from relay.config.rules import RULES
from tests.unit.configuring import KEY, write

_FILE = Path(__file__).parent.parent / "data/broken_configs.yml"
TABLE: list[dict[str, Any]] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
YEAR = datetime.now(UTC).year


def test_there_are_at_least_sixty() -> None:
    assert len(TABLE) >= 60
    assert len({row["name"] for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["name"])
def test_what_is_said_of_a_broken_file(row: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, row["file"])

    answer = CliRunner().invoke(config, ["check", "relay.yml"])

    said = re.sub(r"^relay\.yml:", "", answer.stdout, flags=re.MULTILINE)
    _, _, said = said.partition("pagerduty.api_token_file\n" if answer.exit_code == 0 else "FAILED\n")
    expected = row["says"].replace("2026", str(YEAR)).replace("2027", str(YEAR + 1))
    assert (answer.exit_code, said.splitlines()) == (row["status"], [*expected.splitlines(), ""])
    assert KEY not in answer.output


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["name"])
def test_each_finding_has_a_rule_that_is_explained(row: dict[str, Any], tmp_path: Path) -> None:
    answer = CliRunner().invoke(config, ["check", "--format=json", str(write(tmp_path, row["file"]))])

    findings = yaml.safe_load(answer.stdout)["findings"]
    assert findings
    assert {finding["rule"] for finding in findings} <= RULES.keys()
