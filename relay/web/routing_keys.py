"""Whose a routing key is that a sender of Events API events shows: a source's virtual key, or a receiver's real one."""

from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import NamedTuple

from relay.config import Loaded
from relay.secret import Secret


class Whose(NamedTuple):
    """Who speaks with a routing key."""

    source: str
    """The source whose virtual key it is; "" for a real key."""
    receiver: str
    """The receiver whose real key it is; "" for a virtual key."""


class RoutingKeys:
    """Looks keys up by their digests: how long that takes tells nothing of a key. One per process."""

    def __init__(self, loaded: Callable[[], Loaded | None]) -> None:
        """`loaded` is the configuration in force, secrets included; None before there is one."""
        self._loaded = loaded
        self._of: Loaded | None = None
        self._known: Mapping[bytes, Whose] = {}

    def find(self, shown: str) -> Whose | None:
        """Say whose a key is that is shown now; None where nobody has it."""
        loaded = self._loaded()
        if loaded is not self._of:
            self._of, self._known = loaded, {} if loaded is None else dict(_listed(loaded))
        return self._known.get(_digest(shown))


def _listed(loaded: Loaded) -> Iterator[tuple[bytes, Whose]]:
    """List every key and whose it is; of two that are alike the later one counts.

    A receiver's previous keys are its own still: whoever was not told of the new one pages on. The keys that count now
    come after them, and last the virtual ones, which say more of who speaks.
    """
    entries = [(receiver.name, target) for receiver in loaded.rules.receivers.values() for target in receiver.targets]
    named = {loaded.rules.integrations[target.integration].name: name for name, target in reversed(entries)}
    for key in reversed(tuple(loaded.keys.values())):
        if key.name in named:
            yield _digest(_text(key.routing_key)), Whose("", named[key.name])
    for name, target in reversed(entries):
        current = loaded.keys[loaded.rules.integrations[target.integration].key_id]
        yield _digest(_text(current.routing_key)), Whose("", name)
    for virtual in loaded.virtual_keys:
        yield _digest(_text(virtual.key)), Whose(virtual.source, "")


def _text(secret: Secret) -> str:
    return secret.reveal()


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogatepass")).digest()
