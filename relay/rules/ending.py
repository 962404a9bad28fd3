"""What the journal and the memory of bodies are told of alerts that were judged without a message about them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from relay.decision import Decision, Step, Verdict
from relay.page import short_id
from relay.rules.classify import Entry
from relay.rules.desk import Desk
from relay.rules.ledger import Held, Recorded


class Ended(NamedTuple):
    """An alert that counts as over although nobody resolved it."""

    entry: Entry
    verdict: Verdict
    pages: tuple[int, ...]
    because: str


def ended(entry: Entry, verdict: Verdict, because: str, desk: Desk) -> Ended:
    """Let a firing alert count as over."""
    return Ended(entry, verdict, desk.end(desk.alerts[entry.id]), because)


def record(fires: Iterable[Entry], over: Sequence[Ended], desk: Desk) -> Recorded | None:
    """Write into the journal what changed of alerts that nobody sent a message about."""
    decisions = [_decision(one.entry, one.verdict, one.pages, (Step("page", one.because),), desk) for one in over]
    for entry in fires:
        turn = desk.turned(entry.id, Verdict.REPEATS)
        if turn.verdict is not Verdict.REPEATS:
            pages = tuple(one.page for one in desk.memberships(entry.id) if one.firing)
            left = desk.folded_from(entry.id)
            verdict = Verdict.FOLDED if left and all(desk.pages[page].storm for page in pages) else turn.verdict
            decisions.append(_decision(entry, verdict, (*left, *pages), turn.steps, desk))
    if not decisions:
        return None
    outcomes = Counter(one.verdict.value for one in decisions)
    return Recorded(desk.now, decisions[0].source, "", "", dict(outcomes), tuple(decisions))


def groups_of(alerts: Iterable[Held | None]) -> tuple[tuple[str, str], ...]:
    """Name the groups in which alerts were heard: what is known of their bodies holds no more."""
    return tuple({(one.source, group): None for one in alerts if one is not None for group in one.groups})


def _decision(entry: Entry, verdict: Verdict, pages: tuple[int, ...], steps: tuple[Step, ...], desk: Desk) -> Decision:
    alert = entry.alert
    name = alert.labels.get("alertname", "")
    shown = tuple(short_id(page) for page in pages)
    notes = (note for page in pages for note in desk.notes.get(page, ()))
    return Decision(alert.source, alert.fingerprint, name, alert.status.value, verdict, shown, (*steps, *notes))
