"""P9: how soon a critical is paged beside large bodies, against the same relay with nothing else to do."""

import asyncio
import time
from collections.abc import Sequence

import aiohttp

from bench import bodies
from bench.figures import Row, Scale, Target
from bench.processes import Bench, Server, config, wait_until
from bench.sandbox import Sandbox, sandbox
from bench.waits import percentile

CRITICALS = 200
EVERY = 0.1
"""Seconds between two criticals."""
BODIES_EVERY = 0.2
ALERTS = 1_000
"""In each body beside the criticals; all of them are new."""
_UNLIMITED = 10_000_000


def p9(bench: Bench, scale: Scale) -> list[Row]:
    """One critical each 100 ms, first alone, then beside five bodies of 1,000 new warnings a second."""
    stand_in = sandbox(bench, events=0)
    relay = bench.relay(config(stand_in.server.url, events=_UNLIMITED, pages="dedup_key: '{labels.cluster}'"))
    criticals, alerts = scale.of(CRITICALS, 10), scale.of(ALERTS, 20)
    asyncio.run(_post(relay, 0, criticals, 0))
    idle, loaded = (_times(relay, stand_in, first, criticals, beside) for first, beside in ((1, 0), (2, alerts)))
    what = f"a critical beside 5 bodies a second of {alerts:,} new alerts: posted to paged, 99 % of them within"
    p99 = percentile(loaded, 0.99)
    return [
        Row("P9", what, (p99 * 1000,), Target(100, unit=" ms"), " ms"),
        Row("P9", "the same against a relay with nothing else to do", (p99 / percentile(idle, 0.99),), Target(5)),
        Row("P9", "the same: with nothing else to do", (percentile(idle, 0.99) * 1000,), unit=" ms"),
        Row("P9", "the same: half of them within", (percentile(loaded, 0.5) * 1000,), unit=" ms"),
    ]


def _times(relay: Server, stand_in: Sandbox, run: int, criticals: int, beside: int) -> list[float]:
    """Post so many criticals; return the seconds from posting each to its page."""
    begun = asyncio.run(_post(relay, run, criticals, beside))

    def arrived() -> dict[str, float]:
        return {call.dedup_key: call.at for call in stand_in.calls() if call.taken}

    wait_until(lambda: begun.keys() <= arrived().keys(), "every critical arrives")
    return [arrived()[page] - at for page, at in begun.items()]


async def _post(relay: Server, run: int, criticals: int, alerts: int) -> dict[str, float]:
    """Post criticals at their times, and bodies of so many alerts beside them; return when each page was begun."""
    first = run * 100_000
    small = [bodies.new(first + number, 1) for number in range(criticals)]
    count = int(criticals * EVERY / BODIES_EVERY) if alerts else 0
    large = [bodies.new(first + criticals + number, alerts, severity="warning") for number in range(count)]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def post(body: bytes) -> None:
            async with session.post(f"{relay.url}/webhook", data=body) as response:
                assert response.status == 200
                await response.read()

        async def paced(some: Sequence[bytes], every: float) -> list[float]:
            began, times = time.time(), []
            async with asyncio.TaskGroup() as tasks:
                for number, body in enumerate(some):
                    await asyncio.sleep(max(0.0, began + number * every - time.time()))
                    times.append(time.time())
                    tasks.create_task(post(body))
            return times

        times, _ = await asyncio.gather(paced(small, EVERY), paced(large, BODIES_EVERY))
    return {f"c{first + number}": at for number, at in enumerate(times)}
