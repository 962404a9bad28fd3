"""The webhook's door answers as Alertmanager needs it: 2xx once it is on disk, 503 to come again, 4xx for never."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.decision import Decision, Step, Verdict
from relay.errors import BadBody, NotTaken, StoreBusy, StoreError
from relay.intake import Accepted
from relay.web import Limits
from tests.integration.house import House, alert, as_bytes, message, open_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


async def _post(house: House, body: object, path: str = "/webhook", **more: Any) -> tuple[int, Any]:
    async with house.http.post(house.url + path, data=as_bytes(body), **more) as reply:
        assert reply.headers["Content-Type"] == "application/json"
        assert ("Retry-After" in reply.headers) == (reply.status == 503)
        return reply.status, await reply.json()


async def test_an_accepted_body_is_on_disk_when_it_is_answered(house: House) -> None:
    answer = await house.post(message(alert()))

    assert answer["status"] == "ok"
    assert answer["outcomes"] == {"opens": 1}
    (decision,) = answer["decisions"]
    assert decision["verdict"] == "opens"
    assert decision["alertname"] == "HighLatency"
    (page,) = decision["pages"]
    assert "route {} sends it to receiver platform" in decision["steps"]
    assert (await house.get(f"/api/v1/pages/{page}"))["wanted"] == "open"


async def test_an_unchanged_repeat_is_counted(house: House) -> None:
    body = message(alert())
    await house.post(body)

    assert (await house.post(body))["outcomes"] == {"repeats": 1}


@pytest.mark.parametrize("path", ["/webhook", "/webhook/", "/webhook/eu-1", "/webhook/A.b_c-9", "/webhook/" + "s" * 64])
async def test_a_source_is_named_by_the_path(house: House, path: str) -> None:
    await house.post(message(alert()), path)

    (heard,) = (await house.get("/api/v1/status"))["sources"]
    assert heard["source"] == path.removeprefix("/webhook").removeprefix("/")


@pytest.mark.parametrize("source", ["a b", "ä", "%2F", "s" * 65, "a:b"])
async def test_a_path_that_names_no_source_is_404_in_words(house: House, source: str) -> None:
    status, answer = await _post(house, message(alert()), f"/webhook/{source}")

    assert status == 404
    assert "use 1 to 64 of" in answer["error"]


async def test_any_content_type_is_taken(house: House) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "garbage", "application/json; charset=utf-16"):
        status, _ = await _post(house, message(alert()), headers={"Content-Type": kind})
        assert status == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b"null", "send the JSON body"),
        (b"[]", "send the JSON body"),
        (b"{", "line 1"),
        (b'{"alerts": [}', "line 1, column 13"),
        (b"\xff\xfe{\x00}\x00", "UTF-16"),
        (b'{"alerts": NaN}', "line 1"),
        (b"[" * 100_000, "send the JSON body"),
    ],
)
async def test_what_can_never_work_is_400_with_a_remedy(house: House, body: bytes, words: str) -> None:
    status, answer = await _post(house, body)

    assert status == 400
    assert answer["status"] == "error"
    assert words in answer["error"]


async def test_a_compressed_body_is_415_and_never_unpacked(house: House) -> None:
    bomb = gzip.compress(b"0" * 50_000_000)

    status, answer = await _post(house, bomb, headers={"Content-Encoding": "gzip"})

    assert status == 415
    assert "send the body as it is" in answer["error"]
    assert (await _post(house, message(alert()), headers={"Content-Encoding": "identity"}))[0] == 200


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_413(tmp_path: Path, chunked: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b" " * 1_000

    async with open_house(tmp_path, limits=Limits(body_bytes=10_000)) as house:
        data = chunks() if chunked else b" " * 10_001
        async with house.http.post(house.url + "/webhook", data=data) as reply:
            answer = await reply.json()

        assert reply.status == 413
        assert "larger than 10000 bytes" in answer["error"]
        assert (await house.post(message(alert())))["outcomes"] == {"opens": 1}
        assert 'pagerelay_webhook_invalid_total{reason="too_large"} 1.0' in house.metrics.render()[0].decode()


async def test_five_thousand_alerts_in_one_body_are_one_answer_with_a_hundred_decisions(house: House) -> None:
    body = as_bytes(message(*(alert(instance=f"i{number}") for number in range(5_000))))

    answer = await house.post(body)
    assert answer["outcomes"]["opens"] + answer["outcomes"].get("joins", 0) == 5_000
    assert len(answer["decisions"]) == 100
    assert answer["more"] == 4_900


async def test_verbose_gives_every_decision(house: House) -> None:
    answer = await house.post(message(*(alert(instance=f"i{number}") for number in range(150))), "/webhook?verbose")

    assert len(answer["decisions"]) == 150
    assert answer["more"] == 0


async def test_while_not_ready_it_asks_to_come_again(house: House) -> None:
    house.not_ready = "shutting down"

    status, answer = await _post(house, message(alert()))

    assert status == 503
    assert answer["error"] == "not ready: shutting down"


@pytest.mark.parametrize(
    ("raised", "status", "words"),
    [
        (BadBody("no alert in it"), 400, "no alert in it"),
        (NotTaken("kept changing"), 503, "kept changing"),
        (StoreError("the disk is full"), 503, "the disk is full"),
        (StoreBusy("held"), 503, "held"),
        (TimeoutError(), 503, "see its log"),
        (RuntimeError("secret detail"), 503, "see its log"),
        (aiohttp.web.HTTPInternalServerError(), 503, "see its log"),
        (KeyError("x"), 503, "see its log"),
    ],
)
async def test_every_failure_has_its_answer(house: House, raised: Exception, status: int, words: str) -> None:
    async def fail(_body: bytes, _source: str) -> Accepted:
        raise raised

    house.accept = fail
    got, answer = await _post(house, message(alert()))

    assert (got, words in answer["error"]) == (status, True)
    assert "secret detail" not in answer["error"]


async def test_what_nobody_foresaw_is_logged_once_with_its_traceback(house: House) -> None:
    async def fail(_body: bytes, _source: str) -> Accepted:
        raise RuntimeError("a bug")

    house.accept = fail
    await _post(house, message(alert()))

    (line,) = [line for line in house.log if "a bug" in line]
    assert "test_web_webhook.py" in line


async def test_labels_that_no_encoding_has_are_answered_all_the_same(house: House) -> None:
    async def odd(_body: bytes, _source: str) -> Accepted:
        decision = Decision("", "f", "half \ud800 a pair", "firing", Verdict.OPENS, (), (Step("page", "\udfff"),))
        return Accepted({"opens": 1}, (decision,))

    house.accept = odd
    status, answer = await _post(house, message(alert()))

    assert status == 200
    assert answer["decisions"][0]["alertname"] == "half ? a pair"


async def test_more_requests_than_the_bound_are_asked_to_come_again(tmp_path: Path) -> None:
    async with open_house(tmp_path, limits=Limits(requests=3)) as house:
        gate, inside = asyncio.Event(), asyncio.Semaphore(0)

        async def wait(_body: bytes, _source: str) -> Accepted:
            inside.release()
            await gate.wait()
            return Accepted({})

        house.accept = wait
        first = [asyncio.create_task(_post(house, message(alert()))) for _ in range(3)]
        for _ in first:
            await inside.acquire()
        codes = [(await _post(house, message(alert())))[0] for _ in range(2)]
        gate.set()

        assert codes == [503, 503]
        assert [status for status, _ in await asyncio.gather(*first)] == [200, 200, 200]
        assert (await _post(house, message(alert())))[0] == 200


async def test_bodies_in_hand_are_bounded_and_given_back(tmp_path: Path) -> None:
    async with open_house(tmp_path, limits=Limits(bytes_in_hand=200_000)) as house:
        for _ in range(5):
            assert (await _post(house, b" " * 300_000))[0] == 503
        for _ in range(5):
            assert (await _post(house, b" " * 150_000))[0] == 400
        assert (await _post(house, message(alert())))[0] == 200


async def test_a_sender_that_goes_away_does_not_stop_the_judgement(house: House) -> None:
    begun, gate, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(body: bytes, source: str) -> Accepted:
        begun.set()
        await gate.wait()
        accepted = await house.intake.accept(body, source)
        ended.set()
        return accepted

    house.accept = slow
    body = as_bytes(message(alert()))
    _, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    await begun.wait()
    writer.close()
    await writer.wait_closed()
    await house.get("/api/v1/status")  # by now the relay has seen the connection go
    gate.set()

    async with asyncio.timeout(5):
        await ended.wait()
    assert len((await house.get("/api/v1/pages"))["pages"]) == 1


async def test_requests_are_counted_by_source_and_code(house: House) -> None:
    await house.post(message(alert()), "/webhook/eu")
    await _post(house, b"nonsense", "/webhook/eu")

    shown = house.metrics.render()[0].decode()
    assert 'pagerelay_webhook_requests_total{code="200",source="eu"} 1.0' in shown
    assert 'pagerelay_webhook_requests_total{code="400",source="eu"} 1.0' in shown
    assert 'pagerelay_webhook_invalid_total{reason="malformed"} 1.0' in shown
