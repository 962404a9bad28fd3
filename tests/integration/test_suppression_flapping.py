"""Flapping from the webhook to PagerDuty, by a clock that is moved: it says so, stays open, closes after quiet."""

from pathlib import Path

import pytest

from tests.integration.timelapse import Relay, config, fires, hours, minutes, open_relay, resolved

RESTLESS = pytest.mark.parametrize("restless", [False, True], ids=["calm", "restarted before everything"])

FLAP = {"changes": "5", "within": "30m", "hold": "15m"}


async def change(relay: Relay, times: int, every: float = 60, severity: str = "warning") -> None:
    """Fire and resolve in turn, beginning with firing, so many times in all."""
    for at in range(times):
        await relay.post(fires("Disk", severity) if at % 2 == 0 else resolved("Disk", severity))
        await relay.wait(every)


UP_TO_THE_FIFTH = [
    "0 s trigger Disk warning",
    "60 s resolve Disk",
    "120 s trigger Disk warning",
    "180 s resolve Disk",
    "240 s trigger Disk warning",
]


@RESTLESS
async def test_a_page_that_flaps_stays_open_says_so_and_closes_after_quiet(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(flap=FLAP), restless=restless) as relay:
        await change(relay, 5)
        assert relay.sent() == UP_TO_THE_FIFTH
        event = (await relay.page("Disk"))["event"]
        assert event["payload"]["custom_details"]["notes"] == [
            "Flaps: 5 changes in 4m. It closes once nothing fires and it was quiet for 15m."
        ]

        (told,) = await relay.decisions(resolved("Disk"))
        assert told["steps"][-1] == "its resolve is held until 12:20:00 UTC (it flaps), in case it fires again"
        await relay.wait(minutes(14))
        (told,) = await relay.decisions(fires("Disk"))
        assert told["steps"][-1] == "fired again while its resolve was held: nothing is sent"
        await relay.wait(minutes(5))
        await relay.post(resolved("Disk"))
        assert relay.open_alerts == {"Disk": "triggered"}
        await relay.wait(hours(1))

        assert relay.sent() == ["2340 s resolve Disk"]
        assert await relay.pages() == {"Disk": "closed"}


@RESTLESS
async def test_criticals_flap_as_others_do(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(flap=FLAP), restless=restless) as relay:
        await change(relay, 9, severity="critical")
        assert len(relay.sent()) == 5
        assert relay.open_alerts == {"Disk": "triggered"}


@RESTLESS
async def test_changes_that_are_further_apart_are_no_flapping(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(flap=FLAP), restless=restless) as relay:
        await change(relay, 8, every=minutes(7.6))
        assert [call.split()[2] for call in relay.sent()] == ["trigger", "resolve"] * 4


@RESTLESS
async def test_without_the_rule_each_change_is_sent(tmp_path: Path, restless: bool) -> None:
    async with open_relay(
        tmp_path, config({"matchers": ['alertname="Disk"'], "flap": "off"}, flap=FLAP), restless=restless
    ) as relay:
        await change(relay, 8)
        assert [call.split()[2] for call in relay.sent()] == ["trigger", "resolve"] * 4


@RESTLESS
async def test_a_page_that_began_to_flap_with_a_resolve_says_so_when_it_fires_again(
    tmp_path: Path, restless: bool
) -> None:
    flap = {**FLAP, "changes": "4"}
    async with open_relay(tmp_path, config(flap=flap, group_interval="1s"), restless=restless) as relay:
        await change(relay, 4)
        assert relay.sent() == UP_TO_THE_FIFTH[:3]

        await relay.post(fires("Disk"))
        await relay.wait(60)

        assert relay.sent() == ["240 s trigger Disk warning"]
        assert "Flaps: 4 changes in 3m." in str((await relay.page("Disk"))["event"])


@RESTLESS
async def test_flapping_counts_while_hold_resolve_keeps_the_page_open(tmp_path: Path, restless: bool) -> None:
    settings = config(flap=FLAP, hold_resolve="5m", group_interval="1s")
    async with open_relay(tmp_path, settings, restless=restless) as relay:
        await change(relay, 6)
        await relay.wait(minutes(30))
        assert relay.sent() == ["0 s trigger Disk warning", "240 s trigger Disk warning", "1200 s resolve Disk"]


@RESTLESS
async def test_what_settled_down_long_ago_does_not_flap_any_more(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(flap=FLAP, group_interval="1s"), restless=restless) as relay:
        await change(relay, 5)
        await relay.wait(hours(2))
        relay.sent()
        (told,) = await relay.decisions(resolved("Disk"))
        assert "held" not in str(told["steps"])
        await relay.wait(hours(1))
        assert relay.sent() == ["7500 s resolve Disk"]


@RESTLESS
async def test_an_update_of_a_page_that_settled_down_does_not_call_it_flapping(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(flap=FLAP, group_interval="1s"), restless=restless) as relay:
        await change(relay, 5)
        await relay.wait(hours(2))
        await relay.post(fires("Disk"), fires("Disk", instance="b"))
        await relay.wait(10)
        assert relay.sent()[-1] == "7500 s trigger Disk warning"
        assert "Flaps" not in str((await relay.page("Disk"))["event"])


@RESTLESS
async def test_a_reload_that_takes_the_rule_out_still_closes_the_page_when_its_hold_is_over(
    tmp_path: Path, restless: bool
) -> None:
    async with open_relay(tmp_path, config(flap=FLAP), restless=restless) as relay:
        await change(relay, 6)
        await relay.reload(config())
        await relay.wait(minutes(30))
        assert relay.sent() == [*UP_TO_THE_FIFTH, "1200 s resolve Disk"]

        await change(relay, 2)
        assert [call.split()[2] for call in relay.sent()] == ["trigger", "resolve"]


@RESTLESS
async def test_it_flaps_until_it_was_quiet_for_the_hold_however_slow_it_becomes(tmp_path: Path, restless: bool) -> None:
    flap = {"changes": "5", "within": "5m", "hold": "15m"}
    async with open_relay(tmp_path, config(flap=flap), restless=restless) as relay:
        await change(relay, 5)
        relay.sent()
        for _ in range(3):
            await relay.post(resolved("Disk"))
            await relay.wait(minutes(14))
            await relay.post(fires("Disk"))
            await relay.wait(minutes(14))
        await relay.post(resolved("Disk"))
        await relay.wait(minutes(60))
        assert relay.sent() == ["6240 s resolve Disk"]
