"""`pagerelay explain` says what became of a page, an alert or a body: from the running relay, or from its store."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner, Result

from relay.alert import DAY
from relay.cli.explain import explain
from relay.store import acquire
from tests.integration.house import CONFIG, KEY, NOON, House, alert, as_bytes, message, open_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


async def _run(*arguments: str, stdin: bytes = b"") -> Result:
    return await asyncio.to_thread(CliRunner().invoke, explain, arguments, input=stdin)


async def _told(house: House, what: str, *more: str) -> str:
    result = await _run(what, "--relay.url", house.url, *more)
    assert result.exit_code == 0, result.output
    assert KEY not in result.output
    return result.output


async def _page(house: House) -> dict[str, Any]:
    (page,) = (await house.get("/api/v1/pages"))["pages"]
    return dict(page)


async def test_a_page_is_explained_by_its_id_and_by_its_dedup_key(house: House) -> None:
    await house.post(message(alert(instance="a"), alert(instance="b")))
    await house.deliver()
    page = await _page(house)

    told = await _told(house, page["id"])

    assert told == await _told(house, page["dedup_key"])
    assert told.startswith(f"page {page['id']}: open, critical\n")
    assert re.search(r"^  why +open at PagerDuty, which shows what fires$", told, re.MULTILINE)
    assert re.search(r"^  alerts +2 firing, 0 resolved$", told, re.MULTILINE)
    assert re.search(r'^    firing  critical  HighLatency  \w{16}  since \S+  .*instance="a"', told, re.MULTILINE)
    assert re.search(r"^    2026-11-23T12:00:00.000Z  trigger  critical  delivered  0 ms$", told, re.MULTILINE)
    assert re.search(r"^  2026-11-23T12:00:00.000Z  firing    HighLatency \w{16}: opens page", told, re.MULTILINE)
    assert "      route {} sends it to receiver platform\n" in told


async def test_an_alert_is_explained_by_its_fingerprint(house: House) -> None:
    answer = await house.post(message(alert()))
    fingerprint = answer["decisions"][0]["fingerprint"]
    await house.post(message(alert(status="resolved")))

    told = await _told(house, fingerprint.upper())

    assert re.search(rf"resolved  HighLatency {fingerprint}: supersedes page", told)
    assert "it resolved before its page was ever sent: nobody is paged" in told
    assert "superseded" in told.splitlines()[0]


async def test_an_alert_whose_decisions_are_forgotten_is_explained_by_the_page_that_holds_it(house: House) -> None:
    answer = await house.post(message(alert()))
    await house.deliver()
    house.now += 8 * DAY
    await house.store.prune(house.now - 7 * DAY, 100)

    told = await _told(house, answer["decisions"][0]["fingerprint"])

    assert told.startswith(f"page {(await _page(house))['id']}: open, critical\n")


async def test_a_dead_letter_is_explained_with_pagerdutys_words(house: House) -> None:
    await house.post(message(alert()))
    await house.reject("summary is missing")

    told = await _told(house, (await _page(house))["id"])

    assert "dead letter" in told.splitlines()[0]
    assert re.search(r"rejected +0 ms +clientError: summary is missing", told)


async def test_a_webhook_file_is_explained_and_not_kept(house: House, tmp_path: Path) -> None:
    file = tmp_path / "body.json"
    file.write_bytes(as_bytes(message(alert(severity="warning"), alert("Nobody", team="nobody"))))

    told = await _told(house, str(file))

    assert "alert HighLatency" in told
    assert re.search(r"^  it opens page \w{13} at receiver low as warning$", told, re.MULTILINE)
    assert 'team="nobody" is wanted, and team is missing' in told
    assert "  pages: none, nobody is paged\n" in told
    assert (await house.get("/api/v1/pages"))["pages"] == []

    await house.post(file.read_bytes())
    told = await _told(house, str(file))
    assert "what became of them last:" in told
    assert "known, and firing" in told


async def test_json_is_printed_where_it_is_asked_for(house: House, tmp_path: Path) -> None:
    await house.post(message(alert()))
    page = await _page(house)

    found = json.loads(await _told(house, page["id"], "--json"))
    assert found["pages"][0]["id"] == page["id"]
    assert found["decisions"][0]["verdict"] == "opens"

    (tmp_path / "body").write_bytes(as_bytes(message(alert())))
    explained = json.loads(await _told(house, str(tmp_path / "body"), "--json"))
    assert explained["explained"]["alerts"][0]["held"] == "firing"


async def test_the_relay_and_the_store_alone_say_the_same(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await house.post(message(alert(), alert(instance="b")))
        await house.deliver()
        house.now += 90_000_000
        await house.post(message(alert(status="resolved"), alert(instance="b", status="resolved")))
        await house.deliver()
        page = await _page(house)
        told = await _told(house, page["id"])

    stored = await _run(page["dedup_key"], "--storage.path", str(tmp_path / "data"))
    assert stored.exit_code == 0, stored.output
    assert stored.output == told


async def test_the_relay_is_found_by_its_lock_file(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house, _held(tmp_path / "data", house.url):
        await house.post(message(alert()))
        result = await _run((await _page(house))["id"], "--storage.path", str(tmp_path / "data"))

        assert result.exit_code == 0, result.output
        assert "waiting, critical" in result.output


async def test_a_relay_that_does_not_listen_yet_is_named(tmp_path: Path) -> None:
    async with _held(tmp_path, ""):
        result = await _run("x", "--storage.path", str(tmp_path))

        assert result.exit_code == 1
        assert "does not listen yet" in result.output


@contextlib.asynccontextmanager
async def _held(directory: Path, url: str) -> AsyncIterator[None]:
    lock = await acquire(directory, 1)
    lock.publish(url, NOON)
    try:
        yield
    finally:
        lock.release()


async def test_a_file_is_explained_without_relay_or_store_from_the_configuration(tmp_path: Path) -> None:
    async with open_house(tmp_path):
        pass
    storage = ("--storage.path", str(tmp_path / "nowhere"))

    without = await _run("-", *storage, stdin=as_bytes(message(alert())))
    assert without.exit_code == 1
    result = await _run("-", *storage, "--config.file", str(tmp_path / "relay.yml"), stdin=as_bytes(message(alert())))
    assert result.exit_code == 0, result.output
    assert "at receiver platform as critical" in result.output
    assert not (tmp_path / "nowhere").exists()


async def test_a_store_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    nowhere = await _run("x", "--storage.path", str(tmp_path / "nowhere"))
    assert nowhere.exit_code == 1
    assert "there is no store to read in" in nowhere.output

    (tmp_path / "relay.yml").write_text(CONFIG)
    (tmp_path / "pagerelay.db").write_bytes(b"no database" * 1_000)
    broken = await _run("x", "--storage.path", str(tmp_path), "--config.file", str(tmp_path / "relay.yml"))
    assert broken.exit_code == 1
    assert "there is no store to read in" in broken.output


async def test_a_file_needs_a_configuration_where_no_relay_runs(tmp_path: Path) -> None:
    async with open_house(tmp_path):
        pass

    result = await _run("-", "--storage.path", str(tmp_path / "data"), stdin=as_bytes(message(alert())))

    assert result.exit_code == 1
    assert "name one with --config.file" in result.output


@pytest.mark.parametrize("what", ["unheard-of", "deadbeefdeadbeef", "aaaaaaaaaaaaa", "a b\x1b[31m", "ä" * 300, ""])
async def test_what_is_not_known_is_exit_status_1(house: House, what: str) -> None:
    result = await _run(what, "--relay.url", house.url)

    assert result.exit_code == 1
    assert "nothing is known of" in result.output
    assert "\x1b" not in result.output


async def test_a_body_that_can_never_work_is_refused_with_its_reason(house: House) -> None:
    result = await _run("-", "--relay.url", house.url, stdin=b"{nonsense")

    assert result.exit_code == 1
    assert "answered 400" in result.output
    assert "line 1, column 2" in result.output


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense", "ftp://x"])
async def test_a_relay_that_does_not_answer_is_said_so(url: str) -> None:
    result = await _run("x", "--relay.url", url)

    assert result.exit_code == 1
    assert "is --relay.url right?" in result.output


async def test_an_address_that_is_no_relay_is_said_so(tmp_path: Path) -> None:
    app = web.Application()
    app.router.add_get("/{anything:.*}", _html)
    async with TestServer(app) as server:
        result = await _run("x", "--relay.url", str(server.make_url("/")))

    assert result.exit_code == 1
    assert "is no relay" in result.output


async def _html(_: web.Request) -> web.Response:
    return web.Response(text="<html>", content_type="text/html")


async def test_no_argument_or_an_unknown_option_is_exit_status_2() -> None:
    assert (await _run()).exit_code == 2
    assert (await _run("x", "--nonsense")).exit_code == 2


async def test_labels_cannot_paint_the_terminal(house: House) -> None:
    await house.post(message(alert(instance="\x1b[31mred\u202e")))

    told = await _told(house, (await _page(house))["id"])

    assert "\x1b" not in told
    assert "\u202e" not in told


async def test_the_environment_names_the_relay(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.post(message(alert()))
    monkeypatch.setenv("PAGERELAY_RELAY_URL", house.url)

    assert (await _run((await _page(house))["id"])).exit_code == 0
