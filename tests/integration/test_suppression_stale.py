"""Absence and staleness: shown at once, no resolve, undone by the next word; forgotten where no page is open."""

from pathlib import Path
from typing import Any

from tests.integration.timelapse import config, fires, hours, minutes, open_relay, resolved

TALK = "Talk"
"""Another group, heard every hour, so that the source is not silent."""


def sure(**more: Any) -> dict[str, Any]:
    source = {"name": "prod", "native_keys": "true", "repeat_interval": "1h"}
    return config(top={"sources": [source]}, **more)


async def test_a_member_missing_from_a_complete_body_is_shown_as_absent_and_still_fires(tmp_path: Path) -> None:
    async with open_relay(tmp_path, config()) as relay:
        await relay.post(fires("Disk", node="a"), fires("Disk", node="b"))
        await relay.wait(minutes(2))
        await relay.post(fires("Disk", node="a"))
        members = {one["labels"]["node"]: one for one in (await relay.page("Disk"))["members"]}
        assert members["a"]["absent_since"] is None
        assert members["b"]["absent_since"] == "2026-11-23T12:02:00.000Z"
        assert relay.sent() == ["0 s trigger Disk warning"]

        await relay.post(fires("Disk", node="a"), fires("Disk", node="b"))
        assert [one["absent_since"] for one in (await relay.page("Disk"))["members"]] == [None, None]
        await relay.wait(hours(1))
        assert relay.sent() == []


async def test_what_is_not_heard_of_for_two_repeat_intervals_is_stale_and_its_page_with_it(tmp_path: Path) -> None:
    async with open_relay(tmp_path, sure()) as relay:
        await relay.post(fires("Disk", node="a"), fires("Disk", node="b"), source_="prod")
        for _ in range(3):
            await relay.post(fires(TALK), source_="prod")
            assert (await relay.page("Disk"))["stale"] is False
            await relay.wait(minutes(50))
        page = await relay.page("Disk")
        assert page["stale"] is True
        assert {one["stale_since"] for one in page["members"]} == {"2026-11-23T14:00:00.000Z"}
        assert page["state"] == "open"

        await relay.post(fires("Disk", node="a"), fires("Disk", node="b"), source_="prod")
        assert (await relay.page("Disk"))["stale"] is False


async def test_while_nothing_is_heard_from_a_source_nothing_of_it_is_stale(tmp_path: Path) -> None:
    async with open_relay(tmp_path, sure()) as relay:
        await relay.post(fires("Disk"), source_="prod")
        await relay.wait(hours(5))
        assert (await relay.page("Disk"))["stale"] is False

        await relay.post(fires(TALK), source_="prod")  # it speaks again: its other groups have as long as ever
        await relay.wait(minutes(90))
        await relay.post(fires(TALK), source_="prod")
        assert (await relay.page("Disk"))["stale"] is False
        await relay.wait(minutes(40))
        assert (await relay.page("Disk"))["stale"] is True


async def test_on_stale_resolve_closes_the_page_and_says_so(tmp_path: Path) -> None:
    async with open_relay(tmp_path, sure(on_stale="resolve")) as relay:
        await relay.post(fires("Disk"), source_="prod")
        for _ in range(4):
            await relay.post(fires(TALK), source_="prod")
            await relay.wait(minutes(40))
        assert "7200 s resolve Disk" in relay.sent()
        at, verdict, why = (await relay.journal(alertname="Disk"))[-1]
        assert (at, verdict) == ("14:00:00", "resolves")
        assert why.startswith(
            "stale, not heard of since 12:00:00 UTC: resolved, since its route says on_stale: resolve"
        )


async def test_what_is_stale_and_in_no_open_page_is_forgotten_until_it_is_heard(tmp_path: Path) -> None:
    async with open_relay(tmp_path, sure()) as relay:
        await relay.silence(("=", "alertname", "Disk"), last=hours(9))
        await relay.post(fires("Disk"), source_="prod")
        for _ in range(4):
            await relay.post(fires(TALK), source_="prod")
            await relay.wait(minutes(40))
        assert (await relay.journal(alertname="Disk"))[-1][1] == "forgotten"
        assert relay.counted("pagerelay_decisions_total", verdict="forgotten") == 1

        await relay.post(fires("Disk"), source_="prod")
        assert (await relay.journal(alertname="Disk"))[-1][1] == "suppressed"
        await relay.post(resolved("Disk"), source_="prod")
        assert [line for line in relay.sent() if "Disk" in line] == []
