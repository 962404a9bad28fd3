"""Finds the secrets that a routing file names: in files beside it, and in the environment."""

import os
import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path as FilePath

from relay.config.problems import Problems
from relay.config.yaml import Path
from relay.rules.quoting import go_quote
from relay.secret import Secret

LARGEST = 64 * 1024
"""Bytes of a secret's file."""
_NAMED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

Stamp = tuple[int, int, int, int]
"""What changes when a file does: device, inode, size, and modification time in nanoseconds."""


def stamp(file: FilePath) -> Stamp | None:
    """Say which file this is now, links followed; None if there is none."""
    try:
        return _stamp(os.stat(file))
    except (OSError, ValueError):
        return None


class SecretReader:
    """Reads secrets and remembers from which files; what one held when it was last good may stand in for it."""

    def __init__(
        self,
        directory: FilePath,
        environ: Mapping[str, str],
        problems: Problems,
        last_good: Mapping[FilePath, Secret] | None = None,
        *,
        stand_ins: bool = False,
    ) -> None:
        self.good: dict[FilePath, Secret] = {}
        """By file, what is in use now."""
        self.stamps: dict[FilePath, Stamp | None] = {}
        """By file, as it was when it was read."""
        self.stale: list[str] = []
        """Why the last good content of a file is in use, in words."""
        self._directory = directory
        self._environ = environ
        self._problems = problems
        self._last_good = last_good or {}
        self._stand_ins = stand_ins
        """Whether something made up stands in for a secret that is not at hand: for those who only look."""

    def file(self, name: str, path: Path, what: str, fault: Callable[[str], str] = lambda _: "") -> Secret | None:
        """Read a secret (`what` it is, in words) from a file, without white space around it.

        `fault` says what is wrong with it, without showing it. What is wrong is reported, and the answer None, unless
        there is a last good content.
        """
        file = self._directory / name
        text, why = self._read(file, name, what)
        why = why or fault(text)
        if not why:
            self.good[file] = Secret(text)
            return self.good[file]
        before = self._last_good.get(file)
        if before is None:
            return self._missing(path, why, name)
        self._problems.warn(path, f"{why}; what it held before stays in use", rule="secret-stale")
        self.stale.append(f"{name}: {why}")
        self.good[file] = before
        return before

    def value(self, secret: Secret, path: Path) -> Secret | None:
        """Return a secret as it stands in the file, or, where all of it is `${NAME}`, that environment variable."""
        named = _NAMED.fullmatch(secret.reveal())
        if named is None:
            return secret
        value = self._environ.get(named[1], "").strip()
        if value:
            return Secret(value)
        state = "empty" if named[1] in self._environ else "not set"
        remedy = "set it where the relay is started, or write the secret to a file and name that"
        return self._missing(path, f"the environment variable {go_quote(named[1])} is {state}: {remedy}", named[1])

    def _missing(self, path: Path, why: str, name: str) -> Secret | None:
        """Say that a secret is not at hand; one name always has the same stand-in, in the form of a routing key."""
        if not self._stand_ins:
            self._problems.error(path, why, rule="secret")
            return None
        self._problems.warn(path, why, rule="secret")
        return Secret(sha256(f"stands in for {name}".encode("utf-8", "surrogatepass")).hexdigest()[:32])

    def _read(self, file: FilePath, name: str, what: str) -> tuple[str, str]:
        """Return the text, or why there is none."""
        self.stamps[file] = None
        try:
            if file.is_fifo():
                return "", f"cannot read {what} from {name}: it is a pipe, not a file"
            with file.open("rb") as opened:
                self.stamps[file] = _stamp(os.fstat(opened.fileno()))
                data = opened.read(LARGEST + 1)
        except (OSError, ValueError) as error:
            return "", f"cannot read {what} from {name}: {reason(error)}"
        if len(data) > LARGEST:
            return "", f"cannot read {what} from {name}: it is larger than {LARGEST // 1024} KiB"
        text = data.decode("utf-8", "replace").strip()
        return text, "" if text else f"cannot read {what} from {name}: the file is empty"


def reason(error: Exception) -> str:
    """Say why a file cannot be read, without its name."""
    return error.strerror or str(error) if isinstance(error, OSError) else "its name is not one a file can have"


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
