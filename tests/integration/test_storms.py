"""Storms of new pages, from the webhook to PagerDuty, by a clock that is moved."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from relay.sandbox.faults import Fault
from tests.integration.timelapse import Relay, config, fires, hours, minutes, open_relay

RESTLESS = pytest.mark.parametrize("restless", [False, True], ids=["calm", "restarted before everything"])


def groups(first: int, last: int, severity: str = "warning", name: str = "Slow") -> list[dict[str, Any]]:
    """One alert for each of so many pages."""
    return [fires(name, severity, group=str(n)) for n in range(first, last)]


def storm(pages: int) -> dict[str, Any]:
    return {"global": {"storm": {"pages": str(pages), "within": "1m"}}}


def each_its_own(**rest: Any) -> dict[str, Any]:
    """One page per alertname and group."""
    return config(dedup_key="{labels.alertname}-{labels.group}", **rest)


def triggers(calls: list[str]) -> list[str]:
    return [call.split()[3] for call in calls if " trigger " in call]


def over(alerts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**one, "status": "resolved", "endsAt": "2026-11-23T23:59:00Z"} for one in alerts]


async def storm_page(relay: Relay) -> dict[str, Any]:
    (key,) = [key for key in await relay.pages() if key.startswith("pagerelay-storm/")]
    return await relay.page(key)


@RESTLESS
async def test_of_500_new_pages_60_open_and_the_criticals_and_one_for_all_others(
    tmp_path: Path, restless: bool
) -> None:
    async with open_relay(tmp_path, each_its_own(), restless=restless) as relay:
        warnings, criticals = groups(0, 495), groups(0, 5, "critical", "Down")
        alerts = [*warnings[:150], *criticals[:2], *warnings[150:300], criticals[2], *warnings[300:], *criticals[3:]]
        verdicts: Counter[str] = Counter()
        for n in range(0, 500, 125):
            verdicts.update(one["verdict"] for one in await relay.decisions(*alerts[n : n + 125], group=f"m{n}"))

        sent = triggers(relay.sent())
        assert sum(key.startswith("Slow-") for key in sent) == 60
        assert sum(key.startswith("Down-") for key in sent) == 5
        assert len(relay.open_alerts) == 66
        storm = await storm_page(relay)
        assert (storm["state"], storm["firing"], storm["severity"]) == ("open", 435, "warning")
        await relay.wait(minutes(1))

        # The storm is over: twenty of them open one by one, and the rest stays.
        opened = triggers(relay.sent())
        own = [key for key in opened if key.startswith("Slow-")]
        assert len(own) == len(set(own)) == 20
        assert len(relay.open_alerts) == 86
        await relay.wait(minutes(10))
        assert [key for key in triggers(relay.sent()) if not key.startswith("pagerelay-storm/")] == []
        assert (await storm_page(relay))["firing"] == 415
        assert sum(word == "folded" for word in (await relay.pages()).values()) == 415

        for n in range(0, 500, 125):
            await relay.post(*over(alerts[n : n + 125]), group=f"m{n}")
        await relay.wait(minutes(1))
        assert relay.open_alerts == {}
        assert (await storm_page(relay))["state"] == "closed"


@RESTLESS
async def test_holds_that_end_together_are_a_storm(tmp_path: Path, restless: bool) -> None:
    settings = each_its_own(hold_trigger="5m", top=storm(20))
    async with open_relay(tmp_path, settings, restless=restless) as relay:
        await relay.post(*groups(0, 150), group="a")
        await relay.post(*groups(150, 300), group="b")
        await relay.wait(minutes(4))
        assert relay.sent() == []

        await relay.wait(minutes(1.5))

        sent = triggers(relay.sent())
        assert (sum(key.startswith("Slow-") for key in sent), len(relay.open_alerts)) == (20, 21)
        told = [one for one in await relay.journal(alertname="Slow") if one[1] == "folded"]
        assert len(told) == 280
        assert ": more than 20 new pages within 1m at a" in told[0][2]


async def test_messages_that_come_at_once_do_not_overshoot(tmp_path: Path) -> None:
    async with open_relay(tmp_path, each_its_own()) as relay:
        await asyncio.gather(*(relay.post(*groups(10 * n, 10 * n + 10), group=f"m{n}") for n in range(64)))

        assert sum(key.startswith("Slow-") for key in relay.open_alerts) == 60
        assert (await storm_page(relay))["firing"] == 580


async def test_at_its_end_the_worst_and_then_those_that_fire_longest_open(tmp_path: Path) -> None:
    async with open_relay(tmp_path, each_its_own(top=storm(1))) as relay:
        since = [fires("Slow", group=str(n), since=f"11:{59 - n}:00") for n in range(30)]
        errors = groups(100, 105, "error", "Bad")
        await relay.post(fires("First", group="x"), *since, *errors, group="g")
        relay.sent()
        await relay.wait(minutes(2))

        opened = [key for key in triggers(relay.sent()) if not key.startswith("pagerelay-storm/")]
        assert sorted(opened) == sorted([f"Bad-{n}" for n in range(100, 105)] + [f"Slow-{n}" for n in range(15, 30)])


@RESTLESS
async def test_an_alert_leaves_the_storm_page_only_once_its_own_was_accepted(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, each_its_own(top=storm(1)), restless=restless) as relay:
        await relay.post(*groups(0, 3), group="g")
        relay.sandbox.faults.add(Fault(status=503))
        await relay.wait(minutes(1.2))
        assert (await storm_page(relay))["firing"] == 2
        assert len(relay.open_alerts) == 2
        await relay.reload(each_its_own(top=storm(1)))  # what leaves already goes on leaving
        assert (await storm_page(relay))["firing"] == 2
        changed = {**groups(1, 2)[0], "annotations": {"summary": "worse"}}
        (told,) = await relay.decisions(changed, group="h")
        assert told["pages"] == [(await relay.page("Slow-1"))["id"]], "it is in its own page by now"

        relay.sandbox.faults.clear()
        await relay.wait(minutes(3))

        assert set(relay.open_alerts) == {"Slow-0", "Slow-1", "Slow-2"}
        assert (await storm_page(relay))["state"] == "closed"


@RESTLESS
async def test_what_resolves_in_a_storm_page_was_never_open_and_what_fires_again_folds_again(
    tmp_path: Path, restless: bool
) -> None:
    async with open_relay(tmp_path, each_its_own(top=storm(1)), restless=restless) as relay:
        await relay.post(*groups(0, 3), group="g")
        await relay.post(*over(groups(1, 3)), group="g")
        await relay.wait(1)
        assert set(relay.open_alerts) == {"Slow-0"}

        assert await relay.post(*groups(1, 2), group="g") == ["folded"]
        await relay.wait(30)
        assert (await storm_page(relay))["firing"] == 1
        await relay.wait(minutes(5))

        assert set(relay.open_alerts) == {"Slow-0", "Slow-1"}


async def test_a_storm_page_that_errors_join_is_opened_anew(tmp_path: Path) -> None:
    """PagerDuty notifies nobody of an update, and warnings may have woken nobody."""
    async with open_relay(tmp_path, each_its_own(top=storm(1))) as relay:
        await relay.post(*groups(0, 3), group="g")
        await relay.post(*groups(0, 3), *groups(3, 5, "error"), group="g")
        await relay.wait(5)

        (first, second) = [key for key in await relay.pages() if key.startswith("pagerelay-storm/")]
        found = {key: await relay.page(key) for key in (first, second)}
        opened = next(page for key, page in found.items() if key.endswith("/2"))
        assert (opened["state"], opened["severity"], opened["firing"]) == ("open", "error", 4)
        assert set(relay.open_alerts) == {"Slow-0", opened["dedup_key"]}
        assert opened["event"]["payload"]["summary"] == "[error] Storm: 4 pages folded (4 Slow)"


@RESTLESS
async def test_what_a_rule_keeps_quiet_stays_in_its_page_and_counts_when_that_ends(
    tmp_path: Path, restless: bool
) -> None:
    settings = config(dedup_key="{labels.group}", hold_trigger={"info": "10m", "default": "0s"}, top=storm(1))
    settings["route"]["severity"] = {"info": "info", "default": "warning"}
    async with open_relay(tmp_path, settings, restless=restless) as relay:
        held = fires("Held", "info", group="2")
        await relay.post(*groups(1, 3), held, group="g")
        assert ((await relay.page("2"))["state"], (await relay.page("2"))["suppressed"]) == ("muted", 1)
        assert (await storm_page(relay))["firing"] == 1

        await relay.post(*over(groups(1, 3)), group="g")
        await relay.wait(minutes(11))

        assert set(relay.open_alerts) == {"2"}, "its hold is over, and so is the storm"


async def test_off_opens_every_page(tmp_path: Path) -> None:
    async with open_relay(tmp_path, each_its_own(top={"global": {"storm": "off"}})) as relay:
        await relay.post(*groups(0, 100), group="g")

        assert len(relay.open_alerts) == 100


async def test_a_reload_that_switches_storms_off_ends_one(tmp_path: Path) -> None:
    async with open_relay(tmp_path, each_its_own(top=storm(1))) as relay:
        await relay.post(*groups(0, 4), group="g")
        await relay.reload(each_its_own(top={"global": {"storm": "off"}}))
        await relay.wait(minutes(2))

        assert set(relay.open_alerts) == {f"Slow-{n}" for n in range(4)}


async def test_everybody_is_told_that_a_page_was_folded(tmp_path: Path) -> None:
    async with open_relay(tmp_path, each_its_own(top=storm(2))) as relay:
        *_, told = await relay.decisions(*groups(0, 4), fires("Other", group="x"), group="g")
        page, into = await relay.page("Slow-3"), await storm_page(relay)

        assert told["verdict"] == "folded"
        assert told["steps"][-1] == f"folded into page {into['id']}: more than 2 new pages within 1m at a"
        assert (page["state"], page["folded"], into["storm"]) == ("folded", into["id"], True)
        assert page["why"] == (
            f"folded into page {into['id']}: more than 2 new pages within 1m at a; its alerts stand there"
        )
        assert relay.counted("pagerelay_folded_pages_total", receiver="a") == 3
        assert relay.counted("pagerelay_folded_alerts_total", receiver="a") == 3
        (fresh,) = await relay.explain(fires("New", group="y"))
        assert (fresh["verdict"], fresh["pages"][0]["state"]) == ("folded", "none")
        assert "New-y" not in await relay.pages(), "to explain counts nothing and writes nothing"
        (known,) = await relay.explain(fires("Slow", group="3"))
        assert known["verdict"] == "repeats"
        assert f"is folded into page {into['id']}" in known["pages"][0]["says"]
        event = into["event"]
        assert event["payload"]["summary"] == "[warning] Storm: 3 pages folded (2 Slow, 1 Other)"
        assert event["payload"]["custom_details"]["pages_by_alertname"] == {"Slow": 2, "Other": 1}
        assert event["client_url"] == f"http://relay.example/pages/{into['id']}"


async def test_the_storm_page_is_updated_at_most_once_per_group_interval(tmp_path: Path) -> None:
    async with open_relay(tmp_path, each_its_own(top=storm(1), group_interval="1m")) as relay:
        for n in range(20):
            await relay.post(*groups(2 * n, 2 * n + 2), group=f"m{n}")
            await relay.wait(6)

        told = [call for call in relay.sent() if "pagerelay-storm/" in call]
        assert [call.split()[0] for call in told] == ["0", "60", "120"]


async def test_a_storm_of_another_integration_folds_nothing_here(tmp_path: Path) -> None:
    routes = [{"matchers": ['team="b"'], "receiver": "b"}]
    async with open_relay(tmp_path, config(*routes, dedup_key="{labels.group}", top=storm(3))) as relay:
        await relay.post(*groups(0, 10), group="g")
        await relay.post(*(fires("Slow", group=f"b{n}", team="b") for n in range(3)), group="h")

        assert {"b0", "b1", "b2"} <= set(relay.open_alerts)


async def test_a_storm_that_was_on_when_the_relay_stopped_goes_on_when_it_starts(tmp_path: Path) -> None:
    async with open_relay(tmp_path, each_its_own(top=storm(2))) as relay:
        await relay.post(*groups(0, 4), group="g")
        await relay.restart()
        assert await relay.post(*groups(4, 5), group="h") == ["folded"]
        await relay.wait(minutes(3))
        await relay.restart()

        assert await relay.post(*groups(5, 6), group="i") == ["opens"]
        await relay.wait(hours(1))
        assert set(relay.open_alerts) == {f"Slow-{n}" for n in range(6)}


@pytest.mark.parametrize("severity", ["warning", "error", "info"])
async def test_the_storm_page_goes_before_the_pages_that_opened_by_themselves(tmp_path: Path, severity: str) -> None:
    async with open_relay(tmp_path, each_its_own()) as relay:
        await relay.post(*groups(0, 80, severity), *groups(0, 2, "critical", "Down"), group="g")

        sent = triggers(relay.sent())
        (storm,) = [key for key in sent if key.startswith("pagerelay-storm/")]
        assert len(sent) == 63
        assert sent.index(storm) < 12, "several are under way at once; the others are behind them"


async def test_the_log_says_when_a_storm_begins_and_what_became_of_it(tmp_path: Path) -> None:
    async with open_relay(tmp_path, each_its_own(top=storm(1))) as relay:
        await relay.post(*groups(0, 6), group="g")
        await relay.post(*groups(6, 31), group="h")
        await relay.wait(minutes(3))

        begun, ended = [text.split(" ", 1)[1].strip() for text in "".join(relay.log).splitlines() if " storm " in text]
        assert begun == 'level=warning msg="a storm begins" receiver=a folded_pages=5 folded_alerts=5'
        said = 'level=info msg="the storm is over" receiver=a page={} folded_pages=30 folded_alerts=30'
        page = (await storm_page(relay))["id"]
        assert ended == f"{said.format(page)} opened_pages=20 staying_pages=10"
