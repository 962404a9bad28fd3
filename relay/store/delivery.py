"""Takes due pages in hand and writes down how each call ended; runs inside the writer's transaction."""

from collections.abc import Callable, Sequence
from sqlite3 import Connection

import msgspec

from relay import failpoints
from relay.alert import Instant
from relay.errors import PageGone
from relay.event import Action
from relay.page import Lane, Page, State, short_id
from relay.rules.ledger import Attempt, Claim, Settled, Shown, Started, Want
from relay.store import codec
from relay.store.ledger import mark_for_judgement, read_page, write_pages, write_rows
from relay.store.queries import query
from relay.store.views import Seen

SHOWN_AT_MOST = 1_000
"""Members read with a page: more than any event can show in 512,000 bytes."""
HASTENED_AT_MOST = 1_000
"""Pages of one lane: more than the budget lets go in a minute, after which the others are due by themselves."""


def claim(db: Connection, wants: Sequence[Want], now: Instant, start: Callable[[Page], Started]) -> list[Claim]:
    """Start the most urgent due pages of each want, and write the attempts down before anything is sent."""
    claims = []
    for want in wants:
        started = [start(page) for page in _due(db, want, now)]
        write_pages(db, [one.page for one in started])
        claims += _attempts(db, started)
    if claims:
        failpoints.reached("claim.before_commit")
    return claims


def waiting(db: Connection, wants: Sequence[Want], now: Instant) -> list[Seen]:
    """Show the most urgent due pages of each want with their members; nothing is started."""
    return [
        Seen(page, shown_members(db, page.id), *count_members(db, page.id))
        for want in wants
        for page in _due(db, want, now)
    ]


def settle(db: Connection, attempt: Attempt, decide: Callable[[Page], Settled], now: Instant) -> Page:
    """Judge an ended attempt against the page's latest row, and write both."""
    page = read_page(db, attempt.page)
    if page is None:
        raise PageGone(f"page {short_id(attempt.page)} is not in the store any more; its attempt was not recorded")
    settled = decide(page)
    write_pages(db, [settled.page])
    write_rows(db, "write_attempts", "attempts", [codec.attempt_row(settled.attempt)])
    mark_for_judgement(db, settled.judge, now)
    if settled.page.delivered is State.OPEN:
        db.execute(query("delivery", "judge_where_leaving_for"), {"page": settled.page.id, "at": now})
    failpoints.reached("settle.before_commit")
    if settled.page.dead and not page.dead:
        failpoints.reached("dead_letter.before_commit")
    return settled.page


def hasten(db: Connection, integration: str, lanes: Sequence[Lane], now: Instant) -> None:
    """Let pages of these lanes be due now that wait for nothing but their back-off after a failure."""
    for lane in lanes:
        terms = {"via": integration, "lane": int(lane), "now": now, "limit": HASTENED_AT_MOST}
        db.execute(query("delivery", "hasten"), terms)


def count_members(db: Connection, page: int) -> tuple[int, int]:
    """Count a page's members: how many fire, how many do not."""
    firing, members = db.execute(query("delivery", "count_members"), (page,)).fetchone()
    return firing, members - firing


def shown_members(db: Connection, page: int) -> tuple[Shown, ...]:
    """Read the members worth showing: firing first, worst first, then route order, then longest firing."""
    rows = db.execute(query("delivery", "shown_members"), {"page": page, "limit": SHOWN_AT_MOST}).fetchall()
    return tuple(codec.shown(row) for row in rows)


def firing_members(db: Connection, page: int, limit: int) -> tuple[Shown, ...]:
    """Read some of the members that fire, as shown_members orders them."""
    rows = db.execute(query("delivery", "shown_members"), {"page": page, "limit": limit}).fetchall()
    return tuple(one for row in rows if (one := codec.shown(row)).member.firing)


def _due(db: Connection, want: Want, now: Instant) -> list[Page]:
    found = db.execute(query("delivery", "due_pages"), (want.integration, int(want.lane), now, want.limit))
    return [codec.page(row) for row in found.fetchall()]


def _attempts(db: Connection, started: Sequence[Started]) -> list[Claim]:
    going = [(one.page, one.attempt) for one in started if one.attempt is not None]
    if not going:
        return []
    (last,) = db.execute(query("delivery", "last_attempt")).fetchone()
    numbered = [
        (page, msgspec.structs.replace(attempt, id=last + place)) for place, (page, attempt) in enumerate(going, 1)
    ]
    write_rows(db, "write_attempts", "attempts", [codec.attempt_row(attempt) for _, attempt in numbered])
    return [_claim(db, page, attempt) for page, attempt in numbered]


def _claim(db: Connection, page: Page, attempt: Attempt) -> Claim:
    if page.storm:  # it may have a hundred thousand, and says them in another way: they are read by who renders it
        return Claim(page, attempt, (), page.firing + page.quiet, 0)
    # A resolve carries no payload, so nobody reads its members.
    members = () if attempt.action is Action.RESOLVE else shown_members(db, page.id)
    return Claim(page, attempt, members, *count_members(db, page.id))
