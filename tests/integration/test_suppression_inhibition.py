"""Inhibition from the webhook to PagerDuty, by a clock that is moved: who waits, who is kept quiet, who pages after."""

from pathlib import Path
from typing import Any

import pytest

import relay.scheduler
from tests.integration.timelapse import config, fires, hours, minutes, open_relay, resolved

RESTLESS = pytest.mark.parametrize("restless", [False, True], ids=["calm", "restarted before everything"])

RULE = {
    "name": "node",
    "source_matchers": ['alertname="NodeDown"'],
    "target_matchers": ['severity=~"warning|info"'],
    "equal": ["node"],
}
SILENT_ROUTE = {"matchers": ['alertname="NodeDown"'], "receiver": "nobody"}
"""Sources page nobody here, so that all that is sent is of targets."""


def source(**labels: str) -> dict[str, Any]:
    return fires("NodeDown", "critical", node="n1", **labels)


def target(name: str = "Disk", severity: str = "warning", node: str = "n1", **labels: str) -> dict[str, Any]:
    return fires(name, severity, node=node, **labels)


def over(alert: dict[str, Any]) -> dict[str, Any]:
    return resolved(**{"name": alert["labels"]["alertname"], **_rest(alert["labels"])})


def _rest(labels: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if name != "alertname"}


INHIBITED = 'inhibited by inhibit rule "node": NodeDown{severity="critical"} fires with the same node="n1"'


@RESTLESS
async def test_while_the_source_fires_the_target_pages_nobody_and_once_it_ends_it_does(
    tmp_path: Path, restless: bool
) -> None:
    async with open_relay(tmp_path, config(rules=[RULE]), restless=restless) as relay:
        assert await relay.post(source()) == ["opens"]
        assert await relay.post(target()) == ["suppressed"]
        await relay.wait(minutes(30))
        assert relay.sent() == ["0 s trigger NodeDown critical"]
        assert await relay.pages() == {"NodeDown": "open", "Disk": "muted"}
        assert await relay.quiet("Disk") == {"Disk": INHIBITED}

        await relay.post(over(source()))

        assert relay.sent() == ["1800 s resolve NodeDown", "1800 s trigger Disk warning"]
        assert (await relay.journal(alertname="Disk"))[-1] == ("12:30:00", "opens", f"over: {INHIBITED}")
        await relay.post(over(target()))
        await relay.wait(1)
        assert relay.sent() == ["1801 s resolve Disk"]


@RESTLESS
async def test_a_source_that_pages_nobody_inhibits_all_the_same(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(SILENT_ROUTE, rules=[RULE]), restless=restless) as relay:
        assert await relay.post(source(), group="of another route") == ["not_ours"]
        assert await relay.post(target()) == ["suppressed"]
        await relay.wait(minutes(10))
        assert relay.sent() == []

        await relay.post(over(source()), group="of another route")

        assert relay.sent() == ["600 s trigger Disk warning"]


@RESTLESS
async def test_a_target_waits_for_its_source_for_five_seconds_from_acceptance_whatever_repeats_arrive(
    tmp_path: Path, restless: bool
) -> None:
    async with open_relay(tmp_path, config(rules=[RULE]), restless=restless) as relay:
        assert await relay.post(target()) == ["suppressed"]
        assert await relay.quiet("Disk") == {
            "Disk": 'waits until 12:00:05 UTC for an alert that inhibit rule "node" may inhibit it with'
        }
        await relay.wait(2)
        await relay.post(target())
        await relay.wait(2)
        await relay.post({**target(), "annotations": {"summary": "worse"}})
        await relay.wait(0.9)
        assert relay.sent() == []

        await relay.wait(10)

        assert relay.sent() == ["5 s trigger Disk warning"]


@RESTLESS
async def test_a_source_that_arrives_within_the_hold_keeps_the_target_from_ever_paging(
    tmp_path: Path, restless: bool
) -> None:
    async with open_relay(tmp_path, config(SILENT_ROUTE, rules=[RULE]), restless=restless) as relay:
        await relay.post(target())
        await relay.wait(4.9)
        await relay.post(source())
        await relay.wait(minutes(5))
        assert relay.sent() == []

        assert await relay.post(over(target())) == ["supersedes"]
        await relay.post(over(source()))
        await relay.wait(10)

        assert relay.sent() == []
        assert await relay.pages() == {"Disk": "superseded"}
        told = await relay.journal(alertname="Disk")
        why = told[1][2]
        assert [one[:2] for one in told] == [
            ("12:00:00", "suppressed"),
            ("12:00:04", "suppressed"),
            ("12:05:04", "supersedes"),
        ]
        assert INHIBITED in why


@RESTLESS
@pytest.mark.parametrize("order", [0, 1], ids=["source first", "target first"])
async def test_source_and_target_in_one_body_need_no_hold_in_either_order(
    tmp_path: Path, restless: bool, order: int
) -> None:
    async with open_relay(tmp_path, config(SILENT_ROUTE, rules=[RULE]), restless=restless) as relay:
        both = [source(), target()] if not order else [target(), source()]
        verdicts = await relay.post(*both, group="both")
        assert sorted(verdicts) == ["not_ours", "suppressed"]
        assert await relay.quiet("Disk") == {"Disk": INHIBITED}
        await relay.wait(minutes(1))
        assert relay.sent() == []

        await relay.post(over(source()), target(), group="both")

        assert relay.sent() == ["60 s trigger Disk warning"]


@RESTLESS
@pytest.mark.parametrize("order", [0, 1], ids=["source first", "target first"])
async def test_source_and_target_that_resolve_in_one_body_page_nobody(
    tmp_path: Path, restless: bool, order: int
) -> None:
    async with open_relay(tmp_path, config(SILENT_ROUTE, rules=[RULE]), restless=restless) as relay:
        await relay.post(source(), target(), group="both")
        await relay.wait(60)
        both = [over(source()), over(target())]

        await relay.post(*(both if not order else both[::-1]), group="both")
        await relay.wait(60)

        assert relay.sent() == []


@RESTLESS
async def test_a_hold_that_is_turned_off_is_none(tmp_path: Path, restless: bool) -> None:
    off = {**RULE, "inhibit_hold": "0s"}
    async with open_relay(tmp_path, config(rules=[off]), restless=restless) as relay:
        assert await relay.post(target()) == ["opens"]
        assert relay.sent() == ["0 s trigger Disk warning"]


async def test_the_hold_for_all_rules_is_set_in_global(tmp_path: Path) -> None:
    settings = config(rules=[RULE], top={"global": {"inhibit_hold": "8s"}})
    async with open_relay(tmp_path, settings) as relay:
        await relay.post(target())
        await relay.wait(20)
        assert relay.sent() == ["8 s trigger Disk warning"]
    (tmp_path / "off").mkdir()
    async with open_relay(tmp_path / "off", config(rules=[RULE], top={"global": {"inhibit_hold": "0s"}})) as relay:
        await relay.post(target())
        assert relay.sent() == ["0 s trigger Disk warning"]


@RESTLESS
async def test_what_no_rule_targets_waits_for_nobody(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(rules=[RULE]), restless=restless) as relay:
        await relay.post(target(severity="error"))
        assert relay.sent() == ["0 s trigger Disk error"]


@RESTLESS
@pytest.mark.parametrize(("hold", "due"), [("5s", 0), ({"critical": "3s", "default": "9s"}, 3)])
async def test_criticals_wait_only_where_the_rule_says_so(tmp_path: Path, restless: bool, hold: Any, due: int) -> None:
    rule = {**RULE, "target_matchers": ['alertname="Disk"'], "inhibit_hold": hold}
    async with open_relay(tmp_path, config(rules=[rule]), restless=restless) as relay:
        await relay.post(target(severity="critical"))
        await relay.wait(20)
        assert relay.sent() == [f"{due} s trigger Disk critical"]


@RESTLESS
async def test_only_a_first_page_waits_and_once_in_an_episode(tmp_path: Path, restless: bool) -> None:
    """Another alert in a page that people know of needs no hold; a new episode does."""
    async with open_relay(tmp_path, config(rules=[RULE], group_interval="1s"), restless=restless) as relay:
        await relay.post(target(instance="a"))
        await relay.wait(10)
        assert (await relay.post(target(instance="a"), target(instance="b")))[-1] == "joins"
        await relay.wait(5)
        assert relay.sent() == ["5 s trigger Disk warning", "10 s trigger Disk warning"]

        await relay.post(over(target(instance="a")), over(target(instance="b")))
        await relay.wait(5)
        await relay.post(target(instance="a", since="12:00:20"))
        await relay.wait(20)

        assert relay.sent() == ["15 s resolve Disk", "25 s trigger Disk warning"]


@RESTLESS
async def test_a_page_goes_out_when_the_first_of_its_holds_ends(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(rules=[RULE], group_interval="1s"), restless=restless) as relay:
        await relay.post(target(instance="a"))
        await relay.wait(3)
        await relay.post(target(instance="a"), target(instance="b"))
        await relay.wait(1.9)
        assert relay.sent() == []

        await relay.wait(10)

        assert relay.sent() == ["5 s trigger Disk warning", "8 s trigger Disk warning"]
        assert (await relay.page("Disk"))["suppressed"] == 0


@RESTLESS
async def test_an_alert_of_another_node_is_not_inhibited(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(SILENT_ROUTE, rules=[RULE]), restless=restless) as relay:
        await relay.post(source())
        await relay.post(target(node="n2"))
        await relay.wait(10)
        assert relay.sent() == ["5 s trigger Disk warning"]


@RESTLESS
@pytest.mark.parametrize("across", [False, True])
async def test_source_and_target_come_from_one_source_unless_the_rule_says_otherwise(
    tmp_path: Path, restless: bool, across: bool
) -> None:
    settings = config(
        SILENT_ROUTE,
        rules=[{**RULE, "across_sources": str(across).lower()}],
        top={"sources": [{"name": "east", "native_keys": "true"}, {"name": "west", "native_keys": "false"}]},
    )
    async with open_relay(tmp_path, settings, restless=restless) as relay:
        await relay.post(source(), source_="east")
        await relay.post(target(), source_="west")
        await relay.wait(10)
        assert relay.sent() == ([] if across else ["5 s trigger Disk warning"])

        await relay.post(over(source()), source_="east")

        assert relay.sent() == (["10 s trigger Disk warning"] if across else [])


@RESTLESS
async def test_two_sources_inhibit_until_both_are_over(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(SILENT_ROUTE, rules=[RULE]), restless=restless) as relay:
        one, two = source(instance="1"), source(instance="2")
        await relay.post(one, two)
        await relay.post(target())
        await relay.wait(10)
        await relay.post(over(one), two)
        await relay.wait(10)
        assert relay.sent() == []

        await relay.post(over(one), over(two))

        assert relay.sent() == ["20 s trigger Disk warning"]


OPEN_THEN_INHIBITED = ["5 s trigger Disk warning"]


@RESTLESS
async def test_a_page_that_is_open_when_its_source_fires_is_left_as_it_is(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(SILENT_ROUTE, rules=[RULE]), restless=restless) as relay:
        await relay.post(target())
        await relay.wait(60)
        await relay.post(source())
        await relay.wait(60)
        assert relay.sent() == OPEN_THEN_INHIBITED
        assert await relay.pages() == {"Disk": "muted"}
        assert (await relay.journal(alertname="Disk"))[-1] == ("12:01:00", "suppressed", INHIBITED)

        await relay.post(over(source()))
        await relay.wait(60)
        assert relay.sent() == []
        assert await relay.pages() == {"Disk": "open"}

        await relay.post(over(target()))
        assert relay.sent() == ["180 s resolve Disk"]


@RESTLESS
async def test_with_on_mute_acknowledge_the_end_of_the_source_opens_a_linked_page(
    tmp_path: Path, restless: bool
) -> None:
    settings = config(SILENT_ROUTE, rules=[RULE], on_mute="acknowledge")
    async with open_relay(tmp_path, settings, restless=restless) as relay:
        await relay.post(target())
        await relay.wait(60)
        await relay.post(source())
        await relay.wait(60)
        assert relay.sent() == [*OPEN_THEN_INHIBITED, "60 s acknowledge Disk"]

        await relay.post(over(source()))
        await relay.wait(60)
        assert relay.sent() == ["120 s trigger Disk/2 warning", "120 s resolve Disk"]

        await relay.post(over(target()))
        assert relay.sent() == ["180 s resolve Disk/2"]
        assert relay.open_alerts == {}


@RESTLESS
async def test_with_on_mute_resolve_the_end_of_the_source_begins_a_new_episode(tmp_path: Path, restless: bool) -> None:
    settings = config(SILENT_ROUTE, rules=[RULE], on_mute="resolve")
    async with open_relay(tmp_path, settings, restless=restless) as relay:
        await relay.post(target())
        await relay.wait(60)
        await relay.post(source())
        await relay.wait(60)
        assert relay.sent() == [*OPEN_THEN_INHIBITED, "60 s resolve Disk"]

        await relay.post(over(source()))
        await relay.wait(60)
        assert relay.sent() == ["120 s trigger Disk warning"]
        assert (await relay.page("Disk"))["episode"] == 2


@RESTLESS
@pytest.mark.parametrize("on_mute", ["leave", "acknowledge", "resolve"])
async def test_the_resolve_of_an_inhibited_page_always_passes(tmp_path: Path, restless: bool, on_mute: str) -> None:
    async with open_relay(tmp_path, config(SILENT_ROUTE, rules=[RULE], on_mute=on_mute), restless=restless) as relay:
        await relay.post(target())
        await relay.wait(60)
        await relay.post(source())
        await relay.wait(60)
        relay.sent()

        await relay.post(over(target()))
        await relay.wait(60)

        assert relay.sent() == ([] if on_mute == "resolve" else ["120 s resolve Disk"])
        assert relay.open_alerts == {}


async def test_a_reload_that_edits_the_rule_never_lets_a_target_be_loud_between_two_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay.scheduler, "BATCH", 1)  # so that most targets are judged before their source
    async with open_relay(tmp_path, config(SILENT_ROUTE, rules=[RULE])) as house:
        await house.post(source(), *(target(instance=str(number)) for number in range(8)), group="both")

        await house.reload(config(SILENT_ROUTE, rules=[{**RULE, "equal": []}]))

        assert house.sent() == []
        assert {verdict for _, verdict, _ in await house.journal(alertname="Disk")} == {"suppressed"}


@RESTLESS
async def test_a_reload_that_takes_the_rule_out_lets_the_target_page(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(SILENT_ROUTE, rules=[RULE]), restless=restless) as relay:
        await relay.post(source(), target(), group="both")
        await relay.wait(60)

        await relay.reload(config(SILENT_ROUTE))

        assert relay.sent() == ["60 s trigger Disk warning"]
        assert (await relay.journal(alertname="Disk"))[-1] == ("12:01:00", "opens", f"over: {INHIBITED}")


@RESTLESS
async def test_a_reload_that_brings_a_rule_quiets_what_is_open(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(SILENT_ROUTE, on_mute="resolve"), restless=restless) as relay:
        await relay.post(source(), target(), group="both")
        await relay.wait(60)
        assert relay.sent() == ["0 s trigger Disk warning"]

        await relay.reload(config(SILENT_ROUTE, rules=[RULE], on_mute="resolve"))
        assert relay.sent() == ["60 s resolve Disk"]

        await relay.post(over(source()), target(), group="both")
        await relay.wait(1)
        assert relay.sent() == ["61 s trigger Disk warning"]


@RESTLESS
async def test_a_reload_that_takes_the_hold_out_does_not_lengthen_one_under_way(tmp_path: Path, restless: bool) -> None:
    """It was decided when the alert was accepted; the new rules hold the next one."""
    async with open_relay(tmp_path, config(rules=[{**RULE, "inhibit_hold": "60s"}]), restless=restless) as relay:
        await relay.post(target())
        await relay.wait(10)
        await relay.reload(config(rules=[{**RULE, "inhibit_hold": "1h"}]))
        await relay.wait(120)
        assert relay.sent() == ["60 s trigger Disk warning"]


@RESTLESS
async def test_a_source_that_is_absent_inhibits_for_an_hour_and_each_target_says_so(
    tmp_path: Path, restless: bool
) -> None:
    settings = config(SILENT_ROUTE, rules=[RULE])
    async with open_relay(tmp_path, settings, restless=restless) as relay:
        other = fires("NodeDown", "critical", node="n9")
        await relay.post(source(), other, group="nodes")
        await relay.post(target())
        await relay.wait(minutes(10))
        await relay.post(other, group="nodes")
        await relay.wait(minutes(10))
        says = f"{INHIBITED}; absent since 12:10:00 UTC, it counts until 13:10:00 UTC"
        assert await relay.quiet("Disk") == {"Disk": says}
        await relay.wait(minutes(50) - 1)
        assert relay.sent() == []

        await relay.wait(1)

        assert relay.sent() == ["4200 s trigger Disk warning"]
        assert (await relay.journal(alertname="Disk"))[-1] == ("13:10:00", "opens", f"over: {says}")


@RESTLESS
async def test_a_source_that_was_absent_and_is_heard_again_inhibits_again(tmp_path: Path, restless: bool) -> None:
    settings = config(SILENT_ROUTE, rules=[RULE])
    async with open_relay(tmp_path, settings, restless=restless) as relay:
        other = fires("NodeDown", "critical", node="n9")
        await relay.post(source(), other, group="nodes")
        await relay.post(target())
        await relay.wait(minutes(10))
        await relay.post(other, group="nodes")
        await relay.wait(minutes(10))
        await relay.post(source(), other, group="nodes")
        assert await relay.quiet("Disk") == {"Disk": INHIBITED}

        await relay.wait(hours(2))

        assert relay.sent() == []


@pytest.mark.parametrize("shown", [True, False], ids=["in an open page", "in none"])
async def test_a_source_that_is_stale_no_longer_inhibits(tmp_path: Path, shown: bool) -> None:
    routes = () if shown else (SILENT_ROUTE,)
    sources = [{"name": "east", "repeat_interval": "30m", "native_keys": "true"}]
    async with open_relay(tmp_path, config(*routes, rules=[RULE], top={"sources": sources})) as relay:
        await relay.post(source(), source_="east")
        for _ in range(7):
            await relay.post(target(), source_="east")
            await relay.wait(minutes(10))

        assert [call for call in relay.sent() if "trigger Disk" in call] == ["3600 s trigger Disk warning"]
        assert [verdict for at, verdict, _ in await relay.journal(alertname="Disk") if at >= "13:00"] == ["opens"]


@RESTLESS
async def test_what_is_explained_names_the_rule_and_the_source(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(SILENT_ROUTE, rules=[RULE]), restless=restless) as relay:
        await relay.post(source())
        (told,) = await relay.explain(target())
        assert told["verdict"] == "suppressed"
        assert told["steps"][-1] == INHIBITED

        await relay.post(target())
        (told,) = await relay.explain(target())

        assert told["steps"][-1] == INHIBITED


@RESTLESS
async def test_a_source_that_is_kept_quiet_itself_inhibits_all_the_same(tmp_path: Path, restless: bool) -> None:
    """As in Alertmanager: whatever fires is a source, also what a silence or another rule keeps quiet."""
    site = {"name": "site", "source_matchers": ['alertname="SiteDown"'], "target_matchers": ['alertname="NodeDown"']}
    async with open_relay(tmp_path, config(rules=[site, RULE]), restless=restless) as relay:
        await relay.silence(("=", "alertname", "SiteDown"), last=hours(9))
        await relay.post(fires("SiteDown", "critical"))
        await relay.post(source())
        await relay.post(target())
        await relay.wait(60)
        assert relay.sent() == []
        assert await relay.pages() == {"SiteDown": "muted", "NodeDown": "muted", "Disk": "muted"}

        await relay.post(resolved("SiteDown", "critical"))
        assert relay.sent() == ["60 s trigger NodeDown critical"]
        await relay.post(over(source()))
        await relay.wait(10)
        assert relay.sent() == ["60 s trigger Disk warning", "61 s resolve NodeDown"]


@RESTLESS
async def test_a_source_that_is_held_itself_inhibits_at_once(tmp_path: Path, restless: bool) -> None:
    settings = config(rules=[RULE], hold_trigger={"default": "5m"})
    async with open_relay(tmp_path, settings, restless=restless) as relay:
        await relay.post(source())
        await relay.post(target())
        assert (await relay.quiet("Disk"))["Disk"].startswith(INHIBITED)
        await relay.wait(minutes(20))
        assert relay.sent() == ["300 s trigger NodeDown critical"]
