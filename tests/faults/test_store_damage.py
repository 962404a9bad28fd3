"""A database with bytes flipped, cut off or replaced: the store opens all the same, and keeps what can be read."""

import contextlib
import random
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from relay.errors import StoreError
from relay.page import Lane, Page, State
from relay.rules.ledger import Lookup, Plan, Started, Want
from relay.rules.reload import labels_of
from relay.store import Rescued, SqliteStore, connect
from relay.store.aside import FILE, FILLED
from relay.store.mounts import place_warnings
from tests.contract.values import INTEGRATION, alert, delivered, member, page, start, told, waiting, write

PAGES = 60
MANY = 600
"""So many that most of the file is theirs."""
OFFSETS = 200


async def filled(directory: Path, count: int = PAGES) -> Path:
    """Make a store with open and waiting pages, each with one alert, and close it."""
    store = await SqliteStore.open(directory)
    pages = [page(f"open {n}", lines=told(State.OPEN)) for n in range(count // 2)]
    pages += [waiting(f"waits {n}") for n in range(count // 2)]
    alerts = [alert(str(n), raw=b'{"labels":{"alertname":"A"},"annotations":{}}') for n in range(count)]
    members = tuple(member(of, who) for of, who in zip(pages, alerts, strict=True))
    await store.keep(Lookup(), write(Plan(alerts=tuple(alerts), pages=tuple(pages), members=members)))
    await store.remember_integrations([(INTEGRATION, "k" * 16, "platform", 0)])
    await store.close()
    return directory / FILE


async def works(directory: Path) -> tuple[SqliteStore, int]:
    """Open a store, write into it, walk over all that it holds; return it with the number of its pages.

    What shows only when it is read is mended before the next write.
    """
    store = await SqliteStore.open(directory)
    for last in (False, False, True):
        try:
            return store, await _walked(store)
        except StoreError:
            if last:
                await store.close()
                raise
            with contextlib.suppress(StoreError):
                await store.check()
    raise AssertionError


async def _walked(store: SqliteStore) -> int:
    await store.keep(Lookup(), write(Plan(pages=(waiting("fresh"),))))
    claims = await store.claim([Want(INTEGRATION, Lane.CRITICAL, 500)], 10, start)
    assert "fresh" in {claim.page.dedup_key for claim in claims}
    held = await store.firing(-1, 1_000)
    shown = await store.pages(limit=1_000)
    for one in shown:
        assert await store.page(one.id) is not None
    assert len(held) <= MANY
    return len(shown)


async def test_a_byte_flipped_anywhere_never_keeps_the_store_from_opening(tmp_path: Path) -> None:
    """At 200 offsets, three bytes each; most pages survive most of them."""
    original = (await filled(tmp_path / "original")).read_bytes()
    dice, kept = random.Random(4), []
    for number in range(OFFSETS):
        place = tmp_path / str(number)
        place.mkdir()
        damaged = bytearray(original)
        at = number * len(original) // OFFSETS
        for byte in range(at, min(at + 3, len(original))):
            damaged[byte] ^= dice.randrange(1, 256)
        (place / FILE).write_bytes(damaged)
        store, pages = await works(place)
        await store.close()
        kept.append(pages - 1)
        shutil.rmtree(place)

    assert sum(kept) > 0.8 * PAGES * OFFSETS
    assert max(kept) >= PAGES


def _zeroed(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) * 4 // 5 : len(data) * 4 // 5 + 8_192] = bytes(8_192)
    file.write_bytes(data)


def _cut(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) * 9 // 10])


def _garbage(file: Path) -> None:
    file.write_bytes(random.Random(1).randbytes(50_000))


def _header(file: Path) -> None:
    file.write_bytes(bytes(100) + file.read_bytes()[100:])


def _directory(file: Path) -> None:
    file.unlink()
    file.mkdir()
    (file / "something").write_text("in it")


@pytest.mark.parametrize("damage", [_zeroed, _cut, _garbage, _header, _directory])
async def test_a_damaged_database_is_moved_aside_and_its_rows_are_saved(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    file = await filled(tmp_path, MANY)
    damage(file)

    store, pages = await works(tmp_path)
    await store.close()

    assert store.rescued is not None
    assert (tmp_path / store.rescued.aside).exists()
    if damage in (_zeroed, _cut):
        assert pages > 5
        assert store.rescued.salvaged is not None
        assert not store.rescued.salvaged.complete
    again, count = await works(tmp_path)
    await again.close()
    assert again.rescued is None
    assert count == pages


@pytest.mark.parametrize(
    ("name", "outcome", "seq", "state"),
    [
        ("sent", "delivered", 1, State.UNKNOWN_TRIGGER),
        ("sent/2", "delivered", 2, State.UNKNOWN_TRIGGER),
        ("never answered", "", 1, State.UNKNOWN_TRIGGER),
    ],
)
async def test_a_page_whose_row_is_lost_is_made_anew_of_its_calls_and_its_alerts(
    tmp_path: Path, name: str, outcome: str, seq: int, state: State
) -> None:
    """Else nobody could resolve it: PagerDuty holds it open."""
    file = await sent(tmp_path, name, outcome)
    with contextlib.closing(sqlite3.connect(file)) as db, db:
        db.execute("DELETE FROM pages")
    _spoilt(file)

    store = await SqliteStore.open(tmp_path)
    found = await store.pages(limit=9)
    shown = await store.claim([Want(INTEGRATION, Lane.CRITICAL, 9)], 10**9, start)
    await store.close()

    assert [(page.dedup_key, page.seq, page.delivered, page.firing) for page in found] == [(name, seq, state, 1)]
    assert [claim.page.dedup_key for claim in shown] == [name], "it is triggered once more, and resolved like any other"


async def test_a_page_that_is_lost_and_in_which_nobody_is_known_to_fire_stays_lost(tmp_path: Path) -> None:
    file = await sent(tmp_path, "sent", "delivered")
    with contextlib.closing(sqlite3.connect(file)) as db, db:
        db.execute("DELETE FROM pages")
        db.execute("DELETE FROM members")
    _spoilt(file)

    store = await SqliteStore.open(tmp_path)
    assert store.rescued is not None
    assert await store.pages(limit=9) == []
    await store.close()


async def sent(directory: Path, name: str, outcome: str) -> Path:
    """Make a store with one page of which PagerDuty was told."""
    store = await SqliteStore.open(directory)
    home, who = page(name.partition("/")[0]), alert()
    there = waiting(name)
    joined = member(there, who, home=home.id)
    await store.keep(Lookup(), write(Plan(alerts=(who,), pages=(there,), members=(joined,))))

    def begin(candidate: Page) -> Started:
        started = start(candidate)
        assert started.attempt is not None
        return replace(started, attempt=replace(started.attempt, dedup_key=name))

    (claim,) = await store.claim([Want(INTEGRATION, Lane.CRITICAL, 9)], 10, begin)
    if outcome:
        await store.settle(claim.attempt, delivered(claim), 60)
    await store.close()
    return directory / FILE


def _spoilt(file: Path) -> None:
    """Spoil an index that nobody needs to read the rows."""
    with contextlib.closing(sqlite3.connect(file)) as db:
        (at,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'journal_by_group'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    data = bytearray(file.read_bytes())
    data[(at - 1) * size : at * size] = b"#" * size
    file.write_bytes(data)


async def test_an_empty_file_is_a_new_store(tmp_path: Path) -> None:
    (await filled(tmp_path)).write_bytes(b"")

    store, pages = await works(tmp_path)
    await store.close()

    assert pages == 1


async def test_a_log_without_its_database_is_no_part_of_the_next_one(tmp_path: Path) -> None:
    file = await filled(tmp_path)
    file.rename(tmp_path / f"{FILE}-wal")

    store, pages = await works(tmp_path)
    await store.close()

    assert pages == 1
    assert store.rescued is not None
    assert store.rescued.aside.endswith("-wal")
    assert (tmp_path / store.rescued.aside).exists()


async def test_an_alert_whose_record_is_lost_still_resolves(tmp_path: Path) -> None:
    """Its id is a hash of who it is, so that its resolve is known without the rest."""
    file = await filled(tmp_path)
    file.write_bytes(file.read_bytes().replace(b'"fingerprint":"7"', b'"fingerprint":7,0'))
    store = await SqliteStore.open(tmp_path)
    lookup = Lookup(alerts=(alert("7").id,))

    with pytest.raises(StoreError, match="makes no sense"):
        await store.look(lookup)
    await store.check()
    found = await store.look(lookup)
    count = len(await store.pages(limit=1_000))
    await store.close()

    assert count == PAGES
    assert (found.alerts[alert("7").id].firing, found.alerts[alert("7").id].fingerprint) == (True, "")
    assert len(found.members[alert("7").id]) == 1


async def test_a_rescue_that_a_crash_interrupted_is_finished(tmp_path: Path) -> None:
    file = await filled(tmp_path)
    file.rename(tmp_path / FILLED)
    (tmp_path / f"{FILE}-wal").write_bytes(b"the log of the damaged one")

    store, pages = await works(tmp_path)
    await store.close()

    assert pages == PAGES + 1
    assert not (tmp_path / FILLED).exists()


async def test_a_file_damaged_while_it_is_open_is_replaced_by_what_can_be_read(tmp_path: Path) -> None:
    file = await filled(tmp_path)
    store, before = await works(tmp_path)
    told_of: list[connect.Rescued] = []
    store.on_rescue(told_of.append)
    with file.open("r+b") as damaged:
        damaged.write(bytes(file.stat().st_size))

    for number in range(4):
        with contextlib.suppress(StoreError):
            lookup = Lookup(alerts=(alert(str(number)).id,))
            await store.keep(lookup, write(Plan(pages=(page(f"later {number}"),))))
    assert "later 3" in {one.dedup_key for one in await store.pages(limit=1_000)}
    assert store.trouble is None
    await store.close()

    assert before > PAGES
    assert len(told_of) <= 2


@pytest.mark.parametrize("act", ["delete", "replace", "delete the log", "delete all"])
async def test_a_file_deleted_under_the_open_store_is_written_anew(tmp_path: Path, act: str) -> None:
    file = await filled(tmp_path)
    store, before = await works(tmp_path)
    told: list[Rescued] = []
    store.on_rescue(told.append)
    if act == "replace":
        (tmp_path / "other").write_bytes(b"nonsense" * 1_000)
        (tmp_path / "other").replace(file)
    if act in ("delete", "delete all"):
        file.unlink()
    if act in ("delete the log", "delete all"):
        (tmp_path / f"{FILE}-wal").unlink()
    if act == "delete all":
        (tmp_path / f"{FILE}-shm").unlink()
    await store.check()

    assert len(await store.pages(limit=1_000)) == before
    (rescued,) = told
    said = set(re.findall(rf"{FILE}[.]\S*[^\s,]", str(rescued)))
    assert all((tmp_path / name).exists() for name in said), "it names a file that is not there"
    assert (f"aside as {FILE}.replaced-" in str(rescued)) is (act != "delete all")
    await store.keep(Lookup(), write(Plan(pages=(page("after"),))))
    await store.close()
    again, count = await works(tmp_path)
    await again.close()
    assert count == before + 1
    assert again.rescued is None


def test_where_the_store_lies_is_looked_at() -> None:
    mounts = "\n".join(
        [
            "/dev/sda1 / ext4 rw 0 0",
            "filer:/pages /var/lib/pagerelay nfs4 rw 0 0",
            "tmpfs /run tmpfs rw 0 0",
            "/dev/sdb1 /var/lib/pagerelay/local\\040disk xfs rw 0 0",
        ]
    )

    (remote,) = place_warnings(Path("/var/lib/pagerelay/data"), mounts)
    assert "nfs4, a network file system" in remote
    assert "give --storage.path a local disk" in remote
    (forgets,) = place_warnings(Path("/run/pages"), mounts)
    assert "forgotten at a restart" in forgets
    assert place_warnings(Path("/srv/pages"), mounts) == ()
    assert place_warnings(Path("/var/lib/pagerelay/local disk/data"), mounts) == ()


async def test_damage_that_the_start_had_no_time_to_see_is_found_and_mended_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "_CHECK_SECONDS", 0.0)
    rescues: list[connect.Rescued] = []
    _zeroed(await filled(tmp_path))

    store = await SqliteStore.open(tmp_path)
    store.on_rescue(rescues.append)
    assert store.rescued is None
    await store.look_through()
    await store.check()
    await store.close()

    assert len(rescues) == 1


async def test_an_alert_that_says_nothing_any_more_still_holds_its_page_open(tmp_path: Path) -> None:
    """What stands for it can be judged again: it keeps nobody behind it waiting."""
    file = await filled(tmp_path)
    said = b'{"labels":{"alertname":"A"}'
    broken = file.read_bytes().replace(said, b"#" * len(said))
    file.write_bytes(broken.replace(b"pages_by_id", b"pages_by_ix"))

    store, pages = await works(tmp_path)
    held = await store.firing(-1, 1_000)
    await store.close()

    assert pages == PAGES + 1
    assert [labels_of(one) for one in held] == [{"alertname": "LostRecord"}] * len(held)
