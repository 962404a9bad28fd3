"""What people are told who look: why a page waits, where it went, what comes first, what a pause held back."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from relay.alert import MINUTE
from relay.cli.explain import explain
from relay.cli.page import page as page_command
from relay.cli.pause import resume
from relay.pausing import EVERYTHING
from relay.sandbox.faults import Fault
from tests.integration.timelapse import KEY, Relay, config, fires, minutes, open_relay, resolved

PER_GROUP: dict[str, Any] = {"dedup_key": "{labels.alertname}-{labels.group}"}


def storm(pages: int) -> dict[str, Any]:
    return {"global": {"storm": {"pages": str(pages), "within": "1m"}}}


def fallback(**texts: Any) -> dict[str, Any]:
    first = {"name": "a", "fallback": "b", "pagerduty_configs": [{"routing_key": KEY, **texts}]}
    return {"receivers": [first, {"name": "b", "pagerduty_configs": [{"routing_key": KEY[::-1]}]}]}


async def run(relay: Relay, command: Any, *arguments: str) -> tuple[int, str]:
    result = await asyncio.to_thread(CliRunner().invoke, command, [*arguments, f"--relay.url={relay.url}"])
    return result.exit_code, result.output


# The log


async def test_each_dead_letter_has_a_line_of_its_own_and_so_has_a_retry_that_fails_again(tmp_path: Path) -> None:
    async with open_relay(tmp_path, config()) as relay:
        relay.sandbox.faults.add(Fault(status=400))
        await relay.post(*(fires(f"Down{n}") for n in range(5)), group="g")
        await relay.wait(10)

        def lines() -> list[str]:
            return [line for line in "".join(relay.log).splitlines() if 'msg="dead letter" ' in line]

        pages = {(await relay.page(f"Down{n}"))["id"] for n in range(5)}
        assert sorted(line.partition("page=")[2].split()[0] for line in lines()) == sorted(pages)
        assert all("clientError" in line for line in lines())

        again = (await relay.page("Down3"))["id"]
        async with relay.http.post(f"{relay.url}/api/v1/pages/{again}/retry") as reply:
            assert reply.status == 200
        await relay.wait(10)

        assert len(lines()) == 6
        assert f"page={again} " in lines()[-1]


# Folded pages


@pytest.mark.parametrize("over", [False, True], ids=["while it fires", "when it is over"])
async def test_a_folded_page_says_where_its_alerts_are_and_what_was_decided(tmp_path: Path, over: bool) -> None:
    """Also where the relay groups alerts that came in another group, which the journal knows them by."""
    rules = config(top=storm(2))
    del rules["route"]["dedup_key"]
    rules["route"]["group_by"] = ["alertname", "group"]
    async with open_relay(tmp_path, rules) as relay:
        alerts = [fires("Slow", group=str(n)) for n in range(4)]
        *_, told = await relay.decisions(*alerts, group="one of Alertmanager's")
        name, into = told["pages"]
        if over:
            await relay.post(*(resolved("Slow", group=str(n)) for n in range(4)), group="one of Alertmanager's")

        for command, *asked in ((page_command, "show", name), (explain, name)):
            code, said = await run(relay, command, *asked)

            assert code == 0, said
            why = f"folded into page {into}: more than 2 new pages within 1m at a; its alerts stand there"
            assert why in said
            assert f"none here: they were folded into page {into}\n" in said
            assert f"page {name} folded into {into}\n" in said
            assert f"      folded into page {into}: more than 2 new pages within 1m at a\n" in said


# What a page waits for


async def test_what_waits_behind_a_refused_key_says_so_and_what_happens_next(tmp_path: Path) -> None:
    async with open_relay(tmp_path, config(top=fallback())) as relay:
        relay.sandbox.faults.add(Fault(status=401))
        await relay.post(fires("First"))
        await relay.wait(20)
        await relay.post(fires("Second"))

        assert (await relay.page("Second"))["why"] == (
            "the trigger is due since 2026-11-23T12:00:20.000Z and waits in lane warning; "
            "its routing key is refused since 2026-11-23T12:00:00.000Z; "
            "it goes to b, the fallback of a, at 2026-11-23T12:02:00.000Z unless the key is taken before"
        )


async def test_without_a_fallback_it_says_when_the_key_is_tried_again(tmp_path: Path) -> None:
    async with open_relay(tmp_path, config()) as relay:
        relay.sandbox.faults.add(Fault(status=401))
        await relay.post(fires("First"))
        await relay.wait(20)
        await relay.post(fires("Second"))

        why = (await relay.page("Second"))["why"]
        assert why.endswith(
            "its routing key is refused since 2026-11-23T12:00:00.000Z; "
            "the key is tried again at 2026-11-23T12:00:30.000Z"
        )


async def test_what_waits_after_a_429_says_until_when(tmp_path: Path) -> None:
    async with open_relay(tmp_path, config()) as relay:
        relay.sandbox.faults.add(Fault(status=429, retry_after=20))
        await relay.post(fires("First"))
        await relay.post(fires("Second"))

        assert (await relay.page("Second"))["why"] == (
            "the trigger is due since 2026-11-23T12:00:00.000Z and waits in lane warning; PagerDuty answered 429, "
            "too many events under this routing key: until 2026-11-23T12:00:20.000Z only a probe is sent"
        )
        relay.sandbox.faults.clear()
        await relay.wait(60)
        assert "429" not in (await relay.page("Second"))["why"]


# The list


async def test_what_a_person_needs_comes_first_and_everything_is_counted(tmp_path: Path) -> None:
    async with open_relay(tmp_path, config(**PER_GROUP, top=storm(3))) as relay:
        await relay.post(fires("Old", group="0"), fires("Older", group="0"))
        await relay.post(resolved("Older", group="0"))
        await relay.wait(5)
        await relay.post(resolved("Old", group="0"))
        await relay.wait(120)
        relay.sandbox.faults.add(Fault(status=400, count=2))
        await relay.post(fires("Dead", "info", group="0"))
        await relay.wait(120)
        await relay.post(fires("Slow", group="0"), fires("Slow", group="1"), fires("Bad", "error", group="2"))
        await relay.wait(10)
        await relay.post(*(fires("Slow", group=str(n)) for n in range(5, 7)))
        await relay.wait(10)
        relay.sandbox.faults.add(Fault(status=503))
        await relay.post(fires("Worst", "critical", group="0"))

        code, said = await run(relay, page_command, "list")

        first, _, *lines = said.splitlines()
        assert (code, first) == (0, "1 dead letter, 1 waiting, 4 open, 2 folded, 2 closed; all shown")
        heads = [line.split(": ", 1)[1].split("  ")[0].split(" {")[0] for line in lines if not line.startswith(" ")]
        assert heads[:4] == ["Dead-0", "Worst-0", "Bad-2", "Storm: 2 pages folded (2 Slow)"]
        assert {*heads[4:6]} == {"Slow-0", "Slow-1"}
        assert {*heads[6:8]} == {"Slow-5", "Slow-6"}
        assert heads[8:] == ["Old-0", "Older-0"]
        _, said = await run(relay, page_command, "list", "--limit=3")
        assert said.splitlines()[0].endswith("; the first 3 shown")
        assert said.splitlines()[-1] == "and 7 more: see --limit"
        _, said = await run(relay, page_command, "list", "--waiting")
        assert said.splitlines()[0] == "1 waiting; all shown"


async def test_a_refresh_that_is_due_hours_from_now_does_not_wait(tmp_path: Path) -> None:
    async with open_relay(tmp_path, config(repeat_interval="4h")) as relay:
        await relay.post(fires("Down"))
        await relay.wait(minutes(5))
        await relay.post(fires("Down"))
        await relay.wait(minutes(5))

        assert await run(relay, page_command, "list", "--waiting") == (0, "no pages\n")
        _, said = await run(relay, page_command, "list", "--open")
        assert said.startswith("1 open; all shown\n")


async def test_what_stands_for_alerts_that_were_cut_off_has_a_name_of_its_own(tmp_path: Path) -> None:
    rules = config()
    del rules["route"]["dedup_key"]
    async with open_relay(tmp_path, rules) as relay:
        await relay.post(fires("Down"), group="g", truncatedAlerts=7, groupLabels={"alertname": "Down"})

        _, said = await run(relay, page_command, "list")

        names = sorted(line.split(": ")[1].split()[0] for line in said.splitlines()[2:] if not line.startswith(" "))
        assert names == ["AlertsTruncated", "Down"]


# The pause, the status


async def test_who_ends_a_pause_hears_what_it_held_back(tmp_path: Path) -> None:
    async with open_relay(tmp_path, config()) as relay:
        assert await run(relay, resume) == (0, "nothing was paused\n")
        await relay.pausing.pause(EVERYTHING, 30 * MINUTE, "anna")
        await relay.post(*(fires(f"Down{n}") for n in range(3)), group="g")

        assert await run(relay, resume) == (0, "resumed: everything; 3 pages are due\n")
        await relay.settle()
        await relay.pausing.pause("a", 30 * MINUTE, "anna")
        assert await run(relay, resume, "--receiver=a") == (0, "resumed: a; no page is due\n")


async def test_a_page_at_its_fallback_is_open_there(tmp_path: Path) -> None:
    async with open_relay(tmp_path, config(top=fallback())) as relay:
        await relay.post(fires("Ours"))
        relay.sandbox.faults.add(Fault(status=400, key=KEY))
        await relay.post(fires("Down"))
        await relay.wait(10)

        async with relay.http.get(f"{relay.url}/api/v1/status") as reply:
            status = await reply.json()
        assert {one["name"]: one["open"] for one in status["integrations"]} == {"a": 1, "b": 1}


async def test_an_alert_that_is_not_known_was_never_seen(tmp_path: Path) -> None:
    async with open_relay(tmp_path, config()) as relay:
        body = tmp_path / "body.json"
        body.write_text(
            '{"version": "4", "groupKey": "g", "alerts": [{"status": "firing", "labels": {"alertname": "X"}}]}'
        )

        _, said = await run(relay, explain, str(body))

        assert "this alert was never seen" in said
