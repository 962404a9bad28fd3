"""The delivery ladder against a PagerDuty that refuses: events, keys; dead letters that are retried and let go of."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from relay.alert import SECOND
from relay.sandbox.faults import Fault
from tests.integration.timelapse import NOON, Relay, config, fires, minutes, open_relay, resolved

A, B = "a" * 32, "b" * 32
FULL = Fault(status=400, field="custom_details")
"""Whatever has details is refused: a minimal event has none."""


def receivers(*, fallback: bool = True, **texts: Any) -> dict[str, Any]:
    first = {"name": "a", "pagerduty_configs": [{"routing_key": A, **texts}]}
    second = {"name": "b", "pagerduty_configs": [{"routing_key": B, "description": "B: {{ default_summary }}"}]}
    return config(top={"receivers": [first | ({"fallback": "b"} if fallback else {}), second]})


class Calls:
    """What PagerDuty was asked, told by receiver."""

    def __init__(self, relay: Relay) -> None:
        self.relay, self.seen = relay, 0

    def since(self) -> list[str]:
        """List the calls since this was asked last: `60 s a trigger Down (400)`."""
        calls = self.relay.sandbox.requests[self.seen :]
        self.seen += len(calls)
        return [_told(one) for one in calls]

    @property
    def open(self) -> set[tuple[str, str]]:
        """Who has what open: (receiver, summary)."""
        return {(one.routing_key[0], one.summary) for one in self.relay.sandbox.open_alerts}


def _told(call: Mapping[str, Any]) -> str:
    failed = "" if call["status"] == 202 else f" ({call['status']})"
    at = call["at"] - NOON / SECOND
    return f"{at:g} s {call['routing_key'][-1]} {call['event_action']} {call['dedup_key']}{failed}"


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Relay]:
    async with open_relay(tmp_path, receivers()) as opened:
        yield opened


async def act(relay: Relay, dedup_key: str, what: str) -> tuple[int, Any]:
    page = await relay.page(dedup_key)
    async with relay.http.post(f"{relay.url}/api/v1/pages/{page['id']}/{what}") as reply:
        answer = reply.status, await reply.json()
    await relay.settle()
    return answer


async def test_what_pagerduty_refuses_by_a_field_goes_out_as_a_minimal_event(relay: Relay) -> None:
    relay.sandbox.faults.add(FULL)
    calls = Calls(relay)

    await relay.post(fires("Down", "critical"))
    await relay.wait(5)

    assert calls.since() == ["0 s a trigger Down (400)", "1 s a trigger Down"]
    assert calls.open == {("a", "[critical] Down: 1 firing (PagerDuty refused the full event)")}
    (alert,) = relay.sandbox.open_alerts
    assert set(alert.event) == {"event_action", "dedup_key", "payload"}
    assert set(alert.event["payload"]) == {"summary", "source", "severity"}
    page = await relay.page("Down")
    assert [(one["rung"], one["outcome"]) for one in page["attempts"]] == [("minimal", "delivered"), ("", "rejected")]
    assert page["why"].endswith("it goes out as a minimal event, since PagerDuty rejected the full one")
    assert relay.counted("pagerelay_events_minimal_total", receiver="a") == 1
    assert relay.counted("pagerelay_events_dead_lettered_total", reason="clientError") == 0

    await relay.post(resolved("Down", "critical"))
    await relay.wait(5)
    assert calls.open == set()


@pytest.mark.parametrize("restless", [False, True])
async def test_what_is_refused_twice_goes_to_the_fallback_and_stays_there(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, receivers(), restless=restless) as relay:
        relay.sandbox.faults.add(Fault(status=400, key=A))
        calls = Calls(relay)

        await relay.post(fires("Down"))
        await relay.wait(5)

        assert calls.since() == ["0 s a trigger Down (400)", "1 s a trigger Down (400)", "2 s b trigger Down"]
        said = "[warning] Down: 1 firing (PagerDuty refused the full event)"
        assert calls.open == {("b", f"[fallback from a] {said}")}
        page = await relay.page("Down")
        assert (page["rung"], page["fallback"]) == ("fallback minimal", "b")
        assert "it goes to b, the fallback of a, until it closes" in page["why"]
        relay.sandbox.faults.clear()
        await relay.post(fires("Down"), fires("Down", instance="two"))
        await relay.wait(70)
        await relay.post(resolved("Down"), resolved("Down", instance="two"))
        await relay.wait(5)
        assert [one.split(" ", 2)[2] for one in calls.since()] == ["b trigger Down", "b resolve Down"]
        assert calls.open == set()
        await relay.post(fires("Down", since="12:01:30"))
        await relay.wait(5)
        assert [one.split(" ", 2)[2] for one in calls.since()] == ["a trigger Down"], "a new episode begins at the top"


@pytest.mark.parametrize("restless", [False, True])
async def test_a_refused_key_sends_the_full_page_to_the_fallback_after_two_minutes(
    tmp_path: Path, restless: bool
) -> None:
    async with open_relay(tmp_path, receivers(), restless=restless) as relay:
        relay.sandbox.faults.add(Fault(status=401, key=A))
        calls = Calls(relay)

        await relay.post(fires("Down", "critical"))
        await relay.wait(119)
        assert all(" a trigger Down (401)" in one for one in calls.since())
        assert calls.open == set()
        why = (await relay.page("Down"))["why"]
        assert "its routing key is refused since 2026-11-23T12:00:00.000Z; it goes to b, the fallback of a, at" in why
        assert why.endswith("at 2026-11-23T12:02:00.000Z unless the key is taken before")

        await relay.wait(2)
        assert calls.since()[-1] == "120 s b trigger Down"
        ((key, said),) = calls.open
        assert (key, said.startswith("[fallback from a] B: [critical] Down")) == ("b", True), said
        (alert,) = relay.sandbox.open_alerts
        assert "custom_details" in alert.event["payload"], "the key was refused, not what it carried"
        assert relay.counted("pagerelay_events_fallback_total", receiver="b") == 1

        await relay.post(fires("Down", "critical"), fires("Down", "critical", instance="two"))
        await relay.wait(70)
        await relay.post(resolved("Down", "critical"), resolved("Down", "critical", instance="two"))
        await relay.wait(10)
        assert [one.split(" ", 2)[2] for one in calls.since()] == ["b trigger Down", "b resolve Down"]
        assert calls.open == set()


async def test_whatever_waits_behind_a_refused_key_goes_to_the_fallback(relay: Relay) -> None:
    relay.sandbox.faults.add(Fault(status=403, key=A))
    calls = Calls(relay)
    await relay.post(*(fires(f"Down{number}") for number in range(40)))
    await relay.wait(minutes(4))

    assert {key for key, _ in calls.open} == {"b"}
    assert len(calls.open) == 40
    assert relay.dispatcher.refused() == "PagerDuty refuses the routing key of a"

    calls.since()
    await relay.post(fires("Later", "critical"))
    await relay.wait(10)
    assert [one for one in calls.since() if " b " in one], "it needs no two minutes of its own"
    relay.sandbox.faults.clear()
    await relay.wait(minutes(6))
    await relay.post(fires("Last", "critical"))
    await relay.wait(10)
    assert [one.split(" ", 2)[2] for one in calls.since()] == ["a trigger Last"]
    assert relay.dispatcher.refused() == ""


async def test_a_refused_key_without_a_fallback_is_tried_on_and_told_of(tmp_path: Path) -> None:
    async with open_relay(tmp_path, receivers(fallback=False)) as relay:
        relay.sandbox.faults.add(Fault(status=401, key=A))
        await relay.post(fires("Down"))
        await relay.wait(minutes(30))

        assert relay.dispatcher.refused() == "PagerDuty refuses the routing key of a"
        assert await relay.pages() == {"Down": "waiting"}
        relay.sandbox.faults.clear()
        await relay.wait(minutes(6))
        assert relay.open_alerts == {"Down": "triggered"}
        assert relay.dispatcher.refused() == ""


async def test_a_page_that_was_open_before_its_key_was_refused_is_closed_everywhere(relay: Relay) -> None:
    calls = Calls(relay)
    await relay.post(fires("Down"))
    await relay.wait(5)
    relay.sandbox.faults.add(Fault(status=401, key=A))
    await relay.post(fires("Down"), fires("Down", instance="two"))
    await relay.wait(minutes(4))
    assert {key for key, _ in calls.open} == {"a", "b"}

    await relay.post(resolved("Down"), resolved("Down", instance="two"))
    await relay.wait(5)
    assert {key for key, _ in calls.open} == {"a"}, "the resolve does not wait for the key that is refused"
    relay.sandbox.faults.clear()
    await relay.wait(minutes(6))

    assert calls.open == set()


# Dead letters


async def _dead(relay: Relay) -> Calls:
    relay.sandbox.faults.add(Fault(status=400))
    calls = Calls(relay)
    await relay.post(fires("Down"))
    await relay.wait(10)
    assert await relay.pages() == {"Down": "dead letter"}
    assert len(calls.since()) == 3
    return calls


async def test_a_dead_letter_that_is_retried_goes_out(relay: Relay) -> None:
    calls = await _dead(relay)
    assert relay.counted("pagerelay_events_dead_lettered_total", reason="clientError") == 1
    relay.sandbox.faults.clear()
    await relay.post(fires("Down"))
    await relay.wait(minutes(10))
    assert calls.since() == [], "the same again is no reason"

    status, page = await act(relay, "Down", "retry")

    assert status == 200
    assert page["dead"] == ""
    assert [one.split(" ", 2)[2] for one in calls.since()] == ["a trigger Down"]
    found = (await relay._get(f"/api/v1/decisions?page={page['id']}"))["decisions"]
    assert [one["verdict"] for one in found] == ["retried", "opens"]
    assert found[0]["steps"][0].startswith("this machine has it tried again, as the full event; it was clientError")


async def test_a_dead_letter_that_is_let_go_of_is_counted_no_more(relay: Relay) -> None:
    calls = await _dead(relay)
    assert sum((await relay.store.counts()).dead.values()) == 1

    status, page = await act(relay, "Down", "discard")

    assert (status, page["state"]) == (200, "discarded")
    assert page["why"].startswith("let go of by this machine, 2026-11-23T12:00:10Z: PagerDuty rejected it")
    assert sum((await relay.store.counts()).dead.values()) == 0
    await relay.restart()
    await relay.wait(minutes(10))
    assert calls.since() == []
    await relay.post(resolved("Down"))
    assert await relay.pages() == {"Down": "superseded"}
    relay.sandbox.faults.clear()
    await relay.post(fires("Down", since="12:30:00"))
    await relay.wait(5)
    assert await relay.pages() == {"Down": "open"}


@pytest.mark.parametrize("what", ["retry", "discard"])
async def test_what_is_no_dead_letter_is_told_so(relay: Relay, what: str) -> None:
    await relay.post(fires("Down"))

    status, answer = await act(relay, "Down", what)

    assert status == 409
    assert "is no dead letter" in answer["error"]
    for name in ("aaaaaaaaaaaaa", "no-id"):
        async with relay.http.post(f"{relay.url}/api/v1/pages/{name}/{what}") as reply:
            assert reply.status == 404
            assert "there is no page" in (await reply.json())["error"]


@pytest.mark.parametrize(
    ("mended", "to"),
    [
        (receivers(description="short"), "a"),
        (receivers(fallback=False), "a"),
        (
            config(
                top={
                    "receivers": [
                        {"name": "a", "fallback": "b", "pagerduty_configs": [{"routing_key": "c" * 32}]},
                        {"name": "b", "pagerduty_configs": [{"routing_key": B}]},
                    ]
                }
            ),
            "c",
        ),
    ],
)
async def test_a_reload_that_mends_something_has_dead_letters_tried_again(
    relay: Relay, mended: dict[str, Any], to: str
) -> None:
    calls = await _dead(relay)
    relay.sandbox.faults.clear()
    await relay.reload(receivers())
    await relay.wait(60)
    assert calls.since() == [], "nothing that it was refused with has changed"

    await relay.reload(mended)
    await relay.wait(5)

    assert [one.split(" ", 2)[2] for one in calls.since()] == [f"{to} trigger Down"]
    assert ("12:01:10", "retried") in [entry[:2] for entry in await _told_of(relay)]


async def test_a_start_with_another_configuration_has_dead_letters_tried_again(relay: Relay) -> None:
    calls = await _dead(relay)
    relay.sandbox.faults.clear()
    relay.configure(receivers(description="short"))

    await relay.restart()
    await relay.wait(5)

    assert [one.split(" ", 2)[2] for one in calls.since()] == ["a trigger Down"]


async def _told_of(relay: Relay) -> list[tuple[str, str]]:
    page = await relay.page("Down")
    found = (await relay._get(f"/api/v1/decisions?page={page['id']}"))["decisions"]
    return [(one["at"][11:19], one["verdict"]) for one in found]


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("fallback", [False, True])
async def test_what_waited_for_a_wrong_key_goes_at_once_under_the_next_one(
    tmp_path: Path, restarted: bool, fallback: bool
) -> None:
    async with open_relay(tmp_path, receivers(fallback=fallback)) as relay:
        relay.sandbox.faults.add(Fault(status=401, key=A))
        await relay.post(fires("Down", "critical"), fires("Slow"))
        await relay.wait(100 if fallback else minutes(20))
        calls, now = Calls(relay), relay.now - NOON
        calls.since()

        mended = receivers(fallback=fallback)
        mended["receivers"][0]["pagerduty_configs"][0]["routing_key"] = "c" * 32
        if restarted:
            relay.configure(mended)
            await relay.restart()
        else:
            await relay.reload(mended)

        assert sorted(one.split(" ", 2)[2] for one in calls.since()) == ["c trigger Down", "c trigger Slow"]
        assert relay.now - NOON < now + SECOND
        assert relay.dispatcher.refused() == ""
        assert "refused" not in (await relay.page("Down"))["why"]


async def test_while_it_waits_for_its_turn_nothing_is_said_of_the_key_before(tmp_path: Path) -> None:
    async with open_relay(tmp_path, receivers(fallback=False)) as relay:
        relay.sandbox.faults.add(Fault(status=401, key=A))
        await relay.post(fires("Down", "critical"))
        await relay.wait(minutes(20))
        assert "its routing key is refused since" in (await relay.page("Down"))["why"]

        await relay.pausing.pause("", 60 * SECOND, "anna")
        mended = receivers(fallback=False)
        mended["receivers"][0]["pagerduty_configs"][0]["routing_key"] = "c" * 32
        await relay.reload(mended)

        assert "refused" not in (await relay.page("Down"))["why"]


async def test_a_key_that_comes_back_counts_as_a_fresh_one(relay: Relay) -> None:
    relay.sandbox.faults.add(Fault(status=401))
    await relay.post(fires("Down", "critical"))
    await relay.wait(40)
    other = receivers()
    other["receivers"][0]["pagerduty_configs"][0]["routing_key"] = "c" * 32
    await relay.reload(other)
    await relay.wait(70)
    relay.sandbox.faults.clear()
    calls = Calls(relay)
    calls.since()

    await relay.reload(receivers())

    assert [one.split(" ", 2)[2] for one in calls.since()] == ["a trigger Down"]
