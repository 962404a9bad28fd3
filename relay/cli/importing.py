"""`pagerelay import`: turn an alertmanager.yml into a routing file, and into the alertmanager.yml that goes with it."""

import glob
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from relay.cli.config import shown
from relay.config import examine
from relay.config.reading import Unreadable, read_file
from relay.config.schema import http_url
from relay.errors import BadConfig
from relay.importing import Imported, Note, convert, named_templates

_MOST_TEMPLATE_BYTES = 1_000_000
_EXAMPLES = """\b
Examples:
  pagerelay import alertmanager.yml
  pagerelay import alertmanager.yml -o config/relay.yml --relay.url http://pagerelay:9095/webhook
  pagerelay import /etc/alertmanager/alertmanager.yml | less
"""


@click.command("import", epilog=_EXAMPLES)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), metavar="ALERTMANAGER_YML")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the routing file here, with keys/ and the new alertmanager.yml (.new.yml) beside it.",
)
@click.option(
    "--relay.url",
    "url",
    default="http://127.0.0.1:9095/webhook",
    show_default=True,
    metavar="URL",
    help="Where Alertmanager reaches the relay: stands in the new alertmanager.yml.",
)
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
def import_(file: Path, output: Path | None, url: str, force: bool) -> None:
    """Turn an alertmanager.yml into the relay's routing file.

    Routes, inhibit rules, time intervals and PagerDuty's receivers are taken over; Go templates become Jinja. What
    cannot be translated is kept as a comment and listed on stderr. Without -o the routing file is printed, and no key
    is. Exit status 1 if Alertmanager would not load the file, or `config check` would refuse what was made of it.
    """
    try:
        http_url(url)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--relay.url") from None
    where = output or Path("relay.yml")
    imported = _converted(file, where.absolute().parent, url)
    if output is None:
        click.echo(imported.relay, nl=False)
        _tell(file, imported.notes)
        click.echo("With -o FILE it is written, with the keys and the new alertmanager.yml beside it.", err=True)
        return
    new = output.with_name(f"{file.stem}.new{file.suffix or '.yml'}")
    _write_all(imported, output, new, force=force)
    _tell(file, imported.notes)
    _say_next(imported, output, new)
    _check(output)


def _converted(file: Path, folder: Path, url: str) -> Imported:
    """Read and convert; what is wrong with the file ends the command."""
    raw = b""
    try:
        raw = read_file(file)
        return convert(
            file.name,
            raw,
            templates=dict(_templates(file, raw)),
            url=url,
            relocate=lambda name: _relocated(name, file, folder),
        )
    except Unreadable as error:
        raise click.FileError(str(file), str(error)) from None
    except BadConfig as error:
        for problem in error.problems:
            click.echo(shown(problem, raw), err=True)
        click.echo(f"error: Alertmanager would not load {file}: nothing was made of it", err=True)
        sys.exit(1)


def _templates(file: Path, raw: bytes) -> Iterator[tuple[str, str]]:
    """Read the template files that a file names, as far as they are at hand."""
    for pattern in named_templates(raw):
        for name in sorted(glob.glob(str(Path(glob.escape(str(file.absolute().parent))) / pattern))):
            try:
                text = Path(name).read_bytes()[:_MOST_TEMPLATE_BYTES].decode()
            except (OSError, UnicodeDecodeError):
                continue
            yield name, text


def _relocated(name: str, file: Path, folder: Path) -> str:
    """Say how the new file names a file that the old one names: relative names begin where their file is."""
    old = file.absolute().parent
    return name if Path(name).is_absolute() or old == folder else os.path.relpath(old / name, folder)


def _write_all(imported: Imported, output: Path, new: Path, *, force: bool) -> None:
    """Write every file, or none where one is there already."""
    keys = {output.parent / name: key.reveal() + "\n" for name, key in imported.keys.items()}
    files = {output: imported.relay, new: imported.alertmanager, **keys}
    there = [str(path) for path in files if path.exists()]
    if there and not force:
        raise click.UsageError(f"{', '.join(there)} is there already: name another FILE, or --force to overwrite it")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if path in keys else 0o755)
        # Keys and the secrets of other integrations are for their owner alone.
        mode = 0o644 if path == output else 0o600
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as opened:
            opened.write(text)


def _tell(file: Path, notes: tuple[Note, ...]) -> None:
    for note in notes:
        place = f"{file}:{note.line}" if note.line else str(file)
        click.echo(f"{place}: {note.path}: {note.message}", err=True)


def _say_next(imported: Imported, output: Path, new: Path) -> None:
    click.echo(f"Wrote {output}, {new} and {len(imported.keys)} key file(s).")
    click.echo(f"Next: read both, `pagerelay config check {output}`, `amtool check-config {new}`.")


def _check(output: Path) -> None:
    """Hold what was made against the relay's own check; it may name keys that have to be put in first."""
    examined = examine(output, os.environ)
    errors = [problem for problem in examined.problems if not problem.warning]
    for problem in errors:
        click.echo(shown(problem, examined.text), err=True)
    if errors:
        click.echo(f"{output} does not load yet: {len(errors)} thing(s) to put right by hand", err=True)
        sys.exit(1)
