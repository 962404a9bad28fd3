"""Pages that are opened anew since they grew or worsened, from the webhook to PagerDuty, by a clock that is moved."""

from pathlib import Path
from typing import Any

import pytest

from relay.sandbox.faults import Fault
from tests.integration.timelapse import config, fires, minutes, open_relay, resolved

RESTLESS = pytest.mark.parametrize("restless", [False, True], ids=["calm", "restarted before everything"])


def several(count: int, severity: str = "warning") -> list[dict[str, Any]]:
    return [fires("Disk", severity, instance=str(n)) for n in range(count)]


@RESTLESS
async def test_a_page_whose_alerts_double_opens_a_linked_page_and_then_closes(tmp_path: Path, restless: bool) -> None:
    settings = config(regroup={"growth": "2.0"}, group_interval="1s")
    async with open_relay(tmp_path, settings, restless=restless) as relay:
        await relay.post(*several(2))
        await relay.wait(10)
        await relay.post(*several(3))
        await relay.wait(10)
        assert relay.sent() == ["0 s trigger Disk warning", "10 s trigger Disk warning"]

        (*_, told) = await relay.decisions(*several(4))
        assert "it grew from 2 to 4 alerts: PagerDuty notifies nobody of an update, so linked page" in told["steps"][-1]
        await relay.wait(10)
        assert relay.sent() == ["20 s trigger Disk/2 warning", "20 s resolve Disk"]
        old, new = await relay.page("Disk"), await relay.page("Disk/2")
        assert new["event"]["payload"]["custom_details"]["notes"] == [
            f"Replaces page {old['id']}: it grew from 2 to 4 alerts: PagerDuty notifies nobody of an update."
        ]

        await relay.post(*several(7))
        await relay.wait(10)
        await relay.post(*several(8))
        await relay.wait(10)
        assert relay.sent() == ["30 s trigger Disk/2 warning", "40 s trigger Disk/3 warning", "40 s resolve Disk/2"]
        await relay.post(*(resolved("Disk", instance=str(n)) for n in range(8)))
        await relay.wait(10)
        assert relay.sent() == ["50 s resolve Disk/3"]
        assert relay.open_alerts == {}


@RESTLESS
async def test_growth_re_pages_nobody_unless_asked_for(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(group_interval="1s"), restless=restless) as relay:
        await relay.post(*several(1, "critical"))
        await relay.wait(10)
        await relay.post(*several(9, "critical"))
        await relay.wait(10)
        assert relay.sent() == ["0 s trigger Disk critical", "10 s trigger Disk critical"]


@RESTLESS
async def test_growth_counts_alerts_that_nothing_keeps_quiet(tmp_path: Path, restless: bool) -> None:
    settings = config(regroup={"growth": "2.0"}, group_interval="1s")
    async with open_relay(tmp_path, settings, restless=restless) as relay:
        silence = await relay.silence(("=~", "instance", "[2-9]"), last=minutes(10))
        await relay.post(*several(2))
        await relay.wait(10)
        await relay.post(*several(9))
        await relay.wait(10)
        assert relay.sent() == ["0 s trigger Disk warning"]

        await relay.expire(silence)

        assert relay.sent() == ["20 s trigger Disk/2 warning", "20 s resolve Disk"]


WORSE = [
    ("warning", "critical", {}, True),
    ("info", "error", {}, True),
    ("warning", "critical", {"urgency": "false"}, False),
    ("error", "critical", {}, False),
    ("info", "warning", {}, False),
    ("error", "critical", {"worse_severity": "true"}, True),
    ("info", "warning", {"worse_severity": "true"}, True),
]


@RESTLESS
@pytest.mark.parametrize(("before", "after", "regroup", "linked"), WORSE)
async def test_a_rise_across_urgency_is_paged_anew_and_within_it_only_if_asked_for(
    tmp_path: Path, restless: bool, before: str, after: str, regroup: dict[str, str], linked: bool
) -> None:
    async with open_relay(tmp_path, config(regroup=regroup), restless=restless) as relay:
        await relay.post(fires("Disk", before, instance="a"))
        await relay.wait(10)
        await relay.post(fires("Disk", before, instance="a"), fires("Disk", after, instance="b"))
        await relay.wait(10)

        rise = [f"10 s trigger Disk/2 {after}", "10 s resolve Disk"] if linked else [f"10 s trigger Disk {after}"]
        assert relay.sent() == [f"0 s trigger Disk {before}", *rise]


@RESTLESS
async def test_the_old_page_stays_open_until_the_new_one_was_accepted(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, config(), restless=restless) as relay:
        await relay.post(fires("Disk", instance="a"))
        await relay.wait(10)
        relay.sent()
        relay.sandbox.faults.add(Fault(status=503))
        await relay.post(fires("Disk", instance="a"), fires("Disk", "critical", instance="b"))
        await relay.wait(5)
        failed = relay.sent()
        assert all(call.endswith("trigger Disk/2 critical (503)") for call in failed), failed
        assert relay.open_alerts == {"Disk": "triggered"}

        relay.sandbox.faults.clear()
        await relay.wait(60)

        *_failed, opened, closed = relay.sent()
        assert opened.endswith("trigger Disk/2 critical")
        assert closed.endswith("resolve Disk")
        assert relay.open_alerts == {"Disk/2": "triggered"}


@RESTLESS
async def test_the_old_page_of_a_flapping_chain_closes_without_a_hold(tmp_path: Path, restless: bool) -> None:
    """Nothing of it can fire there again: its alerts are in the linked page."""
    flap = {"changes": "2", "within": "30m", "hold": "15m"}
    async with open_relay(tmp_path, config(flap=flap, hold_resolve="10m"), restless=restless) as relay:
        await relay.post(fires("Disk", instance="a"))
        await relay.wait(60)
        await relay.post(resolved("Disk", instance="a"))
        await relay.wait(60)
        await relay.post(fires("Disk", "critical", instance="a"))
        await relay.wait(60)
        assert relay.sent() == ["0 s trigger Disk warning", "120 s trigger Disk/2 critical", "120 s resolve Disk"]
