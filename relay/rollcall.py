"""Which alerts the last complete body of each group named as firing, so that one that is missing shows at once.

Absence is not resolution: Alertmanager leaves muted alerts out. Kept in memory, since the next body says it again.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType

from relay.recall import Group

_NOBODY: frozenset[int] = frozenset()


class RollCall:
    """The rolls of all groups. Read from the writing thread, changed on the event loop alone."""

    def __init__(self) -> None:
        self._rolls: dict[Group, frozenset[int]] = {}
        self._seeds: dict[Group, set[int]] = {}

    def take(self, group: Group, firing: Collection[int], others: Collection[int]) -> frozenset[int]:
        """Take the roll of a complete body: who fires in it, and who else it names. Return who is missing since."""
        before = self._rolls.get(group, _NOBODY) | self._seeds.pop(group, _NOBODY)
        if firing:
            self._rolls[group] = frozenset(firing)
        else:
            self._rolls.pop(group, None)
        return before.difference(firing, others)

    def seed(self, group: Group, alert: int) -> None:
        """Expect an alert that fired before a restart, until the group's first body since then."""
        if group not in self._rolls:
            self._seeds.setdefault(group, set()).add(alert)

    def named_elsewhere(self, alert: int, source: str, groups: Collection[str], missing_from: Group) -> bool:
        """Say whether the last body of another group names an alert."""
        others = ((source, key) for key in groups if (source, key) != missing_from)
        return any(alert in self._rolls.get(group, _NOBODY) for group in others)

    @property
    def rolls(self) -> Mapping[Group, frozenset[int]]:
        """Every roll, by (source, group key)."""
        return MappingProxyType(self._rolls)
