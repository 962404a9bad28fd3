"""How one integration is reached: names, TLS and proxy."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from relay.secret import Key, Tls


class RouteError(Exception):
    """The way to an integration cannot be built: a certificate file or proxy address is wrong."""


@dataclass(frozen=True, slots=True)
class Way:
    """What aiohttp must be told to reach one integration."""

    tls: ssl.SSLContext
    server_name: str | None
    proxy: str | None


def default_tls() -> ssl.SSLContext:
    """Build the context that every integration without a `tls_config` shares: the system's own trust."""
    return ssl.create_default_context()


def way_to(key: Key, shared: ssl.SSLContext) -> Way:
    """Work out how to reach an integration; reads certificate files. Raises RouteError."""
    _check(key.url)
    if key.tls is None:
        return Way(shared, None, _proxy(key))
    try:
        return Way(_context(key.tls), key.tls.server_name or None, _proxy(key))
    except (OSError, ValueError) as error:
        raise RouteError(f"tls_config cannot be used: {error}") from error


def _check(url: str) -> None:
    try:
        parsed = URL(url)
    except ValueError:
        parsed = URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise RouteError("the receiver's url is not an http:// or https:// address")


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca_file or None)
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert_file:
        context.load_cert_chain(tls.cert_file, tls.key_file or None, password=_no_password)
    return context


def _no_password() -> str:
    # Without this OpenSSL asks on the terminal and the relay stands still.
    raise ValueError("the key file is encrypted, which is not supported")


def _proxy(key: Key) -> str | None:
    proxy = key.proxy_url.reveal() if key.proxy_url else _environment_proxy(key)
    if proxy and not proxy.lower().startswith(("http://", "https://")):
        raise RouteError("the proxy's address must start with http:// or https://")
    return proxy


def _environment_proxy(key: Key) -> str | None:
    target = urlsplit(key.url)
    if not key.proxy_from_environment or proxy_bypass(target.hostname or ""):
        return None
    return getproxies().get(target.scheme)


class Resolver(AbstractResolver):
    """Look names up on threads of its own.

    A name server that hangs then holds up neither the event loop's few threads nor the end of the program.
    """

    def __init__(self, look_up: Callable[..., list[Any]] = socket.getaddrinfo, at_once: int = 8) -> None:
        """`look_up` is called as socket.getaddrinfo is; at most `at_once` threads do so at a time."""
        self._look_up = look_up
        self._room = at_once

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return a host's addresses; raises OSError when there are none or too many look-ups hang."""
        if self._room < 1:
            raise OSError("too many look-ups of names are hanging")
        self._room -= 1
        found = await self._on_a_thread(host, port, family)
        return [_result(host, *entry) for entry in found]

    def _on_a_thread(self, host: str, port: int, family: socket.AddressFamily) -> asyncio.Future[list[Any]]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Any]] = loop.create_future()

        def work() -> None:
            answer = self._answer(host, port, family)
            # The loop may have ended meanwhile; nobody waits then.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(done, answer)

        def done(answer: list[Any] | OSError) -> None:
            self._room += 1
            if future.done():
                return
            if isinstance(answer, OSError):
                future.set_exception(answer)
            else:
                future.set_result(answer)

        threading.Thread(target=work, name="look-up", daemon=True).start()
        return future

    def _answer(self, host: str, port: int, family: socket.AddressFamily) -> list[Any] | OSError:
        try:
            return self._look_up(host, port, family=family, type=socket.SOCK_STREAM)
        except OSError as error:
            return error
        except UnicodeError:
            return OSError(f"{host!r} is not a name")

    async def close(self) -> None:
        """Leave hanging look-ups to end by themselves."""


def _result(host: str, family: int, _type: int, proto: int, _name: str, address: tuple[Any, ...]) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=str(address[0]),
        port=int(address[1]),
        family=family,
        proto=proto,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
