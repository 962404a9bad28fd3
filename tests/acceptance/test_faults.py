"""A short run of tests/faults: a relay is killed and hurt under load, and nothing is lost. All of it: `make faults`."""

from pathlib import Path

import pytest

from tests.faults.cycles import run
from tests.faults.run import play

pytestmark = pytest.mark.acceptance

SHORT = (
    "kill -9 after PagerDuty's answer",
    "503 though it was taken",
    "connections cut in the answer",
)


def test_six_kills_under_load_lose_nothing(tmp_path: Path) -> None:
    report = run("kill", 6, 20_260_301, tmp_path / "kill")

    print(report)
    assert report.problems == []


@pytest.mark.parametrize("name", SHORT)
def test_a_scenario_of_the_fault_table_holds_every_invariant(name: str, tmp_path: Path) -> None:
    report = play(name, 7, tmp_path / "run")

    print(report)
    assert report.problems == []
