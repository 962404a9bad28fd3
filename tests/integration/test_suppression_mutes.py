"""What happens when an alert is silenced and when that ends, up to PagerDuty, by a clock that is moved."""

from pathlib import Path

import pytest

from relay.sandbox.faults import Fault
from tests.integration.timelapse import config, fires, minutes, open_relay, resolved

RESTLESS = pytest.mark.parametrize("restless", [False, True], ids=["calm", "restarted before everything"])

DISK = ("=", "alertname", "Disk")


def said(silence_id: str, until: str) -> str:
    return f'silenced by anna until 2026-11-23 {until} UTC: "disk swap" (silence {silence_id})'


@RESTLESS
async def test_what_still_fires_when_its_silence_ends_pages_then(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(), restless=restless) as relay:
        silence = await relay.silence(DISK, last=minutes(10))
        (told,) = await relay.decisions(fires("Disk", "critical"))
        words = said(silence.id, "12:10")
        assert (told["verdict"], told["steps"][-1]) == ("suppressed", words)
        assert await relay.quiet("Disk") == {"Disk": words}
        (explained,) = await relay.explain(fires("Disk", "critical"))
        assert explained["steps"][-1] == words
        await relay.wait(minutes(10) - 0.1)
        assert relay.sent() == []

        await relay.wait(minutes(5))

        assert relay.sent() == ["600 s trigger Disk critical"]
        assert (await relay.journal(alertname="Disk"))[-1] == ("12:10:00", "opens", f"over: {words}")


@RESTLESS
async def test_what_is_expired_by_hand_pages_at_once_and_what_is_lengthened_stays_quiet(
    tmp_path: Path, restless: bool
) -> None:
    async with open_relay(tmp_path, config(), restless=restless) as relay:
        silence = await relay.silence(DISK, last=minutes(10))
        await relay.post(fires("Disk"))
        await relay.wait(minutes(5))
        edited = await relay.silence(DISK, last=minutes(60), after=minutes(-5), id_=silence.id)
        assert edited.id == silence.id
        await relay.wait(minutes(30))
        assert relay.sent() == []
        assert await relay.quiet("Disk") == {"Disk": said(silence.id, "12:55")} | (await relay.quiet("Disk"))

        await relay.expire(edited)

        assert relay.sent() == ["2100 s trigger Disk warning"]


@RESTLESS
async def test_of_two_silences_the_last_to_end_counts(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(), restless=restless) as relay:
        await relay.silence(DISK, last=minutes(10))
        last = await relay.silence(("=", "severity", "warning"), last=minutes(20))
        await relay.post(fires("Disk"))
        assert await relay.quiet("Disk") == {"Disk": said(last.id, "12:20")}
        await relay.wait(minutes(30))
        assert relay.sent() == ["1200 s trigger Disk warning"]


@RESTLESS
async def test_a_silence_that_begins_later_quiets_what_is_open_when_it_begins(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(on_mute="resolve"), restless=restless) as relay:
        silence = await relay.silence(DISK, last=minutes(10), after=minutes(5))
        await relay.post(fires("Disk"))
        await relay.wait(minutes(20))
        assert relay.sent() == ["0 s trigger Disk warning", "300 s resolve Disk", "900 s trigger Disk warning"]
        journal = await relay.journal(alertname="Disk")
        words = said(silence.id, "12:15")
        assert journal[1:] == [("12:05:00", "suppressed", words), ("12:15:00", "opens", f"over: {words}")]


@RESTLESS
async def test_leave_sends_nothing_at_either_end(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(), restless=restless) as relay:
        await relay.post(fires("Disk"))
        await relay.wait(10)
        await relay.silence(DISK, last=minutes(10))
        await relay.wait(minutes(5))
        assert await relay.pages() == {"Disk": "muted"}
        await relay.wait(minutes(15))
        assert relay.sent() == ["0 s trigger Disk warning"]
        assert await relay.pages() == {"Disk": "open"}
        assert [verdict for _, verdict, _ in await relay.journal(alertname="Disk")] == ["opens", "suppressed", "joins"]


@RESTLESS
async def test_acknowledge_is_sent_once_and_the_end_of_the_mute_opens_a_linked_page_that_says_why(
    tmp_path: Path, restless: bool
) -> None:
    async with open_relay(tmp_path, config(on_mute="acknowledge"), restless=restless) as relay:
        await relay.post(fires("Disk"))
        await relay.wait(10)
        await relay.silence(DISK, last=minutes(10))
        assert relay.open_alerts == {"Disk": "acknowledged"}
        await relay.post({**fires("Disk"), "annotations": {"summary": "worse"}})
        await relay.wait(minutes(20))
        assert relay.sent() == [
            "0 s trigger Disk warning",
            "10 s acknowledge Disk",
            "610 s trigger Disk/2 warning",
            "610 s resolve Disk",
        ]
        old, new = await relay.page("Disk"), await relay.page("Disk/2")
        assert new["event"]["payload"]["custom_details"]["notes"] == [
            f"Replaces page {old['id']}: it was acknowledged while it was muted: PagerDuty would notify nobody."
        ]
        at, verdict, why = (await relay.journal(alertname="Disk"))[-1]
        assert (at, verdict) == ("12:10:10", "opens")
        assert f"so linked page {new['id']} opens" in why

        await relay.silence(DISK, last=minutes(10))
        await relay.wait(minutes(20))
        assert relay.sent() == ["1210 s acknowledge Disk/2", "1810 s trigger Disk/3 warning", "1810 s resolve Disk/2"]
        await relay.post(resolved("Disk"))
        assert relay.sent() == ["2410 s resolve Disk/3"]


@RESTLESS
@pytest.mark.parametrize("on_mute", ["leave", "acknowledge", "resolve"])
async def test_what_resolves_under_its_silence_is_closed_and_its_end_pages_nobody(
    tmp_path: Path, restless: bool, on_mute: str
) -> None:
    async with open_relay(tmp_path, config(on_mute=on_mute), restless=restless) as relay:
        await relay.post(fires("Disk"))
        await relay.wait(10)
        silence = await relay.silence(DISK, last=minutes(10))
        await relay.wait(10)
        relay.sent()

        assert await relay.post(resolved("Disk")) in (["resolves"], ["supersedes"])
        await relay.wait(10)
        assert relay.sent() == ([] if on_mute == "resolve" else ["20 s resolve Disk"])
        await relay.expire(silence)
        await relay.wait(minutes(20))

        assert relay.sent() == []
        assert relay.open_alerts == {}


@RESTLESS
@pytest.mark.parametrize("on_mute", ["leave", "acknowledge", "resolve"])
async def test_what_fires_again_under_its_silence_waits_for_the_end_of_it(
    tmp_path: Path, restless: bool, on_mute: str
) -> None:
    async with open_relay(tmp_path, config(on_mute=on_mute), restless=restless) as relay:
        await relay.post(fires("Disk"))
        await relay.wait(10)
        await relay.silence(DISK, last=minutes(10))
        await relay.wait(10)
        await relay.post(resolved("Disk"))
        await relay.wait(10)
        relay.sent()

        await relay.post(fires("Disk", since="12:00:30"))
        await relay.wait(minutes(20))

        assert relay.sent() == ["610 s trigger Disk warning"]


@RESTLESS
@pytest.mark.parametrize(
    "fault",
    [Fault(status=503), Fault(status=503, ingest=True), Fault(drop="after")],
    ids=["refused", "refused but taken", "answer lost"],
)
async def test_an_acknowledgement_that_fails_is_tried_again_until_the_mute_ends(
    tmp_path: Path, restless: bool, fault: Fault
) -> None:
    """A 503 and a lost answer leave open whether PagerDuty took it: then nobody may be left without a page."""
    async with open_relay(tmp_path, config(on_mute="acknowledge"), restless=restless) as relay:
        await relay.post(fires("Disk"))
        await relay.wait(10)
        relay.sandbox.faults.add(fault)
        await relay.silence(DISK, last=minutes(5))
        await relay.wait(minutes(5) - 1)
        calls = relay.sent()
        assert len(calls) > 4
        assert all(" acknowledge Disk (" in call for call in calls[1:])
        relay.sandbox.faults.clear()
        await relay.wait(minutes(10))

        after = [call.split()[2:4] for call in relay.sent()]

        assert after == [["trigger", "Disk/2"], ["resolve", "Disk"]]
        assert relay.open_alerts == {"Disk/2": "triggered"}


@RESTLESS
async def test_an_acknowledgement_that_fails_once_is_made_good(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(on_mute="acknowledge"), restless=restless) as relay:
        await relay.post(fires("Disk"))
        await relay.wait(10)
        relay.sandbox.faults.add(Fault(status=429, count=1))
        silence = await relay.silence(DISK, last=minutes(5))
        await relay.wait(30)
        assert relay.open_alerts == {"Disk": "acknowledged"}
        await relay.expire(silence)
        await relay.wait(10)
        assert relay.open_alerts == {"Disk/2": "triggered"}


@RESTLESS
async def test_a_mute_that_ends_before_pagerduty_took_the_acknowledgement_leaves_the_page_open(
    tmp_path: Path, restless: bool
) -> None:
    """429 says that nothing was taken: the page is open as it was, and nobody needs another."""
    async with open_relay(tmp_path, config(on_mute="acknowledge"), restless=restless) as relay:
        await relay.post(fires("Disk"))
        await relay.wait(10)
        relay.sandbox.faults.add(Fault(status=429))
        silence = await relay.silence(DISK, last=minutes(5))
        await relay.wait(30)
        await relay.expire(silence)
        relay.sandbox.faults.clear()
        await relay.wait(minutes(5))
        assert relay.open_alerts == {"Disk": "triggered"}
        assert "Disk/2" not in str(relay.sent())


@RESTLESS
@pytest.mark.parametrize("fault", [Fault(status=503), Fault(drop="after")], ids=["refused", "answer lost"])
async def test_a_resolve_for_a_mute_that_fails_is_tried_again_and_the_end_of_the_mute_pages(
    tmp_path: Path, restless: bool, fault: Fault
) -> None:
    async with open_relay(tmp_path, config(on_mute="resolve"), restless=restless) as relay:
        await relay.post(fires("Disk"))
        await relay.wait(10)
        relay.sandbox.faults.add(fault)
        await relay.silence(DISK, last=minutes(5))
        await relay.wait(minutes(4))
        relay.sandbox.faults.clear()
        await relay.wait(59)
        assert relay.open_alerts == {}
        relay.sent()

        await relay.wait(minutes(2))

        assert relay.sent() == ["310 s trigger Disk warning"]


@RESTLESS
async def test_a_mute_that_ends_while_its_resolve_is_unanswered_pages(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(on_mute="resolve"), restless=restless) as relay:
        await relay.post(fires("Disk"))
        await relay.wait(10)
        relay.sandbox.faults.add(Fault(drop="after"))
        silence = await relay.silence(DISK, last=minutes(5))
        await relay.wait(5)
        relay.sandbox.faults.clear()
        await relay.expire(silence)
        await relay.wait(minutes(2))
        assert relay.open_alerts == {"Disk": "triggered"}


@RESTLESS
@pytest.mark.parametrize("on_mute", ["leave", "acknowledge", "resolve"])
async def test_a_page_that_is_silenced_while_its_trigger_is_unanswered(
    tmp_path: Path, restless: bool, on_mute: str
) -> None:
    """Its trigger may have been taken: what the mute asks for is sent, and its resolve passes."""
    async with open_relay(tmp_path, config(on_mute=on_mute), restless=restless) as relay:
        relay.sandbox.faults.add(Fault(drop="after", count=1))
        await relay.post(fires("Disk"))
        await relay.silence(DISK, last=minutes(5))
        await relay.wait(60)
        status = {"leave": {"Disk": "triggered"}, "acknowledge": {"Disk": "acknowledged"}, "resolve": {}}
        assert relay.open_alerts == status[on_mute]

        await relay.post(resolved("Disk"))
        await relay.wait(60)

        assert relay.open_alerts == {}


@RESTLESS
async def test_severity_and_texts_count_what_nothing_keeps_quiet(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(group_interval="1s"), restless=restless) as relay:
        silence = await relay.silence(("=", "instance", "bad"), last=minutes(10))
        one, bad = fires("Disk", instance="a"), fires("Disk", "critical", instance="bad")
        await relay.post(one, bad)
        assert relay.sent() == ["0 s trigger Disk warning"]
        page = await relay.page("Disk")
        details = page["event"]["payload"]["custom_details"]
        assert details["num_firing"] == 1
        assert page["event"]["payload"]["summary"].startswith("[warning] Disk is bad (instance=a")
        assert (page["severity"], page["firing"], page["suppressed"]) == ("warning", 2, 1)

        await relay.expire(silence)
        await relay.wait(10)

        assert relay.sent() == ["0 s trigger Disk/2 critical", "1 s resolve Disk"]


@RESTLESS
async def test_an_alert_of_several_that_is_silenced_leaves_the_page_open_without_it(
    tmp_path: Path, restless: bool
) -> None:
    async with open_relay(tmp_path, config(group_interval="1s", on_mute="resolve"), restless=restless) as relay:
        await relay.post(fires("Disk", instance="a"), fires("Disk", instance="b"))
        await relay.wait(10)
        await relay.silence(("=", "instance", "b"), last=minutes(10))
        await relay.wait(10)
        assert relay.sent() == ["0 s trigger Disk warning", "10 s trigger Disk warning"]
        details = (await relay.page("Disk"))["event"]["payload"]["custom_details"]
        assert (details["num_firing"], len(details["muted"])) == (1, 1)
        assert "silenced by anna" in str(details["muted"])

        await relay.post(resolved("Disk", instance="a"), fires("Disk", instance="b"))
        await relay.wait(10)
        assert relay.sent() == ["20 s resolve Disk"]

        await relay.wait(minutes(20))
        assert relay.sent() == ["610 s trigger Disk warning"]


@RESTLESS
@pytest.mark.parametrize("on_mute", ["leave", "acknowledge", "resolve"])
async def test_a_critical_that_fires_in_a_page_that_is_quiet_pages_at_once(
    tmp_path: Path, restless: bool, on_mute: str
) -> None:
    async with open_relay(tmp_path, config(on_mute=on_mute), restless=restless) as relay:
        one, bad = fires("Disk", instance="a"), fires("Disk", "critical", instance="b")
        await relay.post(one)
        await relay.wait(10)
        await relay.silence(("=", "instance", "a"), last=minutes(10))
        await relay.wait(10)
        relay.sent()

        await relay.post(one, bad)
        await relay.wait(10)

        if on_mute == "resolve":
            assert relay.sent() == ["20 s trigger Disk critical"]
        else:
            assert relay.sent() == ["20 s trigger Disk/2 critical", "20 s resolve Disk"]
        await relay.wait(minutes(20))
        await relay.post(resolved("Disk", instance="a"), resolved("Disk", "critical", instance="b"))
        await relay.wait(10)
        assert relay.open_alerts == {}


@RESTLESS
async def test_a_warning_that_fires_in_a_page_that_is_quiet_and_left_open_is_an_update_of_it(
    tmp_path: Path, restless: bool
) -> None:
    async with open_relay(tmp_path, config(group_interval="1s"), restless=restless) as relay:
        one, two = fires("Disk", instance="a"), fires("Disk", instance="b")
        await relay.post(one)
        await relay.wait(10)
        await relay.silence(("=", "instance", "a"), last=minutes(10))
        await relay.wait(10)
        await relay.post(one, two)
        await relay.wait(10)
        assert relay.sent() == ["0 s trigger Disk warning", "20 s trigger Disk warning"]


@RESTLESS
async def test_a_hold_that_ends_under_a_silence_pages_at_the_end_of_the_silence(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(hold_trigger="5m"), restless=restless) as relay:
        await relay.silence(DISK, last=minutes(10))
        await relay.post(fires("Disk"))
        await relay.wait(minutes(20))
        assert relay.sent() == ["600 s trigger Disk warning"]


@RESTLESS
async def test_a_silence_that_ends_within_a_hold_leaves_the_hold_its_time(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(hold_trigger="10m"), restless=restless) as relay:
        await relay.silence(DISK, last=minutes(5))
        await relay.post(fires("Disk"))
        await relay.wait(minutes(20))
        assert relay.sent() == ["600 s trigger Disk warning"]


@RESTLESS
async def test_a_silence_that_ends_under_an_inhibition_says_who_keeps_it_quiet_by_then(
    tmp_path: Path, restless: bool
) -> None:
    rule = {"source_matchers": ['alertname="NodeDown"'], "target_matchers": ['alertname="Disk"']}
    route = {"matchers": ['alertname="NodeDown"'], "receiver": "nobody"}
    async with open_relay(tmp_path, config(route, rules=[rule]), restless=restless) as relay:
        await relay.silence(DISK, last=minutes(5))
        await relay.post(fires("Disk"))
        await relay.post(fires("NodeDown", "critical"))
        await relay.wait(minutes(20))
        assert relay.sent() == []
        (quiet,) = (await relay.quiet("Disk")).values()
        assert quiet.startswith("inhibited by the inhibit rule in line 1: NodeDown")
        await relay.post(resolved("NodeDown", "critical"))
        assert relay.sent() == ["1200 s trigger Disk warning"]


@RESTLESS
async def test_a_held_resolve_of_a_page_that_is_silenced_meanwhile_passes_on_time(
    tmp_path: Path, restless: bool
) -> None:
    async with open_relay(tmp_path, config(hold_resolve="10m"), restless=restless) as relay:
        await relay.post(fires("Disk"))
        await relay.wait(10)
        await relay.post(resolved("Disk"))
        await relay.silence(DISK, last=minutes(60))
        await relay.wait(minutes(20))
        assert relay.sent() == ["0 s trigger Disk warning", "610 s resolve Disk"]


@RESTLESS
async def test_a_silenced_page_that_nobody_routes_any_more_pages_nobody_when_the_silence_ends(
    tmp_path: Path, restless: bool
) -> None:
    async with open_relay(tmp_path, config(), restless=restless) as relay:
        await relay.silence(DISK, last=minutes(10))
        await relay.post(fires("Disk"))
        await relay.wait(60)
        await relay.reload(config({"matchers": ['alertname="Disk"'], "receiver": "nobody"}))
        await relay.wait(minutes(20))
        assert relay.sent() == []
        assert await relay.quiet("Disk") == {"Disk": "no route sends it to PagerDuty any more"}

        await relay.reload(config())
        assert relay.sent() == ["1260 s trigger Disk warning"]


@RESTLESS
async def test_a_quiet_page_is_neither_updated_nor_refreshed(tmp_path: Path, restless: bool) -> None:
    settings = config(group_interval="1s", repeat_interval="1h")
    async with open_relay(tmp_path, settings, restless=restless) as relay:
        one, two = fires("Disk", instance="a"), fires("Disk", instance="b")
        await relay.post(one)
        await relay.silence(DISK, last=minutes(600))
        for _ in range(8):
            await relay.wait(minutes(60))
            await relay.post(one)
            await relay.post(one, two)
        assert relay.sent() == ["0 s trigger Disk warning"]

        await relay.wait(minutes(110))
        assert relay.sent() == []
        await relay.wait(minutes(20))

        assert relay.sent() == ["36000 s trigger Disk warning"]  # it grew meanwhile
        assert (await relay.page("Disk"))["event"]["payload"]["custom_details"]["num_firing"] == 2


@RESTLESS
@pytest.mark.parametrize("on_mute", ["leave", "acknowledge", "resolve"])
async def test_what_became_worse_while_all_was_quiet_pages_as_that_when_it_ends(
    tmp_path: Path, restless: bool, on_mute: str
) -> None:
    async with open_relay(tmp_path, config(on_mute=on_mute), restless=restless) as relay:
        one, bad = fires("Disk", instance="a"), fires("Disk", "critical", instance="b")
        await relay.post(one)
        await relay.wait(10)
        await relay.silence(DISK, last=minutes(10))
        await relay.wait(10)
        await relay.post(one, bad)
        await relay.wait(10)
        assert (await relay.page("Disk"))["severity"] == "warning"
        mute = {"leave": [], "acknowledge": ["10 s acknowledge Disk"], "resolve": ["10 s resolve Disk"]}
        assert relay.sent() == ["0 s trigger Disk warning", *mute[on_mute]]

        await relay.wait(minutes(20))

        opened, *closed = relay.sent()
        again = "Disk" if on_mute == "resolve" else "Disk/2"
        assert opened == f"610 s trigger {again} critical"
        assert closed == ([] if on_mute == "resolve" else ["610 s resolve Disk"])


@RESTLESS
async def test_a_reload_says_anew_what_a_mute_that_is_on_does(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(on_mute="leave"), restless=restless) as relay:
        await relay.post(fires("Disk"))
        await relay.silence(DISK, last=minutes(60))
        await relay.wait(minutes(10))
        assert relay.sent() == ["0 s trigger Disk warning"]

        await relay.reload(config(on_mute="resolve"))
        await relay.wait(minutes(1))

        assert relay.sent() == ["600 s resolve Disk"]


@RESTLESS
async def test_a_reload_says_anew_how_long_a_resolve_is_held(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(), restless=restless) as relay:
        await relay.post(fires("Disk"))
        await relay.wait(minutes(1))
        assert relay.sent() == ["0 s trigger Disk warning"]

        await relay.reload(config(hold_resolve="5m"))
        await relay.post(resolved("Disk"))
        await relay.wait(minutes(10))

        assert relay.sent() == ["360 s resolve Disk"]
