"""Time windows from the webhook to PagerDuty, by a clock that is moved: what is dropped, held or lowered, and after."""

from pathlib import Path
from typing import Any

import pytest

from tests.integration.timelapse import config, fires, hours, minutes, open_relay, resolved

RESTLESS = pytest.mark.parametrize("restless", [False, True], ids=["calm", "restarted before everything"])

LUNCH = {"name": "lunch", "time_intervals": [{"times": [{"start_time": "11:30", "end_time": "12:30"}]}]}
LATER = {"name": "later", "time_intervals": [{"times": [{"start_time": "12:30", "end_time": "13:00"}]}]}
OFFICE = {"name": "office", "time_intervals": [{"times": [{"start_time": "12:30", "end_time": "17:00"}]}]}


def windowed(*windows: Any, outside: str = "drop", active: bool = False, **more: Any) -> dict[str, Any]:
    """Disk is muted in these windows (or pages only in them); everything else pages always."""
    named = {"active_time_intervals" if active else "mute_time_intervals": [one["name"] for one in windows]}
    route = {"matchers": ['alertname="Disk"'], "outside": outside, **named, **more}
    return config(route, top={"time_intervals": list(windows)}, group_interval="1s")


# hold


@RESTLESS
@pytest.mark.parametrize("active", [False, True], ids=["mute", "active"])
async def test_hold_pages_at_the_windows_end_what_still_fires(tmp_path: Path, restless: bool, active: bool) -> None:
    settings = windowed(OFFICE if active else LUNCH, outside="hold", active=active)
    async with open_relay(tmp_path, settings, restless=restless) as relay:
        (told,) = await relay.decisions(fires("Disk", "critical"))
        assert told["verdict"] == "suppressed"
        window = 'outside of active time interval "office"' if active else 'muted by time interval "lunch"'
        words = f"{window} until 2026-11-23 12:30 UTC; outside: hold, so it pages then if it fires"
        assert told["steps"][-1] == words
        assert (await relay.explain(fires("Disk", "critical")))[0]["steps"][-1] == words
        await relay.wait(minutes(30) - 0.1)
        assert relay.sent() == []

        await relay.wait(minutes(30))

        assert relay.sent() == ["1800 s trigger Disk critical"]
        assert (await relay.journal(alertname="Disk"))[-1] == ("12:30:00", "opens", f"over: {words}")


@RESTLESS
async def test_hold_pages_nobody_of_what_resolved_inside(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, windowed(LUNCH, outside="hold"), restless=restless) as relay:
        await relay.post(fires("Disk"))
        await relay.wait(60)
        assert await relay.post(resolved("Disk")) == ["supersedes"]
        await relay.wait(hours(1))
        assert relay.sent() == []


@RESTLESS
async def test_two_windows_that_follow_each_other_are_one_mute(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, windowed(LUNCH, LATER, outside="hold"), restless=restless) as relay:
        (told,) = await relay.decisions(fires("Disk"))
        assert "until 2026-11-23 13:00 UTC" in told["steps"][-1]
        await relay.wait(hours(3))
        assert relay.sent() == ["3600 s trigger Disk warning"]


# drop


@RESTLESS
@pytest.mark.parametrize("unchanged", [True, False], ids=["the same body", "another body"])
async def test_drop_pages_once_it_is_heard_again_after_the_end(tmp_path: Path, restless: bool, unchanged: bool) -> None:
    async with open_relay(tmp_path, windowed(LUNCH), restless=restless) as relay:
        (told,) = await relay.decisions(fires("Disk"))
        words = 'muted by time interval "lunch" until 2026-11-23 12:30 UTC; outside: drop, '
        assert told["steps"][-1] == words + "so it pages only if it is heard again after that"
        await relay.wait(60)
        await relay.post(fires("Disk"))
        await relay.wait(60)
        await relay.post(fires("Disk"))
        await relay.wait(hours(1))
        assert relay.sent() == []
        assert await relay.quiet("Disk") == {"Disk": words + "and it was not heard again since: it pages once it is"}

        later = fires("Disk") if unchanged else {**fires("Disk"), "annotations": {"summary": "still"}}
        await relay.post(later)

        assert relay.sent() == ["3720 s trigger Disk warning"]


@RESTLESS
async def test_drop_pages_nobody_of_what_is_not_heard_again(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, windowed(LUNCH), restless=restless) as relay:
        await relay.post(fires("Disk"))
        await relay.wait(hours(5))
        assert relay.sent() == []
        await relay.post(resolved("Disk"))
        await relay.wait(hours(1))
        assert relay.sent() == []


@RESTLESS
@pytest.mark.parametrize("outside", ["drop", "hold"])
@pytest.mark.parametrize("on_mute", ["leave", "acknowledge", "resolve"])
async def test_the_resolve_of_what_fired_before_the_window_passes_inside_it(
    tmp_path: Path, restless: bool, outside: str, on_mute: str
) -> None:
    async with open_relay(tmp_path, windowed(LATER, outside=outside, on_mute=on_mute), restless=restless) as relay:
        await relay.post(fires("Disk"))
        await relay.wait(minutes(35))
        first = {"leave": [], "acknowledge": ["1800 s acknowledge Disk"], "resolve": ["1800 s resolve Disk"]}
        assert relay.sent() == ["0 s trigger Disk warning", *first[on_mute]]

        await relay.post(resolved("Disk"))
        await relay.wait(60)

        assert relay.sent() == ([] if on_mute == "resolve" else ["2100 s resolve Disk"])
        await relay.wait(hours(2))
        assert relay.sent() == []
        assert relay.open_alerts == {}


@RESTLESS
@pytest.mark.parametrize("outside", ["drop", "hold"])
@pytest.mark.parametrize("on_mute", ["leave", "acknowledge", "resolve"])
async def test_what_fired_before_the_window_and_still_fires_after_it(
    tmp_path: Path, restless: bool, outside: str, on_mute: str
) -> None:
    async with open_relay(tmp_path, windowed(LATER, outside=outside, on_mute=on_mute), restless=restless) as relay:
        await relay.post(fires("Disk"))
        await relay.wait(hours(2))
        after = {
            "leave": [],
            "acknowledge": ["1800 s acknowledge Disk", "3600 s trigger Disk/2 warning", "3600 s resolve Disk"],
            "resolve": ["1800 s resolve Disk", "3600 s trigger Disk warning"],
        }
        assert relay.sent() == ["0 s trigger Disk warning", *after[on_mute]]
        assert len(relay.open_alerts) == 1


# downgrade


@RESTLESS
async def test_downgrade_pages_as_a_warning_and_the_end_of_the_window_is_a_rise(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, windowed(LUNCH, outside="downgrade"), restless=restless) as relay:
        (told,) = await relay.decisions(fires("Disk", "critical"))
        assert told["verdict"] == "opens"
        assert '"lunch" until 2026-11-23 12:30 UTC' in told["steps"][-1]
        assert "outside: downgrade" in told["steps"][-1]
        await relay.wait(minutes(10))
        assert relay.sent() == ["0 s trigger Disk warning"]
        assert (await relay.page("Disk"))["members"][0]["severity"] == "warning"

        await relay.wait(hours(1))

        assert relay.sent() == ["1800 s trigger Disk/2 critical", "1800 s resolve Disk"]


@RESTLESS
@pytest.mark.parametrize("severity", ["warning", "info"])
async def test_downgrade_leaves_what_is_mild_as_it_is(tmp_path: Path, restless: bool, severity: str) -> None:
    async with open_relay(tmp_path, windowed(LUNCH, outside="downgrade"), restless=restless) as relay:
        (told,) = await relay.decisions(fires("Disk", severity))
        assert "downgrade" not in str(told["steps"])
        await relay.wait(hours(1))
        assert relay.sent() == [f"0 s trigger Disk {severity}"]


@RESTLESS
async def test_downgrade_never_lowers_a_page_that_is_open(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, windowed(LATER, outside="downgrade"), restless=restless) as relay:
        await relay.post(fires("Disk", "critical"))
        await relay.wait(hours(2))
        assert relay.sent() == ["0 s trigger Disk critical"]


@RESTLESS
async def test_downgrade_of_what_resolves_inside(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, windowed(LUNCH, outside="downgrade"), restless=restless) as relay:
        await relay.post(fires("Disk", "critical"))
        await relay.wait(60)
        await relay.post(resolved("Disk", "critical"))
        await relay.wait(hours(1))
        assert relay.sent() == ["0 s trigger Disk warning", "60 s resolve Disk"]


# Whose windows


@RESTLESS
async def test_a_route_is_judged_by_its_own_windows_which_its_children_do_not_inherit(
    tmp_path: Path, restless: bool
) -> None:
    child = {"matchers": ['severity="critical"']}
    async with open_relay(tmp_path, windowed(LUNCH, outside="hold", routes=[child]), restless=restless) as relay:
        await relay.post(fires("Disk", "critical", instance="a"), fires("Cpu"), group="mixed")
        assert sorted(relay.sent()) == ["0 s trigger Cpu warning", "0 s trigger Disk critical"]
        await relay.post(resolved("Disk", "critical", instance="a"), fires("Cpu"), group="mixed")
        await relay.wait(2)
        await relay.post(fires("Disk", instance="b"))
        await relay.wait(hours(1))
        assert relay.sent() == ["1 s resolve Disk", "1800 s trigger Disk warning"]


@RESTLESS
async def test_a_child_inherits_what_outside_means_for_windows_of_its_own(tmp_path: Path, restless: bool) -> None:
    child = {"matchers": ['severity="critical"'], "mute_time_intervals": ["later"]}
    async with open_relay(tmp_path, windowed(LUNCH, LATER, outside="hold", routes=[child]), restless=restless) as relay:
        await relay.wait(minutes(31))
        await relay.post(fires("Disk", "critical"))
        await relay.wait(hours(1))
        assert relay.sent() == ["3600 s trigger Disk critical"]


@RESTLESS
async def test_a_window_over_midnight_belongs_to_the_day_it_began_on(tmp_path: Path, restless: bool) -> None:
    night = {
        "name": "night",
        "time_intervals": [{"weekdays": ["monday"], "times": [{"start_time": "22:00", "end_time": "06:00"}]}],
    }
    async with open_relay(tmp_path, windowed(night, outside="hold"), restless=restless) as relay:
        await relay.wait(hours(13))
        await relay.post(fires("Disk"))
        await relay.wait(hours(10))
        assert relay.sent() == [f"{18 * 3600} s trigger Disk warning"]


# Reloads, and other rules


@RESTLESS
@pytest.mark.parametrize("outside", ["drop", "hold"])
async def test_a_reload_that_takes_the_window_out_lets_it_page(tmp_path: Path, restless: bool, outside: str) -> None:
    async with open_relay(tmp_path, windowed(LUNCH, outside=outside), restless=restless) as relay:
        await relay.post(fires("Disk"))
        await relay.wait(60)
        await relay.reload(config())
        assert relay.sent() == ["60 s trigger Disk warning"]


@RESTLESS
async def test_a_reload_that_brings_a_window_mutes_what_is_open(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(), restless=restless) as relay:
        await relay.post(fires("Disk"))
        await relay.wait(60)
        await relay.reload(windowed(LUNCH, outside="hold", on_mute="resolve"))
        await relay.wait(hours(1))
        assert relay.sent() == ["0 s trigger Disk warning", "60 s resolve Disk", "1800 s trigger Disk warning"]


@RESTLESS
async def test_a_hold_and_a_window_end_each_at_their_own_time(tmp_path: Path, restless: bool) -> None:
    settings = windowed(LUNCH, outside="hold", hold_trigger="45m")
    async with open_relay(tmp_path, settings, restless=restless) as relay:
        await relay.post(fires("Disk"))
        await relay.wait(hours(1))
        assert relay.sent() == ["2700 s trigger Disk warning"]


@RESTLESS
async def test_an_alert_that_fires_inside_joins_a_page_of_others_when_the_window_ends(
    tmp_path: Path, restless: bool
) -> None:
    """A page may hold alerts of several routes: each is judged by the one that brought it."""
    child = {"matchers": ['severity="critical"']}
    async with open_relay(tmp_path, windowed(LUNCH, outside="hold", routes=[child]), restless=restless) as relay:
        both = fires("Disk", "critical", instance="a"), fires("Disk", instance="b")
        await relay.post(*both)
        assert relay.sent() == ["0 s trigger Disk critical"]
        assert (await relay.page("Disk"))["suppressed"] == 1
        await relay.wait(hours(1))
        assert relay.sent() == ["1800 s trigger Disk critical"]
        assert (await relay.page("Disk"))["suppressed"] == 0


@RESTLESS
async def test_an_alert_in_two_pages_is_judged_in_each_by_the_route_that_brought_it_there(
    tmp_path: Path, restless: bool
) -> None:
    both = {"matchers": ['alertname="Disk"'], "continue": "true"}
    settings = config(
        {**both, "mute_time_intervals": ["lunch"], "outside": "hold"},
        {**both, "receiver": "b", "dedup_key": "b {labels.alertname}"},
        top={"time_intervals": [LUNCH]},
    )
    async with open_relay(tmp_path, settings, restless=restless) as relay:
        (told,) = await relay.decisions(fires("Disk"))
        assert told["verdict"] == "opens"
        assert told["steps"][-1].startswith('muted by time interval "lunch"')
        assert relay.sent() == ["0 s trigger b Disk warning"]
        assert await relay.pages() == {"b Disk": "open", "Disk": "muted"}

        await relay.wait(hours(1))

        assert relay.sent() == ["1800 s trigger Disk warning"]
        assert (await relay.journal(alertname="Disk"))[-1][:2] == ("12:30:00", "opens")
