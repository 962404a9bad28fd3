"""What the relay told of itself, in a small file beside the database: it outlives a database that is put back."""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from relay.store.place import sync
from relay.store.views import SelfPage

FILE = "self-pages.json"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[SelfPage]).decode


class ToldFile:
    """The self-pages that may be open. Its methods wait for the disk; one `keep` at a time."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / FILE

    def read(self) -> list[SelfPage]:
        """List what may be open; [] where there is no such file, or none that makes sense."""
        try:
            return _decode(self._file.read_bytes())
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return []

    def keep(self, told: Sequence[SelfPage]) -> None:
        """Write what may be open, all of it or nothing, readable by its owner alone. Raises OSError."""
        fresh = self._file.with_name(f"{FILE}.new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            os.fchmod(descriptor, 0o600)
            opened.write(_encode(told))
            opened.flush()
            os.fsync(descriptor)
        os.replace(fresh, self._file)
        sync(self._file.parent)
