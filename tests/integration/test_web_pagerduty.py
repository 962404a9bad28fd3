"""The door for PagerDuty's webhooks: what it lets in, and what it answers whatever comes."""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from relay.errors import StoreError
from relay.rules.news import News, Taken
from relay.web import pagerduty
from tests.integration.house import CONFIG, House, open_house
from tests.integration.pagerduty_news import SECRET, signed

VECTOR = json.loads((Path(__file__).parents[1] / "data/pagerduty/webhook-ping-vector.json").read_text())
OTHER = "the-secret-that-takes-its-place"


def taking(*secrets: str) -> str:
    return CONFIG + f"pagerduty: {{webhook_secrets: {json.dumps(secrets)}}}\n"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, config=taking(SECRET, VECTOR["secret"])) as opened:
        yield opened


async def post(house: House, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    url = f"{house.url}/pagerduty/webhook"
    given = signed(body) if headers is None else headers
    async with house.http.post(url, data=io.BytesIO(body), headers=given) as reply:
        return reply.status, await reply.json()


def event(**fields: Any) -> bytes:
    plain = {"id": "01ONE", "event_type": "incident.triggered", "occurred_at": "2026-11-23T12:00:00.000Z"}
    return json.dumps({"event": plain | fields}).encode()


def counted(house: House, outcome: str) -> float:
    return house.metrics.registry.get_sample_value("pagerelay_pagerduty_webhooks_total", {"outcome": outcome}) or 0


async def test_a_ping_of_pagerduty_is_taken(house: House) -> None:
    status, answer = await post(house, VECTOR["body"].encode(), {"X-PagerDuty-Signature": VECTOR["header"]})

    assert (status, answer) == (202, {"status": "ok", "outcome": "other"})


@pytest.mark.parametrize(
    "body",
    [
        event(),
        event(event_type="incident.of_the_future", data={"type": "incident", "id": "P1", "new": [1]}),
        event(event_type="service.updated", data={"type": "service", "id": "PS"}),
        event(event_type="incident.responder.added", data={"type": "incident_responder", "incident": {"id": "P1"}}),
        event(event_type=7, occurred_at=[], agent="x", data="x"),
        event(data={"type": "incident", "id": "P1", "incident_key": "k" * 300, "number": 10**30}),
        b'{"event": {"x": 1}, "more": null}',
    ],
)
async def test_whatever_is_signed_is_taken_also_what_nobody_knows(house: House, body: bytes) -> None:
    status, answer = await post(house, body)

    assert status == 202, answer


async def test_what_was_taken_is_known_again(house: House) -> None:
    assert [(await post(house, event()))[1]["outcome"] for _ in range(3)] == ["other", "seen", "seen"]
    assert counted(house, "seen") == 2


BODY = event()
FORGED = {
    "no header": {},
    "an empty header": {"X-PagerDuty-Signature": ""},
    "no signature": {"X-PagerDuty-Signature": "please"},
    "another version": {"X-PagerDuty-Signature": signed(BODY)["X-PagerDuty-Signature"].replace("v1", "v2")},
    "another secret": signed(BODY, "guessed"),
    "of another body": signed(event(id="02TWO")),
    "of a body without its end": signed(BODY[:-1]),
    "not ASCII": {"X-PagerDuty-Signature": "v1=é" + "0" * 63},
    "a legacy header": {"X-Webhook-Signature": signed(BODY)["X-PagerDuty-Signature"]},
}


@pytest.mark.parametrize("headers", FORGED.values(), ids=FORGED)
async def test_what_pagerduty_did_not_sign_is_refused_and_changes_nothing(
    house: House, headers: dict[str, str]
) -> None:
    status, answer = await post(house, BODY, headers)

    assert status == 403
    assert "X-PagerDuty-Signature" in answer["error"]
    assert SECRET not in json.dumps(answer)
    assert counted(house, "unsigned") == 1
    assert (await post(house, BODY))[1]["outcome"] == "other", "the forgery was not taken for it"


async def test_a_forger_fills_no_log(house: House) -> None:
    for _ in range(50):
        await post(house, BODY, {})

    assert sum("webhook of PagerDuty refused" in line for line in house.log) == 1
    assert counted(house, "unsigned") == 50


async def test_a_wrong_secret_is_told_also_where_somebody_had_knocked_without_any(house: House) -> None:
    await post(house, BODY, {})
    await post(house, BODY, FORGED["another secret"])

    said = [line for line in house.log if "webhook of PagerDuty refused" in line]
    assert ["bears no X-PagerDuty-Signature" in line for line in said] == [True, False]
    assert "fits a secret in pagerduty.webhook_secret_files" in said[1]


@pytest.mark.parametrize("body", [b"", b"{", b"null", b'{"event": 1}', BODY[: len(BODY) // 2]])
async def test_what_is_signed_and_can_not_be_read_is_refused(house: House, body: bytes) -> None:
    status, answer = await post(house, body)

    assert status == 400
    assert answer["error"]
    assert counted(house, "unreadable") == 1


async def test_a_body_as_large_as_pagerduty_sends_is_taken_and_a_larger_one_refused(house: House) -> None:
    largest = event(client={"name": "x" * (256 * 1024 - 200)})
    assert (await post(house, largest))[0] == 202

    status, answer = await post(house, event(client={"name": "x" * 400_000}))
    assert status == 413
    assert "256 KB" in answer["error"]


@pytest.mark.parametrize("secrets", [(OTHER,), (SECRET,), (SECRET, OTHER), (OTHER, SECRET)])
async def test_during_a_rotation_either_secret_opens_the_door(house: House, secrets: tuple[str, ...]) -> None:
    house.webhook_secrets = (SECRET, OTHER)

    assert (await post(house, BODY, signed(BODY, *secrets)))[0] == 202


async def test_a_secret_that_was_taken_away_opens_it_no_more(house: House) -> None:
    house.webhook_secrets = (OTHER,)

    assert (await post(house, BODY))[0] == 403
    assert (await post(house, BODY, signed(BODY, OTHER)))[0] == 202


async def test_where_no_secret_is_configured_it_says_how_to_open_it(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        status, answer = await post(house, BODY)

        assert status == 404
        assert "pagerduty.webhook_secret_files" in answer["error"]
        assert counted(house, "off") == 1


async def test_it_asks_for_a_signature_and_for_no_credential(tmp_path: Path) -> None:
    """PagerDuty has none: its signature is what it shows."""
    (tmp_path / "token").write_text("a-token-of-eu1-only")
    config = taking(SECRET) + "sources: [{name: eu1, bearer_token_file: token}]\n"
    async with open_house(tmp_path, config=config) as house:
        assert (await post(house, BODY))[0] == 202


class Stuck:
    """News that is not kept, whatever the reason."""

    def __init__(self, why: Exception | None) -> None:
        self._why = why

    async def take(self, news: News) -> Taken:
        if self._why is not None:
            raise self._why
        await asyncio.sleep(60)
        raise AssertionError("nobody waits that long")


async def test_what_can_not_be_kept_is_to_come_again(house: House) -> None:
    house.returns_instead = Stuck(StoreError("the disk is full"))

    status, answer = await post(house, BODY)

    assert (status, answer["error"]) == (503, "the disk is full")
    house.returns_instead = None
    assert (await post(house, BODY))[1]["outcome"] == "other", "it is taken when it comes again"


async def test_before_the_store_is_open_it_is_to_come_again(house: House) -> None:
    house.not_ready, house.returns_instead = "opening the store", "none"

    status, answer = await post(house, BODY)

    assert status == 503
    assert "opening the store" in answer["error"]


async def test_before_a_configuration_is_in_force_it_is_to_come_again(house: House) -> None:
    """A 404 would have PagerDuty drop what it tells while the relay starts."""
    house.no_configuration, house.not_ready = True, "starting"

    status, answer = await post(house, BODY)

    assert (status, answer["error"]) == (503, "not ready: starting")


async def test_it_answers_in_time_though_the_store_hangs(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pagerduty.PATIENCE < 5, "PagerDuty waits no longer"
    monkeypatch.setattr(pagerduty, "PATIENCE", 0.2)
    house.returns_instead = Stuck(None)
    began = time.monotonic()

    status, _ = await post(house, BODY)

    assert status == 503
    assert time.monotonic() - began < 5


async def test_what_nobody_foresaw_is_to_come_again(house: House) -> None:
    house.returns_instead = Stuck(RuntimeError("made up"))

    assert (await post(house, BODY))[0] == 503
    assert any("made up" in line for line in house.log)
