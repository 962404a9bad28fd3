"""The options that several commands have: where the relay stores, and which running relay is meant."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Option = Callable[[Callable[..., Any]], Callable[..., Any]]


def storage_path(help_: str, name: str = "storage") -> Option:
    """Make `--storage.path`; `name` is the parameter that gets it."""
    return click.option(
        "--storage.path",
        name,
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("data"),
        envvar="PAGERELAY_STORAGE_PATH",
        show_default=True,
        show_envvar=True,
        help=help_,
    )


def relay_url() -> Option:
    """Make `--relay.url`, for commands that may need an operator's credential."""
    return click.option(
        "--relay.url",
        "url",
        default="",
        metavar="URL",
        envvar="PAGERELAY_RELAY_URL",
        show_envvar=True,
        help="The running relay; from elsewhere with an operator in it: http://anna:secret@relay:9095. "
        "[default: the one that holds the storage path]",
    )
