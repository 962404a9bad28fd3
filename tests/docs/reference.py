"""Writes docs/cli.md from the commands' own help: `python -m tests.docs.reference`."""

from collections.abc import Iterator
from pathlib import Path

import click
from click.testing import CliRunner

from relay.__main__ import main

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
WIDTH = 100

_HEAD = """# Commands

Written from the commands' own `--help` by `python -m tests.docs.reference`; a test compares the two.
Every flag with an environment twin names it in brackets.

Exit status: 0, 1 for what went wrong, 2 for a command line that makes no sense.
"""


def commands(group: click.Command = main, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """List every command as its words and its help, groups before what is in them."""
    done = CliRunner().invoke(
        main,
        [*path, "--help"],
        prog_name="pagerelay",
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        env={"COLUMNS": str(WIDTH)},
    )
    assert done.exit_code == 0, done.output
    yield path, done.output
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            inner = group.get_command(context, name)
            assert inner is not None
            yield from commands(inner, (*path, name))


def written() -> str:
    """Return the whole page."""
    return "\n".join((_HEAD, *(_section(path, text) for path, text in commands())))


def _section(path: tuple[str, ...], text: str) -> str:
    shown = "\n".join(line.rstrip() for line in text.splitlines())
    return f"## {' '.join(('pagerelay', *path))}\n\n```\n{shown}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(written(), encoding="utf-8")
