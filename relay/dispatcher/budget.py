"""How many calls an integration may get now, and from which lanes. Pure: time is an argument.

PagerDuty takes about 120 calls in any 60 s for one routing key (developer.pagerduty.com, events API v2, rate limits).
Criticals may use the whole window. The other lanes together get at most 75 % of it, paced evenly after a burst of 10
and shared 8 : 4 : 2 : 1 : 1; while criticals wait they keep 5 %. A 429 closes the integration; the next critical is the
probe. Change events, which page nobody, go within what the other lanes have, evenly, and leave pages room to come.
"""

from collections import deque
from collections.abc import Collection

from relay.alert import SECOND, Duration, Instant
from relay.page import Lane
from relay.rules.ruleset import Budget

SHARES = {Lane.ERROR: 8, Lane.RESOLVE: 4, Lane.WARNING: 2, Lane.UPDATE: 1, Lane.REFRESH: 1}
OTHERS = 0.75
"""Part of the window that the lanes other than critical may use together."""
BESIDE_CRITICALS = 0.05
"""Part of the window those lanes keep while criticals wait."""
CHANGES = 0.25
"""Part of the window, of that of the other lanes, that change events may use."""
BURST = 10
CLOSED_FIRST: Duration = 1 * SECOND
CLOSED_CAP: Duration = 30 * SECOND
MENDING_FIRST: Duration = 30 * SECOND
MENDING_CAP: Duration = 300 * SECOND
PROBE_CAP: Duration = 4 * SECOND


class Window:
    """The sliding window of one integration: when it was called, and when it may be called again."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._sent: deque[tuple[Instant, bool]] = deque()
        """(when it was answered, whether in a lane other than critical), oldest first."""
        self._flying = 0
        """Calls under way. PagerDuty counts a call when it comes in: some time before it is answered."""
        self._others = 0
        self._other_at: Instant = 0
        self._burst = float(self._burst_cap)
        self._burst_at: Instant = 0
        self._change_at: Instant = 0
        self._debt = dict.fromkeys(SHARES, 0.0)
        self._closed_until: Instant = 0
        self._probe_at: Instant = 0
        self._closures = 0
        self._throttled = False

    @property
    def closed_until(self) -> Instant:
        """When more than probes may go again; in the past: now."""
        return self._closed_until

    @property
    def throttled(self) -> bool:
        """Whether it was a 429 that closed it last."""
        return self._throttled

    @property
    def _burst_cap(self) -> int:
        return max(1, min(BURST, int(self.budget.events * OTHERS)))

    def allot(self, waiting: Collection[Lane], now: Instant, most: int) -> dict[Lane, int]:
        """Say how many calls each waiting lane may make now, `most` in all. Nothing is spent yet."""
        self._slide(now)
        room = min(most, self.tokens(now))
        if room <= 0 or not waiting:
            return {}
        if now < self._closed_until:
            probe = Lane.CRITICAL in waiting and now >= self._probe_at
            return {Lane.CRITICAL: 1} if probe else {}
        critical = Lane.CRITICAL in waiting
        others = self._share([lane for lane in SHARES if lane in waiting], self._room_for_others(now, room, critical))
        beside = sum(others.values())
        kept = beside if len(waiting) == 1 else max(beside, self._kept_for_others())
        # What is kept is kept in the window: how many calls may be made at once is another matter.
        first = {Lane.CRITICAL: min(room - beside, self.tokens(now) - kept)} if critical else {}
        return {lane: count for lane, count in (first | others).items() if count > 0}

    def _kept_for_others(self) -> int:
        """Calls that criticals leave in the window while others wait beside them."""
        kept = min(self.budget.events - 1, max(1, int(self.budget.events * BESIDE_CRITICALS)))
        return max(0, kept - self._others)

    def _room_for_others(self, now: Instant, room: int, critical: bool) -> int:
        if critical:
            return 1 if now - self._other_at >= self._spacing(critical=critical) else 0
        left = max(1, int(self.budget.events * OTHERS)) - self._others
        return max(0, min(room, left, int(self._refilled(now))))

    def _share(self, lanes: list[Lane], room: int) -> dict[Lane, int]:
        """Deal `room` calls out by share, smoothly over time: what a lane did not get counts in its favour."""
        dealt = dict.fromkeys(lanes, 0)
        if not lanes:
            return {}
        debt = dict(self._debt)
        total = sum(SHARES[lane] for lane in lanes)
        for _ in range(room):
            for lane in lanes:
                debt[lane] += SHARES[lane] / total
            lane = max(lanes, key=lambda one: (debt[one], -one))
            debt[lane] -= 1
            dealt[lane] += 1
        return {lane: count for lane, count in dealt.items() if count}

    def spend(self, lane: Lane, now: Instant, waiting: Collection[Lane]) -> None:
        """Count one call that is about to be made; `landed` must follow."""
        other = lane is not Lane.CRITICAL
        self._flying += 1
        if now < self._closed_until:
            self._probe_at = now + min(PROBE_CAP, CLOSED_FIRST << min(self._closures, 4))
        if not other:
            return
        self._others += 1
        self._other_at = now
        self._burst, self._burst_at = max(0.0, self._refilled(now) - 1), now
        lanes = [one for one in SHARES if one in waiting or one is lane]
        total = sum(SHARES[one] for one in lanes)
        for one in lanes:
            self._debt[one] = max(-1.0, min(1.0, self._debt[one] + SHARES[one] / total - (one is lane)))

    def allots_change(self, now: Instant) -> bool:
        """Say whether a change event may go now, if no page waits: as the other lanes may, and more seldom still."""
        self._slide(now)
        if now < self._closed_until or now - self._change_at < self._apart(CHANGES):
            return False
        return self._room_for_others(now, self.tokens(now), critical=False) > 0

    def spend_change(self, now: Instant) -> None:
        """Count the call of a change event that is about to be made; `landed` must follow."""
        self.spend(Lane.REFRESH, now, ())
        self._change_at = now

    def landed(self, lane: Lane, now: Instant, *, sent: bool = True) -> None:
        """Note that a call was answered, or (not `sent`) never made: its place in the window counts from now."""
        self._flying -= 1
        if sent:
            self._sent.append((now, lane is not Lane.CRITICAL))
        else:
            self._others -= lane is not Lane.CRITICAL

    def seed(self, at: Instant, lane: Lane) -> None:
        """Count a call made before this process started; call in order of time."""
        other = lane is not Lane.CRITICAL
        self._sent.append((at, other))
        if other:
            self._others += 1
            self._other_at = at
            self._burst, self._burst_at = max(0.0, self._refilled(at) - 1), at

    def close(self, now: Instant, after: Duration | None, *, configuration: bool = False) -> None:
        """Stop calling: PagerDuty said 429, or (`configuration`) somebody must mend something first."""
        if now < self._closed_until:  # one of several that were under way together
            self._closed_until = max(self._closed_until, now + (after or 0))
            return
        self._throttled = not configuration
        first, cap = (MENDING_FIRST, MENDING_CAP) if configuration else (CLOSED_FIRST, CLOSED_CAP)
        wait = min(cap, first << min(self._closures, 6))
        self._closures += 1
        self._closed_until = max(self._closed_until, now + max(wait, after or 0))
        self._probe_at = max(self._probe_at, now + min(PROBE_CAP, wait))

    def open(self) -> None:
        """A call went through: the integration is open again."""
        self._closures = 0
        self._closed_until = 0

    def closed(self, now: Instant) -> bool:
        """Say whether only probes may go."""
        return now < self._closed_until

    def next_chance(self, waiting: Collection[Lane], now: Instant) -> Instant | None:
        """Say when `allot` may give more than now; None if it depends on nothing but new work."""
        if not waiting:
            return None
        if now < self._closed_until:
            return min(self._probe_at, self._closed_until) if Lane.CRITICAL in waiting else self._closed_until
        self._slide(now)
        full = self.tokens(now) <= 0 or self._others >= int(self.budget.events * OTHERS)
        if full and self._sent:
            return self._sent[0][0] + self.budget.within
        return now + max(SECOND // 100, int(self._spacing(critical=False)))

    def tokens(self, now: Instant) -> int:
        """Say how many calls the window has left."""
        self._slide(now)
        return max(0, self.budget.events - len(self._sent) - self._flying)

    def _spacing(self, *, critical: bool) -> float:
        return self._apart(BESIDE_CRITICALS if critical else OTHERS)

    def _apart(self, part: float) -> float:
        """Say how far apart calls are that use a part of the window evenly."""
        return self.budget.within / max(1.0, self.budget.events * part)

    def _refilled(self, now: Instant) -> float:
        return min(float(self._burst_cap), self._burst + max(0, now - self._burst_at) / self._spacing(critical=False))

    def _slide(self, now: Instant) -> None:
        while self._sent and (self._sent[0][0] <= now - self.budget.within or self._sent[0][0] > now + SECOND):
            _, other = self._sent.popleft()
            self._others -= other
