"""When each heartbeat and each source was last heard: memory only, since what beats is heard again soon."""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

from relay.alert import Instant, Status
from relay.rules.classify import Entry
from relay.rules.heartbeats import Beat, kept_alive, source_key
from relay.rules.ruleset import Heartbeat


class Pulse:
    """Told of every accepted message on the event loop, also of those that say nothing new."""

    def __init__(self) -> None:
        self._heard: dict[str, Beat] = {}
        self._beats: dict[int, tuple[str, ...]] = {}
        """By alert id, what an alert that was read keeps alive; of a repeat only the ids are known."""

    @property
    def heard(self) -> Mapping[str, Beat]:
        """By `Watch.key`, when it was last heard."""
        return MappingProxyType(self._heard)

    def listen(
        self,
        source: str,
        entries: Iterable[Entry],
        firing: Collection[int],
        heartbeats: Collection[Heartbeat],
        now: Instant,
    ) -> None:
        """Take in a message: the alerts that were read of it, and the ids of all in it that fire."""
        self._heard[source_key(source)] = Beat(now, source)
        if not heartbeats:
            return
        for entry in entries:
            self._learn(entry, heartbeats)
        for alert in self._beats.keys() & firing:
            self._heard.update(dict.fromkeys(self._beats[alert], Beat(now, source)))

    def forget(self) -> None:
        """Forget which alerts are beats, as after a reload; when they were heard still counts."""
        self._beats.clear()

    def _learn(self, entry: Entry, heartbeats: Collection[Heartbeat]) -> None:
        if entry.alert.status is not Status.FIRING:
            return
        if keys := kept_alive(heartbeats, entry.alert.labels, entry.alert.source):
            self._beats[entry.id] = keys
