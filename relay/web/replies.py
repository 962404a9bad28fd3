"""Replies: JSON for programs, a line of text for the doors that Prometheus people know."""

import msgspec
from aiohttp import web
from multidict import CIMultiDict

_encode = msgspec.json.Encoder().encode
_JSON = CIMultiDict({"Content-Type": "application/json"})
_TEXT = CIMultiDict({"Content-Type": "text/plain; charset=utf-8"})


class Failed(msgspec.Struct, frozen=True):
    """The body of every error."""

    error: str
    status: str = "error"


def json(value: object, status: int = 200, *, readable: bool = False) -> web.Response:
    """Reply with a value as JSON, on many lines if a person is to read it."""
    body = encoded(value)
    if readable:
        body = msgspec.json.format(body, indent=2)
    return web.Response(body=body + b"\n", status=status, headers=_JSON)


def encoded(value: object) -> bytes:
    """Write a value as JSON."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        # Half a surrogate pair in a label: legal where it came from, and in no encoding.
        return msgspec.json.encode(_mended(msgspec.to_builtins(value)))


def failed(status: int, error: str, retry_after: int | None = None) -> web.Response:
    """Reply with an error in words; `retry_after` in seconds."""
    reply = json(Failed(error), status)
    if retry_after is not None:
        reply.headers["Retry-After"] = str(retry_after)
    return reply


def text(words: str, status: int = 200) -> web.Response:
    """Reply with a line of text."""
    return web.Response(body=f"{words}\n".encode("utf-8", "replace"), status=status, headers=_TEXT)


def _mended(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_mended(name): _mended(one) for name, one in value.items()}
    return [_mended(one) for one in value] if isinstance(value, list | tuple) else value
