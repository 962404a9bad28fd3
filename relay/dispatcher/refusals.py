"""Which routing keys PagerDuty refuses, and since when. Pure: time is an argument."""

from collections.abc import Callable, Iterator

from relay.alert import Instant
from relay.event import Outcome, Retry
from relay.rules.ladder import FALLBACK_AFTER
from relay.rules.ledger import Attempt

Current = Callable[[str], tuple[str, str] | None]
"""(key id, url) an integration uses now."""


class Refusals:
    """What the last calls of each integration said of its key."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[str, Instant]] = {}
        """(key id, when it was first refused), by integration."""

    def note(self, attempt: Attempt, outcome: Outcome | None, now: Instant) -> None:
        """Take a call's outcome in; None: no call was made."""
        known = self._since.get(attempt.integration)
        if isinstance(outcome, Retry) and outcome.configuration:
            if known is None or known[0] != attempt.key_id:
                self._since[attempt.integration] = attempt.key_id, now
        elif outcome is not None and not isinstance(outcome, Retry) and known and known[0] == attempt.key_id:
            del self._since[attempt.integration]

    def forget(self, integration: str) -> None:
        """Know nothing of an integration any more: it has another key."""
        self._since.pop(integration, None)

    def since(self, integration: str, key_id: str) -> Instant:
        """Say since when a key is refused; 0: it is not, as far as is known."""
        known = self._since.get(integration)
        return known[1] if known is not None and known[0] == key_id else 0

    def now(self, current: Current) -> Iterator[tuple[str, Instant]]:
        """List (integration, since when) of those whose current key is refused."""
        for integration, (key_id, since) in self._since.items():
            used = current(integration)
            if used is not None and used[0] == key_id:
                yield integration, since

    def overdue(self, current: Current, now: Instant) -> dict[str, Instant]:
        """Say of those whose key was refused for so long that it is the fallback's turn since when it is."""
        return {one: since for one, since in self.now(current) if now >= since + FALLBACK_AFTER}

    def next_turn(self, current: Current, now: Instant) -> Instant | None:
        """Say when the next of them will have been refused for so long."""
        return min((at for _, since in self.now(current) if (at := since + FALLBACK_AFTER) > now), default=None)
