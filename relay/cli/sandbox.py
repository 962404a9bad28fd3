"""`pagerelay sandbox`: run the stand-in for PagerDuty."""

import asyncio
import contextlib
import signal
import ssl
from pathlib import Path

import click
from aiohttp import web

from relay.sandbox.app import SANDBOX, make_app
from relay.sandbox.certificate import NoCertificate, own
from relay.sandbox.state import Settings


@click.command()
@click.option(
    "--listen-address", default="127.0.0.1:9999", show_default=True, help="HOST:PORT; port 0 takes a free one."
)
@click.option("--key", "keys", multiple=True, metavar="NAME=KEY", help="Know only this routing key. Repeatable.")
@click.option("--rate.events", "rate_events", default=120, show_default=True, help="Calls per key; 0 for no limit.")
@click.option("--rate.within", "rate_within", default=60.0, show_default=True, help="Seconds the rate is counted over.")
@click.option("--oversize-status", default=400, show_default=True, help="Answer to a body over 512,000 bytes.")
@click.option("--ledger", type=click.Path(dir_okay=False, path_type=Path), help="Append a JSON line per request here.")
@click.option(
    "--token", "tokens", multiple=True, metavar="[EMAIL=]TOKEN", help="Know only this REST token. Repeatable."
)
@click.option(
    "--token-file",
    "token_files",
    multiple=True,
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="The same, from a file.",
)
@click.option("--webhook", "webhook_url", default="", metavar="URL", help="Subscribe this address to V3 webhooks.")
@click.option("--webhook-secret", "secrets", multiple=True, help="Sign them with this; several during a rotation.")
@click.option(
    "--webhook-secret-file",
    "secret_files",
    multiple=True,
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="The same, from a file.",
)
@click.option("--webhook.pace", "pace", default=1.0, show_default=True, help="Factor on the gaps between attempts.")
@click.option(
    "--incident-key", is_flag=True, help="Give incidents of events an incident_key, which PagerDuty does not."
)
@click.option(
    "--webhook-ca", type=click.Path(dir_okay=False, exists=True, path_type=Path), help="Trust this certificate there."
)
@click.option(
    "--https",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Speak TLS, with a self-made certificate that is kept in this folder.",
)
@click.option("--acknowledgement-timeout", type=click.IntRange(1), metavar="SECONDS", help="Of each service.")
@click.option("--auto-resolve-timeout", type=click.IntRange(1), metavar="SECONDS", help="Of each service.")
def sandbox(
    listen_address: str,
    keys: tuple[str, ...],
    rate_events: int,
    rate_within: float,
    oversize_status: int,
    ledger: Path | None,
    tokens: tuple[str, ...],
    token_files: tuple[Path, ...],
    webhook_url: str,
    secrets: tuple[str, ...],
    secret_files: tuple[Path, ...],
    pace: float,
    incident_key: bool,
    webhook_ca: Path | None,
    folder: Path | None,
    acknowledgement_timeout: int | None,
    auto_resolve_timeout: int | None,
) -> None:
    """Stand in for PagerDuty: take events as strictly, show what is open, fail on demand."""
    settings = Settings(
        keys=_named(keys),
        rate_events=rate_events,
        rate_within=rate_within,
        oversize_status=oversize_status,
        ledger=ledger,
        tokens=dict(_token(entry) for entry in (*tokens, *map(_word, token_files))),
        webhook_url=webhook_url,
        webhook_secrets=(*secrets, *map(_word, secret_files)),
        webhook_pace=pace,
        webhook_ca=webhook_ca,
        show_incident_key=incident_key,
        acknowledgement_timeout=acknowledgement_timeout,
        auto_resolve_timeout=auto_resolve_timeout,
    )
    host, port = _address(listen_address)
    asyncio.run(_serve(settings, host, port, folder))


def _named(keys: tuple[str, ...]) -> dict[str, str]:
    named = {}
    for entry in keys:
        name, equals, key = entry.partition("=")
        if not (name and equals and key):
            raise click.BadParameter(f"{name or entry!r}: write it as NAME=KEY", param_hint="--key")
        named[name] = key
    return named


def _word(file: Path) -> str:
    return file.read_text(encoding="utf-8").strip()


def _token(entry: str) -> tuple[str, str]:
    """Read a token; with an address in front it is that user's, else the account's."""
    email, equals, token = entry.rpartition("=")
    if not token or (equals and "@" not in email):
        raise click.BadParameter("write it as TOKEN or as EMAIL=TOKEN", param_hint="--token")
    return token, email


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65_535:
        raise click.BadParameter(f"{text!r}: write it as HOST:PORT", param_hint="--listen-address")
    return host.strip("[]"), int(port)


async def _serve(settings: Settings, host: str, port: int, folder: Path | None) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    tls, cert = _tls(folder, host)
    app = make_app(settings)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(runner.cleanup)
        await _listen(runner, host, port, tls)
        shown, taken = runner.addresses[0][:2]
        scheme = "http" if tls is None else "https"
        url = f"{scheme}://[{shown}]:{taken}" if ":" in shown else f"{scheme}://{shown}:{taken}"
        app[SANDBOX].account.origin = url
        trusted = f"; its certificate is {cert}" if cert else ""
        click.echo(f"PagerDuty sandbox listens on {url} (events go to {url}/v2/enqueue){trusted}")
        await stop.wait()


def _tls(folder: Path | None, host: str) -> tuple[ssl.SSLContext | None, Path | None]:
    if folder is None:
        return None, None
    try:
        return own(folder, host)
    except NoCertificate as error:
        raise click.ClickException(f"no certificate for --https: {error}") from error


async def _listen(runner: web.AppRunner, host: str, port: int, tls: ssl.SSLContext | None) -> None:
    try:
        await web.TCPSite(runner, host or None, port, ssl_context=tls).start()
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
