"""A value that must never be printed, and the name we may print instead."""

from dataclasses import dataclass
from hashlib import sha256


class Secret:
    """Hold a secret string; every way of printing it says `<secret>`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself; call it only where it goes onto the wire."""
        return self._value

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "<secret>"

    def __reduce__(self) -> str:
        raise TypeError("a Secret is never pickled")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


def key_id(url: str, routing_key: Secret) -> str:
    """Name (url, routing key) with 16 hex digits that tell nothing of the key."""
    return sha256(f"{url}\x00{routing_key.reveal()}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Tls:
    """How to speak TLS to one integration (`http_config.tls_config`)."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""
    insecure_skip_verify: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """All the sender needs to call one integration; `id` is what everyone else knows it by."""

    id: str
    """key_id(url, routing_key)."""
    url: str
    routing_key: Secret
    name: str
    """Name of the integration for logs and metrics."""
    timeout: float = 10.0
    """Seconds one attempt may take in all."""
    proxy_url: Secret | None = None
    proxy_from_environment: bool = False
    tls: Tls | None = None
