"""A copy of the database: whole, checked, private, and never in the place of anything."""

import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from relay.errors import StoreError
from relay.store import backup, connect


def make(directory: Path, rows: int = 1) -> None:
    connect.prepare(directory)
    add(directory, rows)


def add(directory: Path, rows: int) -> None:
    with closing(connect.writing(directory)) as db:
        db.execute("BEGIN")
        db.executemany("INSERT INTO sources VALUES (?)", [(f"s{number}",) for number in range(rows)])
        db.execute("COMMIT")


def sources(file: Path) -> int:
    with closing(sqlite3.connect(file)) as db:
        (count,) = db.execute("SELECT count(*) FROM sources").fetchone()
        return int(count)


def test_a_copy_holds_everything_in_one_private_file(tmp_path: Path) -> None:
    make(tmp_path / "data", 7)
    copied = backup(tmp_path / "data", tmp_path / "copy.db")

    assert sources(tmp_path / "copy.db") == 7
    assert copied.size == (tmp_path / "copy.db").stat().st_size
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
    assert sorted(file.name for file in tmp_path.iterdir()) == ["copy.db", "data"]


def test_a_copy_can_be_put_in_the_place_of_a_store(tmp_path: Path) -> None:
    make(tmp_path / "data", 3)
    (tmp_path / "new").mkdir()
    backup(tmp_path / "data", tmp_path / "new" / connect.FILE)

    connect.prepare(tmp_path / "new")

    with closing(connect.reading(tmp_path / "new")) as db:
        assert db.execute("SELECT count(*) FROM sources").fetchone() == (3,)


def test_what_is_there_already_is_left_alone(tmp_path: Path) -> None:
    make(tmp_path / "data")
    (tmp_path / "copy.db").write_text("precious")

    with pytest.raises(StoreError, match="there already, and a backup takes the place of nothing"):
        backup(tmp_path / "data", tmp_path / "copy.db")

    assert (tmp_path / "copy.db").read_text() == "precious"


@pytest.mark.parametrize("target", ["nowhere/copy.db", "copy.db"])
def test_a_backup_that_fails_leaves_nothing(tmp_path: Path, target: str) -> None:
    if target == "nowhere/copy.db":
        make(tmp_path / "data")

    with pytest.raises(StoreError):
        backup(tmp_path / "data", tmp_path / target)

    assert not (tmp_path / target).exists()


def test_a_damaged_store_is_said_to_be_and_not_kept(tmp_path: Path) -> None:
    make(tmp_path / "data", 500)
    file = tmp_path / "data" / connect.FILE
    data = bytearray(file.read_bytes())
    for at in range(3 * 4096, len(data), 4096):
        data[at : at + 64] = b"\xff" * 64
    file.write_bytes(data)

    with pytest.raises(StoreError):
        backup(tmp_path / "data", tmp_path / "copy.db")

    assert not (tmp_path / "copy.db").exists()


def test_damage_that_reading_does_not_notice_is_said_as_well(tmp_path: Path) -> None:
    mark = 0x1122334455667788
    make(tmp_path / "data")
    with closing(connect.writing(tmp_path / "data")) as db:
        db.execute("INSERT INTO journal VALUES (1, 0, '', '', ?, '', '', '')", (mark,))
    file = tmp_path / "data" / connect.FILE
    data = file.read_bytes()
    assert data.count(mark.to_bytes(8, "big")) == 2, "once in the table, once in its index"
    file.write_bytes(data.replace(mark.to_bytes(8, "big"), (mark + 1).to_bytes(8, "big"), 1))

    with pytest.raises(StoreError, match="the copy is damaged, so the store is"):
        backup(tmp_path / "data", tmp_path / "copy.db")

    assert not (tmp_path / "copy.db").exists()


def test_it_is_one_moment_of_a_store_that_is_written_to_and_holds_no_writer_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step of the copy is followed by a commit, which would make SQLite begin anew each time."""
    make(tmp_path / "data", 2_000)
    before = sources(tmp_path / "data" / connect.FILE)
    steps = 0

    class Looking(sqlite3.Connection):
        def backup(self, target: sqlite3.Connection, **_: object) -> None:
            def step(*_: object) -> None:
                nonlocal steps
                steps += 1
                assert steps < 1_000, "it begins anew with each commit"
                writer = threading.Thread(target=add_one, args=(tmp_path / "data", steps))
                writer.start()
                writer.join(5)
                assert not writer.is_alive(), "the writer waits"

            super().backup(target, pages=5, progress=step)

    def looking(directory: Path) -> sqlite3.Connection:
        return sqlite3.connect(
            f"file:{directory / connect.FILE}?mode=ro", uri=True, isolation_level=None, factory=Looking
        )

    monkeypatch.setattr("relay.store.copying.looking", looking)
    backup(tmp_path / "data", tmp_path / "copy.db")

    assert steps > 5
    assert sources(tmp_path / "copy.db") == before
    assert sources(tmp_path / "data" / connect.FILE) == before + steps


def add_one(directory: Path, number: int) -> None:
    with closing(connect.writing(directory)) as db:
        db.execute("INSERT INTO sources VALUES (?)", (f"late{number}",))
