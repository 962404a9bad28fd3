"""Lays answers out for people: a table whose columns line up, cut to the terminal's width, and JSON for scripts."""

import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence

import click
import msgspec

from relay.logs import clean

Row = Sequence[str]

_BETWEEN = 2
"""Blanks between two columns."""


def print_table(heads: Row, rows: Iterable[Row]) -> None:
    """Print a table; on a terminal its last column is cut to fit."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for line in table(heads, rows, width):
        click.echo(line)


def table(heads: Row, rows: Iterable[Row], width: int = 0) -> list[str]:
    """Line rows up under their heads; a column that is empty throughout is left out.

    What is longer than `width` columns of a terminal is cut and ends in …; 0: nothing is cut.
    """
    cells = [[clean(cell) for cell in row] for row in rows]
    kept = [at for at in range(len(heads)) if any(row[at] for row in cells)]
    shown = [[heads[at] for at in kept], *([row[at] for at in kept] for row in cells)]
    widths = [max(columns(row[at]) for row in shown) for at in range(len(kept))]
    return [_cut(_line(row, widths), width) for row in shown] if cells else []


def print_lines(lines: Iterable[str]) -> None:
    """Print lines, without anything in them that would repaint the terminal."""
    for line in lines:
        click.echo(clean(line))


def print_json(found: object) -> None:
    """Print JSON, indented."""
    click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())


def columns(text: str) -> int:
    """Say how many columns of a terminal a text takes: wide letters take two, marks on others none."""
    if text.isascii():
        return len(text)
    return sum(_columns_of(letter) for letter in text)


def _columns_of(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _line(row: Row, widths: Sequence[int]) -> str:
    padded = [cell + " " * (width - columns(cell) + _BETWEEN) for cell, width in zip(row, widths, strict=True)]
    return "".join(padded).rstrip()


def _cut(line: str, width: int) -> str:
    if not width or columns(line) <= width:
        return line
    room, kept = width - 1, 0
    for at, letter in enumerate(line):
        kept += _columns_of(letter)
        if kept > room:
            return line[:at].rstrip() + "…"
    return line
