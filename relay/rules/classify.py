"""Say where each alert of a message belongs: routes, severity, page. Knows no ledger."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

import msgspec

from relay.alert import Alert, Duration, Status, WebhookMessage, stable_id
from relay.decision import Step
from relay.event import Severity
from relay.rules import inhibiting
from relay.rules import severity as severities
from relay.rules.grouping import dedup_key, group_key, group_labels
from relay.rules.ledger import Link, Lookup
from relay.rules.rulebook import Rulebook
from relay.rules.ruleset import Route, Target

CUT_OFF = "#truncated"
"""Ends the group key of a page that stands for what `max_alerts` cut off a group."""
TRUNCATED = "AlertsTruncated"
"""The alertname of what stands for that."""

_COMPLETE = Step("page", "this body of its group is complete: nothing was cut off")


class Placement(msgspec.Struct, frozen=True, gc=False):
    """One page an alert belongs to, by one route and one pagerduty_configs entry."""

    page: int
    """Id of the page that carries the dedup key itself (seq 1)."""
    integration: str
    dedup_key: str
    group_key: str
    group_labels: Mapping[str, str]
    route: Route
    receiver: str
    target: int
    severity: Severity
    send_resolved: bool
    group_wait: Duration = 0
    """How long the first trigger waits for more alerts; 0 for criticals and where an Alertmanager grouped them."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One alert with the pages it belongs to while it fires."""

    id: int
    """alert.id, computed once."""
    alert: Alert
    placements: tuple[Placement, ...]
    steps: tuple[Step, ...]
    sources: tuple[Link, ...] = ()
    """Where it inhibits others while it fires."""
    targets: tuple[inhibiting.Target, ...] = ()
    """Where others may inhibit it."""
    ours: bool = False
    """The relay itself says it: no rule routes or suppresses it."""
    changes: tuple[Placement, ...] = ()
    """Where a change event goes when it begins to fire, by the routes that make those of alerts; they name no page."""


class Draft(msgspec.Struct, frozen=True):
    """A classified message: everything that can be said of it without the ledger."""

    source: str
    group_key: str
    receiver: str
    alertmanager_url: str
    entries: tuple[Entry, ...]
    truncation: Entry | None
    """The alert that stands for what `max_alerts` cut off this group: firing if something was, else resolved."""
    repeated: int
    """How many alerts of the body the ledger was known to hold already."""
    lookup: Lookup


_Way = tuple[Route, tuple[Target, ...], Step]


class Classifier:
    """Classifies the alerts of one message, a slice at a time, so that the caller can yield between slices."""

    def __init__(self, message: WebhookMessage, book: Rulebook) -> None:
        self._message = message
        self._book = book
        self._namespace = book.rules.namespace(message.source)
        self._placed: dict[tuple[int, str, Severity], tuple[Placement, ...]] = {}
        self._ways_of: dict[tuple[Route, ...], Sequence[_Way]] = {}
        self._entries: list[Entry] = []

    def feed(self, alerts: Sequence[Alert]) -> None:
        """Classify some more alerts of the message."""
        self._entries += [self.place(alert) for alert in alerts]

    def draft(self) -> Draft:
        """Sum up what was fed."""
        message = self._message
        truncation = self._truncation() if message.group_key else None
        entries = tuple(self._entries)
        return Draft(
            source=message.source,
            group_key=message.group_key,
            receiver=message.receiver,
            alertmanager_url=message.external_url,
            entries=entries,
            truncation=truncation,
            repeated=len(message.repeated),
            lookup=lookup_of(entries if truncation is None else (*entries, truncation)),
        )

    def place(self, alert: Alert) -> Entry:
        """Route one alert and name the pages it belongs to."""
        if alert.sent is not None and alert.status is Status.RESOLVED:  # it need not say what it was routed by
            return Entry(alert.id, alert, (), alert.notes)
        placements: tuple[Placement, ...] = ()
        changes: tuple[Placement, ...] = ()
        steps = alert.notes
        for route, targets, said in self._ways(alert):
            severity, step = severities.decide(route, alert.labels)
            if route.change:
                changes += tuple(placement(route, ("", ""), {}, severity, one, 0) for one in targets)
                steps = (*steps, said)
                continue
            if step is not None and all(target.severity is not None for target in targets):
                step = None  # nobody is paged, or every entry has a severity of its own
            key, labels, note = self._page_key(route, alert)
            placements += self._place(route, targets, key, labels, severity)
            steps = (*steps, said, *(s for s in (step, note) if s is not None))
        return Entry(
            alert.id,
            alert,
            placements if len(placements) < 2 else one_a_page(placements),
            steps,
            self._book.inhibition.sources(alert.labels, alert.source),
            self._book.inhibition.targets(alert.labels, alert.source),
            changes=one_a_page(changes) if changes else (),
        )

    def _ways(self, alert: Alert) -> Sequence[_Way]:
        """Say which routes take an alert, to which PagerDuty entries, and that in words.

        Whoever sends an event with a receiver's own routing key has named the receiver.
        """
        book, routes = self._book, self._book.router.match(alert.labels)
        if alert.sent is None:
            known = self._ways_of.get(routes)
            if known is None:
                known = [(route, book.targets(route), book.routed[route.id]) for route in routes]
                self._ways_of[routes] = known
            return known
        named = book.rules.receivers.get(alert.sent.receiver)
        there = routes if named is None else [route for route in routes if route.receiver == named.name]
        if there or named is None:
            return [(route, book.targets(route), book.routed[route.id]) for route in there]
        return [(route, named.targets, _by_its_key(named.name, route)) for route in routes[:1]]

    def _page_key(self, route: Route, alert: Alert) -> tuple[tuple[str, str], Mapping[str, str], Step | None]:
        """Return ((dedup key, group key), group labels, a reason if the route's own key came out empty)."""
        note = None
        if alert.sent is not None:  # the sender's key is the page's, whatever the route groups by
            return (event_key(alert.source, alert.sent.dedup_key, self._book), alert.sent.dedup_key), {}, None
        if route.dedup_key is not None:
            own = route.dedup_key.evaluate(alert.labels, alert.source, route.receiver, alert.fingerprint)
            if own:
                return (own, own), {}, None
            note = Step("group", "the route's dedup_key came out empty for this alert: its group key was used")
        key, labels = self._group(route, alert)
        return (dedup_key(self._namespace, key), key), labels, note

    def _group(self, route: Route, alert: Alert) -> tuple[str, Mapping[str, str]]:
        if route.group_by is not None or route.group_by_all:
            return group_key(route, alert.labels), group_labels(route, alert.labels)
        if self._message.group_key:
            return self._message.group_key, self._message.group_labels
        return group_key(self._book.per_alert[route.id], alert.labels), alert.labels

    def _place(
        self,
        route: Route,
        targets: tuple[Target, ...],
        keys: tuple[str, str],
        labels: Mapping[str, str],
        severity: Severity,
    ) -> tuple[Placement, ...]:
        memo = (route.order, keys[0], severity)
        known = self._placed.get(memo)
        if known is None:
            wait = 0 if self._message.grouped else route.group_wait
            known = tuple(placement(route, keys, labels, severity, target, wait) for target in targets)
            self._placed[memo] = known
        return known

    def _truncation(self) -> Entry:
        alert = truncation_alert(self._message)
        if alert.status is not Status.FIRING:
            return Entry(alert.id, alert, (), (_COMPLETE,), ours=True)
        steps = (Step("page", alert.annotations["summary"]),)
        worst = self._worst()
        if worst is None:
            return Entry(alert.id, alert, (), steps, ours=True)
        key = f"{self._message.group_key}{CUT_OFF}"
        keys = (dedup_key(self._namespace, key), key)
        labels = self._message.group_labels
        twins = [
            self._place(place.route, self._book.targets(place.route), keys, labels, place.severity)
            for place in worst.placements
        ]
        return Entry(alert.id, alert, one_a_page(sum(twins, ())), steps, ours=True)

    def _worst(self) -> Entry | None:
        """The entry with the worst severity, firing ones first; the group itself where nothing was decoded."""
        ranked = [
            (entry.alert.status is not Status.FIRING, min(p.severity.rank for p in entry.placements), position)
            for position, entry in enumerate(self._entries)
            if entry.placements
        ]
        return self._entries[min(ranked)[2]] if ranked else None


def event_key(source: str, given: str, book: Rulebook) -> str:
    """Return the dedup key of the page of a source's event: as it was given, unless others could send the same one."""
    namespace = book.rules.event_namespace(source)
    return dedup_key(namespace, given) if namespace else given


def _by_its_key(receiver: str, route: Route) -> Step:
    words = f"it came with a routing key of receiver {receiver}, to which no route sends it: it pages there"
    return Step("route", f"{words}, and all else is as route {route.key} says")


def classify(message: WebhookMessage, book: Rulebook) -> Draft:
    """Classify a whole message at once."""
    classifier = Classifier(message, book)
    classifier.feed(message.alerts)
    return classifier.draft()


def truncation_fingerprint(group_key: str) -> str:
    """Name the alert that stands for what was cut off a group; no real alert's labels hash to it but by chance."""
    return blake2b(f"truncated\x00{group_key}".encode(), digest_size=8).hexdigest()


def truncation_alert(message: WebhookMessage) -> Alert:
    """Make the alert that stands for the alerts of a group that `max_alerts` cut off."""
    missing = message.truncated_alerts
    fingerprint = truncation_fingerprint(message.group_key)
    labels: Mapping[str, str] = {"alertname": TRUNCATED}
    annotations: Mapping[str, str] = {}
    raw = b""
    if missing:
        summary = f"{missing} alerts of group {message.group_key} were cut off by `max_alerts`: set it to 0"
        labels = {**message.group_labels, "alertname": TRUNCATED}
        annotations = {"summary": summary}
        raw = msgspec.json.encode(
            {"status": "firing", "labels": labels, "annotations": annotations, "fingerprint": fingerprint}
        )
    return Alert(
        source=message.source,
        fingerprint=fingerprint,
        status=Status.FIRING if missing else Status.RESOLVED,
        labels=labels,
        annotations=annotations,
        starts_at=0,
        ends_at=0,
        generator_url="",
        digest=blake2b(raw, digest_size=16).digest(),
        raw=raw,
    )


def placement(
    route: Route, keys: tuple[str, str], labels: Mapping[str, str], severity: Severity, target: Target, wait: Duration
) -> Placement:
    """Place an alert in the page that one PagerDuty entry has for a key; `keys` are (dedup key, group key)."""
    severity = target.severity or severity
    return Placement(
        page=stable_id(target.integration, keys[0]),
        integration=target.integration,
        dedup_key=keys[0],
        group_key=keys[1],
        group_labels=labels,
        route=route,
        receiver=target.receiver,
        target=target.index,
        severity=severity,
        send_resolved=target.send_resolved,
        group_wait=0 if severity is Severity.CRITICAL else wait,
    )


def one_a_page(placements: tuple[Placement, ...]) -> tuple[Placement, ...]:
    """Keep the worst placement in each page: two routes, or two entries with one key, may bring an alert to it."""
    worst: dict[int, Placement] = {}
    for place in placements:
        known = worst.get(place.page)
        if known is None or place.severity.rank < known.severity.rank:
            worst[place.page] = place
    return tuple(worst.values())


def lookup_of(entries: tuple[Entry, ...]) -> Lookup:
    """Name what must be known to judge alerts."""
    pages = {place.page: None for entry in entries if entry.alert.status is Status.FIRING for place in entry.placements}
    alerts = tuple({entry.id: None for entry in entries})
    return Lookup(alerts=alerts, pages=tuple(pages), keys=keys_of(entries))


def keys_of(entries: Iterable[Entry]) -> tuple[int, ...]:
    """Name the inhibition keys that must be looked up to judge alerts."""
    named: dict[int, None] = {}
    for entry in entries:
        named.update(dict.fromkeys(link.key for link in entry.sources))
        named.update(dict.fromkeys(target.key for target in entry.targets))
    return tuple(named)
