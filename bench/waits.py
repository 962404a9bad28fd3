"""How long criticals waited beside what else was sent: the arithmetic of the storm. Pure; times are in seconds."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wait:
    """One critical on its way."""

    posted: float
    """When the body that brought it was begun to be sent."""
    since: float
    """When that body was answered."""
    sent: float
    """When its page came in at the stand-in."""

    @property
    def seconds(self) -> float:
        """Say how long it waited once it was accepted."""
        return max(0.0, self.sent - self.since)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which at least one critical waited."""

    start: float
    end: float
    criticals: int
    """How many of them left in it."""
    others: int
    """How many calls of other lanes came in at the stand-in meanwhile."""


def found_free(waits: Sequence[Wait], calls: Sequence[float], events: int, within: float) -> list[Wait]:
    """Say which criticals came when their integration could take one more call at once.

    `calls` are the times of every call that was taken, in order: fewer than `events` of them lie in the time `within`
    before, those counted that were waiting ahead.
    """
    free = []
    for wait in waits:
        recent = bisect_right(calls, wait.since) - bisect_right(calls, wait.since - within)
        ahead = sum(_before(one, wait) and one.sent > wait.since for one in waits)
        if recent + ahead < events:
            free.append(wait)
    return free


def stretches(waits: Sequence[Wait], others: Sequence[float], *, grace: float) -> list[Stretch]:
    """Join the times in which criticals waited; `others` are the times of calls of other lanes, in order.

    What comes in within `grace` seconds of a stretch's start was under way before.
    """
    joined: list[list[Wait]] = []
    end = 0.0
    for wait in sorted(waits, key=lambda one: one.since):
        if joined and wait.since <= end:
            joined[-1].append(wait)
        else:
            joined.append([wait])
        end = max(end, wait.sent)
    return [_stretch(some, others, grace) for some in joined]


def overtaken(waits: Sequence[Wait]) -> float:
    """Say by how many seconds at most a critical was overtaken by one that was posted after it had been accepted."""
    worst, latest = 0.0, 0.0
    accepted = sorted(waits, key=lambda one: one.since)
    at = 0
    for later in sorted(waits, key=lambda one: one.posted):
        while at < len(accepted) and accepted[at].since <= later.posted:
            latest = max(latest, accepted[at].sent)
            at += 1
        worst = max(worst, latest - later.sent)
    return worst


def percentile(figures: Sequence[float], part: float) -> float:
    """Return the figure that this part of all figures is not above: the nearest rank, always one of the figures."""
    ordered = sorted(figures)
    rank = max(1, -int(-part * len(ordered) // 1))
    return ordered[rank - 1]


def _before(one: Wait, other: Wait) -> bool:
    return one is not other and (one.since, one.sent) < (other.since, other.sent)


def _stretch(waits: Sequence[Wait], others: Sequence[float], grace: float) -> Stretch:
    start, end = waits[0].since, max(wait.sent for wait in waits)
    beside = max(0, bisect_left(others, end) - bisect_left(others, start + grace))
    return Stretch(start, end, len(waits), beside)
