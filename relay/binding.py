"""Binds a configuration to what the store remembers: integrations by their names there, and every key still needed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from relay.alert import SECOND, Duration
from relay.config import recognise, remembered
from relay.filing import Filed
from relay.rules.rulebook import Rulebook
from relay.rules.ruleset import RuleSet
from relay.secret import Key
from relay.store import SqliteStore

_TIMEOUT = 10.0
"""Seconds that a call may take whose key is not at hand."""


class KeyRing:
    """Every key at hand by its id, and those of before: what was claimed under them may still be on its way out."""

    def __init__(self) -> None:
        self.keys: Mapping[str, Key] = {}
        self._before: Mapping[str, Key] = {}

    def __contains__(self, key_id: object) -> bool:
        return key_id in self.keys

    def find(self, key_id: str) -> Key | None:
        """Find a key that counts, or counted under the configuration before."""
        return self.keys.get(key_id) or self._before.get(key_id)

    def timeout(self, key_id: str) -> Duration:
        """Say how long a call under a key may take."""
        key = self.keys.get(key_id)
        return int((key.timeout if key else _TIMEOUT) * SECOND)

    def replace(self, keys: Mapping[str, Key]) -> None:
        """Put other keys in the place of those that count."""
        self.keys, self._before = keys, self.keys


@dataclass(frozen=True, slots=True)
class Bound:
    """A configuration bound to what the store remembers."""

    book: Rulebook
    keys: Mapping[str, Key]
    """Every key at hand: the configuration's, and older ones that open pages still need."""
    staying: int
    """Open pages on a key that is at hand, and that the file does not name any more."""
    gone: int
    """Open pages whose key is not at hand."""
    rekeyed: frozenset[str]
    """Ids of the integrations that have another key than before."""


async def bind(
    filed: Filed,
    store: SqliteStore,
    at_hand: Mapping[str, Key],
    rung: Collection[str],
    in_force: RuleSet | None = None,
) -> Bound:
    """Give integrations the names the store knows them by, and keep the keys that open pages still need.

    `rung` are the ids of the keys that self-pages need; `in_force` are the rules that count, None at a start. Puts
    nothing in force: where the store cannot be used (it raises StoreError), the rules of before stay with their keys.
    """
    loaded = filed.loaded
    known = await store.integrations()
    rules = recognise(loaded.rules, known)
    await store.remember_integrations(remembered(rules))
    needed = await store.open_lines()
    kept = {name: key for name, key in at_hand.items() if name in needed or name in rung}
    keys = kept | dict(loaded.keys)
    staying = sum(count for name, count in needed.items() if name in kept and name not in loaded.keys)
    gone = sum(count for name, count in needed.items() if name not in keys)
    book = Rulebook(rules, keys, _named(loaded.templates))
    return Bound(book, keys, staying, gone, rekeyed(rules, known if in_force is None else remembered(in_force)))


def rekeyed(rules: RuleSet, known: Sequence[tuple[str, str, str, int]]) -> frozenset[str]:
    """Name the integrations whose key is not the one they were known by last; `known` is newest first."""
    before = {identity: key_id for identity, key_id, _, _ in reversed(known)}
    used = {one.id: one.key_id for one in rules.integrations.values()}
    return frozenset(name for name, key_id in used.items() if before.get(name, key_id) != key_id)


def _named(templates: Mapping[Path, str]) -> str:
    """Name what template files say: others may make an event that PagerDuty takes."""
    return sha256(repr(sorted(templates.items())).encode()).hexdigest()[:16] if templates else ""
