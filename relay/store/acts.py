"""Keeps what comes back from PagerDuty: what was taken, which page an incident stands for, what people did."""

from collections.abc import Callable, Collection, Mapping, Sequence
from sqlite3 import Connection

import msgspec
from msgspec.structs import replace

from relay.alert import Instant, stable_id
from relay.page import Page
from relay.rules.acts import about
from relay.rules.news import Judged, News, Returned, Taken
from relay.store import codec
from relay.store.ledger import write_pages
from relay.store.queries import query

ACTS_KEPT = 50
"""Of each page, the newest."""
_FORGOTTEN_AT_ONCE = 2_000

Judge = Callable[[News, Page], Judged]

_encode = msgspec.json.Encoder().encode
_news = msgspec.json.Decoder(News).decode
_returned = msgspec.json.Decoder(Returned).decode


def take(db: Connection, news: News, now: Instant, judge: Judge, services: Mapping[str, str], *, ask: bool) -> Taken:
    """Take a piece of news once: note that it was seen, judge the pages it is about, and write what that changes.

    `ask`: what is about an incident that is no page's by what is known here waits, for somebody may ask the REST API.
    """
    if not db.execute(query("acts", "take_news"), (news.id, now, news.incident)).rowcount:
        return Taken("seen")
    if not news.incident:
        return Taken("other")
    pages = pages_of_incident(db, news.incident)
    if pages:
        return _placed(db, news, pages, now, judge)
    found = _of_key(db, news.key)
    page = about(news, found, services)
    if page is not None:
        return replace(_placed(db, news, (page,), now, judge), sure=len(found) == 1)
    if not ask:
        return Taken("unplaced")
    db.execute(query("acts", "keep_waiting"), (_encode(news), news.id))
    return Taken("waiting")


def place(
    db: Connection, news: News, keys: Sequence[str], now: Instant, judge: Judge, services: Mapping[str, str]
) -> Taken:
    """Judge news that waited, now that the dedup keys of its incident's alerts are known."""
    if not db.execute(query("acts", "waits_no_more"), (news.id,)).rowcount:
        return Taken("seen")
    pages = pages_of_incident(db, news.incident) or _of_keys(db, news, keys, services)
    return _placed(db, news, pages, now, judge) if pages else Taken("unplaced")


def waiting(db: Connection, limit: int) -> list[News]:
    """List news that waits to be placed: of what waits longest, in the order in which it happened."""
    found = [_news(rest) for (rest,) in db.execute(query("acts", "waiting_news"), (limit,)).fetchall()]
    return sorted(found, key=lambda news: news.at)


def acts(db: Connection, page: int) -> list[Returned]:
    """List what people and timers did about a page, newest last."""
    return [_returned(rest) for (rest,) in db.execute(query("acts", "acts_of_page"), (page,)).fetchall()]


def forget(db: Connection, before: Instant) -> int:
    """Forget which news was taken before then; return how many, at most 2,000."""
    return db.execute(query("acts", "forget_news"), (before, _FORGOTTEN_AT_ONCE)).rowcount


def note(db: Connection, page: int, incidents: Collection[str], act: Returned | None, now: Instant) -> None:
    """Write down which incidents a page stands for, and what somebody did about it, if anything."""
    rows = [(incident, page, now) for incident in incidents if incident]
    db.executemany(query("acts", "write_incident"), rows)
    if act is not None:
        db.execute(query("acts", "write_act"), (page, act.at, _encode(act)))
        db.execute(query("acts", "drop_old_acts"), {"page": page, "limit": ACTS_KEPT})


def pages_of_incident(db: Connection, incident: str) -> list[Page]:
    """Find the pages that an incident is known to stand for."""
    return [codec.page(row) for row in db.execute(query("acts", "pages_of_incident"), (incident,)).fetchall()]


def pages_of_incident_number(db: Connection, number: int) -> list[Page]:
    """Find the pages that an incident stands for by the number people call it by; at most 20."""
    return [codec.page(row) for row in db.execute(query("acts", "pages_of_incident_number"), (number,)).fetchall()]


def _of_keys(db: Connection, news: News, keys: Sequence[str], services: Mapping[str, str]) -> list[Page]:
    found = [about(news, _of_key(db, key), services) for key in keys]
    return list({page.id: page for page in found if page is not None}.values())


def _of_key(db: Connection, key: str) -> list[Page]:
    if not key:
        return []
    rows = db.execute(query("acts", "pages_of_key"), (stable_id(key),)).fetchall()
    return [page for page in map(codec.page, rows) if page.dedup_key == key]


def _placed(db: Connection, news: News, pages: Sequence[Page], now: Instant, judge: Judge) -> Taken:
    found = [judge(news, page) for page in pages]
    changed = [one.page for one, page in zip(found, pages, strict=True) if one.page != page]
    write_pages(db, changed, {page.id: page for page in pages})
    for one in found:
        note(db, one.page.id, {news.incident, one.incident}, one.act, now)
    acts = tuple(one.act for one in found if one.act is not None)
    return Taken("placed", tuple(one.page for one in found), acts, tuple(pages))
