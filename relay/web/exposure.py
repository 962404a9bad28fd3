"""Says whether anybody at all could use a door: an address that is not this machine's alone, and nobody who asks."""

import ipaddress
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence

from relay.config.senders import Credentials
from relay.config.web import WebConfig
from relay.rules.ruleset import Source
from relay.web.listening import Address
from relay.web.routes import Side

_REMEDY = (
    "give users or client certificates in --web.config.file{sources}, listen on 127.0.0.1, or say "
    "--web.allow-unauthenticated where only those who may can reach it"
)


def exposed(
    addresses: Sequence[Address],
    side: Side,
    web: WebConfig,
    sources: Mapping[str, Source],
    credentials: Mapping[str, Credentials],
) -> str:
    """Say which of the addresses are open to everybody, and what to do; "" if none is."""
    if web.users or web.client_certificates:
        return ""
    if side is not Side.ADMIN and sources and all(name in credentials for name in sources):
        return ""
    where = [f"{host or '*'}:{port}" for host, port in addresses if not _is_loopback(host)]
    if not where:
        return ""
    what = "look at pages and metrics" if side is Side.ADMIN else "post alerts, so that somebody is paged"
    remedy = _REMEDY.format(sources="" if side is Side.ADMIN else " or credentials for each of `sources`")
    return f"{', '.join(where)} is not this machine's own, and anybody who reaches it could {what}: {remedy}"


def oddities(addresses: Sequence[Address], web: WebConfig, credentials: Mapping[str, Credentials]) -> Iterator[str]:
    """Say what may be meant, and should be known, of addresses that serve all doors."""
    if why := exposed(addresses, Side.ADMIN, web, {}, {}):
        yield why
    verified = web.tls is not None and web.tls.verify_mode is not ssl.CERT_NONE
    for name, held in credentials.items():
        if held.client_sans and not verified:
            what = f"source {name} may show a client's certificate, and nobody asks for one"
            yield f"{what}: set client_auth_type and client_ca_file in --web.config.file"


def _is_loopback(host: str) -> bool:
    """Say whether a host is this machine, and nothing but it, by all its addresses."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None) if host else []
    except OSError:
        found = []
    return bool(found) and all(ipaddress.ip_address(str(one[4][0]).partition("%")[0]).is_loopback for one in found)
