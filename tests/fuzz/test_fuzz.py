"""Short runs of tests/fuzz, and every find of the long ones as a case. `make fuzz` is the long one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from relay.alertmanager import AlertmanagerClient
from relay.alertmanager.client import Fault
from relay.store.lock import FILE, acquire, holder
from tests.fuzz import knocking, seeds
from tests.fuzz.accepting import Front, body_of, run, smallest
from tests.fuzz.mutate import mutated
from tests.integration.house import House, open_house

SEED = 20_261_123


def test_three_thousand_mutated_bodies_are_taken_or_refused_in_words() -> None:
    found = run(SEED, range(3_000))

    print(found.answers)
    assert found.faults == []
    assert found.answers["accepted"] > 1_000
    assert len(found.answers) >= 5, "every reason for a refusal is met"


@pytest.mark.acceptance
def test_five_hundred_requests_at_a_running_relay_are_answered_and_it_still_pages(tmp_path: Path) -> None:
    found = knocking.run(tmp_path, SEED, 500)

    print(knocking.table(found.answers))
    assert found.faults == []
    assert found.answers["/webhook 200"] > 50


def test_the_same_seed_and_number_give_the_same_body() -> None:
    assert [body_of(7, number) for number in range(200)] == [body_of(7, number) for number in range(200)]
    assert len({mutated(seeds.webhooks(), 7, number) for number in range(200)}) > 190


async def test_a_fault_is_seen_and_cut_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fuzzer that finds nothing may be one that sees nothing."""
    monkeypatch.setattr("relay.intake.parse", _broken)

    word, faults, _ = await Front(tmp_path).take(b'{"alerts":[{"labels":{"a":"bad"}}]}', listed=False)

    assert word == "unhandled"
    assert "ZeroDivisionError" in faults[0]


def test_what_goes_wrong_is_cut_down_to_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.intake.parse", _broken)

    assert smallest(b'{"alerts": "and many a bad word"}', listed=False, fault="ZeroDivisionError: bad") == b"bad"


def _broken(body: bytes, *_: object, **__: object) -> None:
    if b"bad" in body:
        raise ZeroDivisionError("bad")
    raise OSError


# What was found


FOUND = {
    "a silence with bytes that are no UTF-8": ("/api/v2/silences", b'{"comment":"\xc1\xe8"}', 400),
    "a silence that is nested too deeply": ("/api/v2/silences", b'{"matchers":' + b"[" * 100_000, 400),
}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize(("path", "body", "status"), FOUND.values(), ids=FOUND.keys())
async def test_what_was_found_is_refused_in_words(house: House, path: str, body: bytes, status: int) -> None:
    headers = {"Content-Type": "application/json"}
    async with house.http.post(house.url + path, data=body, headers=headers) as reply:
        answer = await reply.text()

        assert reply.status == status, answer
    assert not any("Traceback" in line for line in house.log)


async def test_an_alertmanager_that_answers_no_utf8_is_one_that_says_nothing() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=b'[{"fingerprint":"\xc1\xe8"}]', content_type="application/json")

    app = web.Application()
    app.router.add_get("/{any:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = AlertmanagerClient()
    await client.start()
    try:
        said = await client.ask(f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await client.close()
        await runner.cleanup()

    assert isinstance(said, Fault)
    assert "API v2" in str(said)


async def test_a_lock_file_full_of_rubbish_is_held_by_somebody_unnamed(tmp_path: Path) -> None:
    lock = await acquire(tmp_path)
    (tmp_path / FILE).write_bytes(b'{"pid":1,"url":"\xc1\xe8"}')
    held = holder(tmp_path)
    lock.release()

    assert held is not None
    assert held.pid == 0
