"""Which addresses the relay refuses to listen on, since anybody could use them."""

import pytest

from relay.config.senders import Credentials
from relay.config.web import WebConfig
from relay.rules.ruleset import Source
from relay.secret import Secret
from relay.web import Side, exposed

PROD, EU = Source("prod"), Source("eu")
TOKEN = Credentials((Secret("a-token-of-no-meaning"),))
USERS = WebConfig(users={"anna": Secret("$2y$")})
CERTIFICATES = WebConfig(client_certificates=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_is_this_machines_own(host: str) -> None:
    assert exposed([(host, 1)], Side.ALL, WebConfig(), {}, {}) == ""


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "10.0.0.1", "192.0.2.7", "fe80::1%eth0", "no-such-host.invalid"])
def test_any_other_address_is_everybodys(host: str) -> None:
    said = exposed([("127.0.0.1", 1), (host, 9095)], Side.ALL, WebConfig(), {}, {})

    assert said.startswith(f"{host or '*'}:9095 is not this machine's own")
    assert "--web.allow-unauthenticated" in said


@pytest.mark.parametrize(
    ("side", "web", "sources", "credentials", "open_"),
    [
        (Side.ALL, USERS, {}, {}, False),
        (Side.ALL, CERTIFICATES, {}, {}, False),
        (Side.ADMIN, USERS, {}, {}, False),
        (Side.ALL, WebConfig(), {"prod": PROD}, {"prod": TOKEN}, False),
        (Side.SENDERS, WebConfig(), {"prod": PROD}, {"prod": TOKEN}, False),
        (Side.SENDERS, WebConfig(), {"prod": PROD, "eu": EU}, {"prod": TOKEN}, True),
        (Side.SENDERS, WebConfig(), {"prod": PROD}, {}, True),
        (Side.ADMIN, WebConfig(), {"prod": PROD}, {"prod": TOKEN}, True),
    ],
)
def test_somebody_who_asks_makes_it_no_longer_everybodys(
    side: Side, web: WebConfig, sources: dict[str, Source], credentials: dict[str, Credentials], open_: bool
) -> None:
    assert bool(exposed([("0.0.0.0", 9095)], side, web, sources, credentials)) is open_
