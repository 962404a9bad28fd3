"""What is SQLite's own: the file, its schema, its faults, and that no query walks over the backlog."""

import asyncio
import resource
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from relay.errors import StoreBusy, StoreError
from relay.page import Lane, State, short_id
from relay.rules.ledger import Lookup, Plan, Want
from relay.store import Holder, SqliteStore, acquire, connect, holder
from relay.store.codec import COLUMNS, COMPUTED, page_row
from relay.store.connect import FILE
from relay.store.queries import query
from tests.contract.values import INTEGRATION, alert, page, start, told, waiting, write


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path)
    yield opened
    await opened.close()


# The file


async def test_only_the_owner_can_read_the_store(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "storage"
    store = await SqliteStore.open(place)
    await store.keep(Lookup(), write(Plan(pages=(page(),))))

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (place, *place.iterdir())}
    await store.close()

    assert modes == {"storage": 0o700, FILE: 0o600, f"{FILE}-wal": 0o600, f"{FILE}-shm": 0o600}


def test_a_commit_is_on_disk_before_it_is_answered(tmp_path: Path) -> None:
    connect.prepare(tmp_path)
    with closing(connect.writing(tmp_path)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


async def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match=str(tmp_path / "file" / "storage")):
        await SqliteStore.open(tmp_path / "file" / "storage")


async def test_a_file_that_is_no_database_is_moved_aside(tmp_path: Path) -> None:
    garbage = b"this is not a database" * 100
    (tmp_path / FILE).write_bytes(garbage)

    store = await SqliteStore.open(tmp_path, clock=lambda: 1_763_900_000_000_000)
    await store.keep(Lookup(), write(Plan(pages=(page(),))))
    await store.close()

    assert store.rescued is not None
    assert store.rescued.aside == f"{FILE}.corrupt-20251123T121320Z"
    assert (tmp_path / store.rescued.aside).read_bytes() == garbage


# The schema


def test_opening_again_applies_nothing_twice(tmp_path: Path) -> None:
    connect.prepare(tmp_path)
    connect.prepare(tmp_path)

    with closing(connect.reading(tmp_path)) as db:
        versions = db.execute("SELECT version FROM schema_version").fetchall()
    assert versions == [(number,) for number in range(1, len(connect.migrations()) + 1)]


@pytest.mark.parametrize("opening", [SqliteStore.open, SqliteStore.read_only])
async def test_a_store_of_a_newer_version_is_refused(tmp_path: Path, opening: type) -> None:
    connect.prepare(tmp_path)
    with closing(connect.writing(tmp_path)) as db:
        db.execute("INSERT INTO schema_version VALUES (99)")

    with pytest.raises(StoreError, match=r"schema 99.*install the version that wrote it"):
        await opening(tmp_path)


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect.prepare(tmp_path)
    known = connect.migrations()
    broken = "CREATE TABLE extra (id INTEGER); INSERT INTO nowhere VALUES (1);"
    monkeypatch.setattr(connect, "migrations", lambda: (*known, broken))

    with pytest.raises(StoreError, match=f"migration {len(known) + 1:04}.*nowhere"):
        connect.prepare(tmp_path)

    monkeypatch.setattr(connect, "migrations", lambda: known)
    with closing(connect.writing(tmp_path)) as db:
        assert db.execute("SELECT name FROM sqlite_schema WHERE name = 'extra'").fetchall() == []
        assert db.execute("SELECT max(version) FROM schema_version").fetchone() == (len(known),)


async def test_looking_at_an_older_store_asks_for_a_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect.prepare(tmp_path)
    known = connect.migrations()
    monkeypatch.setattr(connect, "migrations", lambda: (*known, "one more"))

    with pytest.raises(StoreError, match="start the relay once"):
        await SqliteStore.read_only(tmp_path)


def test_migrations_are_numbered_without_a_gap() -> None:
    folder = Path(connect.__file__).parent / "sql" / "migrations"
    numbers = [int(path.name[:4]) for path in sorted(folder.glob("*.sql"))]

    assert numbers == list(range(1, len(connect.migrations()) + 1))


@pytest.mark.parametrize("schema", [1, 2])
async def test_an_older_store_opens_with_its_backlog(tmp_path: Path, schema: int) -> None:
    backlog = [*(waiting(str(number), due_at=number) for number in range(100)), page("dead", dead="400")]
    columns = [*COLUMNS["pages"], *COMPUTED["pages"][: COMPUTED["pages"].index("via")]]
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        for number, script in enumerate(connect.migrations()[:schema], 1):
            db.executescript(f"{script}; CREATE TABLE IF NOT EXISTS schema_version (version INTEGER);")
            db.execute("INSERT INTO schema_version VALUES (?)", (number,))
        text = f"INSERT INTO pages ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        db.executemany(text, [page_row(one)[: len(columns)] for one in backlog])
        db.commit()

    store = await SqliteStore.open(tmp_path)

    assert await store.heads(0) == [(INTEGRATION, Lane.CRITICAL, 0)]
    assert [one.dedup_key for one in await store.dead(-1, 10)] == ["dead"]
    counts = await store.counts()
    assert (counts.waiting, counts.dead) == ({(INTEGRATION, Lane.CRITICAL): 100}, {INTEGRATION: 1})
    claims = await store.claim([Want(INTEGRATION, Lane.CRITICAL, 1_000)], 1_000, start)
    assert {claim.page.dedup_key for claim in claims} == {str(number) for number in range(100)}
    await store.close()


async def test_what_a_fallback_carries_waits_in_its_queue(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path)
    own, carried = waiting("own", due_at=5), waiting("carried", due_at=3, via="elsewhere")
    await store.keep(Lookup(), write(Plan(pages=(own, carried))))

    assert await store.heads(9) == [("elsewhere", Lane.CRITICAL, 3), (INTEGRATION, Lane.CRITICAL, 5)]
    (claim,) = await store.claim([Want("elsewhere", Lane.CRITICAL, 9)], 9, start)
    assert claim.page.dedup_key == "carried"
    await store.keep(Lookup(pages=(own.id,)), write(Plan(pages=(msgspec.structs.replace(own, via="elsewhere"),))))
    assert await store.heads(9) == [("elsewhere", Lane.CRITICAL, 5)]
    await store.close()


async def test_a_dead_letter_that_was_let_go_of_counts_as_none(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path)
    dead = page("dead", dead="400")
    await store.keep(Lookup(), write(Plan(pages=(dead,))))
    assert [one.id for one in await store.dead(-1, 10)] == [dead.id]

    gone = msgspec.structs.replace(dead, discarded="anna")
    await store.keep(Lookup(pages=(dead.id,)), write(Plan(pages=(gone,))))

    assert await store.dead(-1, 10) == []
    assert (await store.counts()).dead == {}
    await store.close()


# Faults


@contextmanager
def no_room(size: int) -> Iterator[None]:
    """Let no file grow beyond `size` bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_is_told_to_each_caller_and_gets_over(tmp_path: Path, store: SqliteStore) -> None:
    await store.keep(Lookup(), write(Plan(pages=(page("before"),))))
    room = (tmp_path / f"{FILE}-wal").stat().st_size

    with no_room(room):
        results = await asyncio.gather(
            *(store.keep(Lookup(), write(Plan(alerts=(alert(str(n), raw=b"r" * 9_000),)))) for n in range(20)),
            return_exceptions=True,
        )
        assert len(await store.pages()) == 1
    await store.keep(Lookup(), write(Plan(pages=(page("after"),))))

    assert all(isinstance(result, StoreError) for result in results)
    assert await store.firing(-1, 99) == []
    assert {one.dedup_key for one in await store.pages()} == {"before", "after"}


async def test_a_lock_held_by_somebody_else_is_waited_for(tmp_path: Path, store: SqliteStore) -> None:
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        kept = asyncio.ensure_future(store.keep(Lookup(), write(Plan(pages=(page(),)))))
        assert await store.pages() == []
        other.execute("ROLLBACK")
        await kept

    assert await store.pages() == [page()]


async def test_a_lock_that_is_never_given_back_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "_BUSY_SECONDS", 0.05)
    store = await SqliteStore.open(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            await store.keep(Lookup(), write(Plan(pages=(page(),))))
    await store.keep(Lookup(), write(Plan(pages=(page(),))))

    assert await store.pages() == [page()]
    await store.close()


async def test_all_who_wait_for_a_store_that_another_holds_hear_of_it_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waiting for itself, the last of thirty would page past the store after a minute and a half."""
    monkeypatch.setattr(connect, "_BUSY_SECONDS", 0.5)
    store = await SqliteStore.open(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        keeps = [store.keep(Lookup(), write(Plan(pages=(page(str(number)),)))) for number in range(20)]
        async with asyncio.timeout(5):
            failed = await asyncio.gather(*keeps, return_exceptions=True)
        assert all(isinstance(one, StoreError) and "locked" in str(one) for one in failed)
        other.execute("ROLLBACK")
    await store.keep(Lookup(), write(Plan(pages=(page(),))))
    await store.close()


async def test_a_store_left_by_a_kill_can_be_looked_at(tmp_path: Path) -> None:
    """The log was never copied home, and the file that indexes it is stale."""
    with subprocess.Popen(  # noqa: ASYNC220  # nothing else runs meanwhile
        [sys.executable, "-m", "tests.contract.crash", "sqlite", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "claimed\n"
        child.kill()

    beside = await SqliteStore.read_only(tmp_path)
    assert {one.dedup_key: one.in_flight for one in await beside.pages()} == {"claimed": True, "other": False}
    await beside.close()


# No query walks over the backlog


@pytest.mark.parametrize(
    ("file", "name", "index"),
    [
        ("delivery", "due_pages", "SEARCH pages USING INDEX pages_waiting (via=? AND lane=? AND due_at<?)"),
        ("clockwork", "heads", "SEARCH pages USING INDEX pages_waiting (via=? AND lane=?)"),
        ("clockwork", "next_judgement", "SEARCH pages USING COVERING INDEX pages_to_judge (judge_at>?)"),
        (
            "clockwork",
            "due_for_judgement",
            "SEARCH pages USING INDEX pages_to_judge (judge_at>? AND judge_at<?)",
        ),
        ("clockwork", "clock_back", "SEARCH pages USING INDEX pages_waiting (via=? AND lane=? AND due_at>?)"),
        ("clockwork", "dead_pages", "SEARCH pages USING INDEX pages_dead (id>?)"),
        ("clockwork", "put_back_in_flight", "SCAN pages USING INDEX pages_in_flight"),
        ("clockwork", "pages_over", "SEARCH over USING INDEX pages_over (closed_at<?)"),
        ("clockwork", "alerts_over", "SEARCH alerts USING INDEX alerts_resolved (changed_at<?)"),
        ("delivery", "judge_where_leaving_for", "SEARCH members USING INDEX members_leaving (leaving=?)"),
        ("answers", "oldest", "SEARCH pages USING INDEX pages_oldest (lane=?)"),
        ("clockwork", "stale_alerts", "SEARCH alerts USING INDEX alerts_stale (stale_source=? AND id>?)"),
        ("answers", "count_stale_alerts", "SEARCH alerts USING COVERING INDEX alerts_stale (stale_source>?)"),
        ("answers", "count_stale_pages", "SEARCH alerts USING COVERING INDEX alerts_stale (stale_source>?)"),
    ],
)
def test_what_is_asked_often_is_answered_by_an_index(tmp_path: Path, file: str, name: str, index: str) -> None:
    connect.prepare(tmp_path)
    with closing(connect.writing(tmp_path)) as db:
        text = query(file, name)
        named = {word: 1 for word in ("now", "before", "limit", "at", "page", "after", "source") if f":{word}" in text}
        steps = db.execute(f"EXPLAIN QUERY PLAN {text}", named or ("[1]",) * text.count("?")).fetchall()

    assert index in [step[3] for step in steps]
    assert "SCAN pages" not in [step[3] for step in steps]


async def test_picking_the_next_page_costs_the_same_however_many_wait(store: SqliteStore) -> None:
    """Counted in SQLite's own steps, which no other process can disturb."""

    async def effort() -> tuple[int, int]:
        counts = [0, 0]

        def steps(db: sqlite3.Connection, place: int, text: str, values: tuple[object, ...]) -> None:
            def step() -> None:
                counts[place] += 1

            db.set_progress_handler(step, 10)
            db.execute(text, values).fetchall()
            db.set_progress_handler(None, 10)

        due = (INTEGRATION, int(Lane.CRITICAL), 10**9, 1)
        await store._clockwork.ask(lambda db: steps(db, 0, query("delivery", "due_pages"), due))
        await store._clockwork.ask(lambda db: steps(db, 1, query("clockwork", "heads"), ()))
        return counts[0], counts[1]

    async def fill(first: int, last: int) -> None:
        pages = tuple(waiting(str(number), lane=Lane(number % 6), due_at=number) for number in range(first, last))
        await store.keep(Lookup(), write(Plan(pages=pages)))

    await fill(0, 100)
    few = await effort()
    await fill(100, 20_000)
    many = await effort()

    assert many == few


async def test_lists_find_the_few_among_the_many(store: SqliteStore) -> None:
    many = tuple(page(str(number), lines=told(State.OPEN)) for number in range(6_000))
    few = (waiting("waits", lines=told(State.OPEN)), page("never"))
    await store.keep(Lookup(), write(Plan(pages=(*many, *few))))

    assert [one.dedup_key for one in await store.pages(waiting=True)] == ["waits"]
    assert [one.dedup_key for one in await store.pages(delivered=State.NEVER)] == ["never"]
    assert len(await store.pages(delivered=State.OPEN, limit=50)) == 50
    assert await store.pages(delivered=State.OPEN, limit=3) == sorted((*many, few[0]), key=lambda one: one.id)[:3]


# The lock


async def test_one_process_holds_the_lock_and_says_where_it_listens(tmp_path: Path) -> None:
    lock = await acquire(tmp_path, 0)
    lock.publish("http://127.0.0.1:9095", 1_700_000_000_000_000)

    with pytest.raises(StoreBusy, match=r"process \d+ at http://127.0.0.1:9095 since 2023-11-14 22:13:20 UTC"):
        await acquire(tmp_path, 0.2)
    found = holder(tmp_path)
    lock.release()

    assert found is not None
    assert (found.url, found.since) == ("http://127.0.0.1:9095", 1_700_000_000_000_000)
    assert holder(tmp_path) is None
    (await acquire(tmp_path, 0)).release()


async def test_the_next_one_gets_the_lock_as_soon_as_it_is_free(tmp_path: Path) -> None:
    first = await acquire(tmp_path, 0)
    second = asyncio.ensure_future(acquire(tmp_path, 10))
    await asyncio.sleep(0)
    first.release()

    (await second).release()


_HOLDS = """
import asyncio, pathlib, sys
from relay.store import acquire

async def main():
    lock = await acquire(pathlib.Path(sys.argv[1]), 0)
    lock.publish("http://127.0.0.1:1", 0)
    print("held", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLDS, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:  # noqa: ASYNC220  # nothing else runs
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(StoreBusy, match=f"process {child.pid} at http://127.0.0.1:1"):
            await acquire(tmp_path, 0)
        assert holder(tmp_path) == Holder(child.pid, "http://127.0.0.1:1", 0)
        child.kill()

    assert holder(tmp_path) is None
    (await acquire(tmp_path, 5)).release()


def test_nobody_holds_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert holder(tmp_path / "none") is None


async def test_a_lost_attempt_is_visible(tmp_path: Path) -> None:
    """A crash between claim and settle, played by closing without settling."""
    store = await SqliteStore.open(tmp_path)
    await store.keep(Lookup(), write(Plan(pages=(waiting(),))))
    await store.claim([Want(INTEGRATION, Lane.CRITICAL, 1)], 0, start)
    await store.close()

    again = await SqliteStore.open(tmp_path)
    (attempt,) = await again.attempts(page().id)
    shown = await again.page(page().id)
    await again.close()
    assert attempt.outcome == "lost"
    assert shown is not None
    assert (shown.page.in_flight, shown.page.lane, short_id(shown.page.id)) == (
        False,
        Lane.CRITICAL,
        short_id(page().id),
    )
