"""The front hall with the real store: repeats that cost a hash, replicas at once, reloads in between, large bodies."""

import asyncio
import json
from pathlib import Path

import pytest

from relay.decision import Verdict
from relay.page import Wanted
from relay.rules.rulebook import Rulebook
from tests.integration.house import House, alert, message, open_house


def body(*alerts: dict[str, object], **more: object) -> bytes:
    return json.dumps(message(*alerts, **more)).encode()  # type: ignore[arg-type]


class Commits:
    """Counts commits while it is asked to."""

    def __init__(self, house: House) -> None:
        self.count = 0
        house.store.on_commit(self._committed)

    def _committed(self, seconds: float, requests: int) -> None:
        self.count += 1


async def test_an_unchanged_repeat_writes_nothing_and_is_answered_from_memory(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        text = body(alert(instance="a"), alert(instance="b"))
        await house.intake.accept(text, "")
        counted = Commits(house)

        again = await house.intake.accept(text, "")

        assert again.outcomes == {"repeats": 2}
        assert again.decisions == ()
        assert counted.count == 0


async def test_one_changed_alert_of_a_thousand_writes_one_alert_and_touches_one_page(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        many = [alert(instance=str(n)) for n in range(1_000)]
        await house.intake.accept(body(*many), "")
        await house.deliver()
        house.now += 1

        accepted = await house.intake.accept(body({**many[0], "status": "resolved"}, *many[1:]), "")

        assert accepted.outcomes["repeats"] == 999
        assert [decision.verdict for decision in accepted.decisions] == [Verdict.RESOLVES]
        changed = [held for held in await house.store.firing(-1, 2_000) if held.changed_at == house.now]
        assert changed == []
        (page,) = await house.store.pages()
        assert page.firing == 999


async def test_the_same_body_from_two_replicas_at_once_gives_one_page_and_one_event(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        text = body(alert())

        accepted = await asyncio.gather(*(house.intake.accept(text, "") for _ in range(8)))

        verdicts = [decision.verdict for one in accepted for decision in one.decisions]
        assert verdicts.count(Verdict.OPENS) == 1
        assert len(await house.deliver()) == 1
        assert await house.deliver() == []


async def test_a_change_through_another_group_voids_what_was_known(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        first = body(alert(instance="a"), key="one")
        await house.intake.accept(first, "")
        await house.intake.accept(body(alert(instance="a"), key="two"), "")
        await house.intake.accept(body(alert(instance="a", status="resolved"), key="two"), "")

        again = await house.intake.accept(first, "")

        assert [decision.verdict for decision in again.decisions] == [Verdict.OPENS]


async def test_a_firing_that_follows_its_resolve_at_once_is_never_swallowed(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        fires, resolves = body(alert()), body(alert(status="resolved"))
        await house.intake.accept(fires, "")

        for _ in range(20):
            await asyncio.gather(house.intake.accept(resolves, ""), house.intake.accept(fires, ""))
            await house.intake.accept(fires, "")
            (page,) = await house.store.pages()
            assert page.wanted is Wanted.OPEN
            await house.intake.accept(resolves, "")
            (page,) = await house.store.pages()
            assert page.wanted is Wanted.CLOSED
            await house.intake.accept(fires, "")


async def test_a_known_alert_under_a_wrong_guess_of_the_group_is_judged_all_the_same(tmp_path: Path) -> None:
    """The tail of this body looks like another group's key: it must not borrow what is known of that group."""
    async with open_house(tmp_path, config=NO_GROUPING) as house:
        await house.intake.accept(body(alert(instance="a"), key="one"), "")
        text = body(alert(instance="a"), key="two")
        text = text[:-1] + b', "groupLabels": {"groupKey": "one"}}'

        accepted = await house.intake.accept(text, "")

        assert {page.group_key for page in await house.store.pages()} == {"one", "two"}
        assert [decision.verdict for decision in accepted.decisions] == [Verdict.OPENS]


async def test_a_resolve_of_something_not_held_is_not_remembered_as_said(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        resolves = body(alert(status="resolved"), key="one")
        await house.intake.accept(resolves, "")
        await house.intake.accept(body(alert(), key="two"), "")

        accepted = await house.intake.accept(resolves, "")

        assert [decision.verdict for decision in accepted.decisions] == [Verdict.SUPERSEDES]


async def test_a_reload_between_classifying_and_judging_classifies_again(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        rules, keys = house.book.rules, house.book.keys
        keep = house.store.keep
        swapped: list[bool] = []

        async def keep_after_reload(lookup, judge):  # type: ignore[no-untyped-def]
            if not swapped:
                swapped.append(True)
                house.intake.book = Rulebook(rules, keys)
            return await keep(lookup, judge)

        house.store.keep = keep_after_reload  # type: ignore[method-assign]

        accepted = await house.intake.accept(body(alert()), "")

        assert [decision.verdict for decision in accepted.decisions] == [Verdict.OPENS]


async def test_ten_thousand_alerts_are_one_transaction_and_hold_nobody_up(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        many = body(*(alert(instance=str(n)) for n in range(10_000)))
        counted = Commits(house)
        large = asyncio.create_task(house.intake.accept(many, ""))
        turns = 0
        while not large.done():
            await asyncio.sleep(0.001)
            turns += 1

        assert (await large).outcomes == {"opens": 1, "joins": 9_999, "repeats": 0}
        assert counted.count == 1
        assert turns > 20


@pytest.mark.parametrize("source", ["", "eu1"])
async def test_two_sources_with_the_same_group_key_never_share_a_page(tmp_path: Path, source: str) -> None:
    async with open_house(tmp_path) as house:
        await house.intake.accept(body(alert()), "us1")
        await house.intake.accept(body(alert()), source)

        await house.intake.accept(body(alert(status="resolved")), source)

        pages = await house.store.pages()
        assert sorted((page.source, page.wanted) for page in pages) == [(source, Wanted.CLOSED), ("us1", Wanted.OPEN)]


NO_GROUPING = """\
route: {receiver: platform}
receivers:
  - name: platform
    pagerduty_configs: [{routing_key: 0123456789abcdef0123456789abcdef}]
"""
