"""Asks one Alertmanager what it knows: every alert, muted ones too, and for how long it has run."""

import asyncio
import os
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TypeVar

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from msgspec.structs import replace

import relay
from relay.alert import Duration, Instant, instant

LARGEST = 64 * 1024 * 1024
"""Bytes of an answer; some 90,000 alerts."""
TIMEOUT = 30.0
"""Seconds that one answer may take, connecting and all."""
AT_ONCE = 4
"""Calls under way: an answer may be large."""

_CONNECT = 5.0
_PIECE = 64 * 1024
_SMALL = 128 * 1024
"""Bytes up to which an answer is read on the event loop."""
_NAMES_KEPT = 60
_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": f"pagerelay/{relay.__version__}",
}
_ALERTS = "/api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true"
_ACTIVE = "/api/v2/alerts?active=true&silenced=false&inhibited=false&unprocessed=false"
_STATUS = "/api/v2/status"

Told = TypeVar("Told")
Wanted = Callable[[Mapping[str, str]], bool]
"""Says of an alert's labels whether it is looked for; pure, and called on a thread."""


class State(msgspec.Struct, frozen=True):
    """What an Alertmanager knows."""

    known: frozenset[str]
    """Fingerprints of every alert it knows; none that is resolved."""
    wanted: bool
    """Whether there is one among them that was looked for by its labels."""
    uptime: Duration
    """How long it has run, by its own clock."""
    active: frozenset[str] = frozenset()
    """Fingerprints of those that nothing mutes there."""


class Listed(msgspec.Struct, frozen=True):
    """One alert as it lists it."""

    fingerprint: str
    labels: Mapping[str, str]
    starts_at: Instant
    receivers: tuple[str, ...]
    """Names of those it is routed to there."""


class Fault(msgspec.Struct, frozen=True):
    """Why there is no answer to go by."""

    because: str
    """Ends the sentence "it did not answer: ..."; no addresses and nothing that was sent."""


class AlertmanagerClient:
    """Asks Alertmanagers; `ask` may be called from many tasks at once."""

    def __init__(
        self, *, timeout: float = TIMEOUT, largest: int = LARGEST, resolver: AbstractResolver | None = None
    ) -> None:
        """`timeout` is in seconds, `largest` in bytes."""
        self._timeout = timeout
        self._largest = largest
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def start(self) -> None:
        """Get ready to ask."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=self._resolver, ttl_dns_cache=_NAMES_KEPT, limit=AT_ONCE, force_close=True
            ),
            timeout=aiohttp.ClientTimeout(total=self._timeout, connect=_CONNECT),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers=_HEADERS,
        )

    async def close(self) -> None:
        """Close every connection; a question under way fails."""
        if self._session is not None:
            await self._session.close()

    async def ask(self, url: str, wanted: Wanted | None = None) -> State | Fault:
        """Ask the Alertmanager at `url`, also whether it knows an alert that is `wanted`. Its faults do not raise.

        First what it knows and then for how long it has run: were it started in between, its uptime would say so.
        """
        try:
            async with self._turns:
                found, _ = await self._get(_address(url, _ALERTS), partial(_read_alerts, wanted=wanted))
                started_at, now = await self._get(_address(url, _STATUS), _read_status)
        except _Unusable as unusable:
            return Fault(str(unusable))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Fault(_words(error))
        if now is None:
            return Fault("its answer has no Date, so that its uptime cannot be told")
        return replace(found, uptime=max(instant(now) - started_at, 0))

    async def listed(self, url: str, fingerprints: Collection[str]) -> tuple[Listed, ...] | Fault:
        """Ask the Alertmanager at `url` about some of the alerts that nothing mutes there. Its faults do not raise."""
        try:
            async with self._turns:
                found, _ = await self._get(_address(url, _ACTIVE), partial(_read_listed, among=frozenset(fingerprints)))
        except _Unusable as unusable:
            return Fault(str(unusable))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Fault(_words(error))
        return found

    async def exchange(
        self, method: str, url: str, path: str, read: Callable[[bytes], Told], body: bytes | None = None
    ) -> Told | Fault:
        """Make a call of the API v2 to the Alertmanager at `url`, with a body of JSON. Its faults do not raise."""
        try:
            async with self._turns:
                found, _ = await self._call(method, _address(url, path), read, body)
        except _Unusable as unusable:
            return Fault(str(unusable))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Fault(_words(error))
        return found

    async def _get(self, url: str, read: Callable[[bytes], Told]) -> tuple[Told, datetime | None]:
        return await self._call("GET", url, read)

    async def _call(
        self, method: str, url: str, read: Callable[[bytes], Told], sent: bytes | None = None
    ) -> tuple[Told, datetime | None]:
        assert self._session is not None, "start() comes first"
        headers = {"Content-Type": "application/json"} if sent is not None else {}
        async with self._session.request(method, url, data=sent, headers=headers, allow_redirects=False) as response:
            if 300 <= response.status < 400:
                raise _Unusable(f"HTTP {response.status}, a redirect, which is not followed")
            if response.status != 200:
                raise _Unusable(f"HTTP {response.status}")
            body = await self._read(response)
            now = _date(response.headers.get("Date", ""))
        try:
            return (read(body) if len(body) < _SMALL else await asyncio.to_thread(read, body)), now
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _Unusable("its answer is not one of Alertmanager's API v2") from error

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for piece in response.content.iter_chunked(_PIECE):
            body += piece
            if len(body) > self._largest:
                raise _Unusable(f"its answer is larger than {self._largest} bytes")
        return bytes(body)


class _Unusable(Exception):
    """An answer came, and cannot be used."""


# api/v2/openapi.yaml: gettableAlert and alertmanagerStatus; what is not asked for is skipped.


class _Muted(msgspec.Struct, frozen=True, gc=False):
    state: str = ""


class _Alert(msgspec.Struct, gc=False):
    fingerprint: str
    labels: msgspec.Raw
    """Read only where it matters: as Python's own values they would take ten times the room."""
    status: _Muted = _Muted()


class _Receiver(msgspec.Struct, gc=False):
    name: str


class _Listed(msgspec.Struct, gc=False, rename="camel"):
    fingerprint: str
    labels: msgspec.Raw
    starts_at: datetime
    receivers: list[_Receiver]


class _Status(msgspec.Struct):
    uptime: datetime
    """When it was started, whatever the name says."""

    def __post_init__(self) -> None:
        if self.uptime.tzinfo is None:
            raise ValueError("uptime without a time zone")


_decode_alerts = msgspec.json.Decoder(list[_Alert]).decode
_decode_listed = msgspec.json.Decoder(list[_Listed]).decode
_decode_labels = msgspec.json.Decoder(dict[str, str]).decode
_decode_status = msgspec.json.Decoder(_Status).decode


def _read_alerts(body: bytes, wanted: Wanted | None) -> State:
    alerts = _decode_alerts(body)
    is_there = wanted is not None and any(wanted(_decode_labels(alert.labels)) for alert in alerts)
    active = frozenset(alert.fingerprint for alert in alerts if alert.status.state == "active")
    return State(frozenset(alert.fingerprint for alert in alerts), is_there, 0, active)


def _read_listed(body: bytes, among: frozenset[str]) -> tuple[Listed, ...]:
    alerts = (alert for alert in _decode_listed(body) if alert.fingerprint in among)
    return tuple(
        Listed(
            alert.fingerprint,
            _decode_labels(alert.labels),
            instant(alert.starts_at),
            tuple(receiver.name for receiver in alert.receivers),
        )
        for alert in alerts
    )


def _read_status(body: bytes) -> Instant:
    return instant(_decode_status(body).uptime)


def _address(url: str, path: str) -> str:
    return f"{url.rstrip('/')}{path}"


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else None


def _words(error: Exception) -> str:
    """Say what happened without addresses."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "its name cannot be resolved"
        case aiohttp.ClientConnectorCertificateError():
            return "its certificate is not trusted"
        case aiohttp.ClientSSLError():
            return "TLS failed"
        case aiohttp.ClientConnectorError():
            return f"cannot connect: {_cause(error.os_error)}"
        case TimeoutError():
            return "no answer in time"
        case aiohttp.InvalidURL():
            return "its URL cannot be used"
        case aiohttp.ClientResponseError():
            return "its answer is not HTTP"
        case OSError():
            return f"the connection broke: {_cause(error)}"
        case _:
            return "the connection broke"


def _cause(error: OSError) -> str:
    """Say what happened as the system names it: Python's own words have addresses in them."""
    return os.strerror(error.errno) if error.errno else type(error).__name__
