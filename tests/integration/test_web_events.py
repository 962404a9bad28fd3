"""The door of events, POST /v2/enqueue: PagerDuty's answers, whatever is thrown at it."""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.config.web import WebConfig
from relay.errors import StoreError
from relay.secret import Secret
from tests.integration.house import CONFIG, KEY, House, open_house

VIRTUAL = "5e" * 16
FILE = CONFIG + f"sources: [{{name: ci, routing_keys: [{VIRTUAL}]}}]\n"
PAYLOAD = {"summary": "disk full", "source": "db1", "severity": "critical"}
TRIGGER: dict[str, Any] = {"routing_key": VIRTUAL, "event_action": "trigger", "dedup_key": "k", "payload": PAYLOAD}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, config=FILE) as opened:
        yield opened


async def knock(house: House, body: object, method: str = "POST", **headers: str) -> tuple[int, dict[str, Any]]:
    """Call the door, and return its answer, which is JSON whatever happened."""
    data = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
    async with house.http.request(method, f"{house.url}/v2/enqueue", data=data, headers=headers) as reply:
        assert reply.headers["Content-Type"].startswith("application/json")
        assert reply.status != 429
        return reply.status, await reply.json()


def without(event: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in names}


def said(**payload: Any) -> dict[str, Any]:
    """A trigger with another payload; None leaves a field out."""
    return TRIGGER | {"payload": {name: one for name, one in (PAYLOAD | payload).items() if one is not None}}


@pytest.mark.parametrize("key", [VIRTUAL, KEY], ids=["virtual", "real"])
@pytest.mark.parametrize("action", ["trigger", "acknowledge", "resolve"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "text/plain", "Accept": "application/vnd.pagerduty+json;version=2"},
        {"Content-Type": "nonsense", "Accept": "image/png"},
    ],
    ids=["plain", "curl -d", "go", "nonsense"],
)
async def test_an_event_is_answered_with_202_and_its_dedup_key(
    house: House, key: str, action: str, headers: dict[str, str]
) -> None:
    event = TRIGGER | {"routing_key": key, "event_action": action, "dedup_key": "Straße/2 "}

    assert await knock(house, event, **headers) == (
        202,
        {"status": "success", "message": "Event processed", "dedup_key": "Straße/2 "},
    )


@pytest.mark.parametrize(
    ("event", "errors"),
    [
        (b"", ["JSON parse error"]),
        (b"  \n", ["JSON parse error"]),
        (b"routing_key=x&event_action=trigger", ["JSON parse error"]),
        (b'{"routing_key": ', ["JSON parse error"]),
        (b"[" * 100_000, ["JSON parse error"]),
        (b'{"a":' * 300 + b"1" + b"}" * 300, ["JSON parse error"]),
        (b"\x1f\x8b0000", ["JSON parse error"]),
        ([TRIGGER], ["Event object is not an object"]),
        ("trigger", ["Event object is not an object"]),
        (without(TRIGGER, "routing_key"), ["'routing_key' is missing or blank"]),
        (TRIGGER | {"routing_key": " "}, ["'routing_key' is missing or blank"]),
        (TRIGGER | {"routing_key": 7}, ["'routing_key' must be a string"]),
        (TRIGGER | {"routing_key": "a" * 20}, ["Length of 'routing_key' is incorrect (should be 32 characters)"]),
        (TRIGGER | {"routing_key": "a-" * 16}, ["'routing_key' cannot contain non-alphanumeric characters."]),
        (TRIGGER | {"routing_key": "0" * 32}, ["Invalid routing key"]),
        (without(TRIGGER, "event_action"), ["'event_action' is missing or blank"]),
        (
            TRIGGER | {"event_action": "Trigger"},
            ["'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')"],
        ),
        ({"routing_key": VIRTUAL, "event_action": "resolve"}, ["'dedup_key' is missing or blank"]),
        ({"routing_key": VIRTUAL, "event_action": "acknowledge", "dedup_key": ""}, ["'dedup_key' is missing or blank"]),
        (TRIGGER | {"dedup_key": "k" * 256}, ["'dedup_key' is too long (maximum is 255 characters)"]),
        (TRIGGER | {"dedup_key": ["k"]}, ["'dedup_key' must be a string"]),
        (without(TRIGGER, "payload"), ["'payload' is missing or blank"]),
        (TRIGGER | {"payload": "disk full"}, ["'payload' must be an object"]),
        (said(summary=None), ["'payload.summary' is missing or blank"]),
        (said(summary=" "), ["'payload.summary' is missing or blank"]),
        (said(summary="x" * 1025), ["'summary' is too long (maiximum is 1024 characters)"]),  # codespell:ignore
        (said(source=""), ["'payload.source' is missing or blank"]),
        (said(severity=None), ["'payload.severity' is missing or blank"]),
        (
            said(severity="Info"),
            ["'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')"],
        ),
        (
            said(timestamp="2021-10-22 5:01:32"),
            ["'payload.timestamp' is invalid (must be an ISO 8601 date and time)"],
        ),
        (said(custom_details=["a"]), ["'payload.custom_details' must be an object"]),
        (
            {"routing_key": "a", "event_action": "trigger", "payload": {}},
            [
                "Length of 'routing_key' is incorrect (should be 32 characters)",
                "'payload.summary' is missing or blank",
                "'payload.source' is missing or blank",
                "'payload.severity' is missing or blank",
            ],
        ),
    ],
)
async def test_an_event_that_can_never_work_is_refused_in_pagerdutys_words(
    house: House, event: object, errors: list[str]
) -> None:
    status, answer = await knock(house, event)

    assert (status, answer["status"], answer["message"]) == (400, "invalid event", "Event object is invalid")
    assert len(answer["errors"]) == len(errors)
    assert all(found.startswith(wanted) for found, wanted in zip(answer["errors"], errors, strict=True))


@pytest.mark.parametrize(
    "event",
    [
        {"routing_key": VIRTUAL, "event_action": "resolve", "dedup_key": "k", "payload": {"summary": "", "source": ""}},
        {"routing_key": VIRTUAL, "event_action": "resolve", "dedup_key": "k", "payload": {"severity": "none"}},
        {"routing_key": VIRTUAL, "event_action": "acknowledge", "dedup_key": "k", "payload": None},
        TRIGGER | {"client": "", "client_url": "", "links": [{"href": "", "text": ""}], "images": []},
        TRIGGER | {"images": [{"src": "https://x/y.png", "href": "", "alt": ""}, {}, 7], "links": "none"},
        TRIGGER | {"dedup_key": 4711, "unknown": {"field": 1}},
        said(component=7, group=None, custom_details=None, timestamp=""),
        said(summary="\x00 nul, \u202e and half a pair: \ud800"),
        said(timestamp="2015-07-17T08:42:58.315+0000"),
        said(custom_details={"": "", "deep": [[[[{"a": 10**30}]]]], "big": 1e308}),
    ],
)
async def test_what_clients_really_send_is_taken(house: House, event: dict[str, Any]) -> None:
    status, answer = await knock(house, event)

    assert (status, answer["status"]) == (202, "success")
    await house.deliver()


async def test_broken_text_is_mended(house: House) -> None:
    body = json.dumps(TRIGGER).encode().replace(b"disk full", b"disk \xff full")

    assert (await knock(house, body))[0] == 202


async def test_an_event_may_be_as_large_as_pagerduty_says_and_no_larger(house: House) -> None:
    room = 512 * 1024 - len(json.dumps(said(custom_details={"note": ""})))

    assert (await knock(house, said(custom_details={"note": "x" * room})))[0] == 202
    assert await knock(house, said(custom_details={"note": "x" * (room + 1)})) == (
        413,
        {
            "status": "invalid event",
            "message": "Event object is invalid",
            "errors": ["the event is larger than 524288 bytes"],
        },
    )
    assert house.rung == {}


async def test_what_cannot_be_kept_now_is_to_come_again(house: House) -> None:
    house.not_ready = "the store is locked"
    async with house.http.post(f"{house.url}/v2/enqueue", json=TRIGGER) as reply:
        answer = await reply.json()

    assert (reply.status, reply.headers["Retry-After"], answer["status"]) == (503, "1", "unavailable")
    assert answer["errors"] == ["not ready: the store is locked"]


async def test_a_trigger_that_comes_again_after_it_could_not_be_kept_is_the_same_page(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    paged: list[str] = []

    async def past_the_store(draft: Any, book: Any) -> None:
        paged.extend(place.dedup_key for entry in draft.entries for place in entry.placements)

    async def keep(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(house.intake, "_past_the_store", past_the_store)
    with monkeypatch.context() as broken:
        broken.setattr(house.store, "keep", keep)
        event = without(TRIGGER, "dedup_key")
        assert [(await knock(house, event))[0] for _ in range(3)] == [503, 503, 503]
        acknowledge = {"routing_key": VIRTUAL, "event_action": "acknowledge", "dedup_key": "k"}
        assert (await knock(house, acknowledge))[0] == 503
    house.intake.trouble = None

    status, answer = await knock(house, event)

    assert (status, set(paged)) == (202, {answer["dedup_key"]})
    assert (await knock(house, event))[1]["dedup_key"] != answer["dedup_key"]


async def test_whoever_guesses_keys_is_counted_and_held_up_and_pages_nobody(house: House) -> None:
    began = time.monotonic()
    guesses = [knock(house, TRIGGER | {"routing_key": f"{n:032}"}) for n in range(12)]
    answers = [await guess for guess in guesses]

    assert {status for status, _ in answers} == {400}
    assert time.monotonic() - began > 1.5
    counted = house.metrics.registry.get_sample_value
    assert counted("pagerelay_auth_failures_total", {"door": "event", "kind": "wrong"}) == 12
    assert house.rung == {}
    assert (await knock(house, TRIGGER))[0] == 202


async def test_a_sender_that_was_let_in_and_is_refused_now_is_told_of(house: House) -> None:
    await knock(house, TRIGGER)
    for _ in range(3):
        await knock(house, TRIGGER | {"routing_key": "0" * 32})

    assert "is refused at /v2/enqueue" in house.rung["auth_failures"]
    await knock(house, TRIGGER)
    assert house.rung == {}


async def test_the_routing_key_is_all_that_is_asked_of_a_sender_of_events(tmp_path: Path) -> None:
    users = WebConfig(users={"anna": Secret("$2y$05$" + "a" * 53)})
    async with open_house(tmp_path, config=FILE, web=users) as house:
        assert (await knock(house, TRIGGER))[0] == 202
        async with house.http.post(f"{house.url}/webhook", data=b"{}") as reply:
            assert reply.status == 401


async def test_refused_events_are_shown_without_their_keys(house: House) -> None:
    typo = "deadbeefdeadbeefdeadbeefdeadbee"
    await knock(house, TRIGGER | {"routing_key": typo})
    await knock(house, f"routing_key={typo}&event_action=trigger".encode())
    await knock(house, f"{{'routing_key': '{typo}'}}".encode())
    await knock(house, TRIGGER | {"routing_key": f"{typo}f"})

    found = await house.get("/api/v1/refused")

    assert len(found["refused"]) == 4
    assert found["refused"][0]["error"] == "Invalid routing key: no source and no receiver of this relay has it"
    assert found["refused"][0]["start"].endswith('"severity": "critical"}}'), "what identifies its sender"
    assert typo not in json.dumps(found)


async def test_the_log_says_that_it_was_the_routing_key(house: House) -> None:
    await knock(house, TRIGGER | {"routing_key": "0" * 32})

    (line,) = [line for line in house.log if "event refused" in line]
    assert 'why="no source and no receiver has its routing key"' in line


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_other_methods_are_refused_in_json(house: House, method: str) -> None:
    status, answer = await knock(house, b"", method)

    assert (status, answer["status"]) == (405, "error")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_NAMES = ("routing_key", "event_action", "dedup_key", "payload", "links", "images", "client", "client_url")
_FIELDS = ("summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    event=st.fixed_dictionaries({}, optional=dict.fromkeys(_NAMES, _JSON)),
    payload=st.fixed_dictionaries({}, optional=dict.fromkeys(_FIELDS, _JSON)),
    action=st.sampled_from(["trigger", "acknowledge", "resolve"]),
)
async def test_nothing_that_is_sent_makes_the_relay_fail(
    house: House, event: dict[str, Any], payload: dict[str, Any], action: str
) -> None:
    """Whatever the fields hold: 202 or 400, and what was taken can be rendered."""
    whole = TRIGGER | {"event_action": action} | event | {"routing_key": VIRTUAL}
    await _taken(house, whole)
    await _taken(house, TRIGGER | event | {"routing_key": VIRTUAL, "payload": PAYLOAD | payload})


async def _taken(house: House, event: dict[str, Any]) -> None:
    status, answer = await knock(house, event)
    assert status in (202, 400)
    assert (status == 202) is ("dedup_key" in answer)
    assert (status == 400) is bool(answer.get("errors"))
    await asyncio.sleep(0)
