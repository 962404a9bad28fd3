"""What is written once the store takes writes again: what was paged meanwhile, as triggers without an answer.

Nobody's body was accepted meanwhile, so nothing here is known for good: a body that names the alerts puts it right.
"""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from relay.alert import DAY, Duration, Instant
from relay.decision import Step
from relay.page import Line, Page, State, Wanted
from relay.rules.classify import Draft, Entry, lookup_of
from relay.rules.desk import Desk
from relay.rules.judge import judge
from relay.rules.ledger import Held, Ledger, Plan, Shown
from relay.rules.pages import plan
from relay.rules.rulebook import Rulebook
from relay.rules.silences import Silences
from relay.rules.slate import STARTED, Group

BECAUSE = Step("page", "it was paged while the store could not be written: whether PagerDuty holds it open is unknown")

_OPEN = frozenset({State.OPEN, State.UNKNOWN_TRIGGER})


def drafted(group: Group, entries: Sequence[Entry]) -> Draft:
    """Draft what one body's alerts said that were paged."""
    source, group_key, receiver, url = group
    told = tuple(replace(entry, steps=(*entry.steps, BECAUSE)) for entry in entries)
    return Draft(source, group_key, receiver, url, told, None, 0, lookup_of(told))


def recovered(
    draft: Draft, paged: Sequence[Page], ledger: Ledger, now: Instant, book: Rulebook, silences: Silences
) -> Plan:
    """Judge alerts that were paged, as of now; the pages this writes say at once what PagerDuty may have been told."""
    found = judge(draft, ledger, now, book, silences)
    pages = {page.id: page for page in found.pages}
    for page in paged:
        there = pages.get(page.id)
        if there is not None:
            pages[page.id] = _told(there, page, now)
    written = {member.alert: pages.get(member.page) for member in found.members}
    alerts = tuple(_unheard(held, ledger, written.get(held.id), now) for held in found.alerts)
    news = tuple(page for page in pages.values() if page != ledger.pages.get(page.id))
    return replace(found, pages=news, alerts=alerts)


def told_of(paged: Mapping[int, tuple[Page, Sequence[Shown]]], ledger: Ledger, now: Instant) -> Plan:
    """Let pages say what PagerDuty may have been told, whose alerts were accepted before, or are in other pages now.

    A page that the store lost meanwhile is written as it was; one that is nobody's any more is closed.
    """
    pages: list[Page] = []
    alerts: dict[int, Held] = {}
    members = []
    for number, (page, shown) in paged.items():
        there = ledger.pages.get(number)
        if there is not None:
            pages.append(_told(there, page, now))
            continue
        lost = [one for one in shown if one.alert.id not in ledger.alerts]
        alerts.update((one.alert.id, one.alert) for one in lost)
        members += [one.member for one in shown]
        wanted = page.wanted if shown else Wanted.CLOSED
        kept = replace(page, wanted=wanted, tally=page.tally if shown else {}, lines=(), in_flight=False, lane=None)
        pages.append(_told(kept, page, now))
    news = tuple(page for page in pages if page != ledger.pages.get(page.id))
    return Plan(alerts=tuple(alerts.values()), pages=news, members=tuple(members))


def told_of_linked(page: Page, shown: Sequence[Shown], ledger: Ledger, now: Instant, book: Rulebook) -> Plan:
    """The same for a linked page: one that the store lacks takes over from its predecessor, as it did past the store.

    Else its alerts would stand in both, and the store's own linked page, of the same key, would take its row.
    """
    first = ledger.pages.get(page.predecessor) if page.predecessor is not None else None
    if first is None or page.id in ledger.pages:
        return told_of({page.id: (page, shown)}, ledger, now)
    desk = Desk(ledger, book, now)
    desk.write(first)
    desk.transition()
    heir = desk.pages.get(page.id)
    if heir is None:  # the predecessor says all of it by now
        return told_of({page.id: (page, ())}, ledger, now)
    found = desk.plan()
    others = tuple(one for one in found.pages if one.id != page.id)
    return replace(found, pages=(*others, _told(heir, page, now)))


def _told(there: Page, paged: Page, now: Instant) -> Page:
    """Put the lines into a page at which the emergency exit started a trigger, unless it is known to be open there."""
    if there.in_flight:
        return there
    lines = {line.key_id: line for line in there.lines}
    for line in paged.lines:
        known = lines.get(line.key_id)
        if line.state in STARTED and (known is None or known.state not in _OPEN):
            lines[line.key_id] = _unknown(line)
    if tuple(lines.values()) == there.lines:
        return there
    told = replace(
        there,
        lines=tuple(lines.values()),
        sent_severity=paged.sent_severity,
        sent_firing=paged.sent_firing,
        last_sent_at=paged.last_sent_at,
        minimal=paged.minimal,
        fallback=paged.fallback,
        fallback_to=paged.fallback_to,
        lane=None,
    )
    return plan(told, now)


def _unknown(line: Line) -> Line:
    return replace(line, state=State.UNKNOWN_TRIGGER, prior=None)


def _unheard(held: Held, ledger: Ledger, page: Page | None, now: Instant) -> Held:
    """Let an alert that no accepted body named be stale one repeat_interval from now."""
    before = ledger.alerts.get(held.id)
    if held.ours or not held.firing or (before is not None and before.firing):
        return held
    after: Duration = (page.repeat_interval if page is not None else 0) or DAY
    return replace(held, stale_after=after, judge_at=min(held.judge_at or now + after, now + after))
