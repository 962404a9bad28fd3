"""Holds from the webhook to PagerDuty, by a clock that is moved: `hold_trigger` and `hold_resolve`."""

from pathlib import Path
from typing import Any

import pytest

from relay.sandbox.faults import Fault
from tests.integration.timelapse import config, fires, hours, minutes, open_relay, resolved

RESTLESS = pytest.mark.parametrize("restless", [False, True], ids=["calm", "restarted before everything"])


@RESTLESS
async def test_what_still_fires_after_its_hold_pages_at_acceptance_plus_hold_whatever_repeats_arrive(
    tmp_path: Path, restless: bool
) -> None:
    async with open_relay(tmp_path, config(hold_trigger="5m"), restless=restless) as relay:
        (told,) = await relay.decisions(fires("Disk"))
        assert told["verdict"] == "suppressed"
        assert told["steps"][-1] == "hold_trigger: pages if it still fires at 12:05:00 UTC"
        for at in range(4):
            await relay.wait(minutes(1))
            await relay.post({**fires("Disk"), "annotations": {"summary": f"the {at}. repeat"}})
        await relay.wait(59.9)
        assert relay.sent() == []
        assert await relay.quiet("Disk") == {"Disk": "hold_trigger: pages if it still fires at 12:05:00 UTC"}

        await relay.wait(minutes(10))

        assert relay.sent() == ["300 s trigger Disk warning"]
        assert (await relay.journal(alertname="Disk"))[-1] == (
            "12:05:00",
            "opens",
            "over: hold_trigger: pages if it still fires at 12:05:00 UTC",
        )


@RESTLESS
async def test_what_resolves_first_is_superseded_and_recorded_and_counted(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(hold_trigger="5m"), restless=restless) as relay:
        await relay.post(fires("Disk"))
        await relay.wait(minutes(4))

        assert await relay.post(resolved("Disk")) == ["supersedes"]
        await relay.wait(minutes(10))

        assert relay.sent() == []
        assert await relay.pages() == {"Disk": "superseded"}
        at, verdict, why = (await relay.journal(alertname="Disk"))[-1]
        assert (at, verdict) == ("12:04:00", "supersedes")
        assert why.endswith("it resolved before its page was ever sent: nobody is paged")
        if not restless:  # a restart counts from nothing
            assert relay.counted("pagerelay_decisions_total", verdict="supersedes") == 1


@RESTLESS
@pytest.mark.parametrize(
    ("hold", "severity", "due"),
    [
        ("5m", "critical", 0),
        ("5m", "error", 300),
        ("5m", "info", 300),
        ({"critical": "30s", "default": "5m"}, "critical", 30),
        ({"critical": "30s", "default": "5m"}, "warning", 300),
        ({"warning": "1m"}, "warning", 60),
        ({"warning": "1m"}, "critical", 0),
        ({"default": "1m"}, "critical", 60),
        ("0s", "warning", 0),
    ],
)
async def test_a_hold_is_a_duration_that_leaves_criticals_alone_or_a_map_by_severity(
    tmp_path: Path, restless: bool, hold: Any, severity: str, due: int
) -> None:
    async with open_relay(tmp_path, config(hold_trigger=hold), restless=restless) as relay:
        await relay.post(fires("Disk", severity))
        await relay.wait(minutes(10))
        assert relay.sent() == [f"{due} s trigger Disk {severity}"]


@RESTLESS
async def test_a_page_is_due_when_the_first_hold_of_its_alerts_ends(tmp_path: Path, restless: bool) -> None:
    hold = {"critical": "30s", "default": "5m"}
    async with open_relay(tmp_path, config(hold_trigger=hold, group_interval="1s"), restless=restless) as relay:
        one, two = fires("Disk", instance="a"), fires("Disk", "critical", instance="b")
        await relay.post(one)
        await relay.wait(10)
        assert (await relay.post(one, two))[-1] == "suppressed"
        await relay.wait(29.9)
        assert relay.sent() == []

        await relay.wait(0.1)
        assert relay.sent() == ["40 s trigger Disk critical"]
        page = await relay.page("Disk")
        assert (page["firing"], page["suppressed"]) == (2, 1)
        assert page["event"]["payload"]["custom_details"]["num_firing"] == 1

        await relay.wait(minutes(10))
        assert relay.sent() == ["300 s trigger Disk critical"]
        assert (await relay.page("Disk"))["suppressed"] == 0


@RESTLESS
async def test_a_critical_that_joins_a_held_warning_pages_at_once(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(hold_trigger="5m", group_interval="1s"), restless=restless) as relay:
        one, two = fires("Disk", instance="a"), fires("Disk", "critical", instance="b")
        await relay.post(one)
        await relay.wait(60)

        assert (await relay.post(one, two))[-1] in ("opens", "joins")
        assert relay.sent() == ["60 s trigger Disk critical"]

        await relay.post(one, resolved("Disk", "critical", instance="b"))
        await relay.wait(minutes(10))
        assert relay.sent() == ["300 s trigger Disk critical"]  # severity never falls on an open page
        await relay.post(resolved("Disk", instance="a"), resolved("Disk", "critical", instance="b"))
        assert relay.sent() == ["660 s resolve Disk"]


@RESTLESS
async def test_an_alert_that_joins_an_open_page_is_not_held_but_a_worse_one_is(tmp_path: Path, restless: bool) -> None:
    """People know of the page: one more warning pages nobody. A critical would, so its own hold counts."""
    hold = {"critical": "1m", "default": "5m"}
    async with open_relay(tmp_path, config(hold_trigger=hold, group_interval="1s"), restless=restless) as relay:
        one, two, bad = (
            fires("Disk", instance="a"),
            fires("Disk", instance="b"),
            fires("Disk", "critical", instance="c"),
        )
        await relay.post(one)
        await relay.wait(minutes(5))
        await relay.post(one, two)
        await relay.wait(10)
        assert relay.sent() == ["300 s trigger Disk warning", "301 s trigger Disk warning"]

        await relay.post(one, two, bad)
        await relay.wait(minutes(5))

        assert relay.sent() == ["370 s trigger Disk/2 critical", "370 s resolve Disk"]


@RESTLESS
async def test_a_new_episode_is_held_anew(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(hold_trigger="5m"), restless=restless) as relay:
        await relay.post(fires("Disk"))
        await relay.wait(minutes(4))
        await relay.post(resolved("Disk"))
        await relay.wait(10)
        await relay.post(fires("Disk", since="12:04:09"))
        await relay.wait(minutes(10))
        assert relay.sent() == ["550 s trigger Disk warning"]


@RESTLESS
async def test_a_reload_neither_lengthens_nor_ends_a_hold_under_way(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(hold_trigger="5m"), restless=restless) as relay:
        await relay.post(fires("Disk"))
        await relay.post(fires("Cpu"))
        await relay.wait(60)
        await relay.reload(config(hold_trigger="2h"))
        await relay.wait(60)
        await relay.reload(config())
        await relay.wait(minutes(10))
        assert sorted(relay.sent()) == ["300 s trigger Cpu warning", "300 s trigger Disk warning"]


# hold_resolve


@RESTLESS
@pytest.mark.parametrize("severity", ["warning", "critical"])
async def test_a_resolve_is_held_and_passes_when_its_hold_is_over(
    tmp_path: Path, restless: bool, severity: str
) -> None:
    async with open_relay(tmp_path, config(hold_resolve="10m"), restless=restless) as relay:
        await relay.post(fires("Disk", severity))
        await relay.wait(60)
        (told,) = await relay.decisions(resolved("Disk", severity))
        assert told["verdict"] == "resolves"
        held = "its resolve is held until 12:11:00 UTC (hold_resolve), in case it fires again"
        assert told["steps"][-1] == held
        await relay.wait(minutes(10) - 1)
        assert relay.sent() == [f"0 s trigger Disk {severity}"]
        assert (await relay.page("Disk"))["why"].endswith("12:11:00.000Z: hold_resolve waits whether it fires again")

        await relay.wait(1)

        assert relay.sent() == ["660 s resolve Disk"]


@RESTLESS
@pytest.mark.parametrize("since", ["11:59:00", "12:03:00"], ids=["the same startsAt", "another startsAt"])
async def test_what_fires_again_within_the_hold_sends_nothing_and_the_page_stays_open(
    tmp_path: Path, restless: bool, since: str
) -> None:
    async with open_relay(tmp_path, config(hold_resolve="10m"), restless=restless) as relay:
        await relay.post(fires("Disk"))
        for _ in range(3):
            await relay.wait(minutes(5))
            await relay.post(resolved("Disk", since=since))
            await relay.wait(minutes(5))
            told = await relay.decisions(fires("Disk", since=since))
            assert told[0]["steps"][-1] == "fired again while its resolve was held: nothing is sent"
        await relay.wait(hours(1))
        assert relay.sent() == ["0 s trigger Disk warning"]
        assert await relay.pages() == {"Disk": "open"}
        assert (await relay.page("Disk"))["episode"] == 1

        await relay.post(resolved("Disk", since=since))
        await relay.wait(minutes(20))

        assert relay.sent() == ["6000 s resolve Disk"]


@RESTLESS
async def test_another_alert_that_fires_within_the_hold_is_growth_of_the_page(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(hold_resolve="10m", group_interval="1s"), restless=restless) as relay:
        await relay.post(fires("Disk", instance="a"))
        await relay.wait(minutes(5))
        await relay.post(resolved("Disk", instance="a"))
        await relay.wait(minutes(5))
        (told,) = (await relay.decisions(resolved("Disk", instance="a"), fires("Disk", instance="b")))[-1:]
        await relay.wait(60)

        assert told["steps"][-1] == "fired again while its resolve was held: the same incident goes on"
        assert relay.sent() == ["0 s trigger Disk warning", "600 s trigger Disk warning"]
        event = (await relay.page("Disk"))["event"]
        assert event["payload"]["summary"] == "[warning] Disk is bad (instance=b, 1 of 2 firing)"
        assert "ired again" not in str(event)


@RESTLESS
async def test_a_critical_that_fires_within_the_hold_of_a_warning_opens_a_linked_page(
    tmp_path: Path, restless: bool
) -> None:
    async with open_relay(tmp_path, config(hold_resolve="10m", group_interval="1s"), restless=restless) as relay:
        await relay.post(fires("Disk", instance="a"))
        await relay.wait(minutes(5))
        await relay.post(resolved("Disk", instance="a"))
        await relay.wait(minutes(5))
        await relay.post(resolved("Disk", instance="a"), fires("Disk", "critical", instance="b"))
        await relay.wait(60)
        assert relay.sent() == ["0 s trigger Disk warning", "600 s trigger Disk/2 critical", "600 s resolve Disk"]

        await relay.post(resolved("Disk", instance="a"), resolved("Disk", "critical", instance="b"))
        await relay.wait(minutes(20))
        assert relay.sent() == ["1260 s resolve Disk/2"]


@RESTLESS
async def test_a_hold_of_a_resolve_is_a_map_by_severity(tmp_path: Path, restless: bool) -> None:
    hold = {"critical": "0s", "default": "10m"}
    async with open_relay(tmp_path, config(hold_resolve=hold), restless=restless) as relay:
        await relay.post(fires("Disk"))
        await relay.post(fires("Down", "critical"))
        await relay.wait(60)
        relay.sent()
        await relay.post(resolved("Disk"))
        await relay.post(resolved("Down", "critical"))
        await relay.wait(minutes(20))
        assert relay.sent() == ["60 s resolve Down", "660 s resolve Disk"]


@RESTLESS
async def test_a_held_resolve_passes_through_an_outage_and_a_reload_that_takes_the_hold_out(
    tmp_path: Path, restless: bool
) -> None:
    async with open_relay(tmp_path, config(hold_resolve="10m"), restless=restless) as relay:
        await relay.post(fires("Disk"))
        await relay.wait(60)
        await relay.post(resolved("Disk"))
        relay.sandbox.faults.add(Fault(status=503, count=2))
        await relay.wait(60)
        await relay.reload(config())
        await relay.wait(minutes(20))
        sent = relay.sent()
        assert sent[0] == "0 s trigger Disk warning"
        assert sent[1:3] == ["660 s resolve Disk (503)", sent[2]]
        assert sent[-1].endswith("resolve Disk")
        assert relay.open_alerts == {}


@RESTLESS
async def test_what_never_paged_has_no_resolve_to_hold(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(hold_trigger="5m", hold_resolve="10m"), restless=restless) as relay:
        await relay.post(fires("Disk"))
        await relay.wait(60)
        (told,) = await relay.decisions(resolved("Disk"))
        assert told["verdict"] == "supersedes"
        assert "held until" not in str(told["steps"])
        await relay.wait(60)
        await relay.post(fires("Disk", since="12:02:00"))
        await relay.wait(minutes(10))
        assert relay.sent() == ["420 s trigger Disk warning"]


@RESTLESS
async def test_a_resolve_that_is_held_while_the_trigger_was_never_answered_waits_for_both(
    tmp_path: Path, restless: bool
) -> None:
    async with open_relay(tmp_path, config(hold_resolve="30s"), restless=restless) as relay:
        relay.sandbox.faults.add(Fault(drop="after", count=1))
        await relay.post(fires("Disk"))
        await relay.post(resolved("Disk"))
        await relay.wait(minutes(1))
        assert relay.sent() == ["0 s trigger Disk warning (no answer)", "30 s resolve Disk"]
        assert relay.open_alerts == {}
