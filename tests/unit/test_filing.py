"""Which configuration is in force: the file, or the last good copy of it, with the secrets as they are now."""

import os
import stat
from pathlib import Path

import pytest

from relay.errors import BadConfig
from relay.filing import COPY, FilingRoom
from tests.unit.configuring import KEY, OTHER_KEY, paging, write

OPERATORS = "anna:0123456789abcdef0123\n"


class Office:
    """A folder with everything that is filed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = write(folder, "templates: [own.j2]\n" + paging("routing_key_file: pd.key"))
        self.key = folder / "pd.key"
        self.key.write_text(KEY)
        self.template = folder / "own.j2"
        self.template.write_text("{{ alerts|length }} of them")
        self.operators = folder / "operators.secret"
        self.operators.write_text(OPERATORS)
        self.operators.chmod(0o600)
        self.storage = folder / "data"
        self.storage.mkdir()

    def room(self, *, strict: bool = False) -> FilingRoom:
        return FilingRoom(self.file, self.storage, {}, self.operators, strict=strict)

    def once(self) -> bytes:
        """Start well, and stop."""
        room = self.room()
        filed = room.start()
        room.keep(filed)
        return filed.loaded.text


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def key_of(filed: object) -> str:
    (key,) = filed.loaded.keys.values()  # type: ignore[attr-defined]
    return str(key.routing_key.reveal())


def test_the_copy_is_the_file_byte_by_byte_and_nobody_elses(office: Office) -> None:
    text = office.once()

    assert (office.storage / COPY).read_bytes() == text == office.file.read_bytes()
    assert {stat.S_IMODE(file.stat().st_mode) for file in office.storage.iterdir()} == {0o600}
    assert all(KEY.encode() not in file.read_bytes() for file in office.storage.iterdir())
    assert not list(office.storage.glob("*.new"))


def test_a_copy_that_says_the_same_is_not_written_again(office: Office) -> None:
    office.once()
    before = (office.storage / COPY).stat().st_ino
    office.once()

    assert (office.storage / COPY).stat().st_ino == before


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(lambda office: office.file.unlink(), id="missing"),
        pytest.param(lambda office: office.file.write_text("route: ["), id="no YAML"),
        pytest.param(lambda office: office.file.write_text("rout: {}"), id="unknown field"),
        pytest.param(lambda office: office.file.write_bytes(b"\xff\xfe"), id="not UTF-8"),
        pytest.param(lambda office: office.template.write_text("{{ broken"), id="template"),
    ],
)
def test_a_start_takes_the_last_good_one_with_its_templates(office: Office, broken: object) -> None:
    text = office.once()
    broken(office)  # type: ignore[operator]

    filed = office.room().start()

    assert filed.loaded.text == text
    assert list(filed.loaded.templates.values()) == ["{{ alerts|length }} of them"]
    assert key_of(filed) == KEY
    assert all(str(problem).startswith(f"{office.file}:") for problem in filed.instead_of)
    with pytest.raises(BadConfig):
        office.room(strict=True).start()
    with pytest.raises(BadConfig):
        office.room().read()


def test_the_last_good_one_is_not_replaced_by_what_stands_in(office: Office) -> None:
    text = office.once()
    office.file.unlink()
    room = office.room()
    room.keep(room.start())
    room.keep(room.start())

    assert (office.storage / COPY).read_bytes() == text


@pytest.mark.parametrize("copy", [None, "broken: ["])
def test_without_a_good_copy_the_problems_are_those_of_the_file(office: Office, copy: str | None) -> None:
    if copy is not None:
        (office.storage / COPY).write_text(copy)
    office.file.write_text("rout: {}\n")

    with pytest.raises(BadConfig) as bad:
        office.room().start()

    assert "unknown field" in str(bad.value)
    assert {problem.file for problem in bad.value.problems} == {str(office.file)}


def test_a_secret_is_never_copied_so_that_one_that_is_gone_keeps_it_from_starting(office: Office) -> None:
    office.once()
    office.key.unlink()

    with pytest.raises(BadConfig, match=r"cannot read the routing key from pd\.key"):
        office.room().start()


def test_a_secret_that_changed_is_noticed_and_read_with_what_is_in_force(office: Office) -> None:
    room = office.room()
    filed = room.start()
    assert not room.changed()

    office.file.write_text("route: [")
    office.template.write_text("{{ broken")
    assert not room.changed()
    office.key.write_text(f"{OTHER_KEY}\n")
    assert room.changed()
    again = room.read_secrets(filed)

    assert (key_of(again), again.loaded.text, again.stale) == (OTHER_KEY, filed.loaded.text, ())
    assert not room.changed()


def test_a_file_of_the_same_size_and_time_in_its_place_is_noticed(office: Office) -> None:
    room = office.room()
    room.start()
    times = office.key.stat()
    fresh = office.folder / "fresh.key"
    fresh.write_text(OTHER_KEY)
    os.utime(fresh, ns=(times.st_atime_ns, times.st_mtime_ns))
    fresh.replace(office.key)

    assert room.changed()


@pytest.mark.parametrize("now", [None, "", "half a k"])
def test_a_broken_secret_stays_what_it_was_until_it_is_mended(office: Office, now: str | None) -> None:
    room = office.room()
    filed = room.start()
    if now is None:
        office.key.unlink()
    else:
        office.key.write_text(now)
    broken = room.read_secrets(filed)
    assert (key_of(broken), len(broken.stale), room.changed()) == (KEY, 1, False)
    assert KEY not in broken.stale[0]

    office.key.write_text(OTHER_KEY)
    assert room.changed()
    mended = room.read_secrets(broken)

    assert (key_of(mended), mended.stale) == (OTHER_KEY, ())


def test_one_broken_secret_keeps_no_other_from_being_used(office: Office) -> None:
    other = office.folder / "old.key"
    other.write_text("a" * 32)
    office.file.write_text(paging("routing_key_file: pd.key, previous_routing_key_files: [old.key]"))
    room = office.room()
    filed = room.start()
    office.key.write_text(OTHER_KEY)
    other.unlink()

    again = room.read_secrets(filed)

    found = {key.routing_key.reveal() for key in again.loaded.keys.values()}
    assert (found, len(again.stale)) == ({OTHER_KEY, "a" * 32}, 1)


def test_operators_are_read_again_as_well(office: Office) -> None:
    room = office.room()
    filed = room.start()
    office.operators.write_text("")
    broken = room.read_secrets(filed)
    assert broken.operators is filed.operators
    assert "no operator in this file" in broken.stale[0]
    assert not room.changed()

    office.operators.write_text("ben:0123456789abcdef9999\n")
    assert room.changed()
    mended = room.read_secrets(broken)

    assert mended.operators is not None
    assert mended.operators.known("0123456789abcdef9999") == "ben"


def test_what_did_not_come_into_force_is_read_again(office: Office) -> None:
    room = office.room()
    room.start()
    room.forget()

    assert room.changed()
