"""How long criticals waited beside what else was sent: the arithmetic of the storm. Pure; times are in seconds."""

from bisect import bisect_left
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
    """A time in which criticals waited."""

    start: float
    end: float
    criticals: int
    """How many of them left in it."""
    others: int
    """How many calls of other lanes were taken in hand meanwhile."""

    @property
    def seconds(self) -> float:
        """Say how long it was."""
        return self.end - self.start


def found_free(waits: Sequence[Wait], reserve: int, within: float) -> list[Wait]:
    """Say which criticals found a place of the reserve free.

    That is where fewer than `reserve` others were waiting ahead of it or had left in the time `within` before it came.
    """
    return [
        wait for wait in waits if sum(_before(one, wait) and one.sent > wait.since - within for one in waits) < reserve
    ]


def stretches(waits: Sequence[Wait], others: Sequence[float], *, gap: float) -> list[Stretch]:
    """Find the times in which criticals waited; those with less than `gap` seconds between them are one.

    `others` are the times, in order, at which calls of other lanes were taken in hand.
    """
    joined: list[list[Wait]] = []
    end = 0.0
    for wait in sorted(waits, key=lambda one: one.since):
        if joined and wait.since - end < gap:
            joined[-1].append(wait)
        else:
            joined.append([wait])
        end = max(end, wait.sent)
    return [_stretch(some, others) for some in joined]


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


def _stretch(waits: Sequence[Wait], others: Sequence[float]) -> Stretch:
    start, end = waits[0].since, max(wait.sent for wait in waits)
    return Stretch(start, end, len(waits), bisect_left(others, end) - bisect_left(others, start))
