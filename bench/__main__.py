"""`python -m bench [P1 ... | native]`: measure, print the table, and write it into docs/performance.md."""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import accepting, beside, delivering, native, page, storing, suppressing
from bench.figures import FULL, QUICK, Row, Scale, table
from bench.processes import Bench, on_disk

Benchmark = Callable[[Bench, Scale], list[Row]]

BENCHMARKS: dict[str, Benchmark] = {
    "P1": accepting.p1,
    "P2": accepting.p2,
    "P3": accepting.p3,
    "P4": storing.p4,
    "P5": native.p5,
    "P6": lambda bench, scale: accepting.p6(bench, scale) + suppressing.p6(bench, scale),
    "P7": storing.p7,
    "P8": accepting.p8,
    "P9": beside.p9,
    "P10": delivering.p10,
    "P11": delivering.p11,
    "P12": delivering.p12,
    "P14": storing.p14,
    "S1": suppressing.s1,
    "N1": native.n1,
    "N2": native.n2,
}

GROUPS = {"native": ["P5", "N1", "N2", "P9", "P11"]}
"""Benchmarks that are asked for together: those against Alertmanager's own `pagerduty_configs`."""


def main() -> None:
    """Measure what is asked for; a full run is written down."""
    asked = _arguments()
    with tempfile.TemporaryDirectory(prefix="pagerelay-bench-", dir=asked.directory) as directory:
        if not on_disk(Path(directory)):
            sys.exit(f"{directory} is in memory, where an fsync costs nothing: name one on a disk with --directory")
        rows = measure(asked.ids or list(BENCHMARKS), QUICK if asked.quick else FULL, Path(directory))
    print(table(rows))
    if not asked.ids and not asked.quick:
        page.write(rows)


def measure(ids: list[str], scale: Scale, directory: Path) -> list[Row]:
    """Run benchmarks, each in a room of its own."""
    rows = []
    for id in ids:
        began = time.monotonic()
        (directory / id).mkdir()
        with Bench(directory / id) as bench:
            found = BENCHMARKS[id](bench, scale)
        rows += found
        said = [f"    {row.what}: {row.measured} {row.verdict}" for row in found]
        print(f"{id}: {time.monotonic() - began:.0f} s", *said, sep="\n", file=sys.stderr)
    return rows


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "ids", nargs="*", metavar="ID", help=f"{', '.join((*BENCHMARKS, *GROUPS))}; without any: all of them"
    )
    parser.add_argument("--quick", action="store_true", help="see that they work; such figures mean nothing")
    parser.add_argument("--directory", default="/var/tmp", help="where databases go: a directory on a disk")
    asked = parser.parse_args()
    asked.ids = [id for word in asked.ids for id in GROUPS.get(word, [word])]
    if unknown := set(asked.ids) - set(BENCHMARKS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    return asked


if __name__ == "__main__":
    main()
