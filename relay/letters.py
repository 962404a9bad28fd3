"""The counter for dead letters: has them tried again or lets go of them, because a person says so."""

from collections.abc import Callable
from functools import partial

from relay.alert import Instant
from relay.logs import Log
from relay.page import short_id
from relay.rules.ledger import Ledger, Lookup, Plan
from relay.rules.letters import discard, retry
from relay.store import SqliteStore

Act = Callable[[int, Ledger, Instant, str], Plan]


class Letters:
    """Its methods raise NoSuchPage and NotDead, and StoreError where the store cannot; then nothing has changed."""

    def __init__(self, store: SqliteStore, *, clock: Callable[[], Instant], wake: Callable[[], None], log: Log) -> None:
        """`wake` is called once there is something to send."""
        self._store = store
        self._clock = clock
        self._wake = wake
        self._log = log

    async def retry(self, number: int, by: str) -> None:
        """Have a dead letter tried again; `by` says who, for the journal and the log."""
        await self._do(retry, number, by, "dead letter tried again")
        self._wake()

    async def discard(self, number: int, by: str) -> None:
        """Let go of a dead letter, until something changes in it."""
        await self._do(discard, number, by, "dead letter let go of")

    async def _do(self, act: Act, number: int, by: str, what: str) -> None:
        await self._store.keep(Lookup(pages=(number,)), partial(self._judged, act, number, by))
        self._log.info(what, page=short_id(number), by=by)

    def _judged(self, act: Act, number: int, by: str, ledger: Ledger) -> Plan:
        return act(number, ledger, self._clock(), by)
