"""`pagerelay demo`: a PagerDuty sandbox and a relay on this machine, and an example alert on its way through."""

import json
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

SANDBOX = "http://127.0.0.1:9999"
RELAY = "http://127.0.0.1:9095"
_PAGERDUTY = """\
pagerduty:
  webhook_secret_files: [webhook-secret]
  api_url: {sandbox}
  api_token_file: api-token
  from: anna@example.com
"""
"""Added to the example: what people do in the sandbox comes back, and its REST API can be asked."""

_PATIENCE = 20.0
"""Seconds to wait for a program to be ready or for the page to arrive."""


@click.command()
@click.option("--once", is_flag=True, help="End with exit status 0 once the page has arrived.")
def demo(once: bool) -> None:
    """Start a PagerDuty sandbox and the relay, send an example alert, show the page that arrived, keep serving."""
    examples = _examples()
    _check_free(SANDBOX, RELAY)
    for number in (signal.SIGTERM, signal.SIGHUP):  # a closed terminal, too, must leave no program behind
        signal.signal(number, _end)
    with ExitStack() as stack:
        storage = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pagerelay-demo-")))
        config, options = both_ways(examples / "relay.yml", storage, SANDBOX, RELAY)
        listen = f"--listen-address={SANDBOX.removeprefix('http://')}"
        programs = [
            stack.enter_context(_running("sandbox", listen, *options)),
            stack.enter_context(
                _running(
                    "serve",
                    f"--config.file={config}",
                    f"--storage.path={storage}",
                    f"--web.listen-address={RELAY.removeprefix('http://')}",
                    f"--web.external-url={RELAY}",
                    "--log.level=warning",
                )
            ),
        ]
        _wait(f"{SANDBOX}/sandbox/healthz", programs)
        _wait(f"{RELAY}/-/ready", programs)
        body = examples / "webhooks" / "critical.json"
        answer = _call(f"{RELAY}/webhook", body.read_bytes())
        click.echo(f"\nposted {body.name}; the relay answered {json.dumps(answer['outcomes'])}")
        alert = _arrived(programs)
        _show(alert)
        if once:
            return
        _show_more(examples, alert["dedup_key"])
        click.echo("\nServing until you press Ctrl-C.")
        _serve(programs)


def _end(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def both_ways(example: Path, folder: Path, sandbox: str, relay: str) -> tuple[Path, list[str]]:
    """Write an example's configuration with what it takes to hear from PagerDuty; return it.

    With it come the options of a sandbox that does so: `sandbox` and `relay` are the addresses of the two.
    """
    secret, token, config = folder / "webhook-secret", folder / "api-token", folder / "relay.yml"
    secret.write_text(secrets.token_urlsafe(36))
    token.write_text(secrets.token_urlsafe(15))
    config.write_text(f"{example.read_text(encoding='utf-8')}\n{_PAGERDUTY.format(sandbox=sandbox)}", encoding="utf-8")
    webhook = [f"--webhook={relay}/pagerduty/webhook", f"--webhook-secret-file={secret}"]
    return config, [f"--token-file={token}", *webhook]


def _check_free(*urls: str) -> None:
    """End at once if something else listens where the demo wants to: it would answer in our stead."""
    for url in urls:
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, int(port)))
            except OSError as error:
                raise click.ClickException(f"something else listens on {host}:{port}: stop it first") from error


def _command() -> str:
    """Name this command as it can be typed here."""
    found = Path(sys.argv[0])
    return str(found) if found.name == "pagerelay" else f"{sys.executable} -m relay"


def _examples() -> Path:
    package = Path(__file__).resolve().parent.parent
    shipped = package / "_shipped" / "examples"
    return shipped if shipped.is_dir() else package.parent / "examples"


@contextmanager
def _running(*arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    program = subprocess.Popen([sys.executable, "-m", "relay", *arguments])  # noqa: S603 - our own commands
    try:
        yield program
    finally:
        program.send_signal(signal.SIGTERM)
        try:
            program.wait(12)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()


def _wait(url: str, programs: list["subprocess.Popen[bytes]"]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        _check(programs)
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - a URL of ours
                return
        except OSError:
            time.sleep(0.05)
    raise click.ClickException(f"{url} did not answer within {_PATIENCE:.0f} s")


def _check(programs: list["subprocess.Popen[bytes]"]) -> None:
    """End if a program has ended; it has said why on standard error."""
    if any(program.poll() is not None for program in programs):
        raise click.ClickException("one of the programs ended; it said why above")


def _call(url: str, body: bytes | None = None) -> Any:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - a URL of ours
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.load(answer)


def _arrived(programs: list["subprocess.Popen[bytes]"]) -> dict[str, Any]:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        _check(programs)
        alerts = _call(f"{SANDBOX}/sandbox/alerts.json")["open"]
        if alerts:
            found: dict[str, Any] = alerts[0]
            return found
        time.sleep(0.05)
    raise click.ClickException(f"no page arrived at the sandbox within {_PATIENCE:.0f} s")


def _show(alert: dict[str, Any]) -> None:
    click.echo("the page that arrived at PagerDuty (sandbox):")
    for name in ("summary", "severity", "status", "dedup_key"):
        click.echo(f"  {name:<10} {alert[name]}")


def _show_more(examples: Path, dedup_key: str) -> None:
    resolve, event = examples / "webhooks" / "critical-resolved.json", examples / "event.json"
    click.echo("\nTry next:")
    click.echo("  what PagerDuty would show; acknowledge it there:")
    click.echo(f"    {SANDBOX}/")
    click.echo("  why it paged, what became of it, and who has it:")
    click.echo(f"    {_command()} explain --relay.url={RELAY} {dedup_key}")
    click.echo("  Alertmanager says that it is over:")
    click.echo(f"    curl -s --data-binary @{resolve} {RELAY}/webhook")
    click.echo("  an event, as PagerDuty's own clients send them:")
    click.echo(f"    curl -s -d @{event} {RELAY}/v2/enqueue")


def _serve(programs: list["subprocess.Popen[bytes]"]) -> None:
    try:
        while True:
            _check(programs)
            time.sleep(0.5)
    except KeyboardInterrupt:
        click.echo("stopping")
