"""Which routing keys PagerDuty refuses, and since when. Pure: time is an argument."""

from collections.abc import Callable, Iterator

from relay.alert import Duration, Instant
from relay.event import Outcome, Retry
from relay.rules.delivery import CONFIGURATION_CAP
from relay.rules.ladder import FALLBACK_AFTER
from relay.rules.ledger import Attempt

Current = Callable[[str], tuple[str, str] | None]
"""(key id, url) an integration uses now."""

FORGOTTEN: Duration = 2 * CONFIGURATION_CAP
"""After so long without a call nobody knows whether a key is still refused: whoever waits for it asks more often."""


class Refusals:
    """What the last calls of each integration said of its key."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[str, Instant, Instant]] = {}
        """(key id, when it was first refused, when last), by integration."""

    def note(self, attempt: Attempt, outcome: Outcome | None, now: Instant) -> None:
        """Take a call's outcome in; None: no call was made."""
        known = self._since.get(attempt.integration)
        if isinstance(outcome, Retry) and outcome.configuration:
            goes_on = known is not None and known[0] == attempt.key_id and now < known[2] + FORGOTTEN
            first = known[1] if known is not None and goes_on else now
            self._since[attempt.integration] = attempt.key_id, first, now
        elif outcome is not None and not isinstance(outcome, Retry) and known and known[0] == attempt.key_id:
            del self._since[attempt.integration]

    def forget(self, integration: str) -> None:
        """Know nothing of an integration any more: it has another key."""
        self._since.pop(integration, None)

    def since(self, integration: str, key_id: str, now: Instant) -> Instant:
        """Say since when a key is refused; 0: it is not, as far as is known."""
        used, since, last = self._since.get(integration, ("", 0, 0))
        return since if used == key_id and now < last + FORGOTTEN else 0

    def refused(self, current: Current, now: Instant) -> Iterator[tuple[str, Instant]]:
        """List (integration, since when) of those whose current key is refused."""
        for integration in self._since:
            used = current(integration)
            since = self.since(integration, used[0], now) if used is not None else 0
            if since:
                yield integration, since

    def overdue(self, current: Current, now: Instant) -> dict[str, Instant]:
        """Say of those whose key was refused for so long that it is the fallback's turn since when it is."""
        return {one: since for one, since in self.refused(current, now) if now >= since + FALLBACK_AFTER}

    def next_turn(self, current: Current, now: Instant) -> Instant | None:
        """Say when the next of them will have been refused for so long."""
        turns = (since + FALLBACK_AFTER for _, since in self.refused(current, now))
        return min((at for at in turns if at > now), default=None)
