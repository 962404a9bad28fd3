"""Whose turn it is at the template worker."""

import asyncio

from relay.dispatcher.turns import Turns


async def test_one_at_a_time_and_the_urgent_first() -> None:
    turns, order = Turns(), list[str]()

    gate = asyncio.Event()

    async def work(name: str, *, urgent: bool = False) -> None:
        async with turns.turn(urgent=urgent):
            order.append(name)
            await gate.wait()

    first = asyncio.create_task(work("first"))
    await asyncio.sleep(0)
    later = [asyncio.create_task(work(f"other {n}")) for n in range(2)]
    await asyncio.sleep(0)
    critical = asyncio.create_task(work("critical", urgent=True))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, *later, critical)

    assert order == ["first", "critical", "other 0", "other 1"]


async def test_who_gives_up_waiting_holds_nobody_up() -> None:
    turns, order = Turns(), list[str]()

    async def work(name: str) -> None:
        async with turns.turn(urgent=False):
            order.append(name)
            await asyncio.sleep(0.01)

    tasks = [asyncio.create_task(work(str(n))) for n in range(4)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.sleep(0.015)
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert order[0] == "0"
    assert order[-1] == "3"
    assert "1" not in order


async def test_a_turn_that_fails_is_passed_on() -> None:
    turns = Turns()
    try:
        async with turns.turn(urgent=False):
            raise ValueError
    except ValueError:
        pass

    async with asyncio.timeout(1), turns.turn(urgent=False):
        pass
