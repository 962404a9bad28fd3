"""What a pause holds back, until when, and what is sent at its end; hours pass in milliseconds."""

from pathlib import Path

import pytest

from relay.alert import DAY, MINUTE, SECOND
from relay.pausing import EVERYTHING, CannotPause
from tests.integration.timelapse import config, fires, hours, minutes, open_relay, resolved

TWO = config({"matchers": ['team="b"'], "receiver": "b"})


@pytest.mark.parametrize("restless", [False, True], ids=["in one go", "with a restart before everything"])
async def test_it_holds_everything_back_and_ends_by_itself(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, TWO, restless=restless) as relay:
        await relay.post(fires("Before"))
        assert relay.sent() == ["0 s trigger Before warning"]

        await relay.pausing.pause(EVERYTHING, 30 * MINUTE, "anna")
        assert await relay.post(fires("During", "critical")) == ["opens"]
        assert await relay.post(resolved("Before")) == ["resolves"]
        assert await relay.post(fires("Gone")) == ["opens"]
        await relay.wait(minutes(20))
        assert await relay.post(resolved("Gone")) == ["supersedes"]
        await relay.wait(minutes(9))
        assert relay.sent() == []
        shown = await relay.page("During")
        assert shown["why"].startswith("nothing is sent to anybody: paused until 12:30:00 UTC by anna; the trigger")

        await relay.wait(minutes(1))

        assert sorted(relay.sent()) == ["1800 s resolve Before", "1800 s trigger During critical"]
        assert "paused" not in (await relay.page("During"))["why"]
        assert relay.rung[-1] == ""


async def test_a_receiver_alone_can_be_paused_and_resumed(tmp_path: Path) -> None:
    async with open_relay(tmp_path, TWO) as relay:
        await relay.pausing.pause("b", 30 * MINUTE, "anna")
        await relay.post(fires("Ours"))
        await relay.post(fires("Theirs", team="b"))
        await relay.wait(minutes(5))
        assert relay.sent() == ["0 s trigger Ours warning"]
        assert (relay.counted("pagerelay_paused", receiver="b"), relay.counted("pagerelay_paused", receiver="all")) == (
            1,
            0,
        )
        assert "paused" not in (await relay.page("Ours"))["why"]

        await relay.pausing.resume("b", "ben")
        await relay.settle()

        assert relay.sent() == ["300 s trigger Theirs warning"]
        assert relay.counted("pagerelay_paused", receiver="b") == 0
        (past,) = relay.pausing.past
        assert (past.by, past.ended_by, past.ended_at - past.since) == ("anna", "ben", 300 * SECOND)
        assert relay.rung[-2:] == ["nothing is sent to receiver b: paused until 12:30:00 UTC by anna", ""]


async def test_a_pause_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    async with open_relay(tmp_path, TWO) as relay:
        await relay.pausing.pause(EVERYTHING, 20 * 60 * MINUTE, "anna")
        await relay.pausing.pause(EVERYTHING, 10 * MINUTE, "ben")
        await relay.post(fires("During"))
        await relay.wait(hours(1))

        assert relay.sent() == ["600 s trigger During warning"]
        assert [one.by for one in relay.pausing.past] == ["ben", "anna"]


async def test_a_clock_that_was_set_back_ends_it(tmp_path: Path) -> None:
    async with open_relay(tmp_path, TWO) as relay:
        await relay.pausing.pause(EVERYTHING, 30 * MINUTE, "anna")
        relay.now -= DAY
        await relay.post(fires("During"))

        assert len(relay.sent()) == 1


async def test_a_pause_follows_its_receiver_to_another_integration(tmp_path: Path) -> None:
    other = "1" * 32
    async with open_relay(tmp_path, TWO) as relay:
        await relay.pausing.pause("b", 30 * MINUTE, "anna")
        first = relay.book.rules.receivers["b"].targets[0].integration
        receivers = [{"name": "b", "pagerduty_configs": [{"routing_key": other}]}, *TWO["receivers"]]
        receivers[2] = {**receivers[2], "name": "c"}
        relay.configure({**TWO, "receivers": receivers})
        book = await relay._bind()
        relay.pausing.reloaded(book)

        now = book.rules.receivers["b"].targets[0].integration
        assert now != first
        assert (relay.pausing.why(now) != "", relay.pausing.why(first)) == (True, "")


@pytest.mark.parametrize(
    ("receiver", "length", "said"),
    [
        ("", DAY + SECOND, "from 1s to 1d"),
        ("", 0, "from 1s to 1d"),
        ("c", MINUTE, "there is no receiver 'c' that pages anybody: the configuration has a, b"),
        ("nobody", MINUTE, "there is no receiver 'nobody' that pages anybody"),
    ],
)
async def test_what_makes_no_sense_is_refused(tmp_path: Path, receiver: str, length: int, said: str) -> None:
    async with open_relay(tmp_path, TWO) as relay:
        with pytest.raises(CannotPause, match=said):
            await relay.pausing.pause(receiver, length, "anna")

        assert (dict(relay.pausing.current), relay.pausing.past) == ({}, ())


DOORS = [
    ({"for": "25h"}, "a pause lasts from 1s to 1d"),
    ({"for": "soon"}, "not a valid duration string"),
    ({"receiver": "a"}, "missing required field `for`"),
    ({"for": "30m", "receiver": "c"}, "there is no receiver 'c' that pages anybody"),
    ({"for": "30m", "reciever": "a"}, "unknown field `reciever`"),
]


async def test_the_door_makes_lists_and_ends_pauses_and_refuses_what_makes_no_sense(tmp_path: Path) -> None:
    async with open_relay(tmp_path, TWO) as relay:
        url = f"{relay.url}/api/v1/pause"
        for asked, said in DOORS:
            async with relay.http.post(url, json=asked) as reply:
                assert (reply.status, said in (await reply.json())["error"]) == (400, True), await reply.text()
        async with relay.http.post(url, data=b"\xff") as reply:
            assert reply.status == 400
        async with relay.http.post(url, json={"for": "30m"}) as reply:
            assert (await reply.json())["paused"] == [
                {
                    "receiver": None,
                    "since": "2026-11-23T12:00:00.000Z",
                    "until": "2026-11-23T12:30:00.000Z",
                    "by": "this machine",
                    "ended_at": None,
                    "ended_by": "",
                }
            ]
        async with relay.http.get(f"{relay.url}/api/v1/status") as reply:
            status = await reply.json()
            assert status["paused"] == ["nothing is sent to anybody: paused until 12:30:00 UTC by this machine"]
        async with relay.http.post(url, json={"for": "1h"}, headers={"X-Forwarded-For": "10.1.1.1"}) as reply:
            assert reply.status == 403
        async with relay.http.delete(url, params={"reciever": "a"}) as reply:
            assert reply.status == 400
        async with relay.http.delete(url) as reply:
            answer = await reply.json()
        assert [one["by"] for one in answer["resumed"]] == ["this machine"]
        async with relay.http.get(url) as reply:
            assert await reply.json() == answer | {"resumed": []}

        assert (answer["paused"], len(answer["past"])) == ([], 1)
