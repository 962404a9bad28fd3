"""When a firing alert that nobody speaks of any more is stale, counts as resolved, or is forgotten."""

from collections.abc import Mapping
from typing import NamedTuple

from relay.alert import MINUTE, SECOND, Duration, Instant
from relay.rules.ledger import Held
from relay.rules.suppression.words import clock, span


class Listening(NamedTuple):
    """How long the relay has listened, and to whom."""

    started_at: Instant
    """When this process began: what was heard before counts as heard then, late and never early."""
    last: Mapping[str, Instant]
    """By source, when anything was last heard from it."""
    since: Mapping[str, Instant]
    """By source, since when it is heard again after a silence."""

    def heard_at(self, held: Held) -> Instant:
        """Say when an alert counts as last heard."""
        return max(held.heard_at, self.started_at, self.since.get(held.source, 0))

    def is_silent(self, source: str, for_: Duration, now: Instant) -> bool:
        """Say whether nothing at all was heard from a source for so long: then its alerts say nothing of themselves."""
        return now - max(self.last.get(source, 0), self.started_at) >= for_


DEAF = Listening(0, {}, {})

_GRACE: Duration = 5 * MINUTE
"""How long after a start an alert may not have been sent again; senders do so every minute or few."""


def stale_at(held: Held, listening: Listening, stale_after: Duration) -> Instant:
    """Say when an alert becomes stale unless it is heard."""
    return listening.heard_at(held) + (held.stale_after or stale_after)


def is_stale(held: Held, listening: Listening, stale_after: Duration, now: Instant) -> bool:
    """Say whether an alert was not heard of for too long, although its source was.

    An event is sent once: that nobody repeats it says nothing, unless nobody was told that it was accepted.
    """
    if held.sent is not None and not held.stale_after:
        return False
    if now < stale_at(held, listening, stale_after):
        return False
    return not listening.is_silent(held.source, stale_after, now)


def look_again_at(held: Held, listening: Listening, stale_after: Duration, now: Instant) -> Instant:
    """Say when to ask again whether an alert is stale, or counts as resolved by its sender's own word."""
    due = stale_at(held, listening, stale_after)
    if due <= now:
        due = now + max(MINUTE, stale_after // 8)  # its source is silent, or it is stale already
    return min(due, expires_at(held, listening)) if held.lasts else due


def expires_at(held: Held, listening: Listening) -> Instant:
    """Say when an alert counts as resolved whose sender sends it again while it fires.

    Nobody could send it while the relay was away: then it has a while, though not as long as one that lasts for days.
    """
    return max(held.heard_at + held.lasts, listening.started_at + min(held.lasts, _GRACE))


def lasting(expires_at: Instant, held: Held | None, now: Instant) -> Duration:
    """Say how long an alert lasts that was sent now; what is held of it where that says much the same.

    Prometheus sends an alert again each minute, and each time with a later end: a tenth more or less is not written.
    """
    if not expires_at:
        return 0
    said = max((expires_at - now + SECOND // 2) // SECOND, 1) * SECOND  # judging took a moment
    known = held.lasts if held is not None and held.firing else 0
    return known if abs(said - known) * 10 <= said else said


def ends(held: Held, listening: Listening, stale_after: Duration, now: Instant, *, resolves: bool, shown: bool) -> str:
    """Say why a firing alert counts as over although nobody resolved it; "" if it does not.

    `resolves`: a route says `on_stale: resolve`. `shown`: it is in a page that PagerDuty may hold open.
    """
    last = clock(listening.heard_at(held), now)
    if held.lasts and now >= expires_at(held, listening):
        return f"not sent again since {last}: resolved, as its sender said it would be after {span(held.lasts)}"
    if not is_stale(held, listening, stale_after, now):
        return ""
    if resolves:
        return f"stale, not heard of since {last}: resolved, since its route says on_stale: resolve"
    if not shown:
        return f"stale, not heard of since {last}, and in no open page: forgotten until it is heard again"
    return ""
