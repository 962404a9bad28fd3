"""`python -m tests.kills`: kill the relay under load and show that nothing is lost."""

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.kills.run import run


def main() -> int:
    """Run, print the table, and keep the folder where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--cycles", type=int, default=200, help="how often to kill it")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000), help="for chance")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="pagerelay-kills-"))
    print(f"seed {arguments.seed}, in {folder}", flush=True)
    report = run(arguments.cycles, arguments.seed, folder, lambda text: print(text, flush=True))
    print(report)
    for problem in report.problems:
        print(f"PROBLEM {problem}")
    if report.problems:
        print(f"kept: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
