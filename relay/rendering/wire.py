"""What the relay and its template worker say to each other: frames of msgpack behind four bytes of length."""

import os
import struct

import msgspec

from relay.event import Rendered
from relay.rules.ruleset import Texts
from relay.rules.view import PageView

LARGEST_FRAME = 64 << 20
HEAD = struct.Struct(">I")


class Job(msgspec.Struct, frozen=True, array_like=True):
    """One page to render."""

    number: int
    view: PageView
    texts: int
    """Index into Batch.texts."""
    skip: dict[str, str] = {}
    """Fields that are not to be rendered, and why."""


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """Pages to render in one round trip."""

    texts: tuple[Texts, ...]
    jobs: tuple[Job, ...]


class Ready(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A fresh worker waits for work."""


class Done(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """One page is rendered."""

    number: int
    rendered: Rendered


class Lost(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The worker died of a field; a fresh one waits for what is left of the batch."""

    number: int
    """Job.number; -1 if it was at none."""
    field: str
    because: str


Message = Ready | Done | Lost


def framed(data: bytes) -> bytes:
    """Put the length in front."""
    return HEAD.pack(len(data)) + data


def read_frame(fd: int) -> bytes | None:
    """Read one frame from a blocking file descriptor; None at its end. Raises ValueError if it makes no sense."""
    head = _exactly(fd, HEAD.size)
    if head is None:
        return None
    (length,) = HEAD.unpack(head)
    if length > LARGEST_FRAME:
        raise ValueError(f"a frame of {length} bytes")
    return _exactly(fd, length)


def _exactly(fd: int, length: int) -> bytes | None:
    chunks = []
    while length:
        chunk = os.read(fd, min(length, 1 << 20))
        if not chunk:
            return None
        chunks.append(chunk)
        length -= len(chunk)
    return b"".join(chunks)


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data` to a blocking file descriptor."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
