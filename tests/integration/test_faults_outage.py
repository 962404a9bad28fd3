"""PagerDuty away for three days, at full length by a clock that tests move: what fires is paged, criticals first."""

from pathlib import Path

from relay.alert import HOUR
from relay.sandbox.faults import Fault
from tests.integration.timelapse import config, fires, minutes, open_relay, resolved

PAGES = 3


async def test_after_72_hours_of_outage_what_fires_is_paged_criticals_first(tmp_path: Path) -> None:
    """Firing pages never time out of the queue; what resolved meanwhile opens nothing; nothing is sent twice."""
    async with open_relay(tmp_path, config()) as relay:
        relay.sandbox.faults.add(Fault(status=503))
        for number in range(PAGES):
            await relay.post(fires(f"Warning{number}"))
            await relay.post(fires(f"Gone{number}"))
        await relay.post(fires("Critical", "critical"))
        for hour in range(72):
            relay.now += HOUR
            await relay.settle()
            if hour == 36:
                for number in range(PAGES):
                    await relay.post(resolved(f"Gone{number}"))
        tried = relay.sent()
        relay.sandbox.faults.clear()
        relay.now += HOUR
        await relay.settle()
        await relay.wait(minutes(3))
        told = [line.split(" ", 2)[2] for line in relay.sent()]

        assert all("(503)" in line for line in tried)
        assert len(tried) >= 72 * PAGES
        # A resolve has nothing to render, so it may be out a moment before.
        assert next(line for line in told if line.startswith("trigger")) == "trigger Critical critical"
        assert {line for line in told if "Warning" in line} == {f"trigger Warning{n} warning" for n in range(PAGES)}
        assert all(line.startswith("resolve") for line in told if "Gone" in line)
        assert len(told) == len(set(told))
        assert set(relay.open_alerts) == {"Critical", *(f"Warning{n}" for n in range(PAGES))}


async def test_once_pagerduty_answers_again_criticals_wait_for_no_back_off(tmp_path: Path) -> None:
    """Whosever back-off ends first asks; what is worst follows at once, though its own would last on."""
    async with open_relay(tmp_path, config()) as relay:
        relay.sandbox.faults.add(Fault(status=503))
        await relay.post(fires("Warning"))
        await relay.wait(minutes(10))
        await relay.post(fires("Critical", "critical"))
        pages = {page.severity.value: page for page in await relay.store.pages()}
        while not relay.now < pages["warning"].due_at < pages["critical"].due_at:
            relay.now = max(relay.now, min(page.due_at for page in pages.values()))
            await relay.settle()
            pages = {page.severity.value: page for page in await relay.store.pages()}

        relay.sandbox.faults.clear()
        relay.now = pages["warning"].due_at
        await relay.settle()

        assert relay.now < pages["critical"].due_at
        assert set(relay.open_alerts) == {"Critical", "Warning"}
