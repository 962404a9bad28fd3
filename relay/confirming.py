"""The roll call at PagerDuty: which triggers that it took have no incident, as far as is known, and what follows."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from relay.alert import Duration, Instant
from relay.logs import Log
from relay.metrics import Metrics
from relay.page import Page, State, short_id
from relay.pagerduty.rest import Rest, RestError
from relay.rounds import TICK, Rounds
from relay.rules.confirming import LOOK_BACK, Confirmation, Incident, confirm, confirmation, doubt, incident_of
from relay.rules.ledger import Ledger, Lookup, Plan
from relay.rules.pages import LIVE
from relay.rules.rulebook import Rulebook
from relay.rules.ruleset import Integration
from relay.secret import Key
from relay.store import SqliteStore

AT_ONCE = 200
"""Pages of one integration that are doubted at once."""
ASKED_AT_ONCE = 10
"""Pages that PagerDuty's REST API is asked about in one round: it takes one question at a time."""

_ANY_STATUS = ("triggered", "acknowledged", "resolved")


class Confirming(Rounds):
    """Doubts what was awaited for too long. Nothing here is on a page's path."""

    def __init__(
        self,
        store: SqliteStore,
        book: Rulebook,
        *,
        rest: Rest | None = None,
        find_key: Callable[[str], Key | None] = lambda key_id: None,
        clock: Callable[[], Instant],
        wake: Callable[[], None],
        metrics: Metrics,
        log: Log,
    ) -> None:
        """`rest` is asked where the file has a token; `find_key` finds a routing key by its id."""
        super().__init__("the roll call at PagerDuty", metrics, log)
        self._store = store
        self._book = book
        self._rest = rest
        self._find_key = find_key
        self._clock = clock
        self._wake = wake
        self._silent = ""
        """Why the REST API gave no answer the last time; "" if it did."""
        self.standing: Mapping[str, Confirmation] = {}
        """By Integration.id, whether its triggers are awaited, as of the last round."""

    def reloaded(self, book: Rulebook) -> None:
        """Go by other rules."""
        self._book = book
        self.nudge()

    def of(self, integration: str) -> str:
        """Say in words whether triggers of an integration are awaited to be confirmed."""
        known = self.standing.get(integration)
        return known.because if known is not None else ""

    async def tick(self) -> None:
        """Look at what was awaited for too long."""
        book, proofs = self._book, await self._store.proofs()
        account = book.rules.account
        self.standing = {one: confirmation(account, proofs.get(one)) for one in book.rules.integrations}
        left = ASKED_AT_ONCE
        for integration in book.rules.integrations.values():
            since = self.standing[integration.id].since
            if since is None:
                continue
            now = self._clock()
            bounds = max(since, now - LOOK_BACK), now - account.confirm_within
            late = await self._store.unconfirmed(integration.id, *bounds, AT_ONCE)
            if late and account.api and self._rest is not None:
                late, left = await self._asked(integration, late, left)
            if late:
                await self._doubt(integration, late, book, sure=integration.id in proofs)

    async def patience(self) -> Duration:
        """Nothing is late to the second."""
        return TICK

    async def _asked(self, integration: Integration, late: Sequence[Page], left: int) -> tuple[list[Page], int]:
        """Ask PagerDuty about some pages; return those it has no incident for, and how many more may be asked about."""
        found: dict[int, Incident] = {}
        without = []
        for page in late[:left]:
            try:
                incident = incident_of(page, await self._incidents(integration, page))
            except RestError as error:
                self._unanswered(str(error))
                break
            self._silent = ""
            left -= 1
            if incident is None:
                without.append(page)
            else:
                found[page.id] = incident
        if found:
            await self._store.keep(Lookup(pages=tuple(found)), lambda ledger: confirm(found, ledger, self._clock()))
        return without, left

    async def _incidents(self, integration: Integration, page: Page) -> list[Incident]:
        """Ask for the incidents with a page's dedup key at the service that its routing key leads to."""
        assert self._rest is not None
        line = next((line for line in page.lines if line.state in LIVE), None)
        key = self._find_key(line.key_id if line is not None else integration.key_id)
        hooked = await self._rest.integration_of(key.routing_key) if key is not None else None
        if hooked is None:
            return []  # a key that leads nowhere opens nothing
        asked = await self._rest.incidents(statuses=_ANY_STATUS, keys=[page.dedup_key], services=[hooked.service])
        return [Incident(one.id, one.number, one.url, one.created_at, one.status != "resolved") for one in asked]

    def _unanswered(self, because: str) -> None:
        if because != self._silent:
            self._log.warning("PagerDuty's REST API does not say which incidents it has", error=because)
        self._silent = because

    async def _doubt(self, integration: Integration, late: Sequence[Page], book: Rulebook, *, sure: bool) -> None:
        ids = [page.id for page in late]
        plan = await self._store.keep(Lookup(pages=tuple(ids)), partial(self._doubted, ids, book, sure))
        again = [page for page in plan.pages if page.delivered is State.UNKNOWN_TRIGGER and not page.in_flight]
        self._metrics.unconfirmed(integration.name, len(plan.pages), len(again))
        for page in plan.pages:
            self._log.delivery_failed(
                (integration.id, "unconfirmed"),
                "PagerDuty took a trigger and shows no incident for it",
                page=short_id(page.id),
                dedup_key=page.dedup_key,
                receiver=integration.name,
                sent_again=page in again,
            )
        if again:
            self._wake()

    def _doubted(self, ids: Sequence[int], book: Rulebook, sure: bool, ledger: Ledger) -> Plan:
        return doubt(ids, ledger, self._clock(), book.rules.account, lambda _: sure)
