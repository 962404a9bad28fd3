"""The stand-in's pages: what a person sees of an incident, and does about it with plain forms."""

import asyncio
import contextlib
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.integration.sandboxed import ANNA, BEN, KEY, stand, told


async def test_the_list_offers_to_acknowledge_and_resolve_as_who_is_assigned() -> None:
    async with stand() as here:
        await here.event()
        before = await (await here.client.get("/")).text()
        form = {"user": re.findall(r'name="user" value="(\w+)"', before)[0], "back": "/"}
        async with here.client.post("/alerts/1/acknowledge", data=form, allow_redirects=False) as answer:
            back = answer.headers["Location"]
        after = await (await here.client.get("/")).text()
        (incident,) = await here.incidents()

    assert back == "/"
    assert incident["acknowledgements"][0]["acknowledger"]["summary"] == "Anna Adler"
    assert (">Acknowledge<" in before, ">Acknowledge<" in after, ">Resolve<" in after) == (True, False, True)
    assert "<script" not in before


async def test_the_list_shows_change_events_by_what_they_say() -> None:
    async with stand() as here:
        change = {"routing_key": KEY, "payload": {"summary": "Deployed <api> 2.5.0"}}
        await here.client.post("/v2/change/enqueue", json=change)
        page = await (await here.client.get("/")).text()

    assert "<td>changed</td><td>change</td>" in page
    assert "Deployed &lt;api&gt; 2.5.0" in page


async def test_the_list_shows_what_became_of_webhooks_and_who_gets_none_any_more() -> None:
    async with told() as (here, receiver):
        receiver.answers = [403, 403, 403]
        for name in "abc":
            await here.event(dedup_key=name)
        await receiver.got(3)
        while any(each["state"] == "waiting" for each in await here.webhooks()):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)
        await here.spoil(lose=True, event_type="incident.resolved", count=2)
        page = await (await here.client.get("/")).text()

    assert page.count("<td>incident.triggered</td>") == 3
    assert (page.count("<td>dropped</td>"), page.count("<td>403</td>")) == (3, 3)
    assert "are switched off until" in page
    assert "lose=True event_type=incident.resolved</span>, 2 more" in page


async def test_an_incidents_page_offers_what_can_be_done_and_shows_who_did_what() -> None:
    async with stand() as here:
        await here.event(dedup_key="a")
        await here.event(dedup_key="b")
        open_ = await (await here.client.get("/alerts/1")).text()
        await here.act(1, "note", BEN, content="<b>look</b>")
        await here.act(1, "merge", BEN, into="2")
        merged = await (await here.client.get("/alerts/1")).text()
        target = await (await here.client.get("/alerts/2")).text()

    offered = [
        act
        for act in ("acknowledge", "unacknowledge", "resolve", "reassign", "merge", "note", "reopen")
        if f"/alerts/1/{act}" in open_
    ]
    assert offered == ["acknowledge", "resolve", "reassign", "merge", "note"]
    assert [act for act in (*offered, "reopen") if f"/alerts/1/{act}" in merged] == ["note"]
    assert "&lt;b&gt;look&lt;/b&gt;" in merged
    assert 'Merged into</th><td><a href="/alerts/2">' in merged
    assert "Alert 2: a is full" in target


@pytest.mark.parametrize(
    ("act", "form", "status"),
    [
        ("acknowledge", {}, 409),
        ("resolve", {}, 409),
        ("unacknowledge", {}, 409),
        ("reassign", {"to": BEN}, 409),
        ("reopen", {}, 303),
        ("note", {"content": " "}, 400),
        ("merge", {"into": "1"}, 400),
        ("merge", {"into": "7"}, 400),
        ("reassign", {"to": "eve"}, 400),
        ("acknowledge", {"user": "eve"}, 400),
        ("explode", {}, 404),
    ],
)
async def test_what_a_resolved_incident_does_not_allow_is_refused(act: str, form: dict[str, str], status: int) -> None:
    async with stand() as here:
        await here.event()
        await here.act(1, "resolve")

        assert await here.act(1, act, **{"user": ANNA, **form}) == status


async def test_nothing_is_done_by_looking() -> None:
    async with stand() as here:
        await here.event()
        async with here.client.get("/alerts/1/resolve") as answer:
            status = answer.status
        missing = await here.act(2, "resolve")

    assert (status, missing, len(here.sandbox.open_alerts)) == (405, 404, 1)


async def test_an_event_does_not_reach_a_reopened_incident() -> None:
    async with stand() as here:
        await here.event()
        await here.act(1, "resolve")
        await here.act(1, "reopen")
        await here.event("resolve")
        await here.event()

        assert [incident["status"] for incident in await here.incidents()] == ["triggered", "triggered"]
        page = await (await here.client.get("/")).text()

    assert "Open (2)" in page


def test_the_program_speaks_tls_with_a_certificate_of_its_own_and_keeps_it(tmp_path: Path) -> None:
    urls = []
    for _ in range(2):
        with program("--https", str(tmp_path / "tls")) as url:
            urls.append(url)
            trusted = ssl.create_default_context(cafile=tmp_path / "tls" / "cert.pem")
            assert "OK" in fetched(f"{url}/sandbox/healthz", trusted)
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                fetched(f"{url}/sandbox/healthz", ssl.create_default_context())

    assert all(url.startswith("https://127.0.0.1:") for url in urls)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--token", f"nobody={KEY}"], "write it as TOKEN or as EMAIL=TOKEN"),
        (["--https", "/dev/null/tls"], "no certificate for --https"),
        (["--webhook-secret-file", "/nowhere"], "does not exist"),
        (["--auto-resolve-timeout", "0"], "x>=1"),
    ],
)
def test_the_program_says_what_is_wrong_with_its_arguments(arguments: list[str], words: str) -> None:
    ended = subprocess.run([*_PROGRAM, *arguments], capture_output=True, text=True, timeout=20, check=False)

    assert ended.returncode != 0
    assert words in ended.stderr


_PROGRAM = [sys.executable, "-c", "from relay.cli.sandbox import sandbox; sandbox()", "--listen-address=127.0.0.1:0"]


@contextlib.contextmanager
def program(*arguments: str) -> Iterator[str]:
    started = subprocess.Popen([*_PROGRAM, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert started.stdout is not None
        found = re.search(r"listens on (\S+)", started.stdout.readline())
        assert found
        yield found[1]
        started.send_signal(signal.SIGTERM)
        assert started.wait(10) == 0
    finally:
        started.kill()
        started.wait()


def fetched(url: str, trusted: ssl.SSLContext) -> str:
    async def fetch() -> str:
        async with aiohttp.ClientSession() as session, session.get(url, ssl=trusted) as answer:
            return await answer.text()

    return asyncio.run(fetch())
