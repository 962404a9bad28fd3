"""`pagerelay explain`: what became of a page, an alert or a webhook body, and why."""

import asyncio
import os
import re
import sys
from pathlib import Path

import click
import msgspec

from relay.answers import Asking, DecisionAnswer, ExplainAnswer, PageAnswer
from relay.cli.asking import Asked, asked
from relay.cli.options import storage_path
from relay.cli.telling import tell_explained, tell_found
from relay.errors import RelayError
from relay.logs import clean
from relay.page import page_number

MESSAGES = 20
"""Messages whose decisions are shown."""
_PAGES = 20
_ALERTS_TOLD = 20
"""Alerts of a webhook file whose last decisions are looked up."""


class Found(msgspec.Struct):
    """What became of a page or an alert."""

    pages: list[PageAnswer]
    decisions: list[DecisionAnswer]


class Explained(msgspec.Struct):
    """What would become of a webhook body now, and what became of its alerts before."""

    explained: ExplainAnswer
    decisions: list[DecisionAnswer]


@click.command()
@click.argument("what")
@click.option(
    "--relay.url",
    "url",
    default="",
    metavar="URL",
    envvar="PAGERELAY_RELAY_URL",
    show_envvar=True,
    help="The running relay. [default: the one that holds the storage path]",
)
@storage_path("Where the relay stores; read where no relay runs.")
@click.option(
    "--config.file",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="PAGERELAY_CONFIG_FILE",
    show_envvar=True,
    help="The routing YAML, to explain a webhook file where no relay runs.",
)
@click.option("--source", default="", help="Of a webhook file: the source it would come from. [default: /webhook]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(what: str, url: str, storage: Path, config: Path | None, source: str, as_json: bool) -> None:
    """Say what became of WHAT, and why.

    WHAT is a page id, a dedup key, an alert's fingerprint (16 hex digits), or a file with a webhook body or an Events
    API event (- for standard input): of that, what would become of it now.

    Exit status 1: nothing is known of it.
    """
    try:
        found = asyncio.run(_ask(what, url, storage, config, source))
    except (RelayError, OSError) as error:
        click.echo(f"pagerelay: {clean(str(error))}", err=True)
        sys.exit(1)
    if found is None:
        click.echo(
            f"pagerelay: nothing is known of {clean(what)}: it is no file, and no page, dedup key or fingerprint "
            "that the relay remembers",
            err=True,
        )
        sys.exit(1)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
        return
    lines = tell_found(found.pages, found.decisions) if isinstance(found, Found) else _tell(found)
    for line in lines:
        click.echo(clean(line))


def _tell(found: Explained) -> list[str]:
    return tell_explained(found.explained, found.decisions)


async def _ask(what: str, url: str, storage: Path, config: Path | None, source: str) -> Found | Explained | None:
    body = await asyncio.to_thread(_body, what)
    async with asked(url, storage, config) as relay:
        if body is not None:
            return await _explained(body, source, relay)
        return await _found(what, relay)


def _body(what: str) -> bytes | None:
    """Read a webhook file; None if `what` is not a file."""
    if what == "-":
        return sys.stdin.buffer.read()
    return Path(what).read_bytes() if os.path.isfile(what) else None  # Path.is_file raises for a long dedup key


async def _explained(body: bytes, source: str, relay: Asked) -> Explained:
    explained = await relay.explain(body, source, Asking(events=True))
    decisions: list[DecisionAnswer] = []
    for alert in explained.alerts[:_ALERTS_TOLD]:
        found = await relay.decisions(fingerprint=alert.fingerprint, limit=1)
        decisions += [one for one in found.decisions if one.source == alert.source]
    return Explained(explained, decisions)


async def _found(what: str, relay: Asked) -> Found | None:
    """Try what it looks like first: a page id, a fingerprint; anything may be a dedup key."""
    if page_number(what) is not None and (page := await relay.page(what)) is not None:
        return await _of_pages([page], relay)
    if re.fullmatch(r"[0-9a-fA-F]{16}", what) and (found := await _of_alert(what.lower(), relay)) is not None:
        return found
    lines = (await relay.pages(dedup_key=what)).pages
    named = [page for line in lines if (page := await relay.page(line.id)) is not None]
    return await _of_pages(named, relay) if named else None


async def _of_pages(pages: list[PageAnswer], relay: Asked) -> Found:
    """Show pages, and those that took over from them (`/2`, `/3` ...)."""
    shown = {page.id: page for page in pages}
    for page in pages:
        heir = page.successor
        while heir is not None and heir not in shown and (linked := await relay.page(heir)) is not None:
            shown[linked.id] = linked
            heir = linked.successor
    decisions = [one for name in shown for one in (await relay.decisions(page=name, limit=MESSAGES)).decisions]
    return Found(list(shown.values()), _newest_first(decisions))


async def _of_alert(fingerprint: str, relay: Asked) -> Found | None:
    decisions = list((await relay.decisions(fingerprint=fingerprint, limit=MESSAGES)).decisions)
    holding = [line.id for line in (await relay.pages(fingerprint=fingerprint)).pages]
    names = list(dict.fromkeys([*(name for one in decisions for name in one.pages), *holding]))[:_PAGES]
    pages = [page for name in names if (page := await relay.page(name)) is not None]
    return Found(pages, decisions) if decisions or pages else None


def _newest_first(decisions: list[DecisionAnswer]) -> list[DecisionAnswer]:
    unique = {msgspec.json.encode(one): one for one in decisions}
    return sorted(unique.values(), key=lambda one: one.at or "", reverse=True)
