"""Time intervals as Alertmanager has them: whether an instant lies in one, and when that changes."""

from dataclasses import dataclass

from relay.alert import Instant


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A named time interval: an instant lies in it if it lies in any of its parts."""

    name: str
    parts: tuple[object, ...] = ()

    def contains(self, at: Instant) -> bool:
        """Say whether an instant lies in it."""
        raise RuntimeError

    def next_edge(self, after: Instant) -> Instant | None:
        """Say when `contains` next changes its answer; None: not within two years."""
        raise RuntimeError
