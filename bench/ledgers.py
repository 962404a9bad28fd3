"""Builds large stores quickly: rows exactly as the relay writes them, put in as SQLite does it fastest."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from msgspec.structs import replace

from bench import bodies
from relay.alert import Instant, alert_id, stable_id
from relay.config import load
from relay.ingress.alertmanager import parse
from relay.page import Line, Page, State, Wanted
from relay.rules.classify import Draft, classify
from relay.rules.grouping import dedup_key
from relay.rules.judge import judge
from relay.rules.ledger import Ledger, Plan
from relay.rules.rulebook import Rulebook
from relay.store import codec, connect
from relay.store.codec import Row

_MODEL = 0x3ADE68B1
"""The number of the group whose rows are the model for all others; as decimal and as hex it is found nowhere else."""
_AT_ONCE = 10_000


def waiting(page: Page) -> Page:
    """A page as its first alert leaves it: due to be sent."""
    return page


def closed(page: Page) -> Page:
    """A page that was opened and resolved at PagerDuty."""
    lines = tuple(Line("0123456789abcdef", "http://127.0.0.1", State.CLOSED) for _ in range(1))
    return replace(
        page,
        wanted=Wanted.CLOSED,
        lines=lines,
        lane=None,
        tally={},
        closed_at=page.changed_at,
        sent_revision=page.revision,
    )


def book_of(config: str, directory: Path) -> Rulebook:
    """Load a routing YAML."""
    file = directory / "book.yml"
    file.write_text(config)
    loaded = load(file, {})
    return Rulebook(loaded.rules, loaded.keys)


def judged(number: int, book: Rulebook, now: Instant, alerts: int = 1) -> tuple[Draft, Plan]:
    """Judge a body of a new group against an empty ledger."""
    draft = classify(parse(bodies.new(number, alerts), ""), book)
    return draft, judge(draft, Ledger({}, {}, {}), now, book)


def build(directory: Path, config: str, pages: int, state: Callable[[Page], Page], now: Instant) -> None:
    """Make a store of so many pages with one alert each: groups 0, 1, 2 ... of bodies.new()."""
    connect.prepare(directory)
    model = _Model(book_of(config, directory), pages, state, now)
    with closing(connect.writing(directory)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA cache_size = -500000")
        later = _put_aside(db)
        db.execute("BEGIN")
        _fill(db, "pages", pages, model.page_row)
        _fill(db, "members", pages, model.member_row)
        _fill(db, "alerts", pages, model.alert_row)
        db.execute("COMMIT")
        for script in later:
            db.execute(script)
        db.execute(_COUNT)
        db.execute("INSERT OR IGNORE INTO sources VALUES ('')")


_COUNT = """
INSERT INTO tally
SELECT integration, via, wanted, delivered, told, severity,
    CASE WHEN in_flight THEN -2 ELSE ifnull(lane, -1) END, is_dead, count(*)
FROM pages GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
"""


class _Model:
    """The rows of one group, and what to put in place of its number to get another group's."""

    def __init__(self, book: Rulebook, pages: int, state: Callable[[Page], Page], now: Instant) -> None:
        _, plan = judged(_MODEL, book, now)
        page, held, member = state(plan.pages[0]), plan.alerts[0], plan.members[0]
        live = page.wanted is Wanted.OPEN
        self._page = page
        self._page_row = codec.page_row(page)
        self._alert_row = codec.held_row(replace(held, firing=live))
        self._member_row = codec.member_row(replace(member, firing=live))
        before, after = page.group_key.split(str(_MODEL))
        self._keys = [dedup_key("", f"{before}{number}{after}") for number in range(pages)]
        self._pages = [stable_id(page.integration, key) for key in self._keys]
        self._alerts = [alert_id("", f"{number:08x}{0:08x}") for number in range(pages)]

    def page_row(self, number: int) -> Row:
        key = self._keys[number]
        row = self._page_row
        rest = self._renumbered(row[14], number).replace(self._page.dedup_key.encode(), key.encode())
        return (self._pages[number], *row[1:14], rest, stable_id(key), *row[16:])

    def alert_row(self, number: int) -> Row:
        *row, raw, rest, stale_source = self._alert_row
        texts = self._renumbered(raw, number), self._renumbered(rest, number)
        return (self._alerts[number], *row[1:], *texts, stale_source)

    def member_row(self, number: int) -> Row:
        *row, rest = self._member_row
        page = self._pages[number]
        return (page, self._alerts[number], *row[2:], rest.replace(b"%d" % self._page.id, b"%d" % page))

    @staticmethod
    def _renumbered(text: bytes, number: int) -> bytes:
        return text.replace(b"%d" % _MODEL, b"%d" % number).replace(b"%08x" % _MODEL, b"%08x" % number)


def _put_aside(db: sqlite3.Connection) -> list[str]:
    """Drop indexes and triggers; return the statements that make them again."""
    found = db.execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE type IN ('index', 'trigger') AND sql IS NOT NULL"
    ).fetchall()
    for kind, name, _ in found:
        db.execute(f"DROP {kind} {name}")
    return [script for _, _, script in found]


def _fill(db: sqlite3.Connection, table: str, count: int, row: Callable[[int], Row]) -> None:
    columns = (*codec.COLUMNS[table], *codec.COMPUTED.get(table, ()))
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    rows = map(row, range(count))
    while some := list(islice(rows, _AT_ONCE)):
        db.executemany(statement, some)


def plans(book: Rulebook, first: int, count: int, now: Instant) -> Iterator[tuple[Draft, Plan]]:
    """Judge so many bodies of new groups of one alert."""
    for number in range(first, first + count):
        yield judged(number, book, now)
