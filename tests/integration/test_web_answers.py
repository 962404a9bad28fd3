"""What a sender is answered: one test for each line of the contract, since a wrong status costs a page minutes."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from relay.errors import NotTaken, StoreError
from relay.intake import Accepted
from relay.web import Limits
from tests.integration.house import CONFIG, House, alert, as_bytes, message, open_house

DOORS = ["/webhook", "/webhook/prod", "/api/v2/alerts", "/source/prod/api/v2/alerts"]
ALERTS = [{"labels": {"alertname": "HighLatency", "severity": "critical"}}]
SECRET = "a-bearer-token-of-the-source-prod"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, limits=Limits(body_bytes=200_000)) as opened:
        yield opened


def body(path: str) -> bytes:
    return as_bytes(message(alert()) if path.startswith("/webhook") else ALERTS)


async def post(house: House, path: str, said: bytes, **headers: str) -> tuple[int, Any, str]:
    """Return the status, the Retry-After, and the text."""
    async with house.http.post(house.url + path, data=said, headers=headers) as reply:
        return reply.status, reply.headers.get("Retry-After"), await reply.text()


@pytest.mark.parametrize("path", DOORS)
async def test_stored_is_200_and_only_then(house: House, path: str) -> None:
    status, retry, text = await post(house, path, body(path))

    assert (status, retry) == (200, None)
    if path.startswith("/webhook"):
        assert json.loads(text)["status"] == "ok"
    await house.store.close()
    assert (await post(house, path, body(path).replace(b"critical", b"warning")))[:2] == (503, "1")


@pytest.mark.parametrize("path", DOORS)
async def test_not_ready_is_503(house: House, path: str) -> None:
    house.not_ready = "shutting down"

    assert (await post(house, path, body(path)))[:2] == (503, "1")


@pytest.mark.parametrize("raised", [StoreError("the disk is full"), NotTaken("overloaded"), RuntimeError("a bug")])
async def test_whatever_is_wrong_inside_is_503(house: House, raised: Exception) -> None:
    async def fail(_body: bytes, _source: str) -> Accepted:
        raise raised

    house.accept = fail
    assert (await post(house, "/webhook", body("/webhook")))[:2] == (503, "1")


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize("shown", [{}, {"Authorization": "Bearer wrong"}])
async def test_nobody_known_is_401_with_a_challenge(tmp_path: Path, path: str, shown: dict[str, str]) -> None:
    (tmp_path / "prod.token").write_text(SECRET)
    config = f"{CONFIG}\nsources: [{{name: prod, bearer_token_file: prod.token}}]\n"
    async with open_house(tmp_path, config=config) as house:
        async with house.http.post(house.url + path, data=body(path), headers=shown) as reply:
            challenges = reply.headers.getall("WWW-Authenticate")
            assert (reply.status, [one.split()[0] for one in challenges]) == (401, ["Basic", "Bearer"])
        assert (await post(house, path, body(path), Authorization=f"Bearer {SECRET}"))[0] == 200


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize("said", [b"", b"7", b"{", b'{"alerts": 5}', b"[5]", b'\xff\xfe{\x00"\x00'])
async def test_what_says_nothing_is_400_and_rings_once_its_sender_is_known(
    house: House, path: str, said: bytes
) -> None:
    status, retry, _ = await post(house, path, said)
    assert (status, retry, house.rung) == (400, None, {})

    await post(house, path, body(path))
    await post(house, path, said)
    source = "source prod" if "prod" in path else "the unnamed source"
    assert house.rung["body_refused"].startswith(f"{source} posted what is no ")


async def test_how_a_refused_body_began_is_kept_without_its_secrets(house: House) -> None:
    for number in range(25):
        said = f'{{"n": {number}, "key": "0123456789abcdef0123456789abcdef", "u": "http://me:hunter2@x/", "e": "\x1b['
        await post(house, "/webhook/prod", said.encode() + b"x " * 5_000)

    refused = (await house.get("/api/v1/refused"))["refused"]
    assert len(refused) == 20
    assert refused[0]["start"].startswith('{"n": 24, "key": "<secret>", "u": "http://<secret>@x/", "e": "�[x x')
    assert len(refused[0]["start"]) == 500
    assert (refused[0]["source"], refused[0]["peer"], refused[0]["at"][:10]) == ("prod", "127.0.0.1", "2026-11-23")
    assert "not JSON" in refused[0]["error"]


@pytest.mark.parametrize("path", DOORS)
async def test_compressed_is_415(house: House, path: str) -> None:
    assert (await post(house, path, body(path), **{"Content-Encoding": "gzip"}))[:2] == (415, None)


async def _chunks(said: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(said), 20_000):
        yield said[at : at + 20_000]


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize("chunked", [False, True])
async def test_too_large_is_413_and_rings_with_whose_it_is(house: House, path: str, chunked: bool) -> None:
    many = [alert(instance=f"i{number}") for number in range(1_000)]
    said = as_bytes(message(*many) if path.startswith("/webhook") else many)
    assert len(said) > 200_000

    async with house.http.post(house.url + path, data=_chunks(said) if chunked else said) as reply:
        assert (reply.status, reply.headers.get("Retry-After")) == (413, None)
    because = house.rung["body_too_large"]
    assert 'first alert "HighLatency"' in because
    if path.startswith("/webhook"):
        assert r'group key "{}:{alertname=\"HighLatency\"}", receiver "relay"' in because
    assert "group by more labels in Alertmanager" in because
    assert ("source prod" if "prod" in path else "the unnamed source") in because
    assert any("HighLatency" in line and "level=error" in line for line in house.log)


async def test_too_large_and_never_sent_is_413_in_time(house: House) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n")
    async with asyncio.timeout(4):
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 413 ")
    writer.close()

    assert "body_too_large" in house.rung


@pytest.mark.parametrize("path", ["/webhooks", "/webhook/a/b", "/webhook/a%20b", "/api/v2/alert", "/"])
async def test_no_such_door_is_404_in_words(house: House, path: str) -> None:
    assert (await post(house, path, body("/webhook")))[:2] == (404, None)


async def test_control_characters_of_strangers_never_reach_the_log(house: House) -> None:
    evil = "a\x1b[2J\nlevel=error msg=forged \u202ea\u0085"
    await house.post(message(alert(evil), key=f"{{}}:{evil}", receiver=evil))
    await post(house, "/webhook", as_bytes({"alerts": 5, evil: 1}))
    await house.http.get(house.url + "/api/v1/pages", params={evil: "1"})

    logged = "".join(house.log)
    assert "forged" in logged
    assert not any(letter in logged for letter in "\x1b\u202e\u0085")
    assert not any(line.startswith("level=error") for line in logged.splitlines())
