"""`pagerelay pause` and `pagerelay resume`: send nothing for a while, and again."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import click

from relay.answers import PauseAnswer, PausesAnswer
from relay.cli.asking import CannotAsk, Remote, asked
from relay.cli.options import relay_url, storage_path
from relay.errors import RelayError
from relay.logs import clean
from relay.store import holder

_RELAY = relay_url()
_STORAGE = storage_path("Where the relay stores.")


@click.command()
@click.option("--receiver", default="", metavar="NAME", help="Only this receiver. [default: everything]")
@click.option("--for", "length", required=True, metavar="DURATION", help="For how long, 24h at most: 30m.")
@_RELAY
@_STORAGE
def pause(receiver: str, length: str, url: str, storage: Path) -> None:
    """Send nothing to PagerDuty for a while, but go on accepting; what still fires at the end is sent then.

    It ends by itself, or with `pagerelay resume`. A restart changes nothing about it.
    """
    _print(_run(url, storage, lambda relay: relay.pause(receiver, length)))


@click.command()
@click.option("--receiver", default=None, metavar="NAME", help="Only this receiver. [default: every pause]")
@_RELAY
@_STORAGE
def resume(receiver: str | None, url: str, storage: Path) -> None:
    """End a pause now: what fires is sent. Says what it ended, and how many pages it had held back that are due."""
    found = _run(url, storage, lambda relay: relay.resume(receiver))
    click.echo(
        clean(_resumed(found) if found.resumed else f"{receiver} was not paused" if receiver else "nothing was paused")
    )
    _print(found)


def _run(url: str, storage: Path, ask: Callable[[Remote], Awaitable[PausesAnswer]]) -> PausesAnswer:
    try:
        return asyncio.run(_ask(url, storage, ask))
    except (RelayError, OSError) as error:
        click.echo(f"pagerelay: {clean(str(error))}", err=True)
        sys.exit(1)


def _print(found: PausesAnswer) -> None:
    for line in map(_line, found.paused):
        click.echo(clean(line))


async def _ask(url: str, storage: Path, ask: Callable[[Remote], Awaitable[PausesAnswer]]) -> PausesAnswer:
    if not url and holder(storage) is None:
        raise CannotAsk(f"no relay runs on {storage}: name it with --relay.url, or its directory with --storage.path")
    async with asked(url, storage, None) as relay:
        assert isinstance(relay, Remote), "there is a relay to ask"
        return await ask(relay)


def _resumed(found: PausesAnswer) -> str:
    names = ", ".join(one.receiver or "everything" for one in found.resumed)
    due = "no page is" if not found.due else "1 page is" if found.due == 1 else f"{found.due} pages are"
    return f"resumed: {names}; {due} due"


def _line(pause: PauseAnswer) -> str:
    return f"nothing is sent to {pause.receiver or 'anybody'} until {pause.until}, since {pause.since}, by {pause.by}"
