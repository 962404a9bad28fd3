"""`pagerelay send-test`: send one marked page to each PagerDuty entry of a receiver, and resolve it again."""

import asyncio
import os
import socket
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from relay.config import Loaded, load
from relay.errors import BadConfig
from relay.event import Action, Delivered, Event, Outcome, Retry, Severity
from relay.pagerduty.events import EventSender
from relay.secret import Key

_BETWEEN = 1.0
"""Seconds between two events of one page: PagerDuty promises no order."""
_RESOLVES = 3


@click.command("send-test")
@click.option("--config.file", "config_file", required=True, envvar="PAGERELAY_CONFIG_FILE", help="The routing file.")
@click.option("--receiver", required=True, help="Name of the receiver.")
@click.option(
    "--severity",
    type=click.Choice([word.value for word in Severity]),
    default=Severity.INFO.value,
    show_default=True,
    help="What the page pretends to be; critical and error ring.",
)
def send_test(config_file: str, receiver: str, severity: str) -> None:
    """Send one marked page to each PagerDuty entry of a receiver, see it accepted, and resolve it.

    Exit status 1 if one of them was not accepted, or could not be resolved.
    """
    loaded = _loaded(Path(config_file))
    sent = asyncio.run(_send_all(entries_of(loaded, receiver), Severity(severity)))
    sys.exit(0 if sent else 1)


@dataclass(frozen=True, slots=True)
class Entry:
    """One pagerduty_configs entry, as people name it, and its key."""

    name: str
    key: Key


def _loaded(path: Path) -> Loaded:
    try:
        return load(path, os.environ)
    except BadConfig as error:
        raise click.ClickException(str(error)) from None


def entries_of(loaded: Loaded, name: str) -> tuple[Entry, ...]:
    """Return the PagerDuty entries of a receiver; ends the command where there is none."""
    rules = loaded.rules
    receiver = rules.receivers.get(name)
    if receiver is None:
        raise click.ClickException(f"there is no receiver {name!r}; there are: {', '.join(sorted(rules.receivers))}")
    if not receiver.targets:
        raise click.ClickException(f"receiver {name!r} has no pagerduty_configs: it pages nobody")
    return tuple(
        Entry(f"{name} #{target.index + 1}", loaded.keys[rules.integrations[target.integration].key_id])
        for target in receiver.targets
    )


async def _send_all(entries: Sequence[Entry], severity: Severity) -> bool:
    sender = EventSender({entry.key.id: entry.key for entry in entries}.get)
    await sender.start()
    try:
        return all([await _send(sender, entry, severity) for entry in entries])
    finally:
        await sender.close()


async def _send(sender: EventSender, entry: Entry, severity: Severity) -> bool:
    dedup_key = f"pagerelay-send-test-{uuid.uuid4()}"
    opened = await sender.send(marked_page(entry, dedup_key, severity), entry.key.id)
    click.echo(f"{entry.name}: trigger: {said(opened)} (dedup_key {dedup_key})")
    if not isinstance(opened, Delivered) and not (isinstance(opened, Retry) and opened.ambiguous):
        return False
    closed = await resolved(sender, entry, dedup_key)
    click.echo(f"{entry.name}: resolve: {said(closed)}")
    if not isinstance(closed, Delivered):
        click.echo(f"{entry.name}: the test page may still be open: resolve {dedup_key} at PagerDuty by hand", err=True)
    return isinstance(opened, Delivered) and isinstance(closed, Delivered)


async def resolved(sender: EventSender, entry: Entry, dedup_key: str) -> Outcome:
    """Resolve a page, in several tries if need be; return what the last one came to."""
    for attempt in range(_RESOLVES):
        await asyncio.sleep(_BETWEEN * 2**attempt)
        outcome = await sender.send(Event(Action.RESOLVE, dedup_key), entry.key.id)
        if isinstance(outcome, Delivered):
            break
    return outcome


def marked_page(entry: Entry, dedup_key: str, severity: Severity) -> Event:
    """Make a trigger that says at first sight that it is a test."""
    return Event(
        Action.TRIGGER,
        dedup_key,
        summary=f"[TEST] pagerelay send-test for {entry.name}: nothing is wrong, it resolves itself"[:1024],
        source=socket.gethostname() or "pagerelay",
        severity=severity,
        custom_details={"test": "true", "what": "Someone ran `pagerelay send-test` to see whether pages arrive."},
        client="pagerelay send-test",
    )


def said(outcome: Outcome) -> str:
    """Say what an attempt came to."""
    if isinstance(outcome, Delivered):
        return "accepted (HTTP 202)"
    return f"NOT accepted: {outcome.reason}: {outcome.message}"
