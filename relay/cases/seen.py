"""Looks at an engine that plays a case: how an alert stands and why, what was sent, what PagerDuty has open."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relay.alert import Instant, fingerprint_of, moment
from relay.cases.case import Stated
from relay.cases.engine import Engine, Sent
from relay.page import Member, Page, SuppressionKind
from relay.rules.ledger import Held, Role
from relay.rules.reload import labels_of

PageKey = tuple[str, str]
"""What names a page at PagerDuty: the id of its routing key, its dedup key."""
MOST_TOLD = 12
"""Lines of the journal that are told of one failure."""
_EVERYTHING = 100_000


@dataclass(frozen=True, slots=True)
class Seen:
    """Something that was seen: its fields as the case file calls them, the pages it is about, and why it is so."""

    fields: Mapping[str, Any]
    pages: tuple[PageKey, ...]
    why: tuple[str, ...] = ()
    at: Instant = 0


class Witness:
    """Sees what one engine does."""

    def __init__(self, engine: Engine, source: str) -> None:
        self._engine = engine
        self._source = source
        self._told = 0
        self._told_at: Instant = engine.now - 1
        self._receivers = _receivers(engine)

    async def alert(self, stated: Stated) -> Seen:
        """See how an alert stands."""
        engine, labels = self._engine, stated.labels
        held = await self._held(stated)
        members = await self._members(held)
        pages = await engine.store.pages_by_ids([one.page for one in members])
        worst = min((one.severity for one in members), key=lambda word: word.rank, default=None)
        verdict, reasons = await self._said(stated, members)
        return Seen(
            {
                "firing": "no" if held is None or not held.firing else "yes",
                "receivers": [route.receiver for route in engine.book.router.match(labels)],
                "severity": "" if worst is None else worst.value,
                "suppressed": _kinds(members),
                "because": reasons,
                "verdict": verdict,
                "dedup_key": sorted({page.dedup_key for page in pages}),
            },
            tuple(self._page(page) for page in pages),
            ("this alert was never said to fire",) if held is None else tuple(reasons),
        )

    def routes(self, stated: Stated) -> tuple[str, ...]:
        """Say of every route that was tried whether it took an alert, and if not, why."""
        return tuple(step.because for step in self._engine.book.router.trace(stated.labels))

    def sent(self) -> list[Seen]:
        """See the events that were sent since this was asked last."""
        events = self._engine.post.sent[self._told :]
        self._told += len(events)
        return [self._event(one) for one in events]

    def open(self) -> list[Seen]:
        """See what PagerDuty has open, each page by the event that it was told last."""
        shown: dict[PageKey, Sent] = {}
        for one in self._engine.post.sent:
            key = one.key_id, one.dedup_key
            if one.says["action"] == "resolve":
                shown.pop(key, None)
            elif one.says["action"] == "trigger":
                shown[key] = one
        return [self._event(one) for one in shown.values()]

    async def journal(self) -> tuple[str, ...]:
        """Tell what became of alerts since this was asked last, oldest first."""
        entries = await self._engine.store.decisions(limit=MOST_TOLD)
        fresh = [one.record for one in entries if one.record.at > self._told_at]
        self._told_at = self._engine.now
        lines = [
            f"{moment(one.at):%H:%M:%S} {decision.alertname} {decision.verdict}: "
            + "; ".join(step.because for step in decision.steps)
            for one in reversed(fresh)
            for decision in one.decisions
        ]
        return tuple(lines[-MOST_TOLD:])

    async def inhibited(self) -> set[int]:
        """Say which inhibit rules keep an alert quiet now, by their places in the file."""
        book = self._engine.book
        if not book.rules.inhibit_rules:
            return set()
        firing = await self._engine.store.firing_with_members(-1, _EVERYTHING)
        there = {link.key for one in firing for link in one.alert.links if link.role is not Role.WATCHER}
        quiet = [labels_of(one.alert) for one in firing if SuppressionKind.INHIBITION.value in _kinds(one.members)]
        found = [target for labels in quiet for target in book.inhibition.targets(labels, self._source)]
        at_work = [target.rule for target in found if target.key in there]
        return {at for at, rule in enumerate(book.rules.inhibit_rules) if any(one is rule for one in at_work)}

    async def _held(self, stated: Stated) -> Held | None:
        found = await self._engine.store.alerts(fingerprint_of(stated.labels))
        return next((one for one in found if one.source == self._source), None)

    async def _members(self, held: Held | None) -> Sequence[Member]:
        if held is None or not held.firing:
            return ()
        found = await self._engine.store.firing_with_members(held.id - 1, 1)
        return next((one.members for one in found if one.alert.id == held.id), ())

    async def _said(self, stated: Stated, members: Sequence[Member]) -> tuple[str, list[str]]:
        """Say what was last decided of an alert, and why it stands as it does: what keeps it quiet comes first."""
        verdict = ""
        said = [one.because for member in members for one in member.suppressions]
        said += [member.lowered for member in members if member.lowered]
        for entry in await self._engine.store.decisions(limit=1, fingerprint=fingerprint_of(stated.labels)):
            for decision in entry.record.decisions:
                verdict = decision.verdict.value
                said += [step.because for step in decision.steps]
        return verdict, list(dict.fromkeys(said))

    def _page(self, page: Page) -> PageKey:
        current = self._engine.book.current_key(page.integration)
        return (current[0] if current else "", page.dedup_key)

    def _event(self, one: Sent) -> Seen:
        receivers = self._receivers.get(one.key_id, ())
        fields = {**one.says, "receiver": receivers[0] if len(receivers) == 1 else list(receivers)}
        return Seen(fields, ((one.key_id, one.dedup_key),), at=one.at)


def _kinds(members: Sequence[Member]) -> list[str]:
    return sorted({one.kind.value for member in members for one in member.suppressions})


def _receivers(engine: Engine) -> Mapping[str, tuple[str, ...]]:
    """Say by key id which receivers it pages."""
    found: dict[str, tuple[str, ...]] = {}
    for receiver in engine.book.rules.receivers.values():
        for target in receiver.targets:
            current = engine.book.current_key(target.integration)
            if current is not None and receiver.name not in found.get(current[0], ()):
                found[current[0]] = (*found.get(current[0], ()), receiver.name)
    return found
