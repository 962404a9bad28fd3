"""TLS at the doors, with real certificates: who is let in, and what happens when a file changes under the relay."""

import asyncio
import contextlib
import io
import json
import os
import ssl
from pathlib import Path

import aiohttp
import bcrypt
import pytest

from relay.config.web import WebConfig, read_web
from relay.logs import Log
from relay.web import Limits, WebFile
from tests.certificates import Authority
from tests.integration.house import CONFIG, House, alert, message, open_house

HASH = bcrypt.hashpw(b"a user's password", bcrypt.gensalt(4)).decode()
BASE = "tls_server_config:\n  cert_file: relay.pem\n  key_file: relay.key\n"
ASKING = BASE + "  client_ca_file: authority.pem\n  client_auth_type: "
SOURCES = """
sources:
  - {name: prod, native_keys: true, client_san: [am.prod.test, am.prod.example]}
  - {name: eu, native_keys: false, client_san: 2001:DB8::7}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of the relay and of its clients, and of an authority nobody knows."""
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder)
    authority.sign("relay", "IP:127.0.0.1")
    authority.sign("relay2", "IP:127.0.0.1")
    authority.sign("prod", "DNS:am.prod.test", "email:am@prod.test")
    authority.sign("eu", "IP:2001:db8::7")
    authority.sign("nobody", "DNS:nobody.test")
    Authority(folder, "strangers").sign("stranger", "DNS:am.prod.test")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """The same certificates, to be changed."""
    for file in made.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def web(folder: Path, text: str) -> WebConfig:
    file = folder / "web.yml"
    file.write_text(text)
    file.chmod(0o600)
    return read_web(file)[0]


def client(folder: Path, name: str = "", *, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """Somebody who trusts the authority, and shows a certificate of their own where they have one."""
    context = ssl.create_default_context(cafile=folder / "authority.pem")
    if name:
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    if version is not None:
        context.maximum_version = version
    return context


async def post(house: House, context: ssl.SSLContext, path: str = "/webhook") -> tuple[int, str]:
    """Post over a connection of its own; status 0 where there is none."""
    body = io.BytesIO(json.dumps(message(alert())).encode())
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, force_close=True)) as http,
            http.post(house.url + path, data=body) as reply,
        ):
            return reply.status, await reply.text()
    except (aiohttp.ClientError, ConnectionError, ssl.SSLError) as error:
        return 0, str(error)


@pytest.fixture
async def loop_says_nothing() -> None:
    """Failed handshakes are the point."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)


async def test_tls_is_spoken_and_plain_http_is_not(folder: Path, loop_says_nothing: None) -> None:
    async with open_house(folder, web=web(folder, BASE)) as house:
        assert house.url.startswith("https://")
        assert (await post(house, client(folder)))[0] == 200

        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        writer.write(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(5):
            try:
                answer = await reader.read()
            except ConnectionError:
                answer = b""
        writer.close()
        assert not answer.startswith(b"HTTP/")


async def test_an_old_version_is_not_spoken(folder: Path, loop_says_nothing: None) -> None:
    async with open_house(folder, web=web(folder, BASE + "  min_version: TLS13\n")) as house:
        assert (await post(house, client(folder)))[0] == 200
        assert (await post(house, client(folder, version=ssl.TLSVersion.TLSv1_2)))[0] == 0


@pytest.mark.parametrize(
    ("kind", "name", "status"),
    [
        ("RequireAndVerifyClientCert", "prod", 200),
        ("RequireAndVerifyClientCert", "", 0),
        ("RequireAndVerifyClientCert", "stranger", 0),
        ("VerifyClientCertIfGiven", "prod", 200),
        ("VerifyClientCertIfGiven", "", 200),
        ("VerifyClientCertIfGiven", "stranger", 0),
    ],
)
async def test_certificates_of_clients_are_asked_for_and_checked(
    folder: Path, loop_says_nothing: None, kind: str, name: str, status: int
) -> None:
    async with open_house(folder, web=web(folder, ASKING + kind)) as house:
        assert (await post(house, client(folder, name)))[0] == status


async def test_only_allowed_names_come_in(folder: Path, loop_says_nothing: None) -> None:
    names = "\n  client_allowed_sans: [am@prod.test, '2001:db8::7']\n"
    async with open_house(folder, web=web(folder, ASKING + "RequireAndVerifyClientCert" + names)) as house:
        assert (await post(house, client(folder, "prod")))[0] == 200
        assert (await post(house, client(folder, "eu")))[0] == 200
        assert (await post(house, client(folder, "nobody")))[0] == 0
        assert 'pagerelay_auth_failures_total{door="tls",kind="certificate"} 1.0' in house.metrics.render()[0].decode()


async def test_a_certificate_speaks_for_its_source_only(folder: Path) -> None:
    config = CONFIG + SOURCES
    async with open_house(folder, config=config, web=web(folder, ASKING + "VerifyClientCertIfGiven")) as house:
        assert (await post(house, client(folder, "prod"), "/webhook/prod"))[0] == 200
        assert (await post(house, client(folder, "eu"), "/webhook"))[0] == 200
        assert (await post(house, client(folder, "eu"), "/webhook/prod"))[0] == 403
        assert (await post(house, client(folder), "/webhook/prod"))[0] == 401
        assert (await post(house, client(folder, "nobody"), "/webhook/prod"))[0] == 401
        heard = house.metrics.render()[0].decode()
        assert 'pagerelay_webhook_requests_total{code="200",source="eu"} 1.0' in heard
        assert 'pagerelay_webhook_requests_total{code="200",source="prod"} 1.0' in heard


async def test_thousands_who_connect_and_never_agree_on_tls_are_dropped_in_time(folder: Path) -> None:
    async with open_house(folder, web=web(folder, BASE), limits=Limits(header_seconds=0.5)) as house:
        silent = [await asyncio.open_connection("127.0.0.1", house.port) for _ in range(50)]
        assert (await post(house, client(folder)))[0] == 200

        async with asyncio.timeout(10):
            for reader, _ in silent:
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
        for _, writer in silent:
            writer.close()
        assert (await post(house, client(folder)))[0] == 200


# What changes while the relay runs


class Watched:
    """The web configuration of a folder, as a relay has it."""

    def __init__(self, folder: Path) -> None:
        self.said: list[str] = []
        self.rung: dict[str, str] = {}
        self.file = WebFile(
            folder / "web.yml",
            log=Log(lambda: 0, stream=self),  # type: ignore[arg-type]
            ring=self.rung.__setitem__,
            quiet=self._quiet,
        )

    def _quiet(self, reason: str) -> None:
        self.rung.pop(reason, None)

    def write(self, text: str) -> int:
        self.said.append(text)
        return len(text)

    def flush(self) -> None:
        """Nothing waits."""


def move(folder: Path, source: str, target: str) -> None:
    """Put a file in the place of another, as those do who renew certificates."""
    (folder / "next").write_bytes((folder / source).read_bytes())
    os.replace(folder / "next", folder / target)


async def serial(house: House, context: ssl.SSLContext) -> str:
    """Say which certificate the relay shows to who connects now."""
    _, writer = await asyncio.open_connection("127.0.0.1", house.port, ssl=context, server_hostname="127.0.0.1")
    shown = writer.get_extra_info("peercert")
    writer.close()
    return str(shown["serialNumber"])


async def test_a_renewed_certificate_is_shown_without_a_restart_and_open_connections_stay(folder: Path) -> None:
    web(folder, BASE)
    watched = Watched(folder)
    await watched.file.open()
    async with open_house(folder, web=watched.file.current) as house:
        context = client(folder)
        before = await serial(house, context)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as http:
            async with http.get(house.url + "/-/healthy") as reply:
                assert reply.status == 200
            move(folder, "relay2.pem", "relay.pem")
            move(folder, "relay2.key", "relay.key")
            await watched.file.refresh()
            house.web = watched.file.current

            assert await serial(house, context) != before
            async with http.get(house.url + "/-/healthy") as reply:
                assert reply.status == 200
    assert watched.rung == {}


async def test_a_half_renewed_pair_leaves_the_one_before_in_force_and_rings(folder: Path) -> None:
    web(folder, BASE + f"basic_auth_users: {{anna: {HASH}}}\n")
    watched = Watched(folder)
    await watched.file.open()
    first = watched.file.current

    move(folder, "relay2.pem", "relay.pem")
    await watched.file.refresh()
    assert watched.file.current is first
    assert "they do not belong together" in watched.rung["web_config"]
    assert "the one before stays in force" in watched.rung["web_config"]
    said = len(watched.said)
    await watched.file.refresh()
    assert len(watched.said) == said  # nothing changed since: it is said once

    move(folder, "relay2.key", "relay.key")
    await watched.file.refresh()
    assert watched.file.current is not first
    assert watched.rung == {}


async def test_users_change_with_the_file_and_a_broken_file_changes_nobody(folder: Path) -> None:
    web(folder, f"basic_auth_users: {{anna: {HASH}}}\n")
    watched = Watched(folder)
    await watched.file.open()

    (folder / "web.yml").write_text(f"basic_auth_users: {{anna: {HASH}, bert: {HASH}}}\n")
    await watched.file.refresh()
    assert set(watched.file.current.users) == {"anna", "bert"}

    for broken in ("basic_auth_user: {}", "basic_auth_users: {anna: hunter2}", "["):
        (folder / "web.yml").write_text(broken)
        await watched.file.refresh()
        assert set(watched.file.current.users) == {"anna", "bert"}
        assert "web_config" in watched.rung
    (folder / "web.yml").unlink()
    await watched.file.refresh()
    assert set(watched.file.current.users) == {"anna", "bert"}

    web(folder, f"basic_auth_users: {{bert: {HASH}}}\n")
    await watched.file.refresh()
    assert set(watched.file.current.users) == {"bert"}
    assert watched.rung == {}


async def test_tls_is_turned_on_and_off_by_a_restart_only(folder: Path) -> None:
    web(folder, f"basic_auth_users: {{anna: {HASH}}}\n")
    watched = Watched(folder)
    await watched.file.open()

    web(folder, BASE)
    await watched.file.refresh()
    assert watched.file.current.tls is None
    assert "TLS is turned on or off by a restart only" in watched.rung["web_config"]
