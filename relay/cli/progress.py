"""Says how far a long list has been read, on a terminal and nowhere else."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import click

_AFTER = 0.5
"""Seconds before it is worth a word."""
_BETWEEN = 0.1
"""Seconds between two changes of the line."""


class Told(Protocol):
    """Is told how many were read so far."""

    def __call__(self, count: int, /) -> None: ...


@contextmanager
def progress(what: str) -> Iterator[Told]:
    """Show "reading 1,200 incidents" (`what`) on standard error while the block runs, and wipe it out at its end."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    due, shown = time.monotonic() + _AFTER, False

    def tell(count: int) -> None:
        nonlocal due, shown
        if time.monotonic() >= due:
            due, shown = time.monotonic() + _BETWEEN, True
            click.echo(f"\r\x1b[Kreading {what}: {count:,} so far", nl=False, err=True)

    try:
        yield tell
    finally:
        if shown:
            click.echo("\r\x1b[K", nl=False, err=True)
