"""`pagerelay page`: list pages, show one, and say what becomes of a dead letter."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

import click
import msgspec

from relay.answers import PageAnswer, Pages
from relay.cli.asking import Asked, CannotAsk, Remote, asked
from relay.cli.options import relay_url, storage_path
from relay.cli.telling import tell_found, tell_list
from relay.errors import RelayError
from relay.logs import clean
from relay.store import holder

Answer = TypeVar("Answer")

_MESSAGES = 20
"""Messages whose decisions are shown with a page."""
_WAIT = 5.0
"""Seconds to wait for what comes of a retry."""
_LOOK = 0.1
"""Seconds between two looks at it."""


def _relay(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which relay is meant."""
    return relay_url()(storage_path("Where the relay stores; looked at where no relay runs.")(command))


_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def page() -> None:
    """Look at pages, and say what becomes of dead letters."""


@page.command("list")
@click.option("--dead", is_flag=True, help="Dead letters only: what PagerDuty rejected for good.")
@click.option("--waiting", is_flag=True, help="Only what is due, or within a minute, or failed.")
@click.option("--open", "is_open", is_flag=True, help="Only what is open at PagerDuty.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=100, show_default=True, help="Pages at most.")
@_JSON
@_relay
def list_(dead: bool, waiting: bool, is_open: bool, limit: int, as_json: bool, url: str, storage: Path) -> None:
    """List pages, each with what it waits for; how many there are of each kind stands at the top.

    Dead letters come first, then what waits or is open, the worst first; then what is muted, folded, and closed.
    """
    kinds = [name for name, chosen in (("dead", dead), ("due", waiting)) if chosen]
    asked_for = dict.fromkeys(kinds, "true") | ({"delivered": "open"} if is_open else {}) | {"limit": str(limit)}

    async def ask(relay: Asked) -> Pages:
        return await relay.listed(asked_for)

    found = _answer(url, storage, ask)
    if as_json:
        _print_json(found)
        return
    _print(tell_list(found))


@page.command()
@click.argument("id")
@_JSON
@_relay
def show(id: str, as_json: bool, url: str, storage: Path) -> None:
    """Show one page: how it stands, its alerts, and each attempt with its rung of the delivery ladder.

    Exit status 1: there is no such page.
    """

    async def ask(relay: Asked) -> tuple[PageAnswer, list[str]]:
        found = await relay.page(id)
        if found is None:
            raise CannotAsk(_unknown(id))
        decisions = await relay.decisions(page=id, limit=_MESSAGES)
        return found, tell_found([found], decisions.decisions)

    found, lines = _answer(url, storage, ask)
    if as_json:
        _print_json(found)
    else:
        _print(lines)


@page.command()
@click.argument("id")
@_relay
def retry(id: str, url: str, storage: Path) -> None:
    """Try a dead letter again, from the full event on. A relay must run.

    Waits up to 5 s for what comes of it.

    Exit status 1: there is no such page, it is no dead letter, or it is one again.
    """
    found = _act(id, "retry", url, storage, wait=_WAIT)
    if found.dead:
        sys.exit(1)


@page.command()
@click.argument("id")
@_relay
def discard(id: str, url: str, storage: Path) -> None:
    """Let go of a dead letter: it counts as none until something changes in it. A relay must run.

    Exit status 1: there is no such page, or it is no dead letter.
    """
    _act(id, "discard", url, storage)


def _act(name: str, act: str, url: str, storage: Path, *, wait: float = 0.0) -> PageAnswer:
    async def ask(relay: Asked) -> PageAnswer:
        if not isinstance(relay, Remote):
            raise CannotAsk(f"no relay runs on {storage}: start it, or name one with --relay.url")
        found = await relay.act(name, act)
        deadline = time.monotonic() + wait
        while found is not None and wait and not _is_settled(found) and time.monotonic() < deadline:
            await asyncio.sleep(_LOOK)
            found = await relay.page(name)
        if found is None:
            raise CannotAsk(_unknown(name))
        return found

    if not url and holder(storage) is None:
        _fail(f"no relay runs on {storage}: start it, or name one with --relay.url")
    found = _answer(url, storage, ask)
    click.echo(clean(f"page {found.id}: {found.state}: {found.why}"))
    return found


def _is_settled(page: PageAnswer) -> bool:
    """Say whether it is known what came of a retry: PagerDuty took it, or it is a dead letter again."""
    return bool(page.dead) or (not page.in_flight and page.lane in (None, "refresh"))


def _answer(url: str, storage: Path, ask: Callable[[Asked], Awaitable[Answer]]) -> Answer:
    async def run() -> Answer:
        async with asked(url, storage, None) as relay:
            return await ask(relay)

    try:
        return asyncio.run(run())
    except (RelayError, OSError) as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    click.echo(f"pagerelay: {clean(message)}", err=True)
    sys.exit(1)


def _unknown(name: str) -> str:
    return f"there is no page {name[:80]!r}: `pagerelay page list` shows them"


def _print(lines: Sequence[str]) -> None:
    for line in lines:
        click.echo(clean(line))


def _print_json(found: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
