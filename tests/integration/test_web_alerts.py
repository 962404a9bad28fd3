"""The door that Prometheus posts to answers as an Alertmanager does, and keeps what it answers for."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from relay.alert import MINUTE, SECOND, moment
from relay.page import Wanted
from relay.web import Limits
from tests.integration.house import CONFIG, House, as_bytes, open_house

DOOR = "/api/v2/alerts"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


def posted(house: House, name: str = "Down", ends: float = 240, **labels: str) -> dict[str, Any]:
    """One alert as Prometheus posts it; it ends so many seconds from now."""
    now = moment(house.now)
    return {
        "labels": {"alertname": name, "severity": "critical", **labels},
        "annotations": {"summary": f"{name} is bad"},
        "startsAt": (now - timedelta(minutes=10)).isoformat(),
        "endsAt": (now + timedelta(seconds=ends)).isoformat(),
        "generatorURL": "http://prometheus/graph",
    }


async def post(house: House, body: object, path: str = DOOR, **more: Any) -> tuple[int, bytes]:
    async with house.http.post(house.url + path, data=as_bytes(body), **more) as reply:
        assert ("Retry-After" in reply.headers) == (reply.status == 503)
        return reply.status, await reply.read()


async def test_a_list_that_is_taken_is_answered_with_nothing_and_is_on_disk(house: House) -> None:
    assert await post(house, [posted(house), posted(house, "Full")]) == (200, b"")

    pages = await house.store.pages()
    assert [page.wanted for page in pages] == [Wanted.OPEN, Wanted.OPEN]
    assert any("accepted alerts" in line and "opens=2" in line for line in house.log)


@pytest.mark.parametrize("body", [[], b"null"])
async def test_nothing_at_all_is_taken(house: House, body: object) -> None:
    assert await post(house, body) == (200, b"")


async def test_an_alert_fires_repeats_and_resolves(house: House) -> None:
    await post(house, [posted(house)])
    await house.deliver()
    house.now += MINUTE
    logged = len(house.log)
    assert await post(house, [posted(house)]) == (200, b"")
    assert await house.deliver() == []
    assert len(house.log) == logged, "a repeat is counted, not logged"

    house.now += MINUTE
    await post(house, [posted(house, ends=-1)])

    assert [page.wanted for page in await house.store.pages()] == [Wanted.CLOSED]
    assert (await house.get("/api/v1/pages"))["pages"][0]["state"] == "closing"


async def test_unchanged_alerts_are_sent_again_without_a_commit(house: House) -> None:
    await post(house, [posted(house, instance=str(n)) for n in range(50)])
    commits: list[int] = []
    house.store.on_commit(lambda seconds, requests: commits.append(requests))

    for _ in range(3):
        house.now += MINUTE // 4
        await post(house, [posted(house, instance=str(n)) for n in range(50)])

    assert commits == []


async def test_what_is_valid_is_kept_and_the_rest_is_answered_with_400(house: House) -> None:
    status, words = await post(house, [posted(house), {"labels": {}}, 17])

    assert status == 400
    assert json.loads(words) == (
        "alert 1 of the list: at least one label pair required; alert 2 of the list: it is not an object"
    )
    assert [page.wanted for page in await house.store.pages()] == [Wanted.OPEN]
    assert any("alerts refused in part" in line for line in house.log)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body is empty"),
        (b"[{", "not JSON"),
        ([{"labels": {}}], "at least one label pair required"),
        ({"version": "4", "alerts": []}, "post it to /webhook"),
        (b"\x1f\x8b\x08\x00", "compressed"),
    ],
)
async def test_a_body_that_holds_nothing_is_400_in_a_json_string(house: House, body: object, words: str) -> None:
    status, answer = await post(house, body)

    assert status == 400
    assert words in json.loads(answer)
    assert await house.store.pages() == []


async def test_a_list_of_alerts_at_the_webhook_is_told_where_to_go(house: House) -> None:
    status, answer = await post(house, [posted(house)], "/webhook")

    assert status == 400
    assert "post it to /api/v2/alerts" in json.loads(answer)["error"]


async def test_a_source_is_named_by_its_path_prefix(house: House) -> None:
    assert await post(house, [posted(house)], "/source/prom-1/api/v2/alerts") == (200, b"")
    assert (await post(house, [posted(house)], "/source/a%20b/api/v2/alerts"))[0] == 404

    assert [page.source for page in await house.store.pages()] == ["prom-1"]


async def test_while_it_is_not_ready_it_says_come_again(house: House) -> None:
    house.not_ready = "the store is not open"

    status, answer = await post(house, [posted(house)])

    assert (status, json.loads(answer)) == (503, "not ready: the store is not open")


async def test_a_list_that_is_too_large_or_packed_is_refused(tmp_path: Path) -> None:
    async with open_house(tmp_path, limits=Limits(body_bytes=1_000)) as house:
        assert (await post(house, b"[" + b" " * 2_000 + b"]"))[0] == 413
        assert (await post(house, [], headers={"Content-Encoding": "snappy"}))[0] == 415


async def test_the_door_is_open_to_senders_from_anywhere(house: House) -> None:
    """It is a source's door, not an operator's: a proxy in front of it does not close it."""
    assert (await post(house, [posted(house)], headers={"X-Forwarded-For": "192.0.2.1"}))[0] == 200


async def test_every_other_method_is_refused_with_those_that_are_taken(house: House) -> None:
    async with house.http.put(house.url + DOOR) as reply:
        assert reply.status == 405
        assert "POST" in reply.headers["Allow"].split(", ")


async def test_lists_at_once_and_large_ones_lose_nothing(house: House) -> None:
    lists = [[posted(house, f"A{n}", instance=str(m), pad="x" * 400) for m in range(300)] for n in range(4)]

    answers = await asyncio.gather(*(post(house, one) for one in lists))

    assert answers == [(200, b"")] * 4
    assert sorted(page.firing for page in await house.store.pages()) == [300] * 4


async def test_lists_between_two_writings_of_what_was_heard_do_not_hide_each_other(house: House) -> None:
    """Prometheus sends 64 alerts at a time, and none of these lists has a group to be remembered by."""
    await post(house, [posted(house, "A")])
    await post(house, [posted(house, "B")])

    recall = house.intake._recall  # what the clockwork takes from

    assert len(recall.take_heard().alerts) == 2


async def test_alerts_without_an_end_last_for_the_resolve_timeout_of_the_file(tmp_path: Path) -> None:
    async with open_house(tmp_path, config=f"global: {{resolve_timeout: 90s}}\n{CONFIG}") as house:
        await post(house, [{"labels": {"alertname": "Down"}}])

        [held] = await house.store.firing(-1, 10)
        assert held.lasts == 90 * SECOND
