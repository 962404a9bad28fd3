"""Change events through the relay's own door to PagerDuty, with a clock that is moved: hours pass in milliseconds."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from relay import changes as side_door
from relay.alert import DAY, MINUTE, SECOND
from relay.dispatcher import Dispatcher
from relay.errors import StoreError
from relay.page import Lane
from relay.pausing import EVERYTHING
from relay.rules.ledger import Claim
from relay.sandbox.faults import Fault
from tests.integration.timelapse import KEY, Relay, config, fires, hours, minutes, open_relay, resolved

VIRTUAL = "5" * 32
TWO = config(
    {"matchers": ['alertname="change"', 'service="nothing"'], "receiver": "nobody"},
    {"matchers": ['event_source="github"', 'service="api"'], "receiver": "b", "continue": True},
    {"matchers": ['both="yes"'], "receiver": "a"},
    top={"sources": [{"name": "pipeline", "native_keys": False, "routing_keys": [VIRTUAL]}]},
)
CALM = {"global": {"budget": {"events": 120, "within": "60s"}}}


def deployed(summary: str = "Deployed", key: str = KEY, **payload: Any) -> dict[str, Any]:
    return {"routing_key": key, "payload": {"summary": summary, "source": "github", **payload}}


async def post(relay: Relay, *bodies: object, status: int = 202) -> dict[str, Any]:
    """Post change events, then do all that is due; return the last answer."""
    await relay._disturb()
    for body in bodies:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}  # as `curl -d` says
        async with relay.http.post(f"{relay.url}/v2/change/enqueue", data=data, headers=headers) as reply:
            answer: dict[str, Any] = await reply.json(content_type="application/json")
            assert reply.status == status, answer
    await relay.settle()
    return answer


def taken(relay: Relay) -> list[str]:
    """List the change events that PagerDuty has: which key and what they say."""
    names = {relay.sandbox.shown_key(KEY): "a", relay.sandbox.shown_key(KEY[::-1]): "b"}
    return [f"{names[one['routing_key']]}: {one['event']['payload']['summary']}" for one in relay.sandbox.changes]


def calls(relay: Relay) -> list[tuple[int, int]]:
    """List (seconds, status) of each call for a change event."""
    start = relay.sandbox.requests[0]["at"]
    return [(round(one["at"] - start), one["status"]) for one in relay.sandbox.requests if "change" in one["path"]]


def counted(relay: Relay, outcome: str, receiver: str = "a") -> float:
    return relay.counted("pagerelay_changes_total", receiver=receiver, outcome=outcome)


# As it came, and to whom


@pytest.mark.parametrize("restless", [False, True], ids=["in one go", "with a restart before everything"])
async def test_a_change_event_goes_on_as_it_came(tmp_path: Path, restless: bool) -> None:
    said = {
        "payload": {
            "summary": "Deployed api 2.5.0",
            "source": "github",
            "timestamp": "2026-11-23T12:00:00.5+0000",
            "custom_details": {"version": "2.5.0", "size": 12345678901234567890123, "who": {"name": 'a "b" \\ ü'}},
        },
        "links": [{"href": "https://example.com/commit/1", "text": "commit"}],
    }
    async with open_relay(tmp_path, TWO, restless=restless) as relay:
        answer = await post(relay, {**said, "routing_key": KEY, "unknown to PagerDuty": 1})

        assert answer == {"status": "success", "message": "Change event processed"}
        (there,) = relay.sandbox.changes
        assert there["event"] == said
        assert (counted(relay, "accepted"), counted(relay, "delivered")) == (1, 1)
        assert await relay.changes.waiting() == {}
        assert await relay.pages() == {}


ROUTED: tuple[tuple[dict[str, Any], list[str]], ...] = (
    ({}, ["a"]),
    ({"service": "api"}, ["b"]),
    ({"service": "api", "both": "yes"}, ["a", "b"]),
    ({"service": "api", "both": "no", "not a label": "x", "n": 3, "alertname": "Else"}, ["b"]),
    ({"service": "nothing"}, []),
    ({"service": ["api"]}, ["a"]),
)


async def test_with_a_virtual_key_it_is_routed_by_what_it_says(tmp_path: Path) -> None:
    async with open_relay(tmp_path, TWO) as relay:
        for number, (details, _) in enumerate(ROUTED):
            await post(relay, deployed(str(number), key=VIRTUAL, custom_details=details))
            await relay.wait(1)

        to = [[one[0] for one in sorted(taken(relay)) if one.endswith(f" {at}")] for at in range(len(ROUTED))]
        assert to == [where for _, where in ROUTED]
        assert counted(relay, "unrouted", "none") == 1


async def test_a_real_key_names_its_receiver_whatever_the_routes_say(tmp_path: Path) -> None:
    async with open_relay(tmp_path, TWO) as relay:
        await post(relay, deployed("one", KEY[::-1]), deployed("two", KEY, custom_details={"service": "api"}))

        assert sorted(taken(relay)) == ["a: two", "b: one"]


NO_SUMMARY = "'payload.summary' is missing or blank"


REFUSED: tuple[tuple[object, str], ...] = (
    (b"", "JSON parse error: the body is empty"),
    (b"summary=x", "JSON parse error: not JSON"),
    (b"[]", "Event object is not an object"),
    ({"payload": {"summary": "x"}}, "'routing_key' is missing or blank"),
    (deployed(key="short"), "Length of 'routing_key' is incorrect (should be 32 characters)"),
    (deployed(key="-" * 32), "'routing_key' cannot contain non-alphanumeric characters."),
    (deployed(key="9" * 32), "Invalid routing key"),
    ({"routing_key": KEY}, "'payload' is missing or blank"),
    ({"routing_key": KEY, "payload": []}, "'payload' must be an object"),
    ({"routing_key": KEY, "payload": {"source": "x"}}, NO_SUMMARY),
    (deployed(" "), NO_SUMMARY),
    (deployed("x" * 1025), "'summary' is too long (maiximum is 1024 characters)"),  # codespell:ignore
    (deployed(timestamp="2021-10-22 5:01:32"), "'payload.timestamp' is invalid"),
    (deployed(custom_details=["x"]), "'payload.custom_details' must be an object"),
    (deployed(source={}), "'payload.source' must be a string"),
)


async def test_what_pagerduty_would_refuse_is_refused_at_the_door_in_its_words(tmp_path: Path) -> None:
    async with open_relay(tmp_path, TWO) as relay:
        for body, errors in REFUSED:
            answer = await post(relay, body, status=400)

            assert (answer["status"], answer["message"]) == ("invalid event", "Event object is invalid")
            assert answer["errors"][0].startswith(errors), body
        assert await relay.changes.waiting() == {}
        assert counted(relay, "accepted") == 0


async def test_a_change_event_that_is_too_large_is_refused_as_json(tmp_path: Path) -> None:
    async with open_relay(tmp_path, TWO) as relay:
        answer = await post(relay, deployed(custom_details={"log": "x" * 600_000}), status=413)

        assert answer["status"] == "invalid event"


async def test_links_without_an_address_are_left_out_rather_than_the_change_event(tmp_path: Path) -> None:
    async with open_relay(tmp_path, TWO) as relay:
        await post(relay, {**deployed(), "links": [{"text": "no commit"}, {"href": "https://example.com/"}]})

        assert relay.sandbox.changes[0]["event"]["links"] == [{"href": "https://example.com/"}]


# Again and again


@pytest.mark.parametrize("restless", [False, True], ids=["in one go", "with a restart before everything"])
async def test_what_pagerduty_cannot_take_now_is_sent_again_later(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, TWO, restless=restless) as relay:
        relay.sandbox.faults.add(Fault(status=503, count=3))
        await post(relay, deployed())
        assert await relay.changes.waiting() == {"a": 1}
        await relay.wait(minutes(5))

        assert calls(relay) == [(0, 503), (5, 503), (15, 503), (35, 202)]
        assert taken(relay) == ["a: Deployed"]
        assert await relay.changes.waiting() == {}


async def test_a_429_keeps_pages_and_change_events_of_its_key_waiting(tmp_path: Path) -> None:
    async with open_relay(tmp_path, TWO) as relay:
        relay.sandbox.faults.add(Fault(status=429, retry_after=20, count=1))
        await post(relay, deployed())
        await relay.post(fires("Down"))
        assert len(relay.sandbox.requests) == 1
        await relay.wait(60)

        seen = [(round(one["at"] - relay.sandbox.requests[0]["at"]), one["path"]) for one in relay.sandbox.requests]
        assert seen[1] == (20, "/v2/enqueue")
        assert taken(relay) == ["a: Deployed"]


async def test_a_key_that_takes_no_change_events_does_not_keep_pages_waiting(tmp_path: Path) -> None:
    async with open_relay(tmp_path, TWO) as relay:
        relay.sandbox.faults.add(Fault(status=400, body="Invalid routing key", count=1))
        await post(relay, deployed())
        await relay.post(fires("Down"))

        assert "Down" in relay.open_alerts
        await relay.wait(60)
        assert taken(relay) == ["a: Deployed"]


async def test_what_pagerduty_refuses_ends_there_and_is_counted(tmp_path: Path) -> None:
    async with open_relay(tmp_path, TWO) as relay:
        relay.sandbox.faults.add(Fault(status=400, count=1))
        await post(relay, deployed())
        await relay.wait(hours(1))

        assert len(calls(relay)) == 1
        assert (counted(relay, "refused"), await relay.changes.waiting()) == (1, {})
        assert any("PagerDuty refuses a change event" in line for line in relay.log)
        assert await relay.pages() == {}


async def test_after_a_day_it_is_given_up(tmp_path: Path) -> None:
    async with open_relay(tmp_path, TWO) as relay:
        relay.sandbox.faults.add(Fault(status=503, count=4))
        await post(relay, deployed())
        await relay.wait(60)
        await relay.pausing.pause(EVERYTHING, DAY, "anna")
        await relay.wait(hours(23.9))
        assert await relay.changes.waiting() == {"a": 1}
        await relay.wait(hours(0.2))

        assert await relay.changes.waiting() == {}
        assert counted(relay, "given_up") == 1
        assert len(calls(relay)) == 4
        assert taken(relay) == []


async def test_of_too_many_the_oldest_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_door, "MOST", 3)
    async with open_relay(tmp_path, TWO) as relay:
        await relay.pausing.pause(EVERYTHING, 30 * MINUTE, "anna")
        await post(relay, *(deployed(str(number)) for number in range(8)))
        assert await relay.changes.waiting() == {"a": 3}
        await relay.wait(hours(1))

        assert taken(relay) == ["a: 5", "a: 6", "a: 7"]
        assert counted(relay, "dropped") == 5


async def test_a_clock_that_was_set_back_holds_none_back(tmp_path: Path) -> None:
    async with open_relay(tmp_path, TWO) as relay:
        relay.sandbox.faults.add(Fault(status=503, count=1))
        await post(relay, deployed())
        relay.now -= 5 * 3600 * SECOND
        await relay.restart()  # the clock of budgets is never set back
        await relay.wait(10)

        assert taken(relay) == ["a: Deployed"]


async def test_no_routing_key_is_kept_with_one(tmp_path: Path) -> None:
    async with open_relay(tmp_path, TWO) as relay:
        relay.sandbox.faults.add(Fault(status=503))
        await post(relay, deployed(key=VIRTUAL), deployed(key=KEY))
        await relay.store.flush_heard()

        kept = b"".join(file.read_bytes() for file in (tmp_path / "data").iterdir() if file.is_file())
        assert b"Deployed" in kept
        assert KEY.encode() not in kept
        assert VIRTUAL.encode() not in kept


async def test_while_the_store_takes_nothing_the_sender_is_told_to_come_again(tmp_path: Path) -> None:
    async with open_relay(tmp_path, TWO) as relay:
        real, relay.store.add_changes = relay.store.add_changes, no_store  # type: ignore[method-assign]
        answer = await post(relay, deployed(), status=503)
        assert (answer["status"], answer["errors"]) == ("unavailable", ["the disk is full"])
        relay.intake.trouble = "the disk is full"
        assert (await post(relay, deployed(), status=503))["errors"] == ["the disk is full"]

        relay.intake.trouble, relay.store.add_changes = None, real  # type: ignore[method-assign]
        await post(relay, deployed())
        assert taken(relay) == ["a: Deployed"]


async def no_store(added: object) -> None:
    raise StoreError("the disk is full")


# Never ahead of a page


async def test_there_is_no_room_while_a_page_of_the_same_integration_waits(tmp_path: Path) -> None:
    async with open_relay(tmp_path, TWO) as relay:
        ours, theirs = (relay.book.rules.receivers[name].targets[0].integration for name in ("a", "b"))
        await relay.pausing.pause(EVERYTHING, 30 * MINUTE, "anna")  # keeps the relay's own mail room from sending
        room = idle_mail_room(relay)
        async with room.lowest(ours) as there_is:
            assert there_is
        for lane, severity in ((Lane.CRITICAL, "critical"), (Lane.ERROR, "error"), (Lane.WARNING, "warning")):
            await relay.post(fires(severity, severity))
            relay.now += MINUTE
            assert lane in {one for _, one, _ in await relay.store.heads(relay.now)}

            async with room.lowest(ours) as there_is:
                assert not there_is
            async with room.lowest(theirs) as there_is:
                assert there_is
            await relay.post(resolved(severity, severity))
            relay.now += MINUTE
            async with room.lowest(ours) as there_is:
                assert there_is


async def test_there_is_no_room_before_a_claimed_page_is_counted(tmp_path: Path) -> None:
    async with open_relay(tmp_path, TWO) as relay:
        ours = relay.book.rules.receivers["a"].targets[0].integration
        await relay.pausing.pause(EVERYTHING, 30 * MINUTE, "anna")
        await relay.post(fires("Down"))
        claimed, go_on = asyncio.Event(), asyncio.Event()
        claim = relay.store.claim

        async def slowly(*asked: Any) -> list[Claim]:
            found = await claim(*asked)
            claimed.set()
            await go_on.wait()
            return found

        relay.store.claim = slowly  # type: ignore[method-assign, assignment]
        room = idle_mail_room(relay)
        running = asyncio.create_task(room.run())
        await claimed.wait()
        assert [due for one, _, due in await relay.store.heads(relay.now) if one == ours] == []
        async with room.lowest(ours) as there_is:
            assert not there_is
        go_on.set()
        room.stop()
        await running
        async with idle_mail_room(relay).lowest(ours) as there_is:
            assert there_is


async def test_a_page_that_waits_for_its_next_try_leaves_room(tmp_path: Path) -> None:
    async with open_relay(tmp_path, TWO) as relay:
        relay.sandbox.faults.add(Fault(status=503, count=1))
        await relay.post(fires("Down"))
        assert relay.open_alerts == {}
        await post(relay, deployed())

        assert taken(relay) == ["a: Deployed"]


def idle_mail_room(relay: Relay) -> Dispatcher:
    """A mail room beside the relay's own that has just been opened, and sends nothing by itself."""
    return Dispatcher(
        relay.store,
        relay.book,
        relay.renderer,
        relay.sender,
        clock=relay.clock,
        steady=relay.clock,
        jitter=lambda: 1.0,
        timeout=lambda _: SECOND,
        external_url="",
        judged=lambda: None,
        metrics=relay.metrics,
        log=relay.scheduler._log,
    )


async def test_a_flood_of_change_events_leaves_pages_their_burst(tmp_path: Path) -> None:
    async with open_relay(tmp_path, TWO | CALM) as relay:
        await post(relay, *(deployed(str(number)) for number in range(150)))
        await relay.wait(minutes(2))
        sent = len(calls(relay))
        assert 55 <= sent <= 62, "a quarter of the window, evenly"
        relay.sent()

        group = [fires(f"Down{number}", "error") for number in range(10)]
        await relay.post(*group, group="all")

        at = [float(line.split()[0]) for line in relay.sent() if "trigger" in line]
        assert len(at) == 10
        assert at[7] < 121, "pages find their burst of ten as good as full: paced, the eighth would go after 124.6"
        assert at[-1] < 122


async def test_calls_before_a_restart_still_count_in_the_window(tmp_path: Path) -> None:
    async with open_relay(tmp_path, TWO | CALM) as relay:
        await post(relay, *(deployed(str(number)) for number in range(20)))
        await relay.wait(30)
        await relay.restart()
        sent = len(calls(relay))

        (integration,) = {one for one, _, _ in await relay.store.attempts_since(relay.now - MINUTE)}
        assert relay.dispatcher.windows()[integration].tokens(relay.now) == 120 - sent


# Alerts that become change events


CHANGING = config(
    {"matchers": ['kind="deploy"'], "receiver": "b", "change": True},
    {"matchers": ['kind="both"'], "receiver": "b", "change": True, "continue": True},
    {"matchers": ['kind="both"'], "receiver": "a"},
)


@pytest.mark.parametrize("restless", [False, True], ids=["in one go", "with a restart before everything"])
async def test_a_route_makes_one_change_event_of_each_episode_and_no_page(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, CHANGING, restless=restless) as relay:
        (told,) = await relay.decisions(fires("Rollout", kind="deploy", instance="web-1"))
        assert told["verdict"] == "changes"
        assert told["steps"][-1] == "a change event for receiver b is made of it: it pages nobody"
        assert await relay.post(fires("Rollout", kind="deploy", instance="web-1")) in (["repeats"], [])
        assert await relay.post(resolved("Rollout", kind="deploy", instance="web-1")) == ["resolves"]
        assert taken(relay) == ["b: Rollout is bad"]
        assert await relay.post(fires("Rollout", since="12:30:00", kind="deploy", instance="web-1")) == ["changes"]
        await relay.wait(1)

        assert taken(relay) == ["b: Rollout is bad"] * 2
        assert relay.sandbox.changes[0]["event"] == {
            "payload": {
                "summary": "Rollout is bad",
                "source": "web-1",
                "timestamp": "2026-11-23T11:59:00.000Z",
                "custom_details": {
                    "labels": {"alertname": "Rollout", "instance": "web-1", "kind": "deploy", "severity": "warning"},
                    "annotations": {"summary": "Rollout is bad"},
                },
            },
            "links": [{"href": "http://prometheus/graph", "text": "Graph"}],
        }
        assert await relay.pages() == {}


async def test_beside_a_page_an_alert_can_be_a_change_event_as_well(tmp_path: Path) -> None:
    async with open_relay(tmp_path, CHANGING) as relay:
        (told,) = await relay.decisions(fires("Rollout", kind="both"))

        assert told["verdict"] == "opens"
        assert "a change event for receiver b is made of it: it pages nobody" in told["steps"]
        assert taken(relay) == ["b: Rollout is bad"]
        assert list(relay.open_alerts) == ["Rollout"]


async def test_a_silence_keeps_a_change_event_back_and_says_so(tmp_path: Path) -> None:
    async with open_relay(tmp_path, CHANGING) as relay:
        await relay.silence(("=", "kind", "deploy"), last=600)
        (told,) = await relay.decisions(fires("Rollout", kind="deploy"))

        assert told["verdict"] == "suppressed"
        assert told["steps"][-1].startswith("no change event for receiver b: silenced by anna until")
        await relay.wait(hours(1))
        assert taken(relay) == []


async def test_explain_says_that_it_would_become_a_change_event(tmp_path: Path) -> None:
    async with open_relay(tmp_path, CHANGING) as relay:
        (told,) = await relay.explain(fires("Rollout", kind="deploy"))

        assert (told["verdict"], told["pages"]) == ("changes", [])
        assert taken(relay) == []


async def test_a_route_that_stops_paging_leaves_open_pages_to_their_resolve(tmp_path: Path) -> None:
    before = config({"matchers": ['kind="deploy"'], "receiver": "b"})
    async with open_relay(tmp_path, before) as relay:
        await relay.post(fires("Rollout", kind="deploy"))
        await relay.reload(CHANGING)
        assert taken(relay) == []
        await relay.post(resolved("Rollout", kind="deploy"))
        await relay.wait(2)

        assert relay.open_alerts == {}
