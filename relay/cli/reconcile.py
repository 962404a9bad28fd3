"""`pagerelay reconcile`: what differs between Alertmanagers, the relay's pages and PagerDuty, and what is done."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from relay.answers import DriftAnswer, ReconcileAnswer
from relay.cli.asking import CannotAsk, Remote, asked
from relay.cli.options import relay_url, storage_path
from relay.errors import RelayError
from relay.logs import clean
from relay.store import holder


@click.command()
@click.option(
    "--fix", is_flag=True, help="Put right what is certain. [default: as pagerduty.reconcile says, at its time]"
)
@click.option("--last", is_flag=True, help="Show what the last comparison came to, and compare nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the relay's answer as JSON.")
@relay_url()
@storage_path("Where the relay stores.")
def reconcile(fix: bool, last: bool, as_json: bool, url: str, storage: Path) -> None:
    """Have the running relay compare its pages with PagerDuty and with Alertmanagers, and tell what differs.

    It needs pagerduty.api_token_file in the routing file, and takes a call for each open incident: minutes, where
    there are many. What is put right must be certain, and seen twice, five minutes apart: the relay remembers what it
    saw at the last comparison. It touches nothing at PagerDuty that it did not open itself.

    Exit status: 0 where nothing differs that is left so, 1 where something does or nothing could be compared.
    """
    if fix and last:
        raise click.UsageError("--fix and --last cannot be together")
    try:
        found = asyncio.run(_ask(url, storage, fix=fix, last=last))
    except (RelayError, OSError) as error:
        click.echo(f"pagerelay: {clean(str(error))}", err=True)
        sys.exit(1)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        for line in _lines(found):
            click.echo(clean(line))
    left = any(not one.repaired and not one.expected for one in found.drifts)
    sys.exit(1 if found.failed or left else 0)


async def _ask(url: str, storage: Path, *, fix: bool, last: bool) -> ReconcileAnswer:
    if not url and holder(storage) is None:
        raise CannotAsk(
            f"no relay runs on {storage}, and only a running one can compare: "
            "name it with --relay.url, or its directory with --storage.path"
        )
    async with asked(url, storage, None) as relay:
        assert isinstance(relay, Remote), "there is a relay to ask"
        return await (relay.reconciled() if last else relay.reconcile(fix=fix))


def _lines(found: ReconcileAnswer) -> Iterator[str]:
    if found.at is None:
        yield "nothing was compared since the relay was started"
        return
    if found.failed:
        yield f"{found.at}: nothing could be compared: {found.failed}"
        return
    yield (
        f"{found.at}: {_count(found.pages, 'page')} compared with {_count(found.open_there, 'open alert')} at PagerDuty"
        f" in {found.seconds:.1f} s"
    )
    yield from (f"  {note}" for note in found.notes)
    if found.not_ours:
        yield f"  {_count(found.not_ours, 'alert')} there that the relay did not open, in its integrations: left alone"
    for one in found.drifts:
        yield from _drift(one)
    if not any(not one.expected for one in found.drifts):
        yield "nothing differs"


def _drift(one: DriftAnswer) -> Iterator[str]:
    place = ", ".join(filter(None, (f"page {one.page}" if one.page else "no page", one.incident)))
    yield f"{one.kind}: {one.title or one.dedup_key or 'an alert'} ({place})"
    yield from (f"    {sentence}" for sentence in one.evidence)
    yield f"  -> {one.outcome}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
