"""Says what to do about a disk that cannot be used."""

import getpass
import os
from pathlib import Path


def remedy(error: Exception, directory: Path) -> str:
    """Say what to do about an error of the disk."""
    words = str(error)
    if isinstance(error, PermissionError) or "readonly" in words or "unable to open" in words:
        return f": it must be writable for {_user()} (chown -R {_user()} {directory})"
    if "read-only file system" in words.lower():
        return ": give --storage.path a directory on a disk that can be written"
    if "locked" in words:
        return ": another program holds it; find it with `fuser` and end it"
    if "full" in words or "No space" in words:
        return ": make room on that disk"
    return ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
