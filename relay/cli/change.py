"""`pagerelay change send`: tell PagerDuty, through a relay or straight, that something was changed."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import click
import msgspec

from relay.alert import SECOND
from relay.config.schema import duration
from relay.event import Delivered, Outcome, Rejected, Retry
from relay.logs import clean
from relay.pagerduty.events import EventSender
from relay.rules.changes import LONGEST_SUMMARY
from relay.rules.cleaning import address, cut, line, prose
from relay.secret import Key, Secret, Tls

_PAGERDUTY = "https://events.pagerduty.com"
_EVENTS, _CHANGES = "/v2/enqueue", "/v2/change/enqueue"
_KEYS = ("PAGERELAY_ROUTING_KEY", "PD_ROUTING_KEY")
"""Environment variables that may hold the routing key, the first of them that is set."""
_TIMEOUT = 10.0
"""Seconds that one try may take."""
_FIRST, _CAP = 1.0, 15.0
"""Seconds between two tries: doubling, up to this."""
REFUSED, NOT_TAKEN = 1, 3


@click.group()
def change() -> None:
    """Send change events: what was deployed, so that whoever is paged sees it."""


@change.command()
@click.option("--summary", required=True, metavar="TEXT", help="What was changed; from 1,024 characters on it is cut.")
@click.option("--source", default="", metavar="TEXT", help="Where. [default: the name of this machine]")
@click.option("--detail", "details", multiple=True, metavar="NAME=TEXT", help="Something to know; repeat it for more.")
@click.option("--link", "links", multiple=True, metavar="URL=TEXT", help="Where to read on; repeat it for more.")
@click.option("--timestamp", default="", metavar="TIME", help="When, as ISO 8601 with a zone. [default: now]")
@click.option(
    "--url",
    default=_PAGERDUTY,
    metavar="URL",
    envvar="PAGERELAY_CHANGE_URL",
    show_envvar=True,
    show_default=True,
    help="The relay, or PagerDuty itself.",
)
@click.option(
    "--routing-key-file",
    "key_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"A file that holds the routing key. [default: what {' or '.join(_KEYS)} holds]",
)
@click.option(
    "--ca-file",
    "ca_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Certificates to trust in place of the system's.",
)
@click.option(
    "--retry-for",
    "retry_for",
    default="1m",
    metavar="DURATION",
    show_default=True,
    help="For how long to try again where nobody answers, or with 5xx or 429.",
)
def send(
    summary: str,
    source: str,
    details: Sequence[str],
    links: Sequence[str],
    timestamp: str,
    url: str,
    key_file: Path | None,
    ca_file: Path | None,
    retry_for: str,
) -> None:
    """Send one change event, and see it accepted.

    \b
    PAGERELAY_ROUTING_KEY=... pagerelay change send --url https://relay.example:9095 \\
      --summary "Deployed api 2.5.0" --source github-actions \\
      --detail service=api --link "https://example.com/commit/1=View commit"

    Every text is taken as it is: nothing in it needs to be quoted for JSON.
    Proxies are those of HTTPS_PROXY, HTTP_PROXY and NO_PROXY.
    Exit status 1 if it was refused, 3 if nobody took it in time.
    """
    key = _key(_events_url(url), _routing_key(key_file, os.environ), ca_file)
    event = _event(summary, source, _pairs(details, "--detail", "NAME=TEXT"), _linked(links), timestamp)
    try:
        seconds = duration(retry_for) / SECOND
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--retry-for") from None
    sys.exit(_told(asyncio.run(_sent(key, event, seconds)), key))


# What is said


def _event(
    summary: str, source: str, details: Mapping[str, str], links: Sequence[Mapping[str, str]], timestamp: str
) -> bytes:
    said = cut(line(summary), LONGEST_SUMMARY)
    if not said:
        raise click.BadParameter("says nothing", param_hint="--summary")
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    payload: dict[str, Any] = {"summary": said, "timestamp": timestamp or now}
    payload["source"] = line(source) or socket.gethostname() or "pagerelay"
    payload |= {"custom_details": details} if details else {}
    return msgspec.json.encode({"payload": payload} | ({"links": links} if links else {}))


def _pairs(given: Sequence[str], flag: str, form: str) -> dict[str, str]:
    pairs = [one.partition("=") for one in given]
    for name, equals, _ in pairs:
        if not name.strip() or not equals:
            raise click.BadParameter(f"{name!r} is not {form}", param_hint=flag)
    return {prose(name.strip()): prose(text) for name, _, text in pairs}


def _linked(given: Sequence[str]) -> list[dict[str, str]]:
    """Read links; an address may hold equals signs of its own, so that the last one parts it from its text."""
    found = [one.rpartition("=") for one in given]
    for whole, (href, _, text) in zip(given, found, strict=True):
        if not address(href) or not text.strip():
            message = f"{whole!r} is not URL=TEXT: an http(s) address, and what it leads to"
            raise click.BadParameter(message, param_hint="--link")
    return [{"href": address(href), "text": line(text)} for href, _, text in found]


# Where to


def _events_url(url: str) -> str:
    """Say where events would go at a relay or PagerDuty; the sender knows where change events go beside that."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        known = False
    if not known:
        raise click.BadParameter("is not an http:// or https:// address", param_hint="--url")
    path = parts.path.removesuffix("/").removesuffix(_CHANGES).removesuffix(_EVENTS)
    return urlunsplit(parts._replace(path=f"{path}{_EVENTS}", query="", fragment=""))


def _routing_key(file: Path | None, environ: Mapping[str, str]) -> Secret:
    try:
        text = file.read_text() if file is not None else next((environ[one] for one in _KEYS if environ.get(one)), "")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise click.BadParameter(f"cannot be read: {why}", param_hint="--routing-key-file") from None
    if not text.strip():
        where = f"{file} is empty" if file is not None else f"name a --routing-key-file, or set {_KEYS[0]}"
        raise click.UsageError(f"there is no routing key: {where}")
    return Secret(text.strip())


def _key(url: str, routing_key: Secret, ca_file: Path | None) -> Key:
    tls = Tls(ca_file=str(ca_file)) if ca_file is not None else None
    return Key("change", url, routing_key, "change", _TIMEOUT, proxy_from_environment=True, tls=tls)


# Sending


async def _sent(key: Key, event: bytes, seconds: float, steady: Callable[[], float] = time.monotonic) -> Outcome:
    """Make calls until one settles it, for so many seconds at most."""
    sender, until, wait = EventSender({key.id: key}.get), steady() + seconds, _FIRST
    await sender.start()
    try:
        while True:
            outcome = await sender.send_change(event, key.id)
            if not isinstance(outcome, Retry) or outcome.configuration:
                return outcome
            pause = max(wait, (outcome.after or 0) / SECOND)
            if steady() + pause > until:
                return outcome
            click.echo(f"not taken yet, trying again in {pause:g} s: {clean(_why(outcome))}", err=True)
            await asyncio.sleep(pause)
            wait = min(2 * wait, _CAP)
    finally:
        await sender.close()


def _told(outcome: Outcome, key: Key) -> int:
    """Say what it came to; return the exit status."""
    host = urlsplit(key.url).hostname
    if isinstance(outcome, Delivered):
        click.echo(f"change event accepted by {host}")
        return 0
    refused = isinstance(outcome, Rejected) or outcome.configuration
    became = "refused" if refused else "not accepted in time"
    click.echo(f"pagerelay: the change event was {became}: {clean(_why(outcome))}", err=True)
    return REFUSED if refused else NOT_TAKEN


def _why(outcome: Retry | Rejected) -> str:
    return f"{outcome.reason}: {outcome.message}"
