"""Whether Alertmanager's API shows that a stale alert is over, and what follows if it does.

That an alert is absent from a body shows nothing, since Alertmanager leaves muted ones out. That none of the source's
Alertmanagers knows it, asked for muted ones too, does: twice, so that a moment's gap is none; from all of them, after
they have run for a while and know others of ours, so that an empty or wrong one proves nothing.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from relay.alert import MINUTE, Duration, Instant
from relay.decision import Verdict
from relay.rules.desk import Desk
from relay.rules.ending import ended, groups_of, record
from relay.rules.ledger import Held, Ledger, Plan
from relay.rules.reload import Rejudged
from relay.rules.rulebook import Rulebook
from relay.rules.suppression.words import clock, span

APART: Duration = 5 * MINUTE
"""Least time between the two polls."""
UPTIME: Duration = 15 * MINUTE
"""How long an Alertmanager must have run: after a start it knows nothing until its senders send again."""


class Answer(msgspec.Struct, frozen=True):
    """What one Alertmanager said."""

    known: frozenset[str]
    """Fingerprints of all alerts it knows, the silenced and inhibited ones too."""
    started_at: Instant
    """When it was started, by the relay's clock."""
    familiar: bool
    """Whether it knows an alert of this source that fires here, or a heartbeat of it."""
    active: frozenset[str] = frozenset()
    """Fingerprints of those that nothing mutes there."""


class Poll(msgspec.Struct, frozen=True):
    """One round of questions to all Alertmanagers of a source."""

    at: Instant
    """When the last of them had answered."""
    asked: tuple[str, ...]
    """Every URL of the source."""
    answers: Mapping[str, Answer]
    """By URL."""
    faults: Mapping[str, str] = {}
    """By URL, why there is no answer."""


class Found(NamedTuple):
    """What two polls say of alerts."""

    gone: tuple[Held, ...]
    kept: Mapping[str, int]
    """How many are not shown to be gone, by the reason."""


def doubt(poll: Poll) -> str:
    """Say why what is missing from a poll proves nothing; "" if it proves something."""
    if not poll.asked:
        return "the source names no Alertmanager"
    return next((why for url in poll.asked if (why := doubtful(url, poll))), "")


def gone(first: Poll | None, second: Poll, candidates: Sequence[Held]) -> Found:
    """Say which stale alerts of a source are gone by its last two polls, and of the others why they are not."""
    doubts = doubt(second) or _no_pair(first, second)
    kept: Counter[str] = Counter()
    over = []
    for held in candidates:
        because = doubts or _no_proof(held, first, second)
        if because:
            kept[because] += 1
        else:
            over.append(held)
    return Found(tuple(over), dict(kept))


def end(again: Rejudged, first: Poll, second: Poll, ledger: Ledger, now: Instant, book: Rulebook) -> Plan:
    """Let alerts count as over that are gone by two polls, unless they were heard meanwhile."""
    return let_go(
        again, evidence(first, second), lambda held: _still_stale(held, first), ledger=ledger, now=now, book=book
    )


def let_go(
    again: Rejudged,
    because: str,
    still: Callable[[Held | None], bool],
    *,
    ledger: Ledger,
    now: Instant,
    book: Rulebook,
) -> Plan:
    """Let alerts count as over of which that is `still` shown."""
    desk = Desk(ledger, book, now)
    entries = [entry for entry in again.entries if still(ledger.alerts.get(entry.id))]
    over = [ended(entry, Verdict.RESOLVES, because, desk) for entry in entries]
    for entry in entries:
        desk.meet(entry)
    for entry in entries:
        desk.remember(entry)
    desk.transition()
    groups = groups_of(ledger.alerts.get(entry.id) for entry in entries)
    return replace(desk.plan(), groups=groups, record=record((), over, desk))


def evidence(first: Poll, second: Poll) -> str:
    """Say in a sentence what shows that an alert is gone."""
    count, names = len(second.asked), ", ".join(map(named, second.asked))
    who = (
        f"none of {count} Alertmanagers at {names} knew it" if count > 1 else f"the Alertmanager at {names} knew it not"
    )
    return f"gone: {who} at {clock(first.at, second.at)} and {clock(second.at, second.at)}"


def doubtful(url: str, poll: Poll) -> str:
    """Say why what one Alertmanager does not know proves nothing; "" if it proves something."""
    answer = poll.answers.get(url)
    if answer is None:
        return f"{named(url)} did not answer: {poll.faults.get(url, 'it was not asked')}"
    if poll.at - answer.started_at <= UPTIME:
        return f"{named(url)} runs for less than {span(UPTIME)}"
    if not answer.familiar:
        return f"{named(url)} knows no other alert that fires here, nor a heartbeat"
    return ""


def _no_pair(first: Poll | None, second: Poll) -> str:
    """Say why two polls do not stand together."""
    if first is None:
        return "asked once so far"
    if doubt(first):
        return f"when asked before, {doubt(first)}"
    if set(first.asked) != set(second.asked):
        return "other Alertmanagers were asked before"
    if second.at - first.at < APART:
        return f"asked twice within less than {span(APART)}"
    return ""


def _no_proof(held: Held, first: Poll | None, second: Poll) -> str:
    if first is None or not _still_stale(held, first):
        return "not yet stale when asked before"
    for poll, when in ((second, "knows it"), (first, "knew it when asked before")):
        for url, answer in poll.answers.items():
            if held.fingerprint in answer.known:
                return f"{named(url)} {when}"
    return ""


def _still_stale(held: Held | None, first: Poll) -> bool:
    """Say whether an alert fires and was not heard of since the first poll; it was stale then.

    One that came as an event is known to no Alertmanager, whatever has become of it.
    """
    if held is None or held.ours or held.sent is not None:
        return False
    return held.firing and 0 < held.stale_at <= first.at


def named(url: str) -> str:
    """Name an Alertmanager as people do: without scheme and query."""
    return url.partition("?")[0].partition("://")[2].rstrip("/") or url
