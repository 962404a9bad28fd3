"""Answers for people and metrics: pages, attempts, decisions, counts; runs on a connection that cannot write."""

from collections.abc import Collection, Iterable, Iterator
from sqlite3 import Connection

import msgspec

from relay.alert import Instant, alert_id, stable_id
from relay.event import Severity
from relay.page import Lane, Page, State, Wanted, short_id
from relay.rules.ledger import Attempt, Held, Recorded
from relay.store import codec
from relay.store.delivery import count_members, shown_members
from relay.store.ledger import read_alerts, read_page
from relay.store.queries import need_query, query
from relay.store.views import Counts, Entry, Kind, Needed, Seen, Stale

_FEW = 5_000
"""Up to so many matching pages it is quicker to fetch them all than to walk over the others."""
DECISIONS_AT_ONCE = 1_000
"""A list of decisions ends with the entry that reaches this many."""
_ENTRIES_SEARCHED = 5_000
"""How far back the journal is searched for something it has no index for."""
_ENTRIES_AT_ONCE = 200
_LAST = 2**63 - 1
_STALE_LOOKED_AT = 10_000
"""Stale alerts whose pages are looked at to count the stale ones."""

_SEVERITIES = tuple(Severity)


def page(db: Connection, number: int) -> Seen | None:
    """Show one page with its members; None if there is none."""
    found = read_page(db, number)
    return None if found is None else Seen(found, shown_members(db, number), *count_members(db, number))


def pages(
    db: Connection,
    dedup_key: str | None,
    wanted: Wanted | None,
    delivered: State | None,
    waiting: bool | None,
    limit: int,
    after: int | None,
) -> list[Page]:
    """List pages in the order of their ids, by whichever way touches the fewest rows."""
    terms: dict[str, str | int | None] = {
        "dedup_key": dedup_key,
        "wanted": None if wanted is None else str(wanted),
        "delivered": None if delivered is None else str(delivered),
        "waiting": waiting,
        "limit": limit,
        "after": -1 if after is None else after,
    }
    if dedup_key is not None:
        return _pages_named(db, terms, wanted, delivered, waiting)
    return _pages(db, _way(db, terms), terms)


def pages_by_need(db: Connection, asked: Needed) -> tuple[list[Page], dict[str, int]]:
    """List pages, the most urgent first, and count all of them by their state, the most urgent first."""
    terms = {
        "dead": 1 if asked.dead else None,
        "due_by": asked.due_by,
        "wanted": None if asked.wanted is None else str(asked.wanted),
        "delivered": None if asked.delivered is None else str(asked.delivered),
        "receiver": asked.receiver,
        "limit": asked.limit,
    }
    counts = {str(word): int(count) for word, count in db.execute(need_query("count_by_need"), terms)}
    return [codec.page(row) for row in db.execute(need_query("pages_by_need"), terms).fetchall()], counts


def due(db: Connection, now: Instant) -> dict[str, int]:
    """Count what has something to send by now, by the integration that carries it."""
    return {str(carrier): int(count) for carrier, count in db.execute(query("answers", "count_due"), (now,))}


def page_ids(db: Connection, dedup_key: str) -> list[int]:
    """Name the pages with this dedup key: one for each integration that has it."""
    terms: dict[str, str | int | None] = {
        "dedup_key": dedup_key,
        "hash": stable_id(dedup_key),
        "after": -1,
        "limit": _FEW,
    }
    return [page.id for page in _pages(db, "pages_by_dedup_key", terms)]


def pages_holding(db: Connection, fingerprint: str, limit: int) -> list[Page]:
    """List the pages that an alert is a member of, whichever source sent it."""
    found = codec.ids([held.id for held in alerts(db, fingerprint)])
    return _pages(db, "pages_holding", {"alerts": found, "limit": limit})


def attempts(db: Connection, page: int, limit: int) -> list[Attempt]:
    """List a page's attempts, newest first."""
    rows = db.execute(query("answers", "attempts_of_page"), (page, limit)).fetchall()
    return [codec.attempt(row) for row in rows]


def alerts(db: Connection, fingerprint: str) -> list[Held]:
    """Find an alert by its fingerprint, once for each source that sent it."""
    sources = [source for (source,) in db.execute(query("answers", "sources"))]
    return read_alerts(db, [alert_id(source, fingerprint) for source in sources])


def decisions(
    db: Connection,
    limit: int,
    before: int | None,
    source: str | None,
    fingerprint: str | None,
    page: int | None,
    group_key: str | None,
) -> list[Entry]:
    """List the journal's newest entries first, each with those of its decisions that were asked for.

    The list ends early with the entry that reaches DECISIONS_AT_ONCE: one entry may hold 20,000.
    """
    hashes = _groups_of(db, source, fingerprint, page, group_key)
    found: list[Entry] = []
    count = 0
    for entry in _entries(db, _LAST if before is None else before, source, group_key, hashes):
        told = _told(entry, fingerprint, None if page is None else short_id(page))
        if told is not None:
            found.append(told)
            count += len(told.record.decisions)
        if len(found) >= limit or count >= DECISIONS_AT_ONCE:
            break
    return found


def counts(db: Connection) -> Counts:
    """Count the pages, from the tally that is kept along with them."""
    kinds: dict[Kind, int] = {}
    waiting: dict[tuple[str, Lane], int] = {}
    in_flight: dict[str, int] = {}
    dead: dict[str, int] = {}
    for integration, via, wanted, delivered, severity, waits, is_dead, pages in db.execute(query("answers", "tally")):
        kind = Kind(via, Wanted(wanted), State(delivered), _SEVERITIES[severity])
        kinds[kind] = kinds.get(kind, 0) + pages
        if waits >= 0:
            waiting[via, Lane(waits)] = waiting.get((via, Lane(waits)), 0) + pages
        elif waits == _IN_FLIGHT:
            in_flight[via] = in_flight.get(via, 0) + pages
        if is_dead:
            dead[integration] = dead.get(integration, 0) + pages
    return Counts(kinds, waiting, in_flight, dead, _oldest(db))


_IN_FLIGHT = -2


def stale(db: Connection) -> Stale:
    """Count what fires and was not heard of for too long."""
    alerts = {str(source): int(count) for source, count in db.execute(query("answers", "count_stale_alerts"))}
    (pages,) = db.execute(query("answers", "count_stale_pages"), (_STALE_LOOKED_AT,)).fetchone() if alerts else (0,)
    return Stale(alerts, pages)


def size_bytes(db: Connection) -> int:
    """Say how large the database is, without its log."""
    (size,) = db.execute(query("answers", "size")).fetchone()
    return int(size)


def _oldest(db: Connection) -> dict[Lane, Instant]:
    rows = db.execute(query("answers", "oldest"), (codec.ids([int(lane) for lane in Lane]),))
    return {Lane(lane): at for lane, at in rows if at is not None}


def _pages_named(
    db: Connection,
    terms: dict[str, str | int | None],
    wanted: Wanted | None,
    delivered: State | None,
    waiting: bool | None,
) -> list[Page]:
    named = _pages(db, "pages_by_dedup_key", {**terms, "hash": stable_id(str(terms["dedup_key"]))})
    return [
        page
        for page in named
        if page.dedup_key == terms["dedup_key"]
        and (wanted is None or page.wanted is wanted)
        and (delivered is None or page.delivered is delivered)
        and (waiting is None or (page.lane is not None and not page.in_flight) == waiting)
    ]


def _way(db: Connection, terms: dict[str, str | int | None]) -> str:
    """Choose between walking over all pages and fetching the few that match."""
    if terms["wanted"] is None and terms["delivered"] is None and not terms["waiting"]:
        return "pages_by_id"
    (matching,) = db.execute(query("answers", "count_pages"), {**terms, "waiting": None}).fetchone()
    if matching <= _FEW:
        return "pages_of_kind"
    (matching,) = db.execute(query("answers", "count_pages"), terms).fetchone()
    return "pages_waiting" if terms["waiting"] and matching <= _FEW else "pages_by_id"


def _pages(db: Connection, name: str, terms: dict[str, str | int | None]) -> list[Page]:
    return [codec.page(row) for row in db.execute(query("answers", name), terms).fetchall()]


def _groups_of(
    db: Connection, source: str | None, fingerprint: str | None, page: int | None, group_key: str | None
) -> set[int] | None:
    """Name the groups whose entries can answer; None: the index cannot help."""
    if group_key is not None and source is not None:
        return {codec.group_hash(source, group_key)}
    if fingerprint is not None:
        held = [alert for alert in alerts(db, fingerprint) if source in (None, alert.source)]
        return _groups_of_alerts(held) or None
    return None if page is None else _groups_of_page(db, page) or None


def _groups_of_alerts(held: Iterable[Held]) -> set[int]:
    """Name the groups alerts were heard in, and the one of no message: what the clockwork decided of them."""
    return {codec.group_hash(alert.source, group) for alert in held for group in (*alert.groups, "")}


def _groups_of_page(db: Connection, number: int) -> set[int]:
    found = read_page(db, number)
    members = [codec.held(row) for row in db.execute(query("answers", "some_members"), (number,))]
    if found is not None and found.folded is not None:
        moved = {"home": number, "into": found.folded}
        members += [codec.held(row) for row in db.execute(query("answers", "some_folded"), moved)]
    if not members:
        return set()  # they moved, or were forgotten: any group may have had them
    groups = _groups_of_alerts(members)
    if found is not None:
        groups.add(codec.group_hash(found.source, found.group_key))
    return groups


def _entries(
    db: Connection, before: int, source: str | None, group_key: str | None, hashes: Collection[int] | None
) -> Iterator[Entry]:
    """Walk the journal backwards, a slice at a time, as far as it is searched."""
    name = "records" if hashes is None else "records_of_groups"
    for _ in range(0, _ENTRIES_SEARCHED, _ENTRIES_AT_ONCE):
        terms = {
            "before": before,
            "source": source,
            "group_key": group_key,
            "hashes": codec.ids(hashes or ()),
            "limit": _ENTRIES_AT_ONCE,
        }
        count = 0
        for row in db.execute(query("answers", name), terms):  # row by row: each may be of some megabytes
            count, before = count + 1, row[0]
            yield Entry(before, codec.record(row[1:]))
        if count < _ENTRIES_AT_ONCE:
            return


def _told(entry: Entry, fingerprint: str | None, page: str | None) -> Entry | None:
    """Keep the decisions that were asked for; None if the entry has none of them."""
    if fingerprint is None and page is None:
        return entry
    kept = tuple(
        decision
        for decision in entry.record.decisions
        if fingerprint in (None, decision.fingerprint) and (page is None or page in decision.pages)
    )
    record: Recorded = msgspec.structs.replace(entry.record, decisions=kept)
    return Entry(entry.id, record) if kept else None
