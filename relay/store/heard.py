"""When alerts and pages were last heard of: kept in memory, written with a commit that happens anyway."""

import threading
import time
from collections.abc import Sequence
from itertools import islice
from sqlite3 import Connection

import msgspec

from relay.alert import Instant
from relay.rules.pages import queue_refresh
from relay.store import codec
from relay.store.ledger import write_pages
from relay.store.queries import query

_WAIT_AT_MOST = 40.0
"""Seconds until they are written although nothing else is."""
_ROWS_AT_ONCE = 2_000
"""Per commit, so that a page that waits to be kept does not wait for these."""
_SOON = 0.05
"""Seconds until the next slice, where one commit could not take them all."""


class Heard:
    """Collects the times; `note` is called from the event loop, the rest from the writer thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._alerts: dict[int, Instant] = {}
        self._pages: dict[int, Instant] = {}
        self._until: float | None = None

    def note(self, alerts: Sequence[int], pages: Sequence[int], at: Instant) -> bool:
        """Remember that these were heard of; True if nothing waited to be written before."""
        with self._lock:
            self._alerts.update(dict.fromkeys(alerts, at))
            self._pages.update(dict.fromkeys(pages, at))
            first = self._until is None and bool(self._alerts or self._pages)
            if first:
                self._until = time.monotonic() + _WAIT_AT_MOST
            return first

    def patience(self) -> float | None:
        """Seconds until what waits must be written; None if nothing waits."""
        until = self._until
        return None if until is None else max(0.0, until - time.monotonic())

    def write(self, db: Connection) -> None:
        """Write what waits, or a slice of it."""
        with self._lock:
            alerts, pages = _taken(self._alerts), _taken(self._pages)
            self._until = time.monotonic() + _SOON if self._alerts or self._pages else None
        if alerts:
            db.execute(query("ledger", "hear_alerts"), (msgspec.json.encode(alerts).decode(),))
        if pages:
            db.execute(query("ledger", "hear_pages"), (msgspec.json.encode(pages).decode(),))
            _queue_refreshes(db, pages)


def _queue_refreshes(db: Connection, pages: dict[int, Instant]) -> None:
    """An open page that was heard since its last delivery is due for a refresh."""
    found = db.execute(query("ledger", "pages_to_refresh"), (codec.ids(tuple(pages)),)).fetchall()
    rows = [(page, queue_refresh(page, pages[page.id])) for page in map(codec.page, found)]
    write_pages(db, [after for before, after in rows if after != before])


def _taken(heard: dict[int, Instant]) -> dict[int, Instant]:
    """Take the first so many out."""
    taken = dict(islice(heard.items(), _ROWS_AT_ONCE))
    for key in taken:
        del heard[key]
    return taken
