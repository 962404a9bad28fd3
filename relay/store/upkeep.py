"""Keeps the store small and its marks true: retention, routing keys that come and go, a clock that was set back."""

from collections.abc import Collection, Sequence
from sqlite3 import Connection
from typing import NamedTuple

import msgspec

from relay import failpoints
from relay.alert import Instant
from relay.page import Line, Page
from relay.store import codec
from relay.store.ledger import write_pages
from relay.store.queries import query

PAGES_AT_ONCE = 500
"""Pages marked per transaction, so that a webhook does not wait for all of them."""


class Over(NamedTuple):
    """Ids of what can go."""

    pages: tuple[int, ...]
    alerts: tuple[int, ...]


def find_over(db: Connection, before: Instant, limit: int) -> Over:
    """Find finished pages and alerts that are nowhere any more; looks only."""
    bounds = {"before": before, "limit": limit}
    return Over(
        tuple(page for (page,) in db.execute(query("clockwork", "pages_over"), bounds)),
        tuple(alert for (alert,) in db.execute(query("clockwork", "alerts_over"), bounds)),
    )


def prune(db: Connection, over: Over, before: Instant, limit: int) -> int:
    """Delete what is still over, and old entries of the journal; return how many rows of these kinds went."""
    bounds = {"before": before, "limit": limit}
    pages = _still(db, "pages_over", over.pages, before)
    gone = (codec.ids(pages),)
    for name in ("delete_page_members", "delete_page_attempts"):
        db.execute(query("clockwork", name), gone)
    for name in ("delete_page_acts", "delete_page_incidents"):
        db.execute(query("acts", name), gone)
    count = db.execute(query("clockwork", "delete_pages"), gone).rowcount
    if count:
        failpoints.reached("prune.step")
    alerts = _still(db, "alerts_over", over.alerts, before)
    count += db.execute(query("clockwork", "delete_alerts"), (codec.ids(alerts),)).rowcount
    count += db.execute(query("clockwork", "delete_records"), bounds).rowcount
    count += db.execute(query("clockwork", "delete_attempts"), bounds).rowcount
    if count:
        db.execute(query("clockwork", "delete_tally"))
    return count


def mark_keys(db: Connection, available: Collection[str]) -> list[int]:
    """Set Line.gone as the keys at hand say, on at most PAGES_AT_ONCE pages; return the pages that changed."""
    kinds = [told for (told,) in db.execute(query("clockwork", "told_kinds")) if _is_wrong(told, available)]
    if not kinds:
        return []
    bounds = {"told": msgspec.json.encode(kinds).decode(), "limit": PAGES_AT_ONCE}
    rows = db.execute(query("clockwork", "pages_told"), bounds).fetchall()
    pages = [_marked(codec.page(row), available) for row in rows]
    write_pages(db, pages)
    return [page.id for page in pages]


def spread(db: Connection, now: Instant, limit: int) -> bool:
    """Make some of those due who watch a key that was stirred; False once there is none."""
    stirred = db.execute(query("clockwork", "next_stirred")).fetchone()
    if stirred is None:
        return False
    key, after = stirred
    watchers = [alert for (alert,) in db.execute(query("clockwork", "watchers"), (key, after, limit))]
    make_due(db, watchers, now)
    if len(watchers) < limit:
        db.execute(query("clockwork", "settled_down"), (key,))
    else:
        db.execute(query("clockwork", "stirred_up_to"), (watchers[-1], key))
    return True


def make_due(db: Connection, alerts: Collection[int], now: Instant) -> None:
    """Have firing alerts judged again."""
    db.execute(query("clockwork", "make_due"), {"ids": codec.ids(alerts), "now": now})


def open_lines(db: Connection) -> dict[str, int]:
    """Count, by key id, the pages that PagerDuty may hold open under that key."""
    counts: dict[str, int] = {}
    for told, pages in db.execute(query("clockwork", "open_lines")):
        for key in told.split():
            counts[key.removeprefix("!")] = counts.get(key.removeprefix("!"), 0) + pages
    return counts


def _still(db: Connection, name: str, ids: Sequence[int], before: Instant) -> list[int]:
    """Ask again, inside the transaction: a page may have come back to life since it was looked at."""
    if not ids:
        return []
    text = query("clockwork", f"{name}_still")
    return [row for (row,) in db.execute(text, {"ids": codec.ids(ids), "before": before})]


def _is_wrong(told: str, available: Collection[str]) -> bool:
    return any(key.startswith("!") == (key.removeprefix("!") in available) for key in told.split())


def _marked(page: Page, available: Collection[str]) -> Page:
    lines = tuple(_line(line, line.key_id not in available) for line in page.lines)
    return msgspec.structs.replace(page, lines=lines)


def _line(line: Line, gone: bool) -> Line:
    if line.gone == gone or line.state not in codec.TOLD:
        return line
    return msgspec.structs.replace(line, gone=gone)
