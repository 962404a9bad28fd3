"""How people respond, as /metrics tells it: how soon they have it, how soon it is over, and when they are called."""

from pathlib import Path
from typing import Any

import pytest

from tests.integration.pagerduty_news import SECRET, PagerDuty
from tests.integration.timelapse import Relay, config, fires, hours, minutes, open_relay, resolved

HOURS = [
    {"weekdays": ["monday:friday"], "times": [{"start_time": "09:00", "end_time": "18:00"}], "location": "Asia/Tokyo"}
]
TOP: dict[str, Any] = {
    "pagerduty": {"webhook_secrets": [SECRET], "business_hours": "office"},
    "time_intervals": [{"name": "office", "time_intervals": HOURS}],
}


def timed(relay: Relay, what: str, severity: str = "warning") -> tuple[float, float]:
    """Read a histogram: how many there are, and how many seconds they took."""
    labels = {"receiver": "a", "severity": severity}
    name = f"pagerelay_time_to_{what}_seconds"
    return relay.counted(f"{name}_count", **labels), relay.counted(f"{name}_sum", **labels)


async def test_the_times_count_from_the_trigger_that_opened_the_incident(tmp_path: Path) -> None:
    async with open_relay(tmp_path, config(top=TOP)) as relay:
        pagerduty = PagerDuty(relay)
        await relay.post(fires("Disk"))
        await pagerduty.tells()
        await relay.wait(minutes(4))
        pagerduty.acknowledges("Disk")
        await pagerduty.tells()
        await relay.wait(minutes(6))
        await relay.post(fires("Disk", instance="b"))  # an update begins nothing
        await relay.wait(minutes(10))
        await relay.post(resolved("Disk"), resolved("Disk", instance="b"))
        await relay.wait(1)
        await pagerduty.tells()

        assert timed(relay, "acknowledge") == (1, minutes(4))
        count, took = timed(relay, "resolve")
        assert count == 1
        assert took == pytest.approx(minutes(20), abs=2)


async def test_only_the_first_acknowledgement_of_an_incident_counts(tmp_path: Path) -> None:
    async with open_relay(tmp_path, config(top=TOP)) as relay:
        pagerduty = PagerDuty(relay)
        await relay.post(fires("Disk"))
        await relay.wait(60)
        pagerduty.acknowledges("Disk")
        await pagerduty.tells()
        await relay.wait(60)
        relay.sandbox.incidents.unacknowledge(pagerduty.incident("Disk"), None)
        await pagerduty.tells()
        await relay.wait(60)
        pagerduty.acknowledges("Disk")
        await pagerduty.tells()

        assert timed(relay, "acknowledge") == (1, 60)


async def test_what_somebody_resolved_is_timed_once_and_its_next_incident_anew(tmp_path: Path) -> None:
    async with open_relay(tmp_path, config(top=TOP, repeat_interval="1h")) as relay:
        pagerduty = PagerDuty(relay)
        await relay.post(fires("Disk"))
        await relay.wait(minutes(5))
        pagerduty.resolves("Disk")
        await pagerduty.tells()
        await relay.wait(hours(1))
        first = timed(relay, "resolve")
        await relay.post(fires("Disk", instance="b"))  # it joins, so that the page is opened again
        await relay.wait(minutes(2))
        await relay.post(resolved("Disk"), resolved("Disk", instance="b"))
        await relay.wait(2)

        assert first == (1, minutes(5))
        count, took = timed(relay, "resolve")
        assert count == 2
        assert took == pytest.approx(minutes(7), abs=3)
        assert (
            sum(
                relay.counted("pagerelay_incidents_by_hour_total", receiver="a", hour=f"{hour:02}")
                for hour in range(24)
            )
            == 2
        )


async def test_an_incident_is_counted_at_its_hour_where_business_hours_are(tmp_path: Path) -> None:
    async with open_relay(tmp_path, config(top=TOP)) as relay:  # noon in UTC is 21:00 in Tokyo
        await relay.post(fires("Disk", "critical"))
        await relay.wait(hours(13))
        await relay.post(fires("Other", "error"))

        for hour in ("21", "10"):
            assert relay.counted("pagerelay_incidents_by_hour_total", receiver="a", hour=hour) == 1
        assert relay.counted("pagerelay_incidents_after_hours_total", receiver="a", severity="critical") == 1
        assert relay.counted("pagerelay_incidents_after_hours_total", receiver="a", severity="error") == 0


async def test_without_business_hours_no_hour_is_after_them(tmp_path: Path) -> None:
    async with open_relay(tmp_path, config()) as relay:
        await relay.post(fires("Disk"))

        assert relay.counted("pagerelay_incidents_by_hour_total", receiver="a", hour="12") == 1
        assert relay.counted("pagerelay_incidents_after_hours_total", receiver="a", severity="warning") == 0


async def test_what_nothing_was_sent_of_is_no_incident(tmp_path: Path) -> None:
    async with open_relay(tmp_path, config(hold_trigger="1m")) as relay:
        await relay.post(fires("Disk"))
        await relay.post(resolved("Disk"))
        await relay.wait(hours(1))

        assert relay.counted("pagerelay_incidents_by_hour_total", receiver="a", hour="12") == 0
        assert timed(relay, "resolve") == (0, 0)
