"""What is paged past the store, in a file beside the database: a relay that is killed meanwhile still knows of it."""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from relay.page import Page
from relay.rules.ledger import Shown
from relay.store.place import sync

FILE = "past-the-store.jsonl"
LARGEST = 64 * 1024 * 1024
"""Bytes of the file beyond which nothing more is noted."""


class Noted(msgspec.Struct, frozen=True):
    """A page as its trigger was started, and who fired in it."""

    page: Page
    members: tuple[Shown, ...]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Noted).decode


class Notebook:
    """One line for each trigger that was started. Its methods wait for the disk; one at a time."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / FILE

    def read(self) -> list[Noted]:
        """List what was noted; a line that breaks off was not synced, so nothing was sent by it."""
        try:
            lines = self._file.read_bytes().splitlines()
        except OSError:
            return []
        return [noted for line in lines if (noted := _read(line)) is not None]

    def append(self, noted: Sequence[Noted]) -> None:
        """Write what is about to be sent; readable by its owner alone. Raises OSError or ValueError."""
        text = b"".join(_encode(one) + b"\n" for one in noted)
        made = not self._file.exists()
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as opened:
            if opened.tell() > LARGEST:
                raise OSError(f"{FILE} holds {LARGEST} bytes already")
            opened.write(b"\n" + text)  # what was there may break off
            opened.flush()
            os.fsync(descriptor)
        if made:
            sync(self._file.parent)

    def clear(self) -> None:
        """Forget it: all of it is in the store. Raises OSError."""
        self._file.unlink(missing_ok=True)
        sync(self._file.parent)


def _read(line: bytes) -> Noted | None:
    try:
        return _decode(line) if line else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
