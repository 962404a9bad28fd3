"""`python -m bench.storm`: 100,000 distinct alerts in 100 webhooks, 100 criticals hidden at random among them.

Half of the criticals are anywhere, the other half is in one webhook: more at once than the reserve has places.
A real relay, a real sandbox. Time is scaled by ten: 120 calls in 6 s stand for 120 in a minute. Once every critical
is at the sandbox the relay is told of a larger budget, so that the rest need not take two hours.
Exits 1 where a figure is missed.
"""

import argparse
import asyncio
import itertools
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import aiohttp
import msgspec

from bench import bodies
from bench.figures import Row, Target, table
from bench.processes import ROUTING_KEY, Bench, Server, on_disk, wait_until
from bench.sandbox import Call, Sandbox, sandbox
from bench.waits import Stretch, Wait, found_free, overtaken, stretches
from relay.alert import SECOND
from relay.page import Lane, Page, State
from relay.store import SqliteStore
from relay.store.firing import Firing

EVENTS, WITHIN = 120, 6.0
"""The budget of the integration while criticals are on their way: so many calls in so many seconds."""
DRAINING = 12_000
"""Calls in the same time once they have arrived."""
RESERVE = EVENTS // 4
"""Calls of the window that are kept for criticals alone."""
CONNECTIONS = 4
PATIENCE = 1_800.0
_AT_ONCE = 1_000
_FREE = 3 * WITHIN / EVENTS


@dataclass(frozen=True, slots=True)
class Size:
    """How large a storm."""

    webhooks: int = 100
    alerts: int = 1_000
    """In each webhook."""
    criticals: int = 100


@dataclass(frozen=True, slots=True)
class Posted:
    """One webhook and its answer."""

    begun: float
    answered: float
    status: int


@dataclass(frozen=True, slots=True)
class Storm:
    """What one storm came to."""

    folding: bool
    statuses: Counter[int]
    waits: Sequence[Wait]
    others: Sequence[float]
    """When each call of another lane was taken in hand."""
    outcomes: Counter[str]
    peak: float
    """MiB of the relay and its worker together, at most."""
    lag: Sequence[float]
    """Seconds by which the relay's event loop was late, at most: 99 % of the time, and ever."""
    accepting: float
    """Seconds from the first webhook to the last answer."""
    draining: float
    """Seconds from the first webhook until nothing waited."""
    incidents: int


def main() -> int:
    """Make the storms that were asked for, print the table, and say whether every figure was reached."""
    asked = _arguments()
    size = Size(asked.webhooks, asked.alerts, asked.criticals)
    print(f"seed {asked.seed}", file=sys.stderr)
    rows: list[Row] = []
    for folding in {"off": [False], "on": [True], "both": [False, True]}[asked.folding]:
        with tempfile.TemporaryDirectory(prefix="pagerelay-storm-", dir=asked.directory) as directory:
            if not on_disk(Path(directory)):
                sys.exit(f"{directory} is in memory, where an fsync costs nothing: name one on a disk with --directory")
            with Bench(Path(directory)) as bench:
                rows += figures(storm(bench, size, asked.seed, folding=folding))
    print(table(rows))
    return int(any(missed(row) for row in rows))


def missed(row: Row) -> bool:
    """Say whether a figure is not what it should be."""
    return row.target is not None and not row.target.holds(row.median)


def storm(bench: Bench, size: Size, seed: int, *, folding: bool) -> Storm:
    """Make one storm, and wait until nothing is left to be sent."""
    stand_in = sandbox(bench, events=0)
    store = bench.fresh("store")
    routing = _config(stand_in, EVENTS, folding=folding)
    relay = bench.relay(routing, store, module="bench.probed")
    places = hidden(size, seed)
    began = time.time()
    posted = asyncio.run(_post(relay, size, places))
    accepting = time.time() - began
    wanted = {bodies.fingerprint(*place): place for place in places}
    wait_until(lambda: not wanted.keys() - _arrived(stand_in), "every critical arrives", PATIENCE, every=0.1)
    _raise_budget(bench, relay, _config(stand_in, DRAINING, folding=folding))
    wait_until(lambda: asyncio.run(_drained(store)), "nothing waits any more", PATIENCE, every=1.0)
    drained = time.time() - began
    calls = list(stand_in.calls())
    outcomes = asyncio.run(_accounts(store, size, stand_in.open()))
    return Storm(
        folding=folding,
        statuses=Counter(one.status for one in posted.values()),
        waits=_waits(posted, wanted.values(), calls),
        others=asyncio.run(_others(store)),
        outcomes=outcomes,
        peak=relay.process.peak(),
        lag=msgspec.json.decode(relay.get("/bench/lag"), type=list[float]),
        accepting=accepting,
        draining=drained,
        incidents=len({call.incident for call in calls if call.incident is not None}),
    )


def figures(found: Storm) -> list[Row]:
    """Hold what was measured against what is promised."""
    id = "storm: on" if found.folding else "storm: off"
    free = found_free(found.waits, RESERVE, WITHIN)
    lost = found.outcomes["lost"]
    rows = [
        Row(id, "webhooks not answered 2xx", (_not_taken(found.statuses),), Target(0)),
        Row(id, "alerts accepted and lost", (lost,), Target(0)),
        Row(
            id,
            f"slowest of the {len(free)} criticals that found a place of the reserve free",
            _slowest(free),
            _ms(_FREE),
            " ms",
        ),
        *_beyond_reserve(id, found),
        Row(id, "most by which a critical was overtaken", (overtaken(found.waits) * 1000,), _ms(_FREE), " ms"),
        Row(id, "peak memory of the relay and its worker", (found.peak,), Target(300, unit=" MiB"), " MiB"),
        Row(id, "event loop late: 99 % of the time at most", (found.lag[0] * 1000,), _ms(0.05), " ms"),
        Row(id, "event loop late: ever", (found.lag[1] * 1000,), unit=" ms"),
        Row(id, "all webhooks answered after", (found.accepting,), unit=" s"),
        Row(id, "nothing left to send after", (found.draining,), unit=" s"),
        Row(id, "incidents that people see", (found.incidents,)),
    ]
    return rows + [Row(id, f"alerts: {name}", (count,)) for name, count in sorted(found.outcomes.items()) if count]


def _beyond_reserve(id: str, found: Storm) -> Iterator[Row]:
    """Say at what pace criticals left where the reserve was too small, and what went beside; none of it is a miss."""
    waiting = [one for one in stretches(found.waits, found.others, gap=_FREE) if one.seconds > _FREE]
    crowds = [one for one in waiting if one.criticals > RESERVE]
    what = f"beyond the reserve ({sum(one.seconds for one in crowds):.1f} s): pace of criticals, part of the rate"
    yield Row(id, what, (pace(crowds),), Target(0.7, at_least=True))
    what = f"while a critical waits ({sum(one.seconds for one in waiting):.1f} s): part of all calls from other lanes"
    yield Row(id, what, (beside(waiting),), Target(0.05))
    slow = [wait.seconds for wait in found.waits if wait.seconds > _FREE]
    yield Row(id, f"slowest of the {len(slow)} criticals that waited longer", (max(slow, default=0.0),), unit=" s")


def pace(crowds: Sequence[Stretch]) -> float:
    """Say what part of the rate criticals left at; 0 where they never had to."""
    seconds = sum(one.seconds for one in crowds)
    return sum(one.criticals for one in crowds) / seconds * WITHIN / EVENTS if seconds else 0.0


def beside(waiting: Sequence[Stretch]) -> float:
    """Say what part of the calls was of other lanes; 1 where nothing was seen."""
    criticals, others = sum(one.criticals for one in waiting), sum(one.others for one in waiting)
    return others / (criticals + others) if criticals else 1.0


def _slowest(free: Sequence[Wait]) -> tuple[float, ...]:
    return (max((wait.seconds for wait in free), default=float("inf")) * 1000,)


def _ms(seconds: float) -> Target:
    return Target(seconds * 1000, unit=" ms")


def _not_taken(statuses: Counter[int]) -> int:
    return sum(count for status, count in statuses.items() if not 200 <= status < 300)


def _config(stand_in: Sandbox, events: int, *, folding: bool) -> str:
    """Write a routing YAML in which each alert is a page of its own, named as its fingerprint."""
    storms = "{pages: 60, within: 1m}" if folding else "off"
    return f"""
global:
  pagerduty_url: "{stand_in.server.url}/v2/enqueue"
  budget: {{events: {events}, within: {WITHIN:g}s}}
  storm: {storms}
route:
  receiver: platform
  dedup_key: '{{fingerprint}}'
  severity: {{critical: critical, warning: warning, default: error}}
receivers:
  - name: platform
    pagerduty_configs: [{{routing_key: {ROUTING_KEY}}}]
"""


def hidden(size: Size, seed: int) -> set[tuple[int, int]]:
    """Choose where criticals are, (webhook, place in it): half of them anywhere, the other half in one webhook."""
    chance = random.Random(seed)
    crowd = chance.randrange(size.webhooks)
    anywhere = range(size.webhooks * size.alerts)
    chosen = {crowd * size.alerts + place for place in chance.sample(range(size.alerts), size.criticals // 2)}
    while len(chosen) < size.criticals:
        chosen.add(chance.choice(anywhere))
    return {divmod(one, size.alerts) for one in chosen}


async def _post(relay: Server, size: Size, hidden: Collection[tuple[int, int]]) -> dict[int, Posted]:
    """Post the webhooks, a few at once, as fast as they are answered."""
    posted: dict[int, Posted] = {}
    numbers = iter(range(size.webhooks))
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(timeout=timeout) as session:

        async def some() -> None:
            for number in numbers:
                places = {place for webhook, place in hidden if webhook == number}
                body = bodies.mixed(number, size.alerts, places)
                begun = time.time()
                async with session.post(f"{relay.url}/webhook", data=body) as response:
                    await response.read()
                    posted[number] = Posted(begun, time.time(), response.status)

        await asyncio.gather(*(some() for _ in range(CONNECTIONS)))
    return posted


def _raise_budget(bench: Bench, relay: Server, text: str) -> None:
    """Give the relay another budget, as an operator would."""
    (file,) = bench.directory.glob("*-relay/relay.yml")
    file.write_text(text)
    with urlopen(Request(f"{relay.url}/-/reload", b""), timeout=60):
        pass


def _arrived(stand_in: Sandbox) -> set[str]:
    return {call.dedup_key for call in stand_in.calls() if call.taken and call.severity == "critical"}


def _waits(posted: dict[int, Posted], hidden: Collection[tuple[int, int]], calls: Sequence[Call]) -> list[Wait]:
    sent: dict[str, float] = {}
    for call in calls:
        if call.taken:
            sent.setdefault(call.dedup_key, call.at)
    return [
        Wait(posted[webhook].begun, posted[webhook].answered, sent[bodies.fingerprint(webhook, place)])
        for webhook, place in hidden
    ]


async def _drained(store: Path) -> bool:
    """Say whether nothing is due to be sent."""
    ledger = await SqliteStore.read_only(store)
    try:
        soon = time.time_ns() // 1000 + 5_000_000
        heads = await ledger.heads(soon)
        counts = await ledger.counts()
    finally:
        await ledger.close()
    return all(due > soon for _, _, due in heads) and not counts.in_flight


async def _accounts(store: Path, size: Size, still_open: Collection[str]) -> Counter[str]:
    """Say of every alert that was accepted what became of it (DESIGN I1), by the ledger and by the sandbox."""
    ledger = await SqliteStore.read_only(store)
    try:
        pages = {page.id: page async for page in _pages(ledger)}
        homes = {}
        async for one in _firing(ledger):
            homes[one.alert.fingerprint] = [pages[member.page] for member in one.members if member.firing]
    finally:
        await ledger.close()
    places = itertools.product(range(size.webhooks), range(size.alerts))
    return Counter(outcome(homes.get(bodies.fingerprint(*place), ()), still_open) for place in places)


def outcome(homes: Collection[Page], still_open: Collection[str]) -> str:
    """Say what became of a firing alert: its page is at PagerDuty, or it is folded into one that is."""
    told = [page for page in homes if page.delivered is State.OPEN and page.dedup_key in still_open]
    if any(not page.storm for page in told):
        return "paged"
    if told:
        return "folded"
    return "dead letter" if any(page.dead for page in homes) else "lost"


async def _others(store: Path) -> list[float]:
    """Say when each call of another lane than the criticals' was taken in hand, in seconds since 1970."""
    ledger = await SqliteStore.read_only(store)
    try:
        return [at / SECOND for _, at, lane in await ledger.attempts_since(0) if lane is not Lane.CRITICAL]
    finally:
        await ledger.close()


async def _pages(ledger: SqliteStore) -> AsyncIterator[Page]:
    after = -1
    while some := await ledger.pages(limit=_AT_ONCE, after=after):
        for page in some:
            yield page
        after = some[-1].id


async def _firing(ledger: SqliteStore) -> AsyncIterator[Firing]:
    after = -1
    while some := await ledger.firing_with_members(after, _AT_ONCE):
        for one in some:
            yield one
        after = some[-1].alert.id


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.storm", description=__doc__)
    parser.add_argument("--webhooks", type=int, default=100, help="how many (default: 100)")
    parser.add_argument("--alerts", type=int, default=1_000, help="in each (default: 1,000)")
    parser.add_argument("--criticals", type=int, default=100, help="in all (default: 100)")
    parser.add_argument("--folding", choices=("off", "on", "both"), default="both", help="of storms (default: both)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000), help="for chance")
    parser.add_argument("--directory", default="/var/tmp", help="where databases go: a directory on a disk")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
