"""The stand-in's V3 webhooks: signed, in order, tried again, and lost on demand."""

import asyncio
from typing import Any

import pytest

from relay.sandbox.courier import gap
from relay.sandbox.subscriptions import DISABLED_FOR
from tests.integration.sandboxed import BEN, KEY, OTHER, SECRETS, TOKEN, Stand, told

ASKED: dict[str, Any] = {
    "type": "webhook_subscription",
    "delivery_method": {
        "type": "http_delivery_method",
        "url": "",
        "custom_headers": [{"name": "X-Ours", "value": "yes"}],
    },
    "events": ["incident.resolved"],
    "filter": {"type": "account_reference"},
}


async def settled(here: Stand) -> list[tuple[str, str, list[int]]]:
    """Wait until nothing is on its way; say what became of each webhook."""
    while any(each["state"] == "waiting" for each in await here.webhooks()):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.005)
    return [(each["event_type"], each["state"], each["attempts"]) for each in await here.webhooks()]


# --- what is said --------------------------------------------------------------------------------------------------


async def test_a_webhook_is_signed_with_each_secret_and_names_itself() -> None:
    async with told() as (here, receiver):
        await here.event()
        (call,) = await receiver.got(1)

    assert all(call.signed_with(secret) for secret in SECRETS)
    assert call.headers["X-PagerDuty-Signature"].count("v1=") == 2
    assert call.headers["X-Webhook-Id"]
    assert call.headers["X-Webhook-Subscription"]
    assert call.headers["User-Agent"] == "PagerDuty-Webhook/V3.0"
    assert list(call.event) == ["id", "event_type", "resource_type", "occurred_at", "agent", "client", "data"]
    assert (call.event["event_type"], call.event["resource_type"]) == ("incident.triggered", "incident")
    assert call.event["occurred_at"] == "2023-11-14T22:13:20.000Z"
    data = call.event["data"]
    assert (data["type"], data["status"], data["number"], data["incident_key"]) == ("incident", "triggered", 1, None)
    assert (data["service"]["summary"], data["assignees"][0]["summary"]) == ("platform", "Anna Adler")


async def test_what_events_do_comes_from_the_integration_and_a_repeat_is_no_news() -> None:
    async with told() as (here, receiver):
        for action in ("trigger", "trigger", "acknowledge", "resolve"):
            await here.event(action, client="Pagerelay")
        calls = await receiver.got(3)

    assert receiver.kinds == ["incident.triggered", "incident.acknowledged", "incident.resolved"]
    assert {call.event["agent"]["type"] for call in calls} == {"inbound_integration_reference"}
    assert calls[0].event["client"] == {"name": "Pagerelay"}
    assert calls[2].event["data"]["resolve_reason"] is None


async def test_what_people_do_on_the_page_is_told_with_their_name() -> None:
    async with told() as (here, receiver):
        await here.event()
        acts: list[tuple[str, dict[str, str]]] = [
            ("acknowledge", {}),
            ("unacknowledge", {}),
            ("reassign", {"to": BEN}),
            ("note", {"content": "looking"}),
            ("resolve", {"resolution": "made room"}),
            ("reopen", {}),
        ]
        for act, form in acts:
            assert await here.act(1, act, BEN, **form) == 303
        calls = await receiver.got(8)

    assert receiver.kinds[1:] == [
        "incident.acknowledged",
        "incident.unacknowledged",
        "incident.reassigned",
        "incident.annotated",
        "incident.resolved",
        "incident.annotated",
        "incident.reopened",
    ]
    assert {(call.event["agent"]["type"], call.event["agent"]["summary"]) for call in calls[1:]} == {
        ("user_reference", "Ben Brandt")
    }
    incident = calls[0].event["data"]["id"]
    assert [call.event["data"]["content"] for call in (calls[4], calls[6])] == ["looking", "Resolution Note: made room"]
    assert (calls[4].event["data"]["type"], calls[4].event["data"]["incident"]["id"]) == ("incident_note", incident)
    assert calls[3].event["data"]["assignees"][0]["summary"] == "Ben Brandt"
    assert (calls[7].event["data"]["status"], "reopened_at" in calls[7].event["data"]) == ("triggered", True)


async def test_a_merge_is_a_resolve_whose_reason_names_the_other_incident() -> None:
    async with told() as (here, receiver):
        await here.event(dedup_key="a")
        await here.event(dedup_key="b")
        assert await here.act(1, "merge", into="2") == 303
        first, second, merged = [call.event for call in await receiver.got(3)]

    assert (merged["event_type"], merged["data"]["id"]) == ("incident.resolved", first["data"]["id"])
    assert merged["data"]["resolve_reason"]["type"] == "merge_resolve_reason"
    assert merged["data"]["resolve_reason"]["incident"]["id"] == second["data"]["id"]
    assert merged["agent"]["type"] == "user_reference"


async def test_timeouts_act_as_nobody() -> None:
    async with told(acknowledgement_timeout=600, auto_resolve_timeout=3600) as (here, receiver):
        await here.event()
        await here.event("acknowledge")
        here.clock.at += 599
        here.sandbox.incidents.tick()
        assert len(await receiver.got(2)) == 2
        here.clock.at += 1
        await receiver.got(3)
        here.clock.at += 3000
        calls = await receiver.got(4)

    assert receiver.kinds[2:] == ["incident.unacknowledged", "incident.resolved"]
    assert [call.event["agent"] for call in calls[2:]] == [None, None]


# --- how it is brought ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_a_webhook_is_tried_again_with_the_same_id_and_the_rest_waits_behind_it(status: int) -> None:
    async with told() as (here, receiver):
        receiver.answers = [status, status]
        await here.event()
        await here.event("resolve")
        calls = await receiver.got(4)
        became = await settled(here)

    assert receiver.kinds == ["incident.triggered"] * 3 + ["incident.resolved"]
    assert len({call.headers["X-Webhook-Id"] for call in calls[:3]}) == 1
    assert len({call.body for call in calls[:3]}) == 1
    assert became == [
        ("incident.triggered", "delivered", [status, status, 202]),
        ("incident.resolved", "delivered", [202]),
    ]


def test_gaps_between_attempts_grow_up_to_an_hour() -> None:
    gaps = [gap(attempts) for attempts in range(1, 100)]

    assert gaps[:4] == [10, 20, 40, 80]
    assert max(gaps) == 3600
    assert gaps == sorted(gaps)


async def test_a_webhook_that_nobody_answers_in_time_is_tried_again_and_dropped_in_the_end() -> None:
    async with told(webhook_timeout=0.2, webhook_pace=0.000_01) as (here, receiver):
        receiver.delays = [0.5]
        await here.event(dedup_key="slow")
        slow = await settled(here)
        next(iter(here.sandbox.subscriptions)).url = "http://127.0.0.1:9/nobody"
        await here.event(dedup_key="nobody")
        nobody = (await settled(here))[1]

    assert slow == [("incident.triggered", "delivered", [0, 202])]
    assert (nobody[1], set(nobody[2])) == ("dropped", {0})
    assert len(nobody[2]) > 3


async def test_another_4xx_drops_a_webhook_and_three_in_a_row_disable_the_subscription() -> None:
    async with told() as (here, receiver):
        receiver.answers = [400, 400, 202, 400, 404, 410]
        for n in range(8):
            await here.event(dedup_key=f"k{n}")
            await settled(here)
        (shown,) = (await here.rest("GET", "/webhook_subscriptions"))["webhook_subscriptions"]
        silent = len(receiver.calls)
        here.clock.at += DISABLED_FOR * 0.001
        await here.event(dedup_key="a day later")
        await receiver.got(7)

    assert silent == 6
    assert (shown["active"], shown["delivery_method"]["temporarily_disabled"]) == (False, True)


async def test_a_disabled_subscription_drops_what_waits_and_is_enabled_by_hand() -> None:
    async with told() as (here, receiver):
        receiver.always, receiver.delays = 403, [0.2]
        for n in range(5):
            await here.event(dedup_key=f"k{n}")
        became = await settled(here)
        receiver.always = 202
        (shown,) = (await here.rest("GET", "/webhook_subscriptions"))["webhook_subscriptions"]
        await here.rest("POST", f"/webhook_subscriptions/{shown['id']}/enable")
        await here.event(dedup_key="after")
        await receiver.got(4)

    assert [attempts for _, _, attempts in became] == [[403], [403], [403], [], []]
    assert all(state == "dropped" for _, state, _ in became)


async def test_faults_lose_delay_duplicate_and_reorder_webhooks() -> None:
    async with told() as (here, receiver):
        await here.spoil(lose=True, event_type="incident.triggered", count=1)
        await here.spoil(duplicate=1, event_type="incident.acknowledged", count=1)
        await here.spoil(reorder=True, event_type="incident.triggered", count=1)
        await here.event(dedup_key="lost")
        await here.event("acknowledge", "lost")
        await here.event(dedup_key="reordered")
        await here.event("resolve", "lost")
        await receiver.got(4)
        await here.spoil(delay=0.2, count=1)
        await here.event("acknowledge", "reordered")
        await here.event("resolve", "reordered")
        calls = await receiver.got(6)

    assert receiver.kinds == [
        "incident.acknowledged",
        "incident.acknowledged",
        "incident.resolved",
        "incident.triggered",
        "incident.resolved",
        "incident.acknowledged",
    ]
    assert calls[0].headers["X-Webhook-Id"] == calls[1].headers["X-Webhook-Id"]


async def test_faults_of_webhooks_are_listed_cleared_and_checked() -> None:
    async with told() as (here, _):
        await here.spoil(lose=True, count=2)
        async with here.client.get("/sandbox/webhooks/faults") as answer:
            assert (await answer.json())["faults"] == [{"lose": True, "count": 2}]
        async with here.client.delete("/sandbox/webhooks/faults") as answer:
            assert (await answer.json())["faults"] == []
        async with here.client.post("/sandbox/webhooks/faults", json={"explode": True}) as answer:
            assert answer.status == 400


# --- subscriptions -------------------------------------------------------------------------------------------------


async def test_a_subscriptions_secret_is_shown_once_and_signs_only_what_it_asked_for() -> None:
    async with told(webhook_url="") as (here, receiver):
        asked = {**ASKED, "delivery_method": {**ASKED["delivery_method"], "url": receiver.url}}
        made = (await here.rest("POST", "/webhook_subscriptions", {"webhook_subscription": asked}, status=201))[
            "webhook_subscription"
        ]
        shown = await here.rest("GET", f"/webhook_subscriptions/{made['id']}")
        await here.event()
        await here.event("resolve")
        (call,) = await receiver.got(1)
        await here.rest("POST", f"/webhook_subscriptions/{made['id']}/ping", status=202)
        ping = (await receiver.got(2))[1]
        await here.rest("DELETE", f"/webhook_subscriptions/{made['id']}", status=204)
        await here.event()
        await here.event("resolve")
        await asyncio.sleep(0.05)

    assert call.signed_with(made["delivery_method"]["secret"])
    assert call.headers["X-Ours"] == "yes"
    assert "secret" not in shown["webhook_subscription"]["delivery_method"]
    assert shown["webhook_subscription"]["delivery_method"]["custom_headers"] == [
        {"name": "X-Ours", "value": "<redacted>"}
    ]
    assert receiver.kinds == ["incident.resolved", "pagey.ping"]
    assert (ping.event["resource_type"], ping.event["data"]["message"]) == ("pagey", "Hello from your friend Pagey!")


async def test_a_subscription_to_a_service_hears_of_that_service_alone() -> None:
    async with told(webhook_url="") as (here, receiver):
        service = (await here.rest("GET", "/services?query=payments"))["services"][0]["id"]
        asked = {
            **ASKED,
            "events": ["incident.triggered"],
            "delivery_method": {"type": "http_delivery_method", "url": receiver.url},
            "filter": {"type": "service_reference", "id": service},
        }
        await here.rest("POST", "/webhook_subscriptions", {"webhook_subscription": asked}, status=201)
        await here.event(key=KEY)
        await here.event(key=OTHER)
        (call,) = await receiver.got(1)

    assert call.event["data"]["service"]["id"] == service


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"events": ["incident.exploded"]}, "Events are not known: incident.exploded"),
        ({"events": []}, "Events cannot be empty"),
        ({"filter": {"type": "service_reference", "id": "P"}}, "Filter is not a service of this account"),
        ({"delivery_method": {"type": "http_delivery_method", "url": "ftp://a"}}, "Url must be an http or https URL"),
        (
            {
                "delivery_method": {
                    **ASKED["delivery_method"],
                    "url": "http://a",
                    "custom_headers": [{"name": "a b", "value": "c"}],
                }
            },
            "Custom headers must have names of their own, and values of one line",
        ),
    ],
)
async def test_a_subscription_that_makes_no_sense_is_told_why(change: dict[str, Any], words: str) -> None:
    asked = {**ASKED, "delivery_method": {**ASKED["delivery_method"], "url": "http://a"}, **change}
    async with told() as (here, _):
        answer = await here.rest("POST", "/webhook_subscriptions", {"webhook_subscription": asked}, status=400)

    assert answer["error"]["errors"] == [words]
    assert TOKEN not in str(answer)
