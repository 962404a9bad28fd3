"""The doors that operators and Prometheus know: health, readiness, reload, metrics, and words for every wrong turn."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request

from relay.errors import Problem
from relay.web.middleware import _is_here
from tests.integration.house import House, alert, message, open_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


async def _text(house: House, method: str, path: str, **headers: str) -> tuple[int, str]:
    async with house.http.request(method, house.url + path, headers=headers) as reply:
        return reply.status, await reply.text()


async def test_healthy_is_200_whatever_happens(house: House) -> None:
    house.not_ready = "shutting down"

    assert await _text(house, "GET", "/-/healthy") == (200, "Pagerelay is healthy.\n")
    assert await _text(house, "HEAD", "/-/healthy") == (200, "")


async def test_ready_says_why_not(house: House) -> None:
    assert await _text(house, "GET", "/-/ready") == (200, "Pagerelay is ready.\n")

    house.not_ready = "waiting for the lock"
    assert await _text(house, "GET", "/-/ready") == (503, "not ready: waiting for the lock\n")
    assert await _text(house, "HEAD", "/-/ready") == (503, "")


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_reload_answers_200_or_every_problem_on_a_line(house: House, method: str) -> None:
    assert await _text(house, method, "/-/reload") == (200, "configuration reloaded\n")

    house.problems = (
        Problem("relay.yml", 3, 5, "route", "unknown field 'severtiy'"),
        Problem("relay.yml", 9, 1, "receivers[0]", "no name"),
    )
    status, text = await _text(house, method, "/-/reload")
    assert status == 500
    assert text.splitlines()[1:] == [
        "relay.yml:3:5: route: unknown field 'severtiy'",
        "relay.yml:9:1: receivers[0]: no name",
    ]


async def test_a_reload_that_only_warns_is_a_reload(house: House) -> None:
    house.problems = (Problem("relay.yml", 1, 1, "", "2 open pages cannot be resolved", warning=True),)

    status, text = await _text(house, "POST", "/-/reload")

    assert status == 200
    assert text == "configuration reloaded\nrelay.yml:1:1: warning: 2 open pages cannot be resolved\n"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Forwarded-For", "10.0.0.9"),
        ("Forwarded", "for=10.0.0.9"),
        ("X-Real-IP", "10.0.0.9"),
    ],
)
async def test_reload_is_not_for_those_behind_a_proxy(house: House, header: str, value: str) -> None:
    async with house.http.post(house.url + "/-/reload", headers={header: value}) as reply:
        assert reply.status == 403
        assert "loopback only" in (await reply.json())["error"]


@pytest.mark.parametrize(
    ("peer", "here"),
    [
        (("127.0.0.1", 1), True),
        (("127.9.9.9", 1), True),
        (("::1", 1, 0, 0), True),
        (("::ffff:127.0.0.1", 1, 0, 0), True),
        (("10.0.0.1", 1), False),
        (("fe80::1%eth0", 1, 0, 0), False),
        (("::ffff:10.0.0.1", 1, 0, 0), False),
        ("", True),
        (None, False),
    ],
)
def test_this_machine_is_known_by_its_address(peer: object, here: bool) -> None:
    class Transport(asyncio.Transport):
        def get_extra_info(self, name: str, default: object = None) -> object:
            return peer if name == "peername" else default

    assert _is_here(make_mocked_request("POST", "/-/reload", transport=Transport())) is here


async def test_metrics_are_brought_up_to_date_and_pass_promtool(house: House) -> None:
    await house.post(message(alert()))

    async with house.http.get(house.url + "/metrics") as reply:
        assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = await reply.text()

    assert "pagerelay_store_size_bytes" in text
    promtool = shutil.which("promtool")
    if promtool:
        checked = await asyncio.to_thread(
            subprocess.run, [promtool, "check", "metrics"], input=text.encode(), capture_output=True, check=False
        )
        assert (checked.returncode, checked.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/webhook", "POST"),
        ("GET", "/webhook/eu", "POST"),
        ("DELETE", "/webhook", "POST"),
        ("GET", "/-/reload", "POST, PUT"),
        ("POST", "/-/ready", "GET, HEAD"),
        ("POST", "/metrics", "GET, HEAD"),
        ("GET", "/api/v1/explain", "POST"),
        ("POST", "/api/v1/pages", "GET, HEAD"),
        ("OPTIONS", "/api/v1/status", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_405_and_says_which_is_right(
    house: House, method: str, path: str, allowed: str
) -> None:
    async with house.http.request(method, house.url + path) as reply:
        assert reply.status == 405
        assert reply.headers["Allow"] == allowed
        assert f"takes {allowed}, not {method}" in (await reply.json())["error"]


@pytest.mark.parametrize(
    "path", ["/", "/nope", "/webhook/a/b", "/api/v1/", "/api/v2/silence/", "/-/", "/%00", "/a%2Fb"]
)
async def test_an_unknown_address_is_404_and_lists_the_doors(house: House, path: str) -> None:
    async with house.http.get(house.url + path) as reply:
        assert reply.status == 404
        error = (await reply.json())["error"]
        assert "/webhook" in error
        assert "/api/v1/pages/{id}" in error


async def test_what_a_handler_did_not_foresee_is_503_in_words(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await house.store.close()
        assert "closed" in (await house.get("/api/v1/pages", 503))["error"]

        house.answers = None  # type: ignore[assignment]
        assert "not ready" in (await house.get("/api/v1/status", 503))["error"]

        house.metrics = None  # type: ignore[assignment]
        async with house.http.get(house.url + "/metrics") as reply:
            assert reply.status == 503
        assert any("AttributeError" in line for line in house.log)
