"""One relay per storage directory: an exclusive lock that says who holds it and where it listens."""

import asyncio
import fcntl
import os
import time
from pathlib import Path

import msgspec

from relay.alert import Instant, moment
from relay.errors import StoreBusy, StoreError
from relay.store import place
from relay.store.remedies import remedy

FILE = "lock"

_TRY_EVERY = 0.1


class Holder(msgspec.Struct, frozen=True):
    """Who holds a storage directory."""

    pid: int
    url: str = ""
    """Where it listens; "" until it does."""
    since: Instant = 0
    key: str = ""
    """By which the relay knows commands of its own user; the file is readable by nobody else."""

    def __str__(self) -> str:
        where = f" at {self.url}" if self.url else ""
        since = f" since {moment(self.since):%Y-%m-%d %H:%M:%S} UTC" if self.since else ""
        return f"process {self.pid}{where}{since}"


class Lock:
    """The lock, held until it is released or the process ends, however it ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def publish(self, url: str, since: Instant, key: str = "") -> None:
        """Write down where this process listens, since when, and how it knows commands, for the CLI."""
        _write(self._descriptor, Holder(os.getpid(), url, since, key))

    def release(self) -> None:
        """Let the next one in."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)  # the kernel drops the lock with the last descriptor
            self._descriptor = -1


async def acquire(directory: Path, wait_seconds: float = 30.0) -> Lock:
    """Take the lock on a storage directory, made if it is missing; raise StoreBusy if another process keeps it."""
    deadline = time.monotonic() + wait_seconds
    while (lock := _try(directory)) is None:
        if time.monotonic() >= deadline:
            who = _read(directory) or "another process"
            raise StoreBusy(f"{directory} is in use by {who}: stop it, or give --storage.path another directory")
        await asyncio.sleep(_TRY_EVERY)
    return lock


def holder(directory: Path) -> Holder | None:
    """Say who holds the lock of a storage directory; None if nobody does."""
    try:
        descriptor = os.open(directory / FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # A shared lock: two who ask at once do not take each other for the relay.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(directory) or Holder(0)
    finally:
        os.close(descriptor)
    return None


def _try(directory: Path) -> Lock | None:
    try:
        place.make(directory)
        descriptor = os.open(directory / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{directory} cannot be used for storage: {error}{remedy(error, directory)}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as error:
        os.close(descriptor)
        raise StoreError(f"{directory} cannot be locked: {error}; is it on a network file system?") from error
    _write(descriptor, Holder(os.getpid()))
    return Lock(descriptor)


def _write(descriptor: int, holder: Holder) -> None:
    text = msgspec.json.encode(holder) + b"\n"
    os.pwrite(descriptor, text, 0)
    os.ftruncate(descriptor, len(text))


def _read(directory: Path) -> Holder | None:
    try:
        return msgspec.json.decode((directory / FILE).read_bytes(), type=Holder)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
