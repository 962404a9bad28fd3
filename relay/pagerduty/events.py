"""The sender: make one Events API v2 call, for an event or a change event, and say what it came to."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp

import relay
from relay.event import Delivered, Event, Outcome, Rejected, Retry
from relay.pagerduty.answers import judge
from relay.pagerduty.connection import Resolver, RouteError, Way, default_tls, way_to
from relay.pagerduty.encoding import LARGEST, encode, encode_change
from relay.secret import Key

_EVENTS, _CHANGES = "/v2/enqueue", "/v2/change/enqueue"
_MOST_READ = 64 * 1024
_READING_TIME = 1.0
_KEEP_ALIVE = 45.0
_NAMES_KEPT = 60
_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": f"pagerelay/{relay.__version__}",
}


class EventSender:
    """Sends events over connections that are kept open; knows routing keys only while it writes them out.

    `send` may be called from many tasks at once. How many, and how often, is for the caller to bound.
    """

    def __init__(
        self, keys: Callable[[str], Key | None], *, connect_timeout: float = 3.0, resolver: Resolver | None = None
    ) -> None:
        """`keys` finds a Key by its id; `connect_timeout` is in seconds and covers name, TCP and TLS."""
        self._keys = keys
        self._connect_timeout = connect_timeout
        self._resolver = resolver or Resolver()
        self._ways: dict[str, tuple[Key, Way]] = {}
        self._kept: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | None = None

    async def start(self) -> None:
        """Get ready to send."""
        self._tls = await asyncio.to_thread(default_tls)
        self._kept = self._session(keepalive_timeout=_KEEP_ALIVE)
        self._fresh = self._session(force_close=True)

    async def close(self) -> None:
        """Close every connection; a send under way fails."""
        for session in (self._kept, self._fresh):
            if session is not None:
                await session.close()

    async def send(self, event: Event, key_id: str) -> Outcome:
        """Make one call, and say what it came to; no fault of the far end raises."""
        key = self._keys(key_id)
        if key is None:
            return Retry("configuration", "routing key not at hand", ambiguous=False, configuration=True)
        try:
            body = encode(event, key.routing_key)
        except (TypeError, ValueError, RecursionError) as error:
            return Rejected("clientError", f"cannot be written as JSON: {type(error).__name__}")
        if len(body) > LARGEST:
            return Rejected("tooLarge", f"{len(body)} bytes, PagerDuty takes {LARGEST}")
        return _redacted(await self._send(body, key, key.url), key)

    async def send_change(self, event: bytes, key_id: str) -> Outcome:
        """Make one call for a change event, given as a JSON object without its routing key; as `send` does.

        A connection that broke under it is tried again as well, though it has no dedup_key: rather twice than never.
        """
        key = self._keys(key_id)
        if key is None:
            return Retry("configuration", "routing key not at hand", ambiguous=False, configuration=True)
        url = change_url(key.url)
        if not url:
            return Rejected("configuration", f"where change events go is not known: its url does not end in {_EVENTS}")
        try:
            body = encode_change(event, key.routing_key)
        except ValueError as error:
            return Rejected("clientError", f"cannot be written as JSON: {type(error).__name__}")
        if len(body) > LARGEST:
            return Rejected("tooLarge", f"{len(body)} bytes, PagerDuty takes {LARGEST}")
        return _redacted(await self._send(body, key, url), key)

    async def _send(self, body: bytes, key: Key, url: str) -> Outcome:
        progress = _Progress(asyncio.timeout(key.timeout))
        try:
            way = await self._way(key)
            async with progress.deadline:
                return await self._call(body, url, key, way, progress)
        except RouteError as error:
            return Retry("configuration", str(error), ambiguous=False, configuration=True)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return _failed(error, key, progress)

    async def _call(self, body: bytes, url: str, key: Key, way: Way, progress: "_Progress") -> Outcome:
        try:
            return await self._post(self._kept, body, url, key, way, progress)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            # PagerDuty closes idle connections when it likes (prometheus/alertmanager#2352), and aiohttp sends a POST
            # only once. A second copy does no harm: the dedup_key is the same.
            if not progress.reused:
                raise
        return await self._post(self._fresh, body, url, key, way, progress)

    async def _post(
        self, session: aiohttp.ClientSession | None, body: bytes, url: str, key: Key, way: Way, progress: "_Progress"
    ) -> Outcome:
        assert session is not None, "start() comes first"
        request = session.post(
            url,
            data=body,
            ssl=way.tls,
            server_hostname=way.server_name,
            proxy=way.proxy,
            allow_redirects=False,
            trace_request_ctx=progress,
        )
        async with request as response:
            progress.deadline.reschedule(None)  # the status is there, and it alone decides
            return judge(response.status, response.headers, _silenced(await _read(response), key))

    async def _way(self, key: Key) -> Way:
        """Work the way out once for each Key; a reload brings new Keys, and so reads renewed certificates."""
        known = self._ways.get(key.id)
        if known is not None and known[0] is key:
            return known[1]
        assert self._tls is not None, "start() comes first"
        way = await asyncio.to_thread(way_to, key, self._tls) if key.tls else way_to(key, self._tls)
        self._ways[key.id] = (key, way)
        return way

    def _session(self, **connector: Any) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=self._resolver, ttl_dns_cache=_NAMES_KEPT, limit=0, **connector),
            timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers=_HEADERS,
            trace_configs=[_tracing()],
        )


def change_url(url: str) -> str:
    """Say where change events go for an integration whose events go to `url`; "" where that cannot be told."""
    parts = urlsplit(url)
    base = parts.path.removesuffix(_EVENTS)
    return "" if base == parts.path else urlunsplit(parts._replace(path=f"{base}{_CHANGES}"))


@dataclass(slots=True)
class _Progress:
    """How far one call got, so that a failure can be told for what it is."""

    deadline: asyncio.Timeout
    resolving: bool = False
    connected: bool = False
    """Bytes of the event may have left."""
    reused: bool = False


def _tracing() -> aiohttp.TraceConfig:
    def resolving(progress: _Progress) -> None:
        progress.resolving = True

    def resolved(progress: _Progress) -> None:
        progress.resolving = False

    def connected(progress: _Progress) -> None:
        progress.connected = True

    def reused(progress: _Progress) -> None:
        progress.connected = progress.reused = True

    trace: aiohttp.TraceConfig = aiohttp.TraceConfig()
    trace.on_dns_resolvehost_start.append(_marking(resolving))
    trace.on_dns_resolvehost_end.append(_marking(resolved))
    trace.on_connection_create_end.append(_marking(connected))
    trace.on_connection_reuseconn.append(_marking(reused))
    return trace


def _marking(mark: Callable[[_Progress], None]) -> Any:
    async def note(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
        mark(context.trace_request_ctx)

    return note


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Read what the far end says, as much as is decent. The status alone decides, so trouble here is no trouble."""
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_READING_TIME):
            while size < _MOST_READ:
                chunk = await response.content.read(_MOST_READ - size)
                if not chunk:
                    return b"".join(chunks)
                chunks.append(chunk)
                size += len(chunk)
    except (aiohttp.ClientError, OSError, ValueError):
        pass
    response.close()
    return b"".join(chunks)


def _failed(error: Exception, key: Key, progress: _Progress) -> Retry:
    """Say what a call without an answer came to."""
    reason, words, configuration = _named(error, progress)
    unsent = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    ambiguous = progress.connected and (progress.reused or not unsent)
    return Retry(reason, f"{_host(key.url)}: {words}", ambiguous=ambiguous, configuration=configuration)


def _named(error: Exception, progress: _Progress) -> tuple[str, str, bool]:
    """Return the reason, the words for it, and whether a person must mend something."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "dns", f"the name cannot be resolved: {_cause(error.os_error)}", False
        case aiohttp.ClientConnectorCertificateError():
            return "tls", f"its certificate is not trusted: {_cause(error.certificate_error)}", False
        case aiohttp.ClientSSLError():
            return "tls", f"TLS failed: {_cause(error.os_error)}", False
        case aiohttp.ClientProxyConnectionError():
            return "network", f"the proxy cannot be reached: {_cause(error.os_error)}", False
        case aiohttp.ClientConnectorError():
            return "network", f"cannot connect: {_cause(error.os_error)}", False
        case aiohttp.ClientHttpProxyError():
            return "network", f"the proxy answered {error.status}", error.status < 500
        case TimeoutError():
            return ("dns", "no answer from the name server in time", False) if progress.resolving else _late(progress)
        case aiohttp.ClientOSError() if isinstance(error.__cause__, ssl.SSLError):
            return "tls", f"TLS failed: {_cause(error.__cause__)}", False
        case aiohttp.ClientResponseError():
            return "network", "the answer is not HTTP", False
        case _:
            return "network", f"the connection broke: {_cause(error)}", False


def _late(progress: _Progress) -> tuple[str, str, bool]:
    return "timeout", "no answer in time" if progress.connected else "cannot connect in time", False


def _cause(error: BaseException) -> str:
    """Say what happened without addresses, which may carry credentials."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return error.reason or type(error).__name__
    text = error.strerror if isinstance(error, OSError) else None
    return text or type(error).__name__


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or ""


def _redacted(outcome: Outcome, key: Key) -> Outcome:
    """Take our secrets out of the far end's words: a server may well echo what it was sent."""
    if isinstance(outcome, Delivered):
        return outcome
    message = outcome.message
    for secret in _secrets(key):
        message = message.replace(secret, "<secret>")
    if isinstance(outcome, Rejected):
        return Rejected(outcome.reason, message)
    return Retry(outcome.reason, message, outcome.after, outcome.ambiguous, outcome.configuration)


_TELLING = 4
"""So many characters of a secret at the end of what was read are taken for its beginning."""


def _silenced(answer: bytes, key: Key) -> bytes:
    """Take our secrets out of an answer before it is shortened, also one that what was read breaks off in."""
    for secret in (text.encode() for text in _secrets(key)):
        answer = answer.replace(secret, b"<secret>")
        for size in range(len(secret) - 1, _TELLING - 1, -1):
            if answer.endswith(secret[:size]):
                answer = answer[:-size] + b"<secret>"
                break
    return answer


def _secrets(key: Key) -> list[str]:
    urls = [key.url, key.proxy_url.reveal() if key.proxy_url else ""]
    found = [key.routing_key.reveal(), *(part for url in urls for part in _credentials(url))]
    return [secret for secret in found if secret]


def _credentials(url: str) -> tuple[str, ...]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return (url,)
    return (parts.password or "", parts.query)
