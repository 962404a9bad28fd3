"""A process that claims a page, says so, and waits to be killed: `python -m tests.contract.crash ENGINE PLACE`."""

import asyncio
import sys
from pathlib import Path

from relay.page import Lane
from relay.rules.ledger import Lookup, Plan, Want
from tests.contract.engines import ENGINES
from tests.contract.values import INTEGRATION, start, waiting, write


async def main(engine: str, place: str) -> None:
    """Keep two pages, claim one of them, and never settle it."""
    store = await ENGINES[engine](Path(place)).open()
    await store.keep(Lookup(), write(Plan(pages=(waiting("claimed"), waiting("other", due_at=5)))))
    claims = await store.claim([Want(INTEGRATION, Lane.CRITICAL, 1)], 50, start)
    assert len(claims) == 1
    print("claimed", flush=True)
    await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
