"""A short run of tests/kills: the relay is killed under load, and nothing is lost. `make kills` is the long one."""

from pathlib import Path

import pytest

from tests.kills.run import run

pytestmark = pytest.mark.acceptance


def test_fifteen_kills_under_load_lose_nothing(tmp_path: Path) -> None:
    report = run(15, 20_260_301, tmp_path)

    print(report)
    assert report.problems == []
