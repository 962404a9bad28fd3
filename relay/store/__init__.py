"""The vault: keeps alerts, pages and decisions on disk, and says yes only once they are there."""

from relay.store.backup import Copied, backup
from relay.store.lock import Holder, Lock, acquire, holder
from relay.store.sqlite import SqliteStore
from relay.store.views import Counts, Entry, Known, Pause, Seen, SelfPage

__all__ = [
    "Copied",
    "Counts",
    "Entry",
    "Holder",
    "Known",
    "Lock",
    "Pause",
    "Seen",
    "SelfPage",
    "SqliteStore",
    "acquire",
    "backup",
    "holder",
]
