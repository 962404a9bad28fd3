"""A short run of tests/faults/power.py: the power is cut and nothing answered is lost. `make power` is the long one."""

import random
import shutil
from pathlib import Path

import pytest

from tests.faults.disk import Disk, Event, Rest
from tests.faults.power import run

pytestmark = pytest.mark.acceptance

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="!! NOT TESTED: strace is not installed here")


@needs_strace
def test_sixty_power_cuts_lose_nothing_that_was_answered(tmp_path: Path) -> None:
    report = run(tmp_path, states=60, seed=20_261_123, groups=6)

    print(report)
    assert report.problems + report.vacuous == []


@needs_strace
def test_a_store_that_syncs_less_is_seen_to_lose(tmp_path: Path) -> None:
    """Else the test above would prove nothing: this is its control."""
    report = run(tmp_path, states=20, seed=20_261_123, synchronous="NORMAL", groups=4, old=False)

    assert report.lost > 0


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    (tmp_path / "old").write_bytes(b"0" * 4096)
    return Disk(Path("/d"), tmp_path)


def left(disk: Disk, rest: Rest) -> dict[str, bytes]:
    return dict(disk.left(rest, random.Random(1)))


def test_what_was_not_synced_is_lost_with_the_power(disk: Disk) -> None:
    disk.play(Event("create", path="/d/new"))
    disk.play(Event("write", path="/d/new", offset=0, data=b"text"))
    disk.play(Event("write", path="/d/old", offset=0, data=b"1"))

    assert left(disk, Rest.LOST) == {"old": b"0" * 4096}
    assert left(disk, Rest.WRITTEN) == {"old": b"1" + b"0" * 4095, "new": b"text"}


def test_a_file_is_there_only_once_its_directory_was_synced(disk: Disk) -> None:
    disk.play(Event("create", path="/d/new"))
    disk.play(Event("write", path="/d/new", offset=0, data=b"text"))
    for kind in ("sync_begun", "synced"):
        disk.play(Event(kind, path="/d/new"))
    without = left(disk, Rest.LOST)
    for kind in ("sync_begun", "synced"):
        disk.play(Event(kind, path="/d"))

    assert "new" not in without
    assert left(disk, Rest.LOST)["new"] == b"text"


def test_a_rename_that_was_not_synced_leaves_the_old_name(disk: Disk) -> None:
    disk.play(Event("rename", path="/d/old", other="/d/new"))

    assert left(disk, Rest.LOST) == {"old": b"0" * 4096}
    assert left(disk, Rest.WRITTEN) == {"new": b"0" * 4096}


def test_what_is_written_while_a_sync_runs_is_not_synced_by_it(disk: Disk) -> None:
    disk.play(Event("sync_begun", path="/d/old"))
    disk.play(Event("write", path="/d/old", offset=0, data=b"1"))
    disk.play(Event("synced", path="/d/old"))

    assert left(disk, Rest.LOST) == {"old": b"0" * 4096}


def test_a_torn_write_keeps_some_sectors_and_not_others(disk: Disk) -> None:
    disk.play(Event("write", path="/d/old", offset=0, data=b"1" * 4096))
    states = {disk.left(Rest.TORN, random.Random(seed))["old"] for seed in range(50)}

    assert len(states) > 10
    assert all(state[at : at + 512] in (b"0" * 512, b"1" * 512) for state in states for at in range(0, 4096, 512))
