"""`python -m tests.bombs`: how long each template bomb takes, whether its page still goes, and how late the loop is."""

import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from relay.rendering import Renderer, read_sources
from relay.rules.ruleset import Texts
from tests.unit.pages import member, page
from tests.unit.test_render_worker import BOMBS

LONGEST = 0.6
"""Seconds that one bomb may hold its page up."""
LAG = 0.05
"""Seconds that the event loop may be late, 99 times of 100."""


@dataclass(frozen=True)
class Blast:
    """What one bomb came to."""

    name: str
    seconds: float
    lags: tuple[float, ...]
    sent: bool
    """Whether an event came back, with a text in the field's place."""


async def measure(name: str, bomb: str) -> Blast:
    """Render a page whose description is the bomb, and watch the loop meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "bomb.j2").write_text(bomb)
        renderer = Renderer(read_sources([Path(folder) / "bomb.j2"]))
    await renderer.start()
    try:
        target = page(member("a"), member("b"))
        await renderer.render([(target, Texts())])
        began, lags = time.monotonic(), []
        rendering = asyncio.create_task(renderer.render([(target, Texts(description=bomb))]))
        while not rendering.done():
            asked = time.monotonic()
            await asyncio.sleep(0.002)
            lags.append(max(0.0, time.monotonic() - asked - 0.002))
        took = time.monotonic() - began
        (rendered,) = await rendering
    finally:
        await renderer.close()
    return Blast(name, took, tuple(lags), rendered.event.summary.startswith("[critical] HighErrorRate: 2 firing"))


async def run() -> list[Blast]:
    """Set every bomb off, one after the other."""
    return [await measure(name, bomb) for name, bomb in BOMBS.items()]


def late(blasts: list[Blast]) -> float:
    """Say how late the loop was, 99 times of 100, in seconds."""
    lags = sorted(lag for blast in blasts for lag in blast.lags)
    return lags[int(len(lags) * 0.99)] if lags else 0.0


def main() -> int:
    """Run, and print the table."""
    blasts = asyncio.run(run())
    for blast in blasts:
        print(f"  {blast.name:<28} {blast.seconds:6.3f} s  {'page sent' if blast.sent else 'PAGE LOST'}")
    print(f"  {len(blasts)} bombs; the loop was late by {late(blasts) * 1000:.1f} ms, 99 times of 100")
    bad = [blast.name for blast in blasts if not blast.sent or blast.seconds > LONGEST]
    return 1 if bad or late(blasts) > LAG else 0


if __name__ == "__main__":
    sys.exit(main())
