"""`pagerelay serve`: the relay itself."""

import re
import sys
from pathlib import Path

import click

from relay.alert import DAY, HOUR, MINUTE, SECOND, Duration
from relay.app import run
from relay.cli.options import storage_path
from relay.settings import Settings
from relay.web import Limits

_UNITS = {"y": 365 * DAY, "w": 7 * DAY, "d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND, "ms": SECOND // 1000}
_DURATION = re.compile(r"(?:\d+(?:ms|y|w|d|h|m|s))+")


class DurationType(click.ParamType[Duration]):
    """A Prometheus duration: 7d, 36h, 1h30m."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Duration:
        text = str(value)
        if isinstance(value, int):
            return value
        if not _DURATION.fullmatch(text):
            self.fail(f"{text!r} is not a duration like 7d, 36h or 1h30m", param, ctx)
        length = sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"(\d+)(ms|y|w|d|h|m|s)", text))
        if length > 100 * _UNITS["y"]:
            self.fail(f"{text[:40]!r} is more than 100 years", param, ctx)
        return length


class AddressType(click.ParamType[tuple[str, int]]):
    """HOST:PORT, :PORT for every address, [::1]:PORT for IPv6."""

    name = "address"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        host, colon, port = str(value).rpartition(":")
        if not colon or not port.isdecimal() or int(port) > 65535:
            self.fail(f"{value!r} is not HOST:PORT", param, ctx)
        return host.removeprefix("[").removesuffix("]"), int(port)


@click.command()
@click.option(
    "--config.file",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("relay.yml"),
    envvar="PAGERELAY_CONFIG_FILE",
    show_default=True,
    show_envvar=True,
    help="The routing YAML.",
)
@click.option(
    "--config.strict",
    "config_strict",
    is_flag=True,
    envvar="PAGERELAY_CONFIG_STRICT",
    show_envvar=True,
    help="Do not start from the last good configuration where the file does not load.",
)
@storage_path("Directory of the database; one relay at a time.", "storage_path")
@click.option(
    "--web.listen-address",
    "listen",
    type=AddressType(),
    multiple=True,
    default=["127.0.0.1:9095"],
    envvar="PAGERELAY_WEB_LISTEN_ADDRESS",
    show_default=True,
    show_envvar=True,
    help="HOST:PORT to listen on; repeat it for more (in the environment: separated by spaces).",
)
@click.option(
    "--web.admin-listen-address",
    "admin_listen",
    type=AddressType(),
    multiple=True,
    default=[],
    envvar="PAGERELAY_WEB_ADMIN_LISTEN_ADDRESS",
    show_envvar=True,
    help="HOST:PORT for all but senders, who then have the other to themselves. [default: one for all]",
)
@click.option(
    "--web.config.file",
    "web_config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    envvar="PAGERELAY_WEB_CONFIG_FILE",
    show_envvar=True,
    help="TLS, client certificates and users, in the format of Prometheus' exporter-toolkit. [default: none]",
)
@click.option(
    "--web.allow-unauthenticated",
    "allow_unauthenticated",
    is_flag=True,
    default=False,
    envvar="PAGERELAY_WEB_ALLOW_UNAUTHENTICATED",
    show_envvar=True,
    help="Listen off loopback though nobody is asked for a credential.",
)
@click.option(
    "--web.max-connections",
    "max_connections",
    type=click.IntRange(8, 65_536),
    default=2048,
    envvar="PAGERELAY_WEB_MAX_CONNECTIONS",
    show_default=True,
    show_envvar=True,
    help="Connections at once; the limit of open files may allow fewer.",
)
@click.option(
    "--web.max-connections-per-address",
    "max_connections_per_address",
    type=click.IntRange(1, 65_536),
    default=1024,
    envvar="PAGERELAY_WEB_MAX_CONNECTIONS_PER_ADDRESS",
    show_default=True,
    show_envvar=True,
    help="Connections at once from one address; a proxy in front of the relay is one.",
)
@click.option(
    "--web.external-url",
    "external_url",
    default="",
    envvar="PAGERELAY_WEB_EXTERNAL_URL",
    show_envvar=True,
    help="Where people reach this relay; pages at PagerDuty link to it.",
)
@click.option(
    "--web.operators-file",
    "operators_file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    envvar="PAGERELAY_WEB_OPERATORS_FILE",
    show_envvar=True,
    help="Who may silence and reload from afar: one name:secret per line. [default: nobody]",
)
@click.option(
    "--data.retention",
    "retention",
    type=DurationType(),
    default="7d",
    envvar="PAGERELAY_DATA_RETENTION",
    show_default=True,
    show_envvar=True,
    help="How long decisions and closed pages are kept.",
)
@click.option(
    "--log.level",
    "log_level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    envvar="PAGERELAY_LOG_LEVEL",
    show_default=True,
    show_envvar=True,
    help="The least important line to log.",
)
@click.option(
    "--log.format",
    "log_format",
    type=click.Choice(["logfmt", "json"]),
    default="logfmt",
    envvar="PAGERELAY_LOG_FORMAT",
    show_default=True,
    show_envvar=True,
    help="How log lines are written, on standard error.",
)
def serve(
    config_file: Path,
    config_strict: bool,
    storage_path: Path,
    listen: tuple[tuple[str, int], ...],
    admin_listen: tuple[tuple[str, int], ...],
    web_config_file: Path | None,
    allow_unauthenticated: bool,
    max_connections: int,
    max_connections_per_address: int,
    external_url: str,
    operators_file: Path | None,
    retention: Duration,
    log_level: str,
    log_format: str,
) -> None:
    """Serve: take webhooks, keep PagerDuty in step.

    \b
    pagerelay serve --config.file=relay.yml --storage.path=data --web.listen-address=127.0.0.1:9095

    SIGTERM ends it in order, SIGHUP reads the configuration again.
    """
    settings = Settings(
        config_file=config_file,
        storage_path=storage_path,
        listen=listen,
        external_url=external_url,
        retention=retention,
        log_level=log_level,
        log_format=log_format,
        operators_file=operators_file,
        web_config_file=web_config_file,
        admin_listen=admin_listen,
        allow_unauthenticated=allow_unauthenticated,
        limits=Limits(connections=max_connections, connections_per_peer=max_connections_per_address),
        config_strict=config_strict,
    )
    sys.exit(run(settings))
