"""Silences as Alertmanager has them: who is kept quiet by whom, until when, and why."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from relay.alert import Instant
from relay.rules.matchers import Matcher


class SilenceState(StrEnum):
    """Where a silence stands in its life; the words are Alertmanager's."""

    PENDING = "pending"
    ACTIVE = "active"
    EXPIRED = "expired"


class Silence(msgspec.Struct, frozen=True):
    """One silence, as the API v2 shows it."""

    id: str
    """A UUID."""
    matchers: tuple[Matcher, ...]
    starts_at: Instant
    ends_at: Instant
    """It ends at this instant; expired by hand: when that was."""
    updated_at: Instant
    created_by: str
    comment: str

    def state(self, now: Instant) -> SilenceState:
        """Say where it stands at an instant."""
        raise RuntimeError

    @property
    def key(self) -> int:
        """The key whose watchers are the alerts it keeps quiet."""
        raise RuntimeError


class Silences:
    """All silences that have not expired for long, indexed; frozen: a change makes a new one."""

    def __init__(self, silences: Iterable[Silence] = ()) -> None:
        self._all = {one.id: one for one in silences}

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._all)

    def matching(self, labels: Mapping[str, str], now: Instant) -> tuple[Silence, ...]:
        """List the active silences that take a label set, the one that ends last first."""
        raise RuntimeError

    def next_change(self, after: Instant) -> Instant | None:
        """Say when a silence next begins; ends need none: each silenced alert is judged again at its end."""
        raise RuntimeError
