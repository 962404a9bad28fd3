"""`pagerelay backup`: a copy of the database, while the relay runs or where none does."""

import sys
from pathlib import Path

import click

from relay.cli.options import storage_path
from relay.errors import RelayError
from relay.logs import clean
from relay.store import backup as copy


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@storage_path("Where the relay stores.")
def backup(file: Path, storage: Path) -> None:
    """Copy the database to FILE, as it is now, and check the copy.

    A relay that runs is not held up, and FILE must not be there yet. docs/upgrade.md says how to go back to it.
    """
    try:
        copied = copy(storage, file)
    except RelayError as error:
        click.echo(f"pagerelay: {clean(str(error))}", err=True)
        sys.exit(1)
    click.echo(f"{file}: {copied.size:,} bytes with {copied.pages:,} pages, checked and on disk")
