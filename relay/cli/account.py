"""Which PagerDuty account a command means: its token, its address, and who acts; and asks it."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from relay.config import Loaded, load
from relay.config.account import token_fault
from relay.errors import BadConfig, RelayError
from relay.logs import clean
from relay.pagerduty.rest import UNTOLD, Rest
from relay.rules.ruleset import Account
from relay.secret import Secret

TOKEN = "PAGERELAY_PAGERDUTY_TOKEN"  # noqa: S105 - the name of the variable
"""Environment variable that holds the token; there is no flag for it, since anybody can read a command line."""
_LARGEST = 64 * 1024
_SHORTEST_WAIT = 2.0
"""Seconds; shorter waits for the rate limit are not worth a line."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Who:
    """An account, as the command line, the environment and the routing file name it."""

    token: Secret | None
    account: Account
    loaded: Loaded | None
    """The routing file, where one is named."""

    @property
    def config(self) -> Loaded:
        """The routing file, for commands that need one."""
        if self.loaded is None:
            fail("this needs the routing file: give --config.file or PAGERELAY_CONFIG_FILE")
        return self.loaded


def account(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that name the account; it gets them as `who`."""

    @click.option(
        "--config.file",
        "config_file",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="PAGERELAY_CONFIG_FILE",
        show_envvar=True,
        metavar="FILE",
        help="The routing file: its section `pagerduty` has api_token_file, api_url and from.",
    )
    @click.option(
        "--token-file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help=f"A file with the REST API token. [default: {TOKEN}, else what the routing file names]",
    )
    @click.option(
        "--api.url",
        "api_url",
        default="",
        metavar="URL",
        envvar="PAGERELAY_PAGERDUTY_API_URL",
        show_envvar=True,
        help="The REST API. [default: api_url of the routing file, else https://api.pagerduty.com; "
        "EU: https://api.eu.pagerduty.com]",
    )
    @click.option(
        "--from",
        "from_email",
        default="",
        metavar="EMAIL",
        envvar="PAGERELAY_PAGERDUTY_FROM",
        show_envvar=True,
        help="The PagerDuty user whom acts count as. [default: `from` of the routing file]",
    )
    @wraps(command)
    def with_account(
        *, config_file: Path | None, token_file: Path | None, api_url: str, from_email: str, **given: Any
    ) -> None:
        command(who=_who(config_file, token_file, api_url, from_email), **given)

    return with_account


def asked(who: Who, ask: Callable[[Rest], Awaitable[Answer]]) -> Answer:
    """Ask PagerDuty; what goes wrong ends the command with status 1 and says why."""

    async def run() -> Answer:
        rest = Rest(lambda: who.token, lambda: who.account, waits=_say_wait)
        await rest.start()
        try:
            return await ask(rest)
        finally:
            await rest.close()

    if who.token is None:
        fail(UNTOLD)
    try:
        return asyncio.run(run())
    except (RelayError, OSError) as error:
        fail(str(error))


def fail(message: str) -> NoReturn:
    """End the command with status 1."""
    complain(message)
    sys.exit(1)


def complain(message: str) -> None:
    """Say on standard error what is wrong."""
    click.echo(f"pagerelay: {clean(message)}", err=True)


def _who(config_file: Path | None, token_file: Path | None, api_url: str, from_email: str) -> Who:
    loaded = _loaded(config_file) if config_file else None
    named = loaded.rules.account if loaded else Account()
    token = _token_of(token_file) or (loaded.account.api_token if loaded else None)
    url = (api_url or named.api_url).rstrip("/")
    if not url.startswith(("https://", "http://")):
        raise click.BadParameter(f"{url!r}: write it as https://HOST", param_hint="--api.url")
    if from_email and "@" not in from_email:
        raise click.BadParameter("write the e-mail address of a PagerDuty user", param_hint="--from")
    return Who(token, replace(named, api_url=url, from_email=from_email or named.from_email), loaded)


def _loaded(file: Path) -> Loaded:
    try:
        return load(file, os.environ)
    except BadConfig as bad:
        for problem in bad.problems:
            click.echo(clean(str(problem)), err=True)
        fail(f"{file} does not load; see `pagerelay config check {file}`")


def _token_of(file: Path | None) -> Secret | None:
    """Read the token from the file, else from the environment; None if neither is there."""
    if file is None:
        text, where = os.environ.get(TOKEN, "").strip(), TOKEN
        if not text:
            return None
    else:
        text, where = _content(file).strip(), str(file)
    if fault := token_fault(text):
        fail(f"{where}: {fault}")
    return Secret(text)


def _content(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_LARGEST).decode("utf-8", "replace")
    except OSError as error:
        fail(f"cannot read the REST API token from {file}: {error.strerror}")


def _say_wait(seconds: float) -> None:
    if seconds >= _SHORTEST_WAIT:
        click.echo(f"waiting {seconds:.0f} s: PagerDuty limits the rate", err=True)
