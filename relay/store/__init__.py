"""The vault: keeps alerts, pages and decisions on disk, and says yes only once they are there."""

from relay.store.changes import ChangeHead, ChangeInHand
from relay.store.connect import Rescued
from relay.store.copying import Copied, backup
from relay.store.lock import Holder, Lock, acquire, holder
from relay.store.mounts import place_warnings
from relay.store.notebook import Notebook, Noted
from relay.store.sqlite import SqliteStore
from relay.store.told import ToldFile
from relay.store.views import Counts, Entry, Known, Needed, Pause, Seen, SelfPage

__all__ = [
    "ChangeHead",
    "ChangeInHand",
    "Copied",
    "Counts",
    "Entry",
    "Holder",
    "Known",
    "Lock",
    "Needed",
    "Notebook",
    "Noted",
    "Pause",
    "Rescued",
    "Seen",
    "SelfPage",
    "SqliteStore",
    "ToldFile",
    "acquire",
    "backup",
    "holder",
    "place_warnings",
]
