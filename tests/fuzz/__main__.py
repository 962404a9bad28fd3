"""`python -m tests.fuzz`: mutated bodies through the accept path on every core, then at a running relay."""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.fuzz import knocking
from tests.fuzz.accepting import Found, body_of, run, smallest

GROWTH = 0.05
"""How much more memory the accept path may hold in the last quarter of a run than in the second."""
WARM = 200_000
"""Bodies of a run in whose second quarter everything has been used that there is."""
MOST = 300
"""MiB that the relay may hold; it keeps what fires, so that it holds more at the end."""


def main() -> int:
    """Run, print the tables, and keep every find where there is one."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--bodies", type=int, default=1_000_000, help="how many through the accept path")
    parser.add_argument("--requests", type=int, default=50_000, help="how many at a running relay")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000), help="for chance")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="pagerelay-fuzz-"))
    print(f"seed {arguments.seed}, in {folder}", flush=True)
    accepted = _through(arguments.seed, arguments.bodies)
    _say("through the accept path", accepted)
    answered = knocking.run(folder, arguments.seed, arguments.requests) if arguments.requests else Found()
    _say("at a running relay", answered)
    problems = []
    if accepted.bodies >= WARM and accepted.growth > GROWTH:
        problems.append(f"the accept path holds {accepted.growth:.1%} more memory at the end")
    if max(answered.memory, default=0) >> 20 > MOST:
        problems.append(f"the relay held {max(answered.memory) >> 20} MiB")
    problems += _kept(folder, arguments.seed, accepted) + [f"{number}: {what}" for number, _, what in answered.faults]
    for problem in problems[:50]:
        print(f"PROBLEM {problem}")
    if problems:
        print(f"{len(problems)} problems; kept: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


def _through(seed: int, bodies: int) -> Found:
    cores = len(os.sched_getaffinity(0))
    parts = [range(part, bodies, cores) for part in range(cores)]
    found = Found()
    with ProcessPoolExecutor(cores) as pool:
        for part in pool.map(run, [seed] * cores, parts):
            found.add(part)
    return found


def _say(what: str, found: Found) -> None:
    print(f"\n  {found.bodies} {what}, {len(found.faults)} faults; the slowest took {found.slowest:.2f} s of CPU")
    if found.memory:
        print(f"  memory {found.memory[0] >> 20} to {max(found.memory) >> 20} MiB, growth {found.growth:.1%}")
    print(knocking.table(found.answers), flush=True)


def _kept(folder: Path, seed: int, found: Found) -> list[str]:
    """Write each find down, cut down to what it takes; one of each kind."""
    kinds: dict[str, tuple[int, str]] = {}
    for number, _, fault in found.faults:
        kinds.setdefault(fault.strip().rsplit("\n", 1)[-1][:60], (number, fault))
    for kind, (number, fault) in list(kinds.items())[:10]:
        body, listed = body_of(seed, number)
        (folder / f"{number}.json").write_bytes(smallest(body, listed=listed, fault=fault))
        (folder / f"{number}.txt").write_text(f"{kind}\n{time.strftime('%F')}\n\n{fault}\n")
    return [f"{number}: {kind}" for kind, (number, _) in kinds.items()]


if __name__ == "__main__":
    sys.exit(main())
