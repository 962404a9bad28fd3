"""Storms of new pages, from the webhook to PagerDuty, by a clock that is moved."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from relay.alert import SECOND
from relay.page import page_number
from tests.integration.timelapse import Relay, config, fires, minutes, open_relay, resolved

RESTLESS = pytest.mark.parametrize("restless", [False, True], ids=["calm", "restarted before everything"])
SIX: dict[str, Any] = {"global": {"storm": {"pages": "6", "within": "1m"}}}


def groups(first: int, last: int, severity: str = "warning", name: str = "") -> list[dict[str, Any]]:
    """One alert for each of so many pages."""
    return [fires("", severity, group=str(n)) | {} for n in range(first, last)] if not name else [
        fires(name, severity, group=str(n)) for n in range(first, last)
    ]


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
async def test_of_500_new_pages_60_open_and_the_criticals_and_one_for_all_others(tmp_path: Path, restless: bool) -> None:
    async with open_relay(tmp_path, each_its_own(), restless=restless) as relay:
        warnings, criticals = groups(0, 495, name="Slow"), groups(0, 5, "critical", "Down")
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
