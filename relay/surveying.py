"""Looks at three sides at once: what PagerDuty has open, what Alertmanagers know, and what the pages say."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from relay.alert import MINUTE, Duration, Instant, alert_id
from relay.alertmanager import AlertmanagerClient, Fault
from relay.page import Page
from relay.pagerduty import records
from relay.pagerduty.rest import Rest
from relay.polling import LOOKED_UP, Polling
from relay.rules.drift import Drift, Incident, Kind, Known, Look, Named, OpenAlert, Suspect, minted, not_ours, suspects
from relay.rules.gone import Poll
from relay.rules.ledger import Shown
from relay.rules.proof import drift, missed
from relay.rules.rulebook import Rulebook
from relay.secret import Key
from relay.store import SqliteStore
from relay.store.views import Hook

ASKED_AT_MOST = 200
"""Pages that are not open at PagerDuty of which it is asked, each by itself, what became of them."""
LOOKED_INTO = 500
"""Suspected pages whose alerts are looked up."""
LATE: Duration = 10 * MINUTE
"""How long an alert fires at an Alertmanager before it counts as missed here: its group may wait."""
MISSED_AT_MOST = 500
_SLICE = 500
_ANY = ("triggered", "acknowledged", "resolved")

T = TypeVar("T")


class Survey(NamedTuple):
    """What one look came to."""

    look: Look
    drifts: tuple[Drift, ...]
    pages: int
    """Pages that were compared."""
    not_ours: int
    """Alerts open in integrations of ours that this store did not open: they are counted and left alone."""
    notes: tuple[str, ...]
    """What could not be compared, and why."""


class Surveyor:
    """Its look raises RestError where PagerDuty did not say everything, and StoreError."""

    def __init__(
        self,
        store: SqliteStore,
        rest: Rest,
        client: AlertmanagerClient,
        *,
        keys: Callable[[], Mapping[str, Key]],
        clock: Callable[[], Instant],
    ) -> None:
        """`keys` returns the routing keys at hand, by their ids."""
        self._store = store
        self._rest = rest
        self._client = client
        self._polling = Polling(store, client, clock)
        self._keys = keys
        self._clock = clock

    async def survey(self, book: Rulebook) -> Survey:
        """Look at everything once, and say what differs."""
        began, keys = self._clock(), self._keys()
        known, notes = await self._known(keys, book)
        open_ = await self._open(known, keys)
        holding = [page for some in _slices(list(open_)) for page in await self._store.pages_by_keys(some)]
        known = await self._proven(known, open_, holding)
        sources = [one for one in book.rules.sources.values() if one.alertmanager_urls]
        polls = {source.name: await self._polling.poll(source, book) for source in sources}
        look = Look(began=began, open=open_, known=known, at_hand=frozenset(keys), polls=polls)
        found, compared = await self._suspects(look, holding)
        look = await self._looked_into(look, found)
        drifts = [one for suspect in found if (one := drift(suspect, look)) is not None]
        drifts += [one for source, poll in polls.items() for one in await self._missed(source, poll, look, book)]
        return Survey(look, tuple(drifts), compared, not_ours(look, holding), (*notes, *_silent(polls)))

    # PagerDuty's side

    async def _known(self, keys: Mapping[str, Key], book: Rulebook) -> tuple[dict[str, Known], list[str]]:
        """Find out where every routing key leads, of those that are gone too; note those that lead nowhere."""
        hooks = {hook.key_id: hook for hook in await self._store.hooks()}
        known = {name: Known(hook.integration, hook.service, "", hook.proven_at > 0) for name, hook in hooks.items()}
        fresh, unknown = [], []
        for name, key in keys.items():
            found = await self._rest.integration_of(key.routing_key)
            if found is None:
                known.pop(name, None)
                unknown.append(key.name)
                continue
            hook = hooks.get(name)
            if hook is None or (hook.integration, hook.service) != (found.integration, found.service):
                hook = Hook(name, found.integration, found.service)
                fresh.append(hook)
            known[name] = Known(hook.integration, hook.service, found.status, hook.proven_at > 0)
        if fresh:
            await self._store.put_hooks(fresh)
        return known, [_UNKNOWN.format(name) for name in dict.fromkeys(unknown)]

    async def _open(self, known: Mapping[str, Known], keys: Mapping[str, Key]) -> dict[str, tuple[OpenAlert, ...]]:
        """List what is open in the services that our keys lead to; in all where one of them is not known."""
        needed = await self._store.open_lines()
        lost = any(name not in known for name in needed if name not in keys)
        services = () if lost else sorted({one.service for one in known.values()})
        if not services and not lost:
            return {}
        found: dict[str, list[OpenAlert]] = defaultdict(list)
        for one in await self._rest.open_alerts(services=services):
            found[one.key].append(_open_alert(one))
        return {key: tuple(alerts) for key, alerts in found.items()}

    async def _proven(
        self, known: dict[str, Known], open_: Mapping[str, Sequence[OpenAlert]], holding: Iterable[Page]
    ) -> dict[str, Known]:
        """Remember of which integrations an alert that we sent there is seen open."""
        there = {(alert.key, alert.integration) for alerts in open_.values() for alert in alerts}
        seen = {
            line.key_id
            for page in holding
            for line in page.lines
            if line.key_id in known and minted(page, line)
            if (page.dedup_key, known[line.key_id].integration) in there
        }
        fresh = {name for name in seen if not known[name].proven}
        if fresh:
            at = self._clock()
            await self._store.put_hooks(
                [Hook(name, known[name].integration, known[name].service, at) for name in sorted(fresh)]
            )
        return {
            name: Known(one.integration, one.service, one.status, one.proven or name in fresh)
            for name, one in known.items()
        }

    # The pages' side

    async def _suspects(self, look: Look, holding: Iterable[Page]) -> tuple[list[Suspect], int]:
        """Find what differs among the pages that are open there, and those that may be."""
        ids = {page.id for page in holding} | set(await self._store.told_pages())
        found: list[Suspect] = []
        for some in _slices(sorted(ids)):
            for page in await self._store.pages_by_ids(some):
                found += suspects(page, look)
        return found, len(ids)

    async def _looked_into(self, look: Look, found: Sequence[Suspect]) -> Look:
        """Ask for what the evidence needs: what became of what is not open there, and which alerts pages hold."""
        absent = dict.fromkeys(one.page.dedup_key for one in found if not one.alerts)
        incidents = {}
        for key in list(absent)[:ASKED_AT_MOST]:
            incidents[key] = tuple(map(_incident, await self._rest.incidents(statuses=_ANY, keys=(key,))))
        members = {}
        for page in list(dict.fromkeys(one.page.id for one in found if one.kind is not Kind.MUTED_OPEN))[:LOOKED_INTO]:
            seen = await self._store.page(page)
            if seen is not None and len(seen.members) == seen.firing + seen.resolved:
                members[page] = tuple(map(_named, seen.members))
        return Look(look.began, look.open, look.known, look.at_hand, look.polls, incidents, members)

    # The Alertmanagers' side

    async def _missed(self, source: str, poll: Poll, look: Look, book: Rulebook) -> list[Drift]:
        """Find what fires at an Alertmanager for long, goes to the relay there, and is not held here."""
        active = {fingerprint for answer in poll.answers.values() for fingerprint in answer.active}
        absent = await self._not_held(source, active)
        ours = await self._store.receivers(source) if absent else set()
        if not ours:
            return []
        for url in poll.answers:
            listed = await self._client.listed(url, absent)
            if isinstance(listed, Fault):
                continue
            found = []
            for one in listed:
                receivers = tuple(name for name in one.receivers if name in ours)
                if receivers and one.starts_at <= look.began - LATE and _pages(one.labels, book):
                    title = one.labels.get("alertname", "")
                    found.append(missed(source, one.fingerprint, title, one.starts_at, receivers, look))
            return found[:MISSED_AT_MOST]
        return []

    async def _not_held(self, source: str, fingerprints: Collection[str]) -> set[str]:
        absent = set()
        for some in _slices(sorted(fingerprints), LOOKED_UP):
            ids = {alert_id(source, one): one for one in some}
            held = await self._store.firing_among(ids)
            absent |= {one for number, one in ids.items() if number not in held}
        return absent


_UNKNOWN = "PagerDuty does not know the routing key of {} by this token: its pages were not compared"


def _named(shown: Shown) -> Named:
    alert, member = shown.alert, shown.member
    return Named(alert.source, alert.fingerprint, member.firing, alert.stale_at > 0, member.joined_at)


def _open_alert(one: records.OpenAlert) -> OpenAlert:
    return OpenAlert(
        one.key,
        one.incident,
        one.number,
        one.incident_url,
        one.status,
        one.service,
        one.integration_id,
        one.created_at,
        one.title,
    )


def _incident(one: records.Incident) -> Incident:
    return Incident(
        id=one.id,
        number=one.number,
        url=one.url,
        service=one.service,
        open=one.status != "resolved",
        ended_at=one.changed_at,
        by=one.changed_by if one.changed_by_type.startswith("user") else "",
        by_us="integration" in one.changed_by_type,
    )


def _pages(labels: Mapping[str, str], book: Rulebook) -> bool:
    """Say whether such an alert would be held here: some route of it leads to PagerDuty."""
    return any(not route.change and book.targets(route) for route in book.router.match(labels))


def _silent(polls: Mapping[str, Poll]) -> list[str]:
    """Say which Alertmanagers did not answer."""
    return [
        f"source {source}: an Alertmanager did not answer: {why}"
        for source, poll in polls.items()
        for why in poll.faults.values()
    ]


def _slices(whole: Sequence[T], size: int = _SLICE) -> Iterator[Sequence[T]]:
    for at in range(0, len(whole), size):
        yield whole[at : at + size]
