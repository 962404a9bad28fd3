"""The filing room: which configuration is in force, the last good copy of it, and the secrets it names."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from relay.config import Before, Loaded, load
from relay.config.operators import Operators, read_operators
from relay.config.secrets import Stamp, stamp
from relay.errors import BadConfig, Problem

COPY = "config.last-good.yml"
"""Beside the database: the routing file as it was last read without an error, byte by byte."""
TEMPLATES = "config.last-good.templates.json"
"""The user's template files, as they were then, by name."""


@dataclass(frozen=True, slots=True)
class Filed:
    """A configuration with the operators, as they were read."""

    loaded: Loaded
    operators: Operators | None
    warnings: tuple[Problem, ...] = ()
    instead_of: tuple[Problem, ...] = ()
    """Why it is the last good one and not the file that was asked for; () when it is that file."""
    stale: tuple[str, ...] = ()
    """Which secrets cannot be read now, and why: what they were before is in use."""


class FilingRoom:
    """Reads the routing file and everything it names. Its methods wait for the disk."""

    def __init__(
        self, file: Path, storage: Path, environ: Mapping[str, str], operators_file: Path | None, *, strict: bool
    ) -> None:
        """`strict`: never start from the last good copy."""
        self._file = file
        self._storage = storage
        self._environ = environ
        self._operators_file = operators_file
        self._strict = strict
        self._stamps: dict[Path, Stamp | None] = {}

    def start(self) -> Filed:
        """Read the file; where it does not load, the last good copy of it. Raises BadConfig about the file."""
        problems: tuple[Problem, ...] = ()
        try:
            loaded = load(self._file, self._environ)
        except BadConfig as bad:
            loaded, problems = self._last_good(bad), bad.problems
        operators, warnings = self._operators()
        return self._filed(Filed(loaded, operators, warnings, problems))

    def read(self) -> Filed:
        """Read the file again. Raises BadConfig."""
        loaded = load(self._file, self._environ)
        operators, warnings = self._operators()
        return self._filed(Filed(loaded, operators, warnings))

    def changed(self) -> bool:
        """Say whether a file that holds secrets is another one than when it was read."""
        return any(stamp(file) != before for file, before in self._stamps.items())

    def read_secrets(self, current: Filed) -> Filed:
        """Read the secrets of a configuration again, and nothing else of it: what cannot be used stays as it was."""
        stale: tuple[str, ...] = ()
        loaded, operators, warnings = current.loaded, current.operators, current.warnings
        before = Before(loaded.text, loaded.templates, loaded.secrets)
        seen = {file: stamp(file) for file in self._stamps}
        try:
            loaded = load(self._file, self._environ, before=before)
            stale = loaded.stale
        except BadConfig as bad:
            stale = tuple(str(problem) for problem in bad.problems if not problem.warning)
        try:
            operators, warnings = self._operators()
        except BadConfig as bad:
            stale = (*stale, *map(str, bad.problems))
        filed = self._filed(replace(current, loaded=loaded, operators=operators, warnings=warnings, stale=stale))
        if loaded is current.loaded:
            self._stamps |= seen  # nothing more can be made of them until they change again
        return filed

    def forget(self) -> None:
        """Take every secret's file for changed: what was read of them last did not come into force."""
        self._stamps = dict.fromkeys(self._stamps)

    def keep(self, filed: Filed) -> None:
        """Keep a copy of what was loaded, for a start at which the file does not load. Raises OSError."""
        templates = {str(file): text for file, text in filed.loaded.templates.items()}
        _write(self._storage / TEMPLATES, msgspec.json.encode(templates))
        _write(self._storage / COPY, filed.loaded.text)

    def _last_good(self, bad: BadConfig) -> Loaded:
        if self._strict:
            raise bad
        try:
            text = (self._storage / COPY).read_bytes()
            return load(self._file, self._environ, before=Before(text, self._templates()))
        except (OSError, BadConfig):
            raise bad from None

    def _templates(self) -> Mapping[Path, str] | None:
        try:
            found = msgspec.json.decode((self._storage / TEMPLATES).read_bytes(), type=dict[str, str])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        return {Path(file): text for file, text in found.items()}

    def _operators(self) -> tuple[Operators | None, tuple[Problem, ...]]:
        """Read who may change things from afar; None: nobody. Raises BadConfig."""
        if self._operators_file is None:
            return None, ()
        self._stamps[self._operators_file] = stamp(self._operators_file)
        return read_operators(self._operators_file)

    def _filed(self, filed: Filed) -> Filed:
        """Note which files hold secrets now."""
        operators = {file: seen for file, seen in self._stamps.items() if file == self._operators_file}
        self._stamps = {**filed.loaded.stamps, **operators}
        return filed


def _write(file: Path, data: bytes) -> None:
    """Put a file in the place of another, all of it or nothing, readable by its owner alone."""
    if file.exists() and file.read_bytes() == data:
        return
    fresh = file.with_name(f"{file.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        os.fchmod(descriptor, 0o600)
        opened.write(data)
        opened.flush()
        os.fsync(descriptor)
    os.replace(fresh, file)
    directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
