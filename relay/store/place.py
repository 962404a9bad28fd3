"""Makes the directory that holds the store, so that a power cut does not take it away again."""

import os
from contextlib import suppress
from pathlib import Path


def make(directory: Path) -> None:
    """Make a directory and those above it, each for its owner alone; raise OSError where that cannot be."""
    missing = [one for one in (directory, *directory.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
        sync(one.parent)
    # One that is there may have been made by a relay that was cut off before it could sync.
    sync(directory.absolute().parent)


def sync(directory: Path) -> None:
    """Put the names in a directory on disk: a file that was made, renamed or removed is so only from then on.

    SQLite does it for its own files, and like SQLite this goes on where a directory cannot be synced (os_unix.c).
    """
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
