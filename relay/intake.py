"""The front hall: take what a sender posts, judge it, keep it, and say what became of each alert."""

import asyncio
import traceback
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from relay import failpoints
from relay.alert import SECOND, Alert, Instant, Status, WebhookMessage
from relay.decision import Decision, Verdict
from relay.errors import NotTaken, RelayError, StoreError
from relay.event import Action
from relay.ingress import pagerduty, prometheus
from relay.ingress.alertmanager import body_digest, parse, peek_group_key
from relay.logs import Log
from relay.metrics import Metrics
from relay.recall import Group, Known, Recall
from relay.rollcall import RollCall
from relay.rules.acknowledging import asked
from relay.rules.classify import Classifier, Draft, event_key
from relay.rules.heartbeats import kept_alive
from relay.rules.judge import absent, judge
from relay.rules.ledger import Changed, Held, Ledger, Lookup, Plan
from relay.rules.rulebook import Rulebook
from relay.rules.silences import NO_SILENCES, Silences
from relay.rules.storms import StormBegins
from relay.storms import Storms

SLICE = 100
"""Alerts classified before the event loop gets a turn."""
LARGE_BODY = 128 * 1024
"""Bytes from which a body is hashed and parsed in a thread, so that other requests are not held up."""
_ATTEMPTS = 5
_MINTED = 10_000
"""Dedup keys that are remembered of events that could not be kept."""
_SOON = 5 * SECOND
"""The clockwork looks at least so often by itself."""


class Keeper(Protocol):
    """What the intake asks of a store."""

    async def keep(self, lookup: Lookup, judge: Callable[[Ledger], Plan]) -> Plan: ...

    async def firing_events(self, dedup_key: str, integrations: Collection[str]) -> Sequence[Held]: ...


class Accepted(msgspec.Struct, frozen=True):
    """The answer to an accepted body: counts of everything, and a decision for each alert that was looked at."""

    outcomes: Mapping[str, int]
    decisions: tuple[Decision, ...] = ()
    notes: tuple[str, ...] = ()
    """What had to be salvaged in the envelope."""
    refused: tuple[str, ...] = ()
    """What was left out though the sender should hear of it."""
    dedup_key: str = ""
    """Of an event: as its sender gave it, or as it was made here."""


class _Overtaken(Exception):
    """What this judgement rested on changed before its turn came: classify again."""


class Intake:
    """Accepts messages. One per process; `book` is the rule book that counts, replaced by a reload."""

    def __init__(
        self,
        store: Keeper,
        book: Rulebook,
        recall: Recall,
        *,
        clock: Callable[[], Instant],
        wake: Callable[[], None],
        nudge: Callable[[], None] = lambda: None,
        silences: Callable[[], Silences] = lambda: NO_SILENCES,
        rolls: RollCall | None = None,
        heard: Callable[[str, Iterable[str]], None] = lambda source, beats: None,
        changed: Callable[[Sequence[Changed]], None] = lambda changes: None,
        past_the_store: Callable[[Draft, Rulebook], Awaitable[None]] | None = None,
        storms: Storms | None = None,
        metrics: Metrics,
        log: Log,
    ) -> None:
        self.book = book
        self.trouble: str | None = None
        """Why the store took no write the last time; None while it does."""
        self._store = store
        self._recall = recall
        self._heard = heard
        self._changed = changed
        self._rolls = rolls if rolls is not None else RollCall()
        self._clock = clock
        self._wake = wake
        self._nudge = nudge
        self._silences = silences
        self._past_the_store = past_the_store
        """Pages what cannot be kept; None: there is no such exit, and the store is tried each time."""
        self._minted: dict[tuple[str, str, bytes], str] = {}
        """Dedup keys made for events that could not be kept, by source, receiver and digest: they come again."""
        self._storms = storms if storms is not None else Storms()
        self._metrics = metrics
        self._log = log

    async def accept(self, body: bytes, source: str) -> Accepted:
        """Take one body of Alertmanager's v4 form; returns after the commit is on disk.

        Raises BadBody for what can never work and NotTaken (StoreError) for what should come again.
        """
        digest = body_digest(body) if len(body) < LARGE_BODY else await asyncio.to_thread(body_digest, body)
        peeked = peek_group_key(body)
        group = (source, peeked or "")
        known = await self._recall.known(group) if peeked is not None else None
        if known is not None and digest in known.bodies:
            return self._repeat(group, known)
        for _ in range(_ATTEMPTS):
            try:
                return await self._judged(body, digest, group, known)
            except _Overtaken:
                known = None
        raise NotTaken("the configuration or this group kept changing while the body was judged; send it again")

    async def accept_alerts(self, body: bytes, source: str) -> Accepted:
        """Take one list of alerts as Prometheus posts it; returns after the commit is on disk. Raises as `accept` does.

        Each list has other times in it, so that none is known as a whole; what is unchanged in it writes nothing.
        """
        for _ in range(_ATTEMPTS):
            message = await self._parse_alerts(body, source)
            try:
                return await self._kept(message, (source, ""), None)
            except _Overtaken:
                continue
        raise NotTaken("the configuration kept changing while the alerts were judged; send them again")

    async def accept_event(self, incoming: pagerduty.Incoming, source: str, receiver: str) -> Accepted:
        """Take one Events API event; returns after the commit is on disk.

        `receiver` is the one whose own routing key came with it, "" for a source's virtual key. Raises NotTaken.
        """
        body = source, receiver, incoming.digest
        key = incoming.dedup_key or self._minted.get(body) or str(uuid.uuid4())
        try:
            accepted = await self._event(incoming, source, receiver, key)
            if incoming.action is not Action.TRIGGER:
                alone = not accepted.outcomes.get(Verdict.NOTHING_OPEN)
                for name, whose in await self._namesakes(source, receiver, key, gone=alone):
                    accepted = await self._event(pagerduty.about(incoming, name), name, whose, key)
        except StoreError:
            self._mint(body, key)  # it may be paged by now: when it comes again it must be the same page
            raise
        self._minted.pop(body, None)
        return msgspec.structs.replace(accepted, dedup_key=key)

    async def _event(self, incoming: pagerduty.Incoming, source: str, receiver: str, key: str) -> Accepted:
        for _ in range(_ATTEMPTS):
            message = pagerduty.message(incoming, source, receiver, key, self._clock())
            try:
                if incoming.action is Action.ACKNOWLEDGE:
                    return await self._acknowledged(message)
                return await self._kept(message, (source, ""), None)
            except _Overtaken:
                continue
        raise NotTaken("the configuration kept changing while the event was judged; send it again")

    async def _namesakes(self, source: str, receiver: str, key: str, *, gone: bool) -> list[tuple[str, str]]:
        """Find by whom else an event that fires was sent under a dedup key: (source, receiver whose key it came with).

        For PagerDuty it is the same incident: its sender had another name or key before. `gone`: only those that the
        configuration does not name any more, who can end nothing themselves.
        """
        rules = self.book.rules
        named = rules.receivers.get(receiver)
        integrations = {target.integration for target in named.targets} if named is not None else ()
        found = await self._store.firing_events(event_key(source, key, self.book), integrations)
        sent = [(one.source, one.sent) for one in found if one.sent is not None]
        others = {(name, what.receiver): None for name, what in sent if what.dedup_key == key}
        others.pop((source, receiver), None)
        named_still = {one for one in others if (one[1] in rules.receivers if one[1] else one[0] in rules.sources)}
        return [one for one in others if not gone or one not in named_still]

    def _mint(self, body: tuple[str, str, bytes], key: str) -> None:
        self._minted[body] = key
        if len(self._minted) > _MINTED:
            del self._minted[next(iter(self._minted))]

    async def _acknowledged(self, message: WebhookMessage) -> Accepted:
        """Have the pages of an event's alert acknowledged."""
        (alert,) = message.alerts
        if self.trouble is not None and self._past_the_store is not None:
            raise StoreError(self.trouble)
        plan = await self._keep(Lookup(alerts=(alert.id,)), lambda ledger: self._asked(alert, ledger))
        if plan.pages:
            self._wake()
        self._metrics.acknowledged(message.source, plan.decisions)
        verdict = plan.decisions[0].verdict.value
        self._log.info("accepted event", source=message.source, event_action="acknowledge", outcome=verdict)
        return Accepted({verdict: 1}, plan.decisions)

    def _asked(self, alert: Alert, ledger: Ledger) -> Plan:
        plan = asked(alert, ledger, self._clock(), self.book)
        self._recall.forget(plan.groups)
        return plan

    async def _parse_alerts(self, body: bytes, source: str) -> WebhookMessage:
        now, timeout = self._clock(), self.book.rules.resolve_timeout
        if len(body) < LARGE_BODY:
            return prometheus.parse(body, source, now, timeout)
        return await asyncio.to_thread(prometheus.parse, body, source, now, timeout)

    def _repeat(self, group: Group, known: Known) -> Accepted:
        now = self._clock()
        self._recall.hear(group, known, now)
        self._listen(group[0], known, now)
        self._metrics.deduplicated(len(known.alerts))
        return Accepted({Verdict.REPEATS.value: len(known.alerts)})

    async def _judged(self, body: bytes, digest: bytes, group: Group, known: Known | None) -> Accepted:
        source = group[0]
        message = await self._parse(body, digest, source, known)
        if message.repeated and (message.truncated_alerts or message.group_key != group[1]):
            # The worst of a truncated body must be seen; and what is known of one group says nothing of another.
            known, message = None, await self._parse(body, digest, source, None)
        return await self._kept(message, (source, message.group_key), known)

    async def _kept(self, message: WebhookMessage, group: Group, known: Known | None) -> Accepted:
        """Judge a message and keep what follows from it; what cannot be kept is paged, and must come again."""
        book = self.book
        failpoints.reached("accept.parsed")
        draft = await self._classify(message, book)
        try:
            if self.trouble is not None and self._past_the_store is not None:
                raise StoreError(self.trouble)  # until it is known to take writes again, nobody waits for it
            return await self._judged_and_kept(message, group, known, draft, book)
        except StoreError:
            await self._page_past_the_store(draft, book)
            raise

    async def _page_past_the_store(self, draft: Draft, book: Rulebook) -> None:
        if self._past_the_store is None:
            return
        await self._past_the_store(draft, book)
        now = self._clock()
        self._recall.listen(draft.source, now, book.rules.stale_after(draft.source))
        firing = [entry.id for entry in draft.entries if entry.alert.status is Status.FIRING]
        self._heard(draft.source, (key for keys in self._beats(draft, firing, None).values() for key in keys))

    async def _judged_and_kept(
        self, message: WebhookMessage, group: Group, known: Known | None, draft: Draft, book: Rulebook
    ) -> Accepted:
        now = self._clock()
        storms = self._storms.watch(draft.entries, draft.lookup, book, now)
        generation = -1

        def judgement(ledger: Ledger) -> Plan:
            nonlocal generation
            if self.book is not book or (known is not None and self._recall.generation(group) != known.generation):
                raise _Overtaken
            try:
                plan = judge(draft, ledger, now, book, self._silences(), storms)
            except StormBegins as missing:
                self._storms.look_up(missing)
                raise _Overtaken from None
            self._recall.forget(plan.groups)
            generation = self._recall.generation(group)
            failpoints.reached("accept.before_commit")
            return plan

        plan = await self._keep(storms.lookup, judgement)
        failpoints.reached("accept.after_commit")
        await self._learn(group, message, draft, plan, known, generation)
        self._tell(message, plan, draft)
        if plan.pages:
            self._wake()
        if plan.changes:
            self._changed(plan.changes)
        if plan.stirred or any(alert.judge_at is not None and alert.judge_at < now + _SOON for alert in plan.alerts):
            self._nudge()
        notes = tuple(note.because for note in message.notes)
        return Accepted(_outcomes(plan, draft), plan.decisions, notes, message.refused)

    async def _keep(self, lookup: Lookup, judgement: Callable[[Ledger], Plan]) -> Plan:
        try:
            plan = await self._store.keep(lookup, judgement)
        except (_Overtaken, RelayError) as error:
            if isinstance(error, StoreError):
                self.trouble = str(error)
            raise
        except Exception as error:  # whatever it is: what cannot be kept must be paged
            self._log.error("a message could not be judged in the store", error=traceback.format_exc())
            raise StoreError(f"the message could not be kept: {type(error).__name__}; it is tried again") from error
        self.trouble = None
        return plan

    async def _parse(self, body: bytes, digest: bytes, source: str, known: Known | None) -> WebhookMessage:
        stated = known.alerts if known is not None else ()
        if len(body) < LARGE_BODY:
            return parse(body, source, stated, digest=digest)
        return await asyncio.to_thread(parse, body, source, stated, digest=digest)

    async def _classify(self, message: WebhookMessage, book: Rulebook) -> Draft:
        classifier = Classifier(message, book)
        for at in range(0, len(message.alerts), SLICE):
            classifier.feed(message.alerts[at : at + SLICE])
            if at:
                await asyncio.sleep(0)
        return classifier.draft()

    async def _learn(
        self, group: Group, message: WebhookMessage, draft: Draft, plan: Plan, known: Known | None, generation: int
    ) -> None:
        """Remember that the ledger says all of this body now."""
        before = known.alerts if known is not None else {}
        alerts = {digest: before[digest] for digest in message.repeated}
        alerts.update((entry.alert.digest, entry.id) for entry in draft.entries)
        pages = dict.fromkeys((*(known.pages if known is not None else ()), *plan.heard))
        same = known is not None and known.generation == generation
        bodies = (known.bodies if known is not None and same else frozenset()) | {message.digest}
        firing = known.firing.intersection(alerts.values()) if known is not None else frozenset()
        firing |= {entry.id for entry in draft.entries if entry.alert.status is Status.FIRING}
        fresh = Known(generation, bodies, alerts, tuple(pages), firing, self._beats(draft, firing, known))
        self._listen(message.source, fresh, self._clock())
        # Bodies of no group have only themselves for a name: one must not take the place of another.
        self._recall.hear(group if message.group_key else (group[0], message.digest.hex()), fresh, self._clock())
        if not message.group_key or message.truncated_alerts:
            return
        missing = self._rolls.take(group, firing, alerts.values())
        if missing:
            await self._mark_absent(missing, group)
        elif plan.cacheable:
            await self._recall.learn(group, fresh)

    def _beats(self, draft: Draft, firing: Collection[int], known: Known | None) -> Mapping[int, tuple[str, ...]]:
        """Say which heartbeats the firing alerts of a body keep alive."""
        watched = self.book.rules.heartbeats
        if not watched:
            return {}
        beats = {} if known is None else {alert: keys for alert, keys in known.beats.items() if alert in firing}
        for entry in draft.entries:
            keys = kept_alive(watched, entry.alert.labels, entry.alert.source)
            if keys and entry.id in firing:
                beats[entry.id] = keys
        return beats

    def _listen(self, source: str, known: Known, now: Instant) -> None:
        """Note that a source was heard, and what its alerts keep alive."""
        self._recall.listen(source, now, self.book.rules.stale_after(source))
        self._heard(source, (key for keys in known.beats.values() for key in keys))

    async def _mark_absent(self, missing: frozenset[int], group: Group) -> None:
        """Note who is not named any more; that is no resolve. It can wait: the body itself is on disk."""

        def judgement(ledger: Ledger) -> Plan:
            gone = [
                held
                for held in ledger.alerts.values()
                if not self._rolls.named_elsewhere(held.id, held.source, held.groups, group)
            ]
            plan = absent(gone, self._clock())
            self._recall.forget(plan.groups)
            return plan

        try:
            await self._store.keep(Lookup(alerts=tuple(missing)), judgement)
        except StoreError as error:
            self._log.warning("alerts missing from their group were not noted", error=str(error), alerts=len(missing))
        self._nudge()

    def _tell(self, message: WebhookMessage, plan: Plan, draft: Draft) -> None:
        """Count the message, and log one line of it; not of a list that is sent each minute and says nothing new."""
        self._metrics.received(message, draft, plan)
        self._storms.tell(plan.folded, self._log)
        if plan.record is None and not message.grouped:
            return
        outcomes = {verdict: count for verdict, count in _outcomes(plan, draft).items() if count}
        sent = any(alert.sent is not None for alert in message.alerts)
        self._log.info(
            "accepted event" if sent else "accepted webhook" if message.grouped else "accepted alerts",
            source=message.source,
            group_key=message.group_key,
            receiver=message.receiver,
            **outcomes,
        )


def _outcomes(plan: Plan, draft: Draft) -> dict[str, int]:
    if plan.record is not None:
        return dict(plan.record.outcomes)
    return {Verdict.REPEATS.value: len(plan.decisions) + draft.repeated}
