"""What must keep being heard: alerts that always fire, and sources the file names; and the page that says it is not."""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from relay.alert import Alert, Duration, Instant, Status, stable_id
from relay.decision import Step
from relay.event import Severity
from relay.rules.classify import Draft, Entry, Placement, lookup_of, one_a_page, placement
from relay.rules.grouping import dedup_key
from relay.rules.judge import judge
from relay.rules.ledger import Held, Ledger, Plan
from relay.rules.rulebook import Rulebook
from relay.rules.ruleset import Heartbeat, Route, RuleSet
from relay.rules.suppression.words import clock, span


class Beat(NamedTuple):
    """When something was last heard, and from whom."""

    at: Instant
    source: str


class Watch(NamedTuple):
    """One thing that must keep being heard."""

    key: str
    """`heartbeat/NAME`, or `source/NAME` for a source of which anything at all must be heard."""
    name: str
    within: Duration
    receiver: str
    source: str = ""
    """Whom it must be heard from; "" for anybody."""

    @property
    def is_source(self) -> bool:
        """Whether any word of a source is a beat."""
        return self.key.startswith(_SOURCE)

    @property
    def alert(self) -> str:
        """Name the alert that says it is missing, with 16 hex digits; no alert's labels hash to it but by chance."""
        return blake2b(self.key.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()

    @property
    def id(self) -> int:
        """The store's name for that alert."""
        return stable_id(self.source, self.alert)


_HEARTBEAT, _SOURCE = "heartbeat/", "source/"


def source_key(source: str) -> str:
    """Name the watch of a source."""
    return f"{_SOURCE}{source}"


def watches(rules: RuleSet) -> tuple[Watch, ...]:
    """List every heartbeat, and every source the file names: one that says nothing at all for `stale_after` is silent.

    A silent source pages the receiver of its own heartbeat, else of the first that is for any source, else of the root.
    """
    beats = [
        Watch(f"{_HEARTBEAT}{beat.name}", beat.name, beat.within, beat.receiver, beat.source or "")
        for beat in rules.heartbeats
    ]
    silent = [
        Watch(source_key(name), name, source.stale_after, _receiver(name, rules), name)
        for name, source in rules.sources.items()
    ]
    return (*beats, *silent)


def _receiver(source: str, rules: RuleSet) -> str:
    own = [beat.receiver for beat in rules.heartbeats if beat.source == source]
    general = [beat.receiver for beat in rules.heartbeats if beat.source is None]
    return next(iter([*own, *general]), rules.root.receiver)


def kept_alive(beats: Iterable[Heartbeat], labels: Mapping[str, str], source: str) -> tuple[str, ...]:
    """Name the watches that a firing alert is a beat of."""
    return tuple(
        f"{_HEARTBEAT}{beat.name}"
        for beat in beats
        if beat.source in (None, source) and all(matcher.matches(labels) for matcher in beat.matchers)
    )


def missing(
    watched: Iterable[Watch], heard: Mapping[str, Beat], started_at: Instant, now: Instant
) -> tuple[Watch, ...]:
    """Return what was not heard for too long. `heard` is by `Watch.key`; what is not in it counts from the start."""
    return tuple(watch for watch in watched if now - _last(watch, heard, started_at) >= watch.within)


def returned(watched: Iterable[Watch], heard: Mapping[str, Beat], now: Instant) -> tuple[Watch, ...]:
    """Return what was heard lately. What is neither missing nor returned was not heard since the start, not yet."""
    return tuple(watch for watch in watched if watch.key in heard and now - heard[watch.key].at < watch.within)


def next_due(watched: Iterable[Watch], heard: Mapping[str, Beat], started_at: Instant, now: Instant) -> Instant | None:
    """Say when the next one is missing unless it is heard; None if nothing is left to go missing."""
    dues = (_last(watch, heard, started_at) + watch.within for watch in watched)
    return min((due for due in dues if due > now), default=None)


def _last(watch: Watch, heard: Mapping[str, Beat], started_at: Instant) -> Instant:
    beat = heard.get(watch.key)
    return started_at if beat is None else beat.at


# The page that says so


def alarm(watch: Watch, beat: Beat | None, started_at: Instant, now: Instant, book: Rulebook) -> Draft:
    """Draft the message that says a watch is missing: one alert, placed on the PagerDuty entries of its receiver."""
    because = _sentence(watch, beat, started_at, now)
    alert = _alert(watch, because, beat, (beat.at if beat else started_at) + watch.within)
    return _draft(watch, Entry(watch.id, alert, _placements(watch, book), (Step("page", because),), ours=True))


def all_clear(watch: Watch, now: Instant) -> Draft:
    """Draft the message that says a watch is heard again, or not watched any more."""
    alert = Alert(watch.source, watch.alert, Status.RESOLVED, _labels(watch, None), {}, 0, now, "", b"", b"")
    return _draft(watch, Entry(watch.id, alert, (), (Step("page", f"{_title(watch)} is heard again"),), ours=True))


def tell(draft: Draft, ledger: Ledger, now: Instant, book: Rulebook) -> Plan:
    """Judge an alarm or an all-clear against the ledger of its lookup; an all-clear needs an alarm."""
    [entry] = draft.entries
    held = ledger.alerts.get(entry.id)
    if entry.alert.status is Status.RESOLVED and (held is None or not held.firing):
        return Plan()
    return judge(draft, ledger, now, book)


def unwatched(held: Iterable[Held], watched: Iterable[Watch], now: Instant) -> tuple[Draft, ...]:
    """Draft the all-clears for alarms whose watch is not in the file any more."""
    known = {watch.id for watch in watched}
    drafts = []
    for one in held:
        key = next((group for group in one.groups if group.startswith((_HEARTBEAT, _SOURCE))), None)
        if one.ours and one.firing and key is not None and one.id not in known:
            gone = Watch(key, key.partition("/")[2], 0, "", one.source)
            step = Step("page", f"{_title(gone)} is not watched any more")
            [entry] = all_clear(gone, now).entries
            drafts.append(_draft(gone, msgspec.structs.replace(entry, steps=(step,))))
    return tuple(drafts)


def _draft(watch: Watch, entry: Entry) -> Draft:
    return Draft(
        source=watch.source,
        group_key=watch.key,
        receiver=watch.receiver,
        alertmanager_url="",
        entries=(entry,),
        truncation=None,
        repeated=0,
        lookup=lookup_of((entry,)),
    )


def _placements(watch: Watch, book: Rulebook) -> tuple[Placement, ...]:
    receiver = book.rules.receivers.get(watch.receiver)
    targets = receiver.targets if receiver is not None else ()
    # No route of the file brings it, so none of them says how its page is kept.
    route = Route(id=watch.key, key=watch.key, order=0, receiver=watch.receiver)
    keys = (dedup_key("", watch.key), watch.key)
    places = [placement(route, keys, _labels(watch, None), Severity.CRITICAL, target, 0) for target in targets]
    return one_a_page(tuple(places))


def _alert(watch: Watch, because: str, beat: Beat | None, since: Instant) -> Alert:
    labels, annotations = _labels(watch, beat), {"summary": because}
    said = {"status": "firing", "labels": labels, "annotations": annotations, "fingerprint": watch.alert}
    raw = msgspec.json.encode(said)
    digest = blake2b(raw, digest_size=16).digest()
    return Alert(watch.source, watch.alert, Status.FIRING, labels, annotations, since, 0, "", digest, raw)


def _labels(watch: Watch, beat: Beat | None) -> dict[str, str]:
    labels = {"alertname": "SourceSilent"} if watch.is_source else {"alertname": "HeartbeatMissing"}
    if not watch.is_source:
        labels["heartbeat"] = watch.name
    if source := watch.source or (beat.source if beat is not None else ""):
        labels["source"] = source
    return {**labels, "severity": Severity.CRITICAL.value}


def _sentence(watch: Watch, beat: Beat | None, started_at: Instant, now: Instant) -> str:
    longest = f"more than {span(watch.within)}" if watch.within else "too long"
    if beat is None:
        return f"{_title(watch)} was never heard since the relay started at {clock(started_at, now)}, {longest}"
    quiet = f"{_title(watch)} was not heard since {clock(beat.at, now)}, {longest}"
    return quiet if watch.source else f"{quiet}; {_from(beat.source)} sent it last"


def _title(watch: Watch) -> str:
    if watch.is_source:
        return f"source {watch.name}"
    return f"heartbeat {watch.name}" + (f" of source {watch.source}" if watch.source else "")


def _from(source: str) -> str:
    return f"source {source}" if source else "the Alertmanager without a name (/webhook)"
