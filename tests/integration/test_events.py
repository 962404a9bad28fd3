"""Events API events from the door to PagerDuty, by a clock that is moved: trigger, acknowledge, resolve."""

from pathlib import Path
from typing import Any

import pytest

from relay.alert import SECOND
from relay.sandbox.faults import Fault
from tests.integration.pagerduty_news import SECRET, PagerDuty
from tests.integration.timelapse import KEY, NOON, Relay, config, hours, minutes, open_relay

CI, BATCH = "c1" * 16, "ba" * 16
"""Virtual keys."""
B = KEY[::-1]
"""The real key of receiver `b`."""
RESTLESS = pytest.mark.parametrize("restless", [False, True], ids=["calm", "restarted before everything"])


def payload(severity: str = "critical", **more: Any) -> dict[str, Any]:
    return {"summary": "disk full on db1", "source": "db1", "severity": severity, **more}


def house(*routes: dict[str, Any], two: bool = False, **rest: Any) -> dict[str, Any]:
    """Pages at `a`, and one source (or two) that sends events."""
    sources = [{"name": "ci", "native_keys": True, "routing_keys": [CI]}]
    if two:
        sources.append({"name": "batch", "native_keys": False, "routing_keys": [BATCH]})
    top = {"sources": sources, **rest.pop("top", {})}
    return config(*routes, top=top, **{"dedup_key": None, "repeat_interval": "4h", **rest})


async def last(relay: Relay) -> dict[str, Any]:
    """The newest decision of the journal."""
    async with relay.http.get(f"{relay.url}/api/v1/decisions?limit=1") as reply:
        found: dict[str, Any] = (await reply.json())["decisions"][0]
        return found


@RESTLESS
async def test_an_event_is_paged_acknowledged_and_resolved_under_its_own_dedup_key(
    tmp_path: Path, restless: bool
) -> None:
    async with open_relay(tmp_path, house(), restless=restless) as relay:
        assert await relay.event("trigger", "db1/disk", key=CI, payload=payload()) == "db1/disk"
        await relay.wait(60)
        assert await relay.event("acknowledge", "db1/disk", key=CI) == "db1/disk"
        await relay.wait(60)
        assert relay.open_alerts == {"db1/disk": "acknowledged"}
        assert (
            "acknowledged there at 2026-11-23T12:01:00.000Z, as its sender asked"
            in (await relay.page("db1/disk"))["why"]
        )
        assert await relay.event("resolve", "db1/disk", key=CI) == "db1/disk"
        told = await last(relay)
        assert (told["alertname"], told["verdict"], told["steps"]) == ("event", "resolves", [])
        await relay.wait(60)

        assert relay.sent() == [
            "0 s trigger db1/disk critical",
            "60 s acknowledge db1/disk",
            "120 s resolve db1/disk",
        ]
        assert relay.open_alerts == {}


async def test_each_trigger_without_a_dedup_key_is_an_alert_of_its_own(tmp_path: Path) -> None:
    async with open_relay(tmp_path, house()) as relay:
        first = await relay.event("trigger", key=CI, payload=payload())
        second = await relay.event("trigger", key=CI, payload=payload())
        blank = await relay.event("trigger", "  ", key=CI, payload=payload())

        assert len({first, second, blank}) == 3
        assert relay.open_alerts == dict.fromkeys((first, second, blank), "triggered")
        await relay.wait(2)
        await relay.event("resolve", first, key=CI)

        assert set(relay.open_alerts) == {second, blank}


async def test_an_alert_is_known_by_its_dedup_key_and_not_by_its_labels(tmp_path: Path) -> None:
    async with open_relay(tmp_path, house()) as relay:
        await relay.event("trigger", "k", key=CI, payload=payload("error", component="a"))
        await relay.event("trigger", "K", key=CI, payload=payload("error", component="a"))
        await relay.wait(2)
        await relay.event("resolve", "k", key=CI, payload=payload("info", component="other"))
        await relay.wait(2)

        assert relay.open_alerts == {"K": "triggered"}


async def test_what_an_open_event_says_anew_is_an_update_and_what_it_repeats_is_not(tmp_path: Path) -> None:
    async with open_relay(tmp_path, house(group_interval="1m")) as relay:
        for n in range(10):
            again = payload("error", timestamp=f"2026-11-23T12:00:0{n}Z", custom_details={"free": n // 5})
            await relay.event("trigger", "k", key=CI, payload=again)
            await relay.wait(2)
        await relay.wait(minutes(5))
        assert relay.sent() == ["0 s trigger k error", "60 s trigger k error"]
        assert relay.sandbox.open_alerts[0].latest["payload"]["custom_details"] == {"free": 1}

        await relay.event("trigger", "k", key=CI, payload=payload("critical", custom_details={"free": 1}))
        await relay.wait(2)
        assert relay.sent() == ["320 s trigger k critical"]
        assert len((await relay.page("k"))["members"]) == 1


async def test_an_event_that_says_something_else_is_routed_anew(tmp_path: Path) -> None:
    rules = house({"matchers": ['class="disk"'], "receiver": "b"})
    async with open_relay(tmp_path, rules) as relay:
        await relay.event("trigger", "k", key=CI, payload=payload())
        await relay.wait(10)
        await relay.event("trigger", "k", key=CI, payload=payload(**{"class": "disk"}))
        await relay.wait(10)

        assert [(one.routing_key, one.dedup_key) for one in relay.sandbox.open_alerts] == [(B, "k")]
        await relay.event("resolve", "k", key=CI)
        await relay.wait(10)
        assert relay.open_alerts == {}


async def test_the_payload_goes_as_it_came_and_the_severity_as_the_route_says(tmp_path: Path) -> None:
    rules = house(severity={"critical": "warning", "default": "info"})
    details = {"free": 0.5, "disks": [{"name": "sda", "ok": None}], "note": "two\nlines, two  blanks"}
    told = payload(
        component="db",
        group="prod",
        timestamp="2015-07-17T08:42:58.315+0000",
        custom_details=details,
        **{"class": "disk"},
    )
    around: dict[str, Any] = {
        "links": [{"href": "https://wiki/disk", "text": "Runbook"}],
        "images": [{"src": "https://graphs/disk.png", "href": "https://graphs", "alt": "disk"}],
        "client": "cron",
        "client_url": "https://cron.example",
    }
    async with open_relay(tmp_path, rules) as relay:
        await relay.event("trigger", "k", key=CI, payload=told, **around)

        (alert,) = relay.sandbox.open_alerts
        expected = {"event_action": "trigger", "dedup_key": "k", "payload": {**told, "severity": "warning"}, **around}
        assert alert.event == expected


async def test_what_the_receiver_sets_goes_before_what_came(tmp_path: Path) -> None:
    texts = {
        "description": "[{{ severity }}] {{ default_summary }} ({{ common_labels.event_source }})",
        "component": "{{ 1 / 0 }}",
        "client": "Pagerelay",
        "details": {"team": "storage"},
        "links": [{"href": "https://wiki/{{ common_labels.class }}"}],
    }

    receivers = [{"name": "a", "pagerduty_configs": [{"routing_key": KEY, **texts}]}]
    async with open_relay(tmp_path, house(top={"receivers": receivers})) as relay:
        told = payload(component="db", custom_details={"free": 1, "team": "x"}, **{"class": "disk"})
        await relay.event("trigger", "k", key=CI, payload=told, client="cron", links=[{"href": "https://other"}])

        (alert,) = relay.sandbox.open_alerts
        assert alert.event["payload"] == {
            "summary": "[critical] disk full on db1 (db1)",
            "source": "db1",
            "severity": "critical",
            "component": "db",
            "class": "disk",
            "custom_details": {"free": 1, "team": "storage"},
        }
        assert (alert.event["client"], alert.event["links"]) == ("Pagerelay", [{"href": "https://wiki/disk"}])


@RESTLESS
async def test_an_acknowledgement_waits_for_the_trigger_of_its_page(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, house(group_wait="30s"), restless=restless) as relay:
        await relay.event("trigger", "k", key=CI, payload=payload("warning"))
        await relay.event("acknowledge", "k", key=CI)
        assert (
            "asked at 2026-11-23T12:00:00.000Z to have it acknowledged: that follows its trigger"
            in (await relay.page("k"))["why"]
        )
        assert (await last(relay))["steps"] == [
            "the acknowledgement waits until PagerDuty has taken the trigger of its page"
        ]
        await relay.wait(minutes(10))

        assert relay.sent() == ["30 s trigger k warning", "31 s acknowledge k"]


async def test_an_acknowledgement_is_dropped_once_its_page_is_closed(tmp_path: Path) -> None:
    async with open_relay(tmp_path, house(group_wait="30s")) as relay:
        await relay.event("trigger", "never", key=CI, payload=payload("warning"))
        await relay.event("acknowledge", "never", key=CI)
        await relay.event("resolve", "never", key=CI)
        steps = (await last(relay))["steps"]
        await relay.event("trigger", "k", key=CI, payload=payload("critical"))
        await relay.event("acknowledge", "k", key=CI)
        await relay.event("resolve", "k", key=CI)
        await relay.wait(minutes(1))
        await relay.event("trigger", "k", key=CI, payload=payload("critical"))
        await relay.wait(minutes(1))

        assert "its acknowledgement was not sent before it closed: it is dropped" in steps
        assert relay.sent() == ["0 s trigger k critical", "1 s resolve k", "60 s trigger k critical"]
        assert relay.open_alerts == {"k": "triggered"}


async def test_an_acknowledgement_that_was_dropped_stays_dropped_though_the_incident_goes_on(tmp_path: Path) -> None:
    async with open_relay(tmp_path, house(hold_resolve="1m")) as relay:
        await relay.event("trigger", "k", key=CI, payload=payload())
        await relay.event("acknowledge", "k", key=CI)
        await relay.event("resolve", "k", key=CI)
        await relay.wait(10)
        await relay.event("trigger", "k", key=CI, payload=payload())
        await relay.wait(minutes(5))

        assert relay.sent() == ["0 s trigger k critical"]
        assert relay.open_alerts == {"k": "triggered"}


async def test_what_is_not_open_here_is_neither_acknowledged_nor_resolved_and_both_are_answered(tmp_path: Path) -> None:
    async with open_relay(tmp_path, house()) as relay:
        assert await relay.event("acknowledge", "k", key=CI) == "k"
        assert (await last(relay))["verdict"] == "nothing_open"
        assert await relay.event("resolve", "k", key=CI) == "k"
        assert (await last(relay))["verdict"] == "nothing_open"
        await relay.event("trigger", "k", key=CI, payload=payload())
        await relay.wait(2)
        await relay.event("resolve", "k", key=CI)
        await relay.wait(2)
        await relay.event("acknowledge", "k", key=CI)
        await relay.wait(2)

        assert relay.sent() == ["0 s trigger k critical", "2 s resolve k"]


async def test_a_page_that_its_sender_acknowledged_is_opened_anew_by_nothing_but_a_new_episode(tmp_path: Path) -> None:
    async with open_relay(tmp_path, house()) as relay:
        await relay.event("trigger", "k", key=CI, payload=payload("error"))
        await relay.wait(2)
        await relay.event("acknowledge", "k", key=CI)
        await relay.event("acknowledge", "k", key=CI)
        await relay.wait(2)
        await relay.event("trigger", "k", key=CI, payload=payload("critical"))
        await relay.wait(minutes(5))
        assert relay.open_alerts == {"k": "acknowledged"}
        await relay.event("resolve", "k", key=CI)
        await relay.wait(2)
        await relay.event("trigger", "k", key=CI, payload=payload("critical"))
        await relay.wait(2)

        assert relay.sent() == [
            "0 s trigger k error",
            "2 s acknowledge k",
            "4 s trigger k critical",
            "304 s resolve k",
            "306 s trigger k critical",
        ]
        assert relay.open_alerts == {"k": "triggered"}


async def test_an_acknowledgement_that_pagerduty_refuses_holds_nothing_back(tmp_path: Path) -> None:
    async with open_relay(tmp_path, house()) as relay:
        await relay.event("trigger", "k", key=CI, payload=payload("error"))
        await relay.wait(2)
        relay.sandbox.faults.add(Fault(status=400, action="acknowledge", count=1))
        await relay.event("acknowledge", "k", key=CI)
        await relay.event("trigger", "k", key=CI, payload=payload("critical"))
        await relay.wait(minutes(5))

        assert relay.sent() == ["0 s trigger k error", "2 s acknowledge k (400)", "2 s trigger k critical"]


async def test_a_real_key_pages_its_own_receiver_wherever_routes_lead(tmp_path: Path) -> None:
    async with open_relay(tmp_path, house(hold_resolve="30s")) as relay:
        await relay.event("trigger", "k", key=KEY, payload=payload())
        await relay.event("trigger", "k", key=B, payload=payload())
        said = (await last(relay))["steps"]
        await relay.wait(2)

        assert {(one.routing_key, one.dedup_key) for one in relay.sandbox.open_alerts} == {(KEY, "k"), (B, "k")}
        assert said == [
            "it came with a routing key of receiver b, to which no route sends it: it pages there, "
            "and all else is as route {} says"
        ]
        await relay.reload(house(hold_resolve="30s", on_mute="resolve"))
        await relay.event("resolve", "k", key=B)
        await relay.wait(20)
        assert len(relay.open_alerts) == 1, "both have one key"
        assert len(relay.sandbox.open_alerts) == 2
        await relay.wait(20)
        assert {one.routing_key for one in relay.sandbox.open_alerts} == {KEY}


@RESTLESS
async def test_a_reload_moves_an_event_to_where_its_labels_now_lead(tmp_path: Path, restless: bool) -> None:
    moved = house({"matchers": ['class="disk"'], "receiver": "b"})
    async with open_relay(tmp_path, house(), restless=restless) as relay:
        await relay.event("trigger", "k", key=CI, payload=payload(**{"class": "disk"}))
        await relay.wait(10)
        await relay.reload(moved)
        await relay.wait(10)

        assert [(one.routing_key, one.dedup_key) for one in relay.sandbox.open_alerts] == [(B, "k")]
        await relay.event("acknowledge", "k", key=CI)
        await relay.wait(10)
        assert relay.open_alerts == {"k": "acknowledged"}
        await relay.event("resolve", "k", key=CI)
        await relay.wait(10)
        assert relay.open_alerts == {}


@RESTLESS
async def test_two_sources_may_use_the_same_dedup_key(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, house(two=True), restless=restless) as relay:
        assert await relay.event("trigger", "k", key=CI, payload=payload()) == "k"
        assert await relay.event("trigger", "k", key=BATCH, payload=payload()) == "k"
        await relay.wait(2)
        assert len(relay.open_alerts) == 2
        assert "k" in relay.open_alerts

        await relay.event("acknowledge", "k", key=BATCH)
        await relay.wait(2)
        assert relay.open_alerts.pop("k") == "triggered"
        await relay.event("resolve", "k", key=CI)
        await relay.wait(2)
        assert list(relay.open_alerts.values()) == ["acknowledged"]
        await relay.event("resolve", "k", key=BATCH)
        await relay.wait(2)
        assert relay.open_alerts == {}


async def test_a_silenced_event_pages_when_the_silence_is_over_though_nobody_repeats_it(tmp_path: Path) -> None:
    async with open_relay(tmp_path, house()) as relay:
        await relay.silence(("=", "event_source", "db1"), last=hours(60) + 1)
        await relay.event("trigger", "k", key=CI, payload=payload())
        assert (await last(relay))["verdict"] == "suppressed"
        for n in range(6):
            await relay.event("trigger", f"another {n}", key=CI, payload=payload(source="db2"))
            await relay.wait(hours(10))
        relay.sent()
        await relay.wait(2)

        assert relay.open_alerts["k"] == "triggered"
        assert (await relay.page("k"))["stale"] is False


async def test_an_event_is_over_only_when_its_sender_says_so(tmp_path: Path) -> None:
    sources = [{"name": "ci", "repeat_interval": "5m", "routing_keys": [CI]}]
    async with open_relay(tmp_path, house(on_stale="resolve", top={"sources": sources})) as relay:
        await relay.event("trigger", "k", key=CI, payload=payload())
        for n in range(8):
            await relay.event("trigger", f"other {n}", key=CI, payload=payload())
            await relay.event("resolve", f"other {n}", key=CI)
            await relay.wait(minutes(5))

        assert relay.open_alerts == {"k": "triggered"}
        assert (await relay.page("k"))["stale"] is False


async def test_a_storm_of_events_folds_and_what_is_folded_resolves(tmp_path: Path) -> None:
    rules = house(top={"global": {"storm": {"pages": "3", "within": "1m"}}})
    async with open_relay(tmp_path, rules) as relay:
        keys = [await relay.event("trigger", f"k{n}", key=CI, payload=payload("error")) for n in range(6)]
        await relay.wait(30)
        (storm,) = [key for key in relay.open_alerts if key.startswith("pagerelay-storm/")]
        assert set(relay.open_alerts) == {*keys[:3], storm}
        await relay.event("acknowledge", keys[5], key=CI)
        assert "is not acknowledged for one of its alerts" in (await last(relay))["steps"][0]
        for key in keys:
            await relay.event("resolve", key, key=CI)
        await relay.wait(minutes(10))

        assert relay.open_alerts == {}
        assert "acknowledge" not in {call.split()[2] for call in relay.sent()}


async def test_a_refused_event_goes_down_the_ladder_with_what_it_says(tmp_path: Path) -> None:
    receivers = [
        {"name": "a", "fallback": "b", "pagerduty_configs": [{"routing_key": KEY}]},
        {"name": "b", "pagerduty_configs": [{"routing_key": B}]},
    ]
    async with open_relay(tmp_path, house(top={"receivers": receivers})) as relay:
        relay.sandbox.faults.add(Fault(status=400, field="custom_details"))
        await relay.event("trigger", "k", key=CI, payload=payload(custom_details={"free": 1}))
        await relay.wait(2)

        (alert,) = relay.sandbox.open_alerts
        assert alert.event["payload"] == {
            "summary": "disk full on db1 (PagerDuty refused the full event)",
            "source": "db1",
            "severity": "critical",
        }


async def test_explain_says_what_would_become_of_an_event(tmp_path: Path) -> None:
    async with open_relay(tmp_path, house({"matchers": ['class="disk"'], "receiver": "b"})) as relay:
        event = {
            "routing_key": CI,
            "event_action": "trigger",
            "dedup_key": "k",
            "payload": payload(**{"class": "disk"}),
        }
        async with relay.http.post(f"{relay.url}/api/v1/explain", json=event) as reply:
            assert reply.status == 200, await reply.text()
            (told,) = (await reply.json())["alerts"]

        assert (told["source"], told["verdict"], told["pages"][0]["dedup_key"]) == ("ci", "opens", "k")
        assert told["pages"][0]["receiver"] == "b"
        assert told["labels"] == {
            "alertname": "disk",
            "severity": "critical",
            "class": "disk",
            "event_source": "db1",
        }


def renamed(*, receiver: str = "a", source: str = "ci") -> dict[str, Any]:
    """The same house, where the one receiver or the one source has another name."""
    told = house()
    told["receivers"][0]["name"] = told["route"]["receiver"] = receiver
    told["sources"][0]["name"] = source
    return told


@RESTLESS
@pytest.mark.parametrize(
    ("after", "before", "then"),
    [
        (renamed(receiver="platform"), KEY, KEY),
        (renamed(source="jenkins"), CI, CI),
        (house(), KEY, CI),
        (house(), CI, KEY),
    ],
    ids=["receiver renamed", "source renamed", "from a real key to a virtual one", "and back"],
)
async def test_an_event_is_acknowledged_and_resolved_by_who_had_another_name_or_key_when_it_fired(
    tmp_path: Path, after: dict[str, Any], before: str, then: str, restless: bool
) -> None:
    async with open_relay(tmp_path, house(), restless=restless) as relay:
        await relay.event("trigger", "k", key=before, payload=payload())
        await relay.reload(after)
        await relay.wait(10)
        await relay.event("acknowledge", "k", key=then)
        await relay.wait(10)
        assert relay.open_alerts == {"k": "acknowledged"}
        await relay.event("resolve", "k", key=then)
        told = await last(relay)
        await relay.wait(10)

        assert relay.sent() == ["0 s trigger k critical", "10 s acknowledge k", "20 s resolve k"]
        assert told["verdict"] == "resolves"
        assert told["steps"][0].startswith("its sender has nothing open under this dedup key: it is about what came")


async def test_a_resolve_ends_what_its_sender_fired_under_a_name_that_is_gone(tmp_path: Path) -> None:
    async with open_relay(tmp_path, house()) as relay:
        await relay.event("trigger", "k", key=KEY, payload=payload())
        await relay.reload(renamed(receiver="platform"))
        await relay.wait(10)
        await relay.event("trigger", "k", key=KEY, payload=payload())
        await relay.wait(10)
        await relay.event("resolve", "k", key=KEY)
        await relay.wait(10)

        assert relay.open_alerts == {}


async def test_a_resolve_ends_nothing_of_a_receiver_whose_key_it_does_not_bear(tmp_path: Path) -> None:
    async with open_relay(tmp_path, house()) as relay:
        await relay.event("trigger", "k", key=KEY, payload=payload())
        await relay.event("resolve", "k", key=B)
        await relay.wait(10)

        assert relay.open_alerts == {"k": "triggered"}


@RESTLESS
async def test_a_key_that_looks_like_a_linked_one_is_an_alert_of_its_own(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, house(), restless=restless) as relay:
        await relay.event("trigger", "disk", key=CI, payload=payload("warning"))
        await relay.event("trigger", "disk/2", key=CI, payload=payload("warning"))
        await relay.wait(10)
        await relay.event("trigger", "disk", key=CI, payload=payload("critical"))
        await relay.wait(10)
        assert relay.open_alerts == {"disk/linked-2": "triggered", "disk/2": "triggered"}
        await relay.event("resolve", "disk", key=CI)
        await relay.wait(10)

        assert relay.open_alerts == {"disk/2": "triggered"}


async def test_each_link_of_an_events_chain_is_named_alike(tmp_path: Path) -> None:
    async with open_relay(tmp_path, house(regroup={"worse_severity": True})) as relay:
        for severity in ("info", "warning", "error", "critical"):
            await relay.event("trigger", "k", key=CI, payload=payload(severity))
            await relay.wait(10)

        assert relay.open_alerts == {"k/linked-4": "triggered"}


def closable() -> dict[str, Any]:
    return house(top={"pagerduty": {"webhook_secrets": [SECRET]}})


@RESTLESS
async def test_an_event_that_is_triggered_again_after_a_person_closed_it_pages_at_once(
    tmp_path: Path, restless: bool
) -> None:
    async with open_relay(tmp_path, closable(), restless=restless) as relay:
        pagerduty = PagerDuty(relay)
        await relay.event("trigger", "k", key=CI, payload=payload())
        await pagerduty.tells()
        await relay.wait(60)
        pagerduty.resolves("k")
        await pagerduty.tells()
        await relay.wait(60)
        await relay.event("trigger", "k", key=CI, payload=payload())
        await relay.wait(60)

        assert relay.sent() == ["0 s trigger k critical", "120 s trigger k critical"]
        assert relay.open_alerts == {"k": "triggered"}


@pytest.mark.parametrize("asked", [30, 90], ids=["before it was closed", "after it was closed"])
async def test_an_acknowledgement_is_of_the_incident_that_was_open_when_it_was_asked_for(
    tmp_path: Path, asked: int
) -> None:
    async with open_relay(tmp_path, closable()) as relay:
        pagerduty = PagerDuty(relay)
        await relay.event("trigger", "k", key=CI, payload=payload())
        await pagerduty.tells()
        for at in sorted((asked, 60)):
            await relay.wait(at - (relay.now - NOON) / SECOND)
            if at == asked:
                relay.sandbox.faults.add(Fault(status=503, action="acknowledge"))
                await relay.event("acknowledge", "k", key=CI)
            else:
                pagerduty.resolves("k")
                await pagerduty.tells()
        relay.sandbox.faults.clear()
        await relay.event("trigger", "k", key=CI, payload=payload())
        await relay.wait(minutes(5))

        assert relay.open_alerts == {"k": "triggered"}


async def test_a_number_that_is_too_large_costs_no_page_its_words(tmp_path: Path) -> None:
    async with open_relay(tmp_path, house()) as relay:
        large = payload(custom_details={"order": 10**40, "bytes": 2**63, "count": 2**53})
        await relay.event("trigger", "k", key=CI, payload=large)

        shown = relay.sandbox.open_alerts[0].latest["payload"]
        assert shown["summary"] == "disk full on db1"
        assert shown["custom_details"] == {"order": str(10**40), "bytes": str(2**63), "count": 2**53}
