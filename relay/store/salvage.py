"""Reads whatever can still be read of a damaged database, and writes what matters of it into a fresh one.

What matters: pages that are undelivered or may be open, who is in them, what fires, silences, integrations, what the
relay told of itself, and the calls of the last minutes. What is over, and the journal, stay in the file moved aside.
"""

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace

from relay.event import Action
from relay.page import Line, Member, Page, State, Wanted
from relay.rules.ledger import Attempt, Held
from relay.rules.pages import plan
from relay.rules.reload import labels_of
from relay.store import codec
from relay.store.codec import Row
from relay.store.damage import UNREADABLE, Damaged
from relay.store.ledger import write_alerts, write_links, write_members, write_pages, write_rows

SECONDS = 6.0
"""How long reading may take: meanwhile nothing is accepted."""
ATTEMPTS = 2_000
"""Calls that are kept, the newest: they fill the windows of budgets again."""
_ROWS_AT_ONCE = 512
_WHOLE = (
    *("integrations", "sources", "silences", "stirred", "bells", "pauses"),
    *("changes", "news", "incidents", "acts", "hooks"),
)
"""Small tables, copied as they are, as far as both files have them."""
_MOST_ROWS = 1_000_000
"""Rows looked for in a table whose last row cannot be found."""
_HOPELESS = 4_000
"""Reads that may fail one after the other."""

Struct = TypeVar("Struct", bound=msgspec.Struct)


class Salvaged(NamedTuple):
    """What was saved."""

    pages: int
    alerts: int
    members: int
    complete: bool
    """Whether every row of these was readable."""


def salvage(old: sqlite3.Connection, new: sqlite3.Connection) -> Salvaged:
    """Copy what matters from a damaged database into an empty one of the current schema, in one transaction."""
    wreck = _Wreck(old)
    new.execute("BEGIN IMMEDIATE")
    for table in _WHOLE:
        _copy(wreck, new, table)
    legible = [page for row in wreck.rows("pages") if (page := wreck.read(codec.page, row))]
    members = [one for row in wreck.rows("members") if (one := wreck.read(codec.member, row))]
    attempts = [call for row in wreck.newest("attempts") if (call := wreck.read(codec.attempt, row))]
    pages = [page for page in legible if _matters(page)] + _remade({page.id for page in legible}, members, attempts)
    kept = {page.id for page in pages}
    members = [member for member in members if member.page in kept]
    named = {member.alert for member in members}
    alerts = {
        held.id: held
        for row in wreck.rows("alerts")
        if (held := wreck.read(_legible, row)) and (held.firing or held.id in named)
    }
    sources = {page.id: page.source for page in pages}
    for member in members:
        if member.alert not in alerts and member.firing:
            alerts[member.alert] = _nameless(member, sources[member.page])
    members = [member for member in members if member.alert in alerts]
    write_alerts(new, tuple(alerts.values()))
    write_links(new, (), [(held.id, link) for held in alerts.values() for link in held.links])
    write_pages(new, _counted(pages, members))
    write_members(new, members)
    numbered = {attempt.id: attempt for attempt in attempts}
    write_rows(new, "write_attempts", "attempts", [codec.attempt_row(one) for one in numbered.values()])
    new.execute("COMMIT")
    return Salvaged(len(pages), len(alerts), len(members), wreck.whole)


def _legible(row: Row) -> Held:
    """Read an alert whose labels can be read as well: who judges it again must not stumble."""
    held = codec.held(row)
    labels_of(held)
    return held


def _matters(page: Page) -> bool:
    finished = page.wanted is Wanted.CLOSED and page.lane is None and not page.in_flight and not page.dead
    return not finished or bool(codec.told(page.lines)) or page.judge_at is not None


def _remade(legible: Collection[int], members: Sequence[Member], attempts: Sequence[Attempt]) -> list[Page]:
    """Make pages anew whose rows are lost, from the calls that were made for them and the alerts that fire in them.

    Else nobody could resolve at PagerDuty what was opened there. One in which nobody is known to fire stays lost.
    """
    firing: dict[int, list[Member]] = {}
    for member in members:
        if member.firing and member.page not in legible:
            firing.setdefault(member.page, []).append(member)
    calls: dict[int, dict[str, Attempt]] = {}
    for attempt in sorted(attempts, key=lambda one: one.id):
        calls.setdefault(attempt.page, {})[attempt.key_id] = attempt
    return [_made_of(calls[page], found) for page, found in firing.items() if page in calls]


def _made_of(calls: Mapping[str, Attempt], firing: Sequence[Member]) -> Page:
    last = max(calls.values(), key=lambda one: one.id)
    worst = min(firing, key=lambda one: (one.severity.rank, one.order))
    made = Page(
        id=last.page,
        integration=last.integration,
        dedup_key=last.dedup_key,
        source="",
        group_key="",
        receiver=worst.receiver,
        target=worst.target,
        seq=_place_in_chain(last.dedup_key) if last.page != worst.home else 1,
        severity=worst.severity,
        sent_severity=worst.severity,
        episode=last.episode,
        revision=last.revision + 1,
        lines=tuple(_line(one) for one in calls.values()),
        last_sent_at=last.at,
        opened_at=worst.joined_at,
    )
    return plan(_counted([made], firing)[0], last.at)


def _place_in_chain(dedup_key: str) -> int:
    end = dedup_key.rpartition("/")[2]
    return int(end) if end.isascii() and end.isdigit() else 1


def _line(attempt: Attempt) -> Line:
    """Say what PagerDuty may have been told last; by whose address is known from the key."""
    resolved = attempt.action is Action.RESOLVE
    over = State.CLOSED if attempt.outcome == "delivered" else State.UNKNOWN_RESOLVE
    return Line(attempt.key_id, "", over if resolved else State.UNKNOWN_TRIGGER, at=attempt.at)


def _nameless(member: Member, source: str) -> Held:
    """Stand for an alert that fires in a page and whose own row is lost: its resolve is known by its id alone.

    Nothing routes it, since nobody knows its labels; the next body that names it puts it right.
    """
    return Held(
        id=member.alert,
        source=source,
        fingerprint="",
        firing=True,
        starts_at=0,
        ends_at=0,
        digest=b"",
        raw=b'{"labels":{"alertname":"LostRecord"},"annotations":{}}',
        ours=True,
    )


def _counted(pages: Sequence[Page], members: Sequence[Member]) -> list[Page]:
    """Count the members of each page anew: some may be lost."""
    firing: dict[int, list[Member]] = {page.id: [] for page in pages}
    for member in members:
        if member.firing:
            firing[member.page].append(member)
    return [_recounted(page, firing[page.id]) for page in pages]


def _recounted(page: Page, firing: Sequence[Member]) -> Page:
    tally: dict[str, int] = {}
    shape = quiet = waiting = 0
    for member in firing:
        if member.suppressions:
            quiet, waiting = quiet + 1, waiting + member.waits
            continue
        tally[member.tally_key] = tally.get(member.tally_key, 0) + 1
        shape ^= member.shape
    return replace(page, tally=tally, quiet=quiet, waiting=waiting, shape=shape)


def _copy(wreck: "_Wreck", new: sqlite3.Connection, table: str) -> None:
    columns = [name for name in _columns(new, table) if name in _columns(wreck.db, table)]
    if not columns:
        return
    text = f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608  # names of ours
    with suppress(sqlite3.IntegrityError):
        new.executemany(text, list(wreck.plain(table, columns)))


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    with suppress(sqlite3.Error, UnicodeDecodeError):
        return [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    return []


class _Wreck:
    """A database of which some rows can be read. What cannot be is passed over, in bounded time."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.whole = True
        """Whether all that was asked for was readable so far."""
        self._until = time.monotonic() + SECONDS
        db.set_progress_handler(self._late, 10_000)

    def _late(self) -> int:
        return time.monotonic() > self._until

    def read(self, decode: Callable[[Row], Struct], row: Row) -> Struct | None:
        """Decode a row; None if it makes no sense."""
        try:
            value = decode(row)
            return msgspec.json.decode(msgspec.json.encode(value), type=type(value))  # what SQLite held may be any type
        except (Damaged, *UNREADABLE):
            self.whole = False
            return None

    def rows(self, table: str) -> Iterator[Row]:
        """Yield every row of a table that can be read, as codec.py reads them."""
        present = _columns(self.db, table)
        shown = ", ".join(name if name in present else "NULL" for name in codec.COLUMNS[table])
        last = self._ends(table)
        if present and last is not None:
            text = f"SELECT {shown} FROM {table} NOT INDEXED WHERE rowid >= ? AND rowid < ? ORDER BY rowid"  # noqa: S608  # names of ours
            yield from self._between(text, last[0], last[1] + 1)

    def newest(self, table: str) -> list[Row]:
        """Return the newest rows of a table, as far as they can be read."""
        last = self._ends(table)
        if last is None:
            return []
        first, until = max(last[0], last[1] - ATTEMPTS), last[1] + 1
        shown = ", ".join(codec.COLUMNS[table])
        text = f"SELECT {shown} FROM {table} NOT INDEXED WHERE rowid >= ? AND rowid < ? ORDER BY rowid"  # noqa: S608  # names of ours
        return list(self._between(text, first, until))

    def plain(self, table: str, columns: Sequence[str]) -> Iterator[Row]:
        """Yield the rows of a small table up to the first that cannot be read."""
        try:
            yield from self.db.execute(f"SELECT {', '.join(columns)} FROM {table}")  # noqa: S608  # names of ours
        except (sqlite3.Error, UnicodeDecodeError):
            self.whole = False

    def _ends(self, table: str) -> tuple[int, int] | None:
        """Find the first and the last rowid; where even that is lost, guess."""
        try:
            first = self.db.execute(f"SELECT rowid FROM {table} NOT INDEXED ORDER BY rowid LIMIT 1").fetchone()  # noqa: S608
        except (sqlite3.Error, UnicodeDecodeError):
            self.whole, first = False, (1,)
        try:
            last = self.db.execute(f"SELECT rowid FROM {table} NOT INDEXED ORDER BY rowid DESC LIMIT 1").fetchone()  # noqa: S608
        except (sqlite3.Error, UnicodeDecodeError):
            self.whole, last = False, (_MOST_ROWS,)
        return None if first is None or last is None else (first[0], last[0])

    def _between(self, text: str, first: int, until: int) -> Iterator[Row]:
        """Read a range of rows; one that cannot be read is halved until the bad ones stand alone."""
        spans = [(at, min(at + _ROWS_AT_ONCE, until)) for at in range(first, until, _ROWS_AT_ONCE)][::-1]
        failed = 0
        while spans and failed < _HOPELESS:
            low, high = spans.pop()
            try:
                found = self.db.execute(text, (low, high)).fetchall()
            except (sqlite3.Error, UnicodeDecodeError):
                self.whole = False
                failed += 1
                if self._late():
                    return
                if high - low > 1:
                    middle = (low + high) // 2
                    spans += [(middle, high), (low, middle)]
                continue
            failed = 0 if found else failed
            yield from found
