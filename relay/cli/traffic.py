"""Reads the labels of the alerts that a store holds, without changing anything there."""

from collections.abc import Mapping
from pathlib import Path

from relay.config.doubts import Traffic
from relay.rules.view import read
from relay.store import SqliteStore

MOST_ALERTS = 200_000
"""How many are read; further ones seldom have another label."""
_AT_ONCE = 2_000


async def recorded(storage: Path) -> Traffic:
    """Read the alerts of a store, firing and resolved; those of the relay itself are left out. Raises StoreError."""
    store = await SqliteStore.read_only(storage)
    try:
        found: list[Mapping[str, str]] = []
        after = -1
        while len(found) < MOST_ALERTS and (some := await store.held(after, _AT_ONCE)):
            after = some[-1].id
            found += [read(held.raw).labels for held in some if not held.ours]
        return Traffic(tuple(found))
    finally:
        await store.close()
