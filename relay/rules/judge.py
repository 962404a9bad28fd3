"""Judge a classified message against the ledger: what changed, and what should be true of each page now."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from relay.alert import Alert, Instant, Status
from relay.decision import Decision, Step, Verdict
from relay.page import Page, State, Wanted, short_id
from relay.rules.changes import made
from relay.rules.classify import Draft, Entry
from relay.rules.desk import Desk
from relay.rules.ledger import Changed, Held, Ledger, Plan, Recorded
from relay.rules.reload import settle_in
from relay.rules.rulebook import Rulebook
from relay.rules.silences import NO_SILENCES, Silences
from relay.rules.staleness import lasting
from relay.rules.storms import CALM, Storming
from relay.rules.view import read

_GROUPS_KEPT = 8
_FIRES = frozenset({Verdict.OPENS, Verdict.JOINS, Verdict.REPEATS})


def judge(
    draft: Draft,
    ledger: Ledger,
    now: Instant,
    book: Rulebook,
    silences: Silences = NO_SILENCES,
    storms: Storming = CALM,
) -> Plan:
    """Say what a message changes. Pure but for the count of new pages, which counts each once: it may be called again.

    Takes the ledger of `draft.lookup`; returns everything to write, and a Decision for every alert of the draft.
    First all alerts are written down, then those that fire join: one may inhibit another that stands before it.
    Raises StormBegins where it needs a storm page that was not looked up.
    """
    desk = Desk(ledger, book, now, silences, alertmanager_url=draft.alertmanager_url, storms=storms)
    found = [_told(entry, draft, desk) for entry in draft.entries]
    if draft.truncation is not None:
        cut = _told(draft.truncation, draft, desk)
        found += [cut] if cut.verdict is not Verdict.NOTHING_OPEN else []
    found = [_joined(finding, desk) if finding.verdict is Verdict.REPEATS else finding for finding in found]
    found = [_changing(finding, desk) if finding.fresh and finding.entry.changes else finding for finding in found]
    for finding in found:
        desk.remember(finding.entry)
    desk.transition()
    decisions = tuple(_decision(finding, desk) for finding in found)
    firing = (finding for finding in found if finding.verdict in _FIRES)
    heard = {desk.now_in(finding.entry.id, page): None for finding in firing for page in finding.pages}
    return replace(
        _plan(draft, desk, decisions),
        changes=tuple(change for finding in found for change in finding.changes),
        heard=tuple(heard),
        cacheable=all(finding.remembered for finding in found),
    )


def absent(missing: Iterable[Held], now: Instant) -> Plan:
    """Note since when firing alerts are missing from the complete bodies of their group. Absence is not resolution."""
    gone = tuple(
        replace(held, absent_at=now, judge_at=now)
        for held in missing
        if held.firing and not held.absent_at and not held.ours
    )
    return Plan(alerts=gone, groups=tuple({(held.source, key): None for held in gone for key in held.groups}))


class _Finding(NamedTuple):
    entry: Entry
    verdict: Verdict
    pages: tuple[int, ...]
    steps: tuple[Step, ...]
    remembered: bool
    """Whether the ledger will know this alert through this group."""
    fresh: bool = False
    """Whether it did not fire before."""
    changes: tuple[Changed, ...] = ()
    """The change events that are made of it."""


def _told(entry: Entry, draft: Draft, desk: Desk) -> _Finding:
    """Write down what a message says of an alert; a firing one joins its pages later."""
    finding = _fires(entry, draft, desk) if entry.alert.status is Status.FIRING else _resolves(entry, draft, desk)
    desk.meet(entry)
    return finding


def _fires(entry: Entry, draft: Draft, desk: Desk) -> _Finding:
    held = desk.alerts.get(entry.id)
    fresh = held is None or not held.firing
    steps = entry.steps + _episode_notes(entry.alert, held)
    _hold(entry, held, draft, desk)
    return _Finding(entry, Verdict.REPEATS, (), steps, True, fresh)


def _joined(finding: _Finding, desk: Desk) -> _Finding:
    """Let a firing alert join the pages it belongs to."""
    entry = finding.entry
    if entry.alert.sent is not None and not finding.fresh and (before := _fires_in(entry, desk)):
        settle_in(entry, desk)  # what names it is its key: all else it says may have changed
        desk.wanted_again(entry.id)
        now = _fires_in(entry, desk)
        return finding._replace(verdict=Verdict.REPEATS if now == before else Verdict.JOINS, pages=now)
    joins = [desk.join(entry, place) for place in entry.placements]
    verdict = Verdict.REPEATS
    if not entry.placements:
        verdict = Verdict.NOT_OURS if finding.fresh else Verdict.REPEATS
    elif any(join.opens for join in joins):
        verdict = Verdict.OPENS
    elif any(join.joins for join in joins):
        verdict = Verdict.JOINS
    return finding._replace(
        verdict=verdict,
        pages=tuple([join.page for join in joins]),
        remembered=not desk.waits_to_be_heard(entry.id),
    )


def _changing(finding: _Finding, desk: Desk) -> _Finding:
    """Make change events of an alert that begins to fire, beside the pages it may have."""
    changes, steps = made(finding.entry, desk)
    verdict = finding.verdict
    if verdict is Verdict.NOT_OURS:
        verdict = Verdict.CHANGES if changes else Verdict.SUPPRESSED
    return finding._replace(verdict=verdict, changes=changes, steps=(*finding.steps, *steps))


def _fires_in(entry: Entry, desk: Desk) -> tuple[int, ...]:
    return tuple(member.page for member in desk.memberships(entry.id) if member.firing)


def _episode_notes(alert: Alert, held: Held | None) -> tuple[Step, ...]:
    if held is None or alert.sent is not None:  # an event says when it happened, not since when something fires
        return ()
    if not held.firing and alert.starts_at and alert.starts_at <= held.starts_at:
        return (Step("page", "fired again with an old startsAt, probably a lagging replica"),)
    if held.firing and alert.starts_at > held.starts_at > 0:
        return (Step("page", "it says a later startsAt than before: the earlier one is kept"),)
    return ()


def _hold(entry: Entry, held: Held | None, draft: Draft, desk: Desk) -> None:
    """Write down what a firing alert now says."""
    alert = entry.alert
    fresh = held is None or not held.firing
    starts = [at for at in (alert.starts_at, 0 if held is None or fresh else held.starts_at) if at]
    groups = _heard_in(held, draft.group_key)
    lasts = lasting(alert.expires_at, held, desk.now)
    missed = held is not None and (held.absent_at or held.stale_at or held.stale_after or held.lasts != lasts)
    missed = missed or desk.waits_to_be_heard(entry.id)
    if held is not None and not fresh and not missed and held.digest == alert.digest and groups == held.groups:
        return
    stated = Held(
        id=entry.id,
        source=alert.source,
        fingerprint=alert.fingerprint,
        firing=True,
        starts_at=min(starts, default=0),
        ends_at=0,
        digest=alert.digest,
        raw=alert.raw,
        groups=groups,
        changed_at=desk.now if held is None or fresh else held.changed_at,
        heard_at=desk.now,
        links=held.links if held is not None else (),
        judge_at=None if entry.ours else desk.suppressor.stale_by(alert.source, lasts),
        lasts=lasts,
        ours=entry.ours,
        sent=alert.sent,
    )
    desk.hold(stated)


def _heard_in(held: Held | None, group_key: str) -> tuple[str, ...]:
    before = held.groups if held else ()
    return before if group_key in before else (*before, group_key)[-_GROUPS_KEPT:]


def _resolves(entry: Entry, draft: Draft, desk: Desk) -> _Finding:
    held = desk.alerts.get(entry.id)
    alert = entry.alert
    if held is None or not held.firing:
        steps = (*entry.steps, Step("page", "nothing open here: the relay does not hold it as firing"))
        known = held is not None and draft.group_key in held.groups and held.digest == alert.digest
        return _Finding(entry, Verdict.NOTHING_OPEN, (), steps, known)
    if 0 < alert.starts_at < held.starts_at and 0 < alert.ends_at <= held.starts_at:
        steps = (*entry.steps, Step("page", "resolve of an earlier episode: the current one began later"))
        return _Finding(entry, Verdict.IGNORED, (), steps, False)
    pages = desk.leave_firing(entry.id)
    desk.hold(
        replace(
            held,
            firing=False,
            ends_at=alert.ends_at,
            digest=alert.digest,
            raw=alert.raw or held.raw,
            groups=_heard_in(held, draft.group_key),
            changed_at=desk.now,
            heard_at=desk.now,
        )
    )
    return _Finding(entry, Verdict.RESOLVES, pages, entry.steps, True)


def _decision(finding: _Finding, desk: Desk) -> Decision:
    verdict = finding.verdict
    steps = finding.steps
    alert = finding.entry.alert
    pages = tuple(dict.fromkeys(desk.now_in(finding.entry.id, page) for page in finding.pages))
    if verdict is Verdict.RESOLVES and pages and all(_superseded(desk.pages[page]) for page in pages):
        verdict = Verdict.SUPERSEDES
        before = [desk.ledger.pages[page] for page in pages if page in desk.ledger.pages]
        refused = any(page.dead or page.minimal for page in before)
        sent = "PagerDuty had refused its page" if refused else "it resolved before its page was ever sent"
        steps = (*steps, Step("page", f"{sent}: nobody is paged"))
    if verdict is Verdict.NOT_OURS:
        steps = (*steps, Step("route", "no receiver it is routed to has a PagerDuty integration"))
    left = desk.folded_from(finding.entry.id)
    if desk.notes:
        steps += tuple(step for page in (*left, *pages) for step in desk.notes.get(page, ()))
    if alert.status is Status.FIRING and pages:
        told = desk.turned(finding.entry.id, finding.verdict)
        verdict, steps = told.verdict, (*steps, *told.steps)
    if left and all(desk.pages[page].storm for page in pages):
        verdict = Verdict.FOLDED
    name = alert.labels.get("alertname", "") or _name(finding.entry.id, desk)
    shown = tuple(short_id(page) for page in (*left, *pages))
    return Decision(alert.source, alert.fingerprint, name, alert.status.value, verdict, shown, steps)


def _name(alert: int, desk: Desk) -> str:
    """Name an alert as it was named before: the resolve of an event need not say that again."""
    held = desk.alerts.get(alert)
    return read(held.raw).labels.get("alertname", "") if held is not None else ""


def _superseded(page: Page) -> bool:
    return page.wanted is Wanted.CLOSED and page.delivered in (State.NEVER, State.CLOSED) and not page.in_flight


def _plan(draft: Draft, desk: Desk, decisions: tuple[Decision, ...]) -> Plan:
    changed = tuple(decision for decision in decisions if decision.verdict is not Verdict.REPEATS)
    outcomes = Counter(decision.verdict.value for decision in decisions)
    outcomes[Verdict.REPEATS.value] += draft.repeated
    plan = desk.plan()
    record = None
    if changed or plan.alerts or plan.pages:
        record = Recorded(desk.now, draft.source, draft.group_key, draft.receiver, dict(outcomes), changed)
    return replace(
        plan,
        record=record,
        decisions=decisions,
        groups=_groups(plan.alerts, desk.dropped_groups, draft) if plan.alerts or plan.pages else (),
    )


def _groups(alerts: Iterable[Held], dropped: Iterable[tuple[str, str]], draft: Draft) -> tuple[tuple[str, str], ...]:
    """Name every group whose cached answer may no longer hold."""
    named = {(alert.source, key): None for alert in alerts for key in alert.groups}
    named.update(dict.fromkeys(dropped))
    named[draft.source, draft.group_key] = None
    return tuple(named)
