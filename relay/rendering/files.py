"""The template files: the defaults that come with the relay, and the user's own."""

from collections.abc import Sequence
from pathlib import Path

import relay
from relay.errors import BadConfig, Problem

LARGEST_FILE = 1_000_000
"""Bytes of one template file."""


def read_sources(files: Sequence[Path] = ()) -> dict[str, str]:
    """Read the default templates and the given files, by file name; of two with one name the last one holds.

    So a user's `description.j2` takes the place of the default. Raises BadConfig that names every file it cannot read.
    """
    sources, problems = {}, []
    for path in (*sorted(defaults().glob("*.j2")), *files):
        try:
            sources[path.name] = _read(path)
        except (OSError, ValueError) as error:
            problems.append(Problem(str(path), 1, 1, "templates", f"cannot read this template: {error}"))
    if problems:
        raise BadConfig(tuple(problems))
    return sources


def defaults() -> Path:
    """Find the folder of the default templates: in the wheel, else beside the package in a checkout."""
    package = Path(relay.__file__).parent
    shipped = package / "_shipped" / "templates" / "event"
    return shipped if shipped.is_dir() else package.parent / "templates" / "event"


def _read(path: Path) -> str:
    data = path.read_bytes()
    if len(data) > LARGEST_FILE:
        raise ValueError(f"it has {len(data):,} bytes, more than {LARGEST_FILE:,}")
    return data.decode("utf-8")
