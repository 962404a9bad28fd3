"""Reads request bodies within bounds of size, time and memory; aiohttp itself has no time limit for them."""

import asyncio

from aiohttp import StreamReader, web

from relay.errors import BadBody, NotTaken, TooLarge
from relay.web.doors import Limits

LOOKED_AT = 64 * 1024
"""Bytes of a body that is too large which are read to see whose it is."""
_A_LOOK = 1.0
"""Seconds that may take."""


class Bodies:
    """The bodies in hand. Whoever reads one says `done` when it is worked off."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held = 0

    async def read(self, request: web.BaseRequest, largest: int = 0) -> bytes:
        """Return the whole body; raise TooLarge, Compressed, or NotTaken for "come again".

        `largest` is in bytes, where a door takes less than others.
        """
        most = min(largest or self._limits.body_bytes, self._limits.body_bytes)
        encoding = request.headers.get("Content-Encoding")
        if encoding and encoding.strip().lower() != "identity":
            raise Compressed(f"Content-Encoding {encoding[:40]!r} is not read: send the body as it is")
        content = request.content
        if content.is_eof():  # it came with the headers, as small bodies do
            body = content.read_nowait()
            _check(body, len(body), most)
            self._check_room(len(body))
            self._held += len(body)
            return body
        if (declared := _declared(request)) > most:
            _check(await _start(content), declared, most)
        return await self._slowly(content, most)

    def done(self, body: bytes) -> None:
        """Say that a body is worked off."""
        self._held -= len(body)

    async def _slowly(self, content: StreamReader, most: int) -> bytes:
        body, whole = bytearray(), False
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while chunk := await content.readany():
                    self._check_room(len(chunk))
                    body += chunk
                    self._held += len(chunk)
                    _check(body, len(body), most)
            whole = True
        except TimeoutError:
            # 503 and not 408: Alertmanager comes again after a 5xx only.
            raise NotTaken(f"the body did not arrive within {self._limits.body_seconds:g} s; send it again") from None
        except (ConnectionError, web.RequestPayloadError) as error:
            raise Interrupted("the connection was closed before the body was complete") from error
        finally:
            if not whole:
                self._held -= len(body)
        return bytes(body)

    def _check_room(self, more: int) -> None:
        if self._held + more > self._limits.bytes_in_hand:
            raise NotTaken("too many bytes in hand; send it again in a moment")


def _check(body: bytes | bytearray, size: int, most: int) -> None:
    if size > most:
        words = (
            f"the body is larger than {most} bytes, which is no webhook: group by more labels in Alertmanager, "
            "so that a group holds fewer alerts"
        )
        raise Oversized(words, bytes(body[:LOOKED_AT]))


class Oversized(TooLarge):
    """A body over the limit, and how it begins."""

    def __init__(self, message: str, start: bytes) -> None:
        super().__init__(message)
        self.start = start


async def _start(content: StreamReader) -> bytes:
    """Read how a body begins that will not be read whole."""
    start = bytearray()
    try:
        async with asyncio.timeout(_A_LOOK):
            while len(start) < LOOKED_AT and (chunk := await content.readany()):
                start += chunk
    except (TimeoutError, ConnectionError, web.RequestPayloadError):
        pass
    return bytes(start)


class Compressed(BadBody):
    """The body is compressed; Alertmanager never does that."""

    status_hint = 415

    def __init__(self, message: str) -> None:
        super().__init__(message, "encoding")


class Interrupted(NotTaken):
    """The sender went away before its body was complete."""


def _declared(request: web.BaseRequest) -> int:
    try:
        return request.content_length or 0
    except ValueError:
        return 0
