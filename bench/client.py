"""The yardstick of a delivery: a bare aiohttp client that posts one event over and over, 32 at a time."""

import asyncio
import json
import sys
import time

import aiohttp
import uvloop

AT_ONCE = 32
_EVENT = {
    "routing_key": "0123456789abcdef0123456789abcdef",
    "event_action": "trigger",
    "dedup_key": "k" * 64,
    "payload": {
        "summary": "[FIRING:1] HighErrorRate c1 (A pod of the shop answers many requests with errors)",
        "source": "http://alertmanager.example.com:9093",
        "severity": "critical",
        "custom_details": {"firing": "Labels: and all the rest. " * 60},
    },
    "links": [{"href": "https://runbooks.example.com/shop/high-error-rate", "text": "Runbook"}],
}


async def main(url: str) -> None:
    """Answer each line, a number of events, with the CPU seconds it took to post them."""
    body = json.dumps(_EVENT).encode()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers={"Content-Type": "application/json"}) as session:

        async def post(count: int) -> None:
            for _ in range(count):
                async with session.post(url, data=body) as response:
                    assert response.status == 202
                    await response.read()

        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            began = time.process_time()
            await asyncio.gather(*(post(int(line) // AT_ONCE) for _ in range(AT_ONCE)))
            print(time.process_time() - began, flush=True)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
