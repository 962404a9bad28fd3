"""`python -m tests.faults`: break everything around a relay under traffic, and show that nothing is lost."""

import argparse
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from tests.faults.cycles import ENDINGS, run
from tests.faults.run import Report, named, never_seen, play, table
from tests.faults.scenarios import SCENARIOS

Done = TypeVar("Done")


def main() -> int:
    """Run what was asked for, print the table, and keep the folders of what went wrong."""
    arguments = _arguments()
    folder = Path(arguments.folder or tempfile.mkdtemp(prefix="pagerelay-faults-"))
    print(f"seed {arguments.seed}, in {folder}", flush=True)
    if arguments.list:
        print("\n".join(f"{one.row:>3}  {one.name}" for one in SCENARIOS))
        return 0
    problems = _cycles(arguments, folder) if arguments.endings else _rows(arguments, folder)
    for problem in problems:
        print(f"PROBLEM {problem}")
    if not problems:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if problems else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--rows", default="", help="rows of the fault table, 18,19; all of them unless told")
    parser.add_argument("--name", default="", help="only scenarios with these words in their name")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds of each scenario")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000), help="the first seed")
    parser.add_argument("--lanes", type=int, default=2, help="how many run side by side")
    parser.add_argument(
        "--endings",
        default="",
        help=f"in place of rows: end the relay by {', '.join(ENDINGS)}; failpoints: each of them",
    )
    parser.add_argument("--cycles", type=int, default=200, help="with --endings: how often each, over all lanes")
    parser.add_argument("--folder", default="", help="where to keep what is kept")
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    return parser.parse_args()


def _rows(arguments: argparse.Namespace, folder: Path) -> list[str]:
    rows = {int(row) for row in arguments.rows.split(",") if row}
    chosen = [one for one in SCENARIOS if (not rows or one.row in rows) and arguments.name in one.name]
    jobs = [
        (one.name, arguments.seed + n, folder / _slug(one.name, n)) for n in range(arguments.seeds) for one in chosen
    ]
    reports: dict[str, list[Report]] = {one.name: [] for one in chosen}
    for report in _side_by_side(play, jobs, arguments.lanes):
        reports[report.name].append(report)
        done = sum(len(one) for one in reports.values())
        if report.problems:
            print(f"{done} of {len(jobs)}: row {report.row} {report.name!r} seed {report.seed}: {report.folder}")
            print("\n".join(f"    {problem}" for problem in report.problems[:5]), flush=True)
        elif done % 20 == 0:
            print(f"{done} of {len(jobs)}", flush=True)
    print(table(reports))
    rows_run = len({named(name).row for name, runs in reports.items() if any(not one.skipped for one in runs)})
    print(f"{rows_run} rows, {len(reports)} scenarios, {len(jobs)} runs, first seed {arguments.seed}")
    wrong = [
        f"row {one.row} {one.name}, seed {one.seed}: {said}"
        for runs in reports.values()
        for one in runs
        for said in one.problems
    ]
    return wrong + never_seen(reports)


def _cycles(arguments: argparse.Namespace, folder: Path) -> list[str]:
    """Run cycles of starting and ending the relay; each ending in turn, spread over the lanes."""
    failpoints = [name for name, how in ENDINGS.items() if how.failpoint]
    names = failpoints if arguments.endings == "failpoints" else arguments.endings.split(",")
    lanes = max(1, arguments.lanes // len(names))  # of each ending
    share = -(-arguments.cycles // lanes)
    jobs = [
        (name, share, arguments.seed + 1_000 * place + lane, folder / _slug(name, lane))
        for place, name in enumerate(names)
        for lane in range(lanes)
    ]
    problems = []
    for report in _side_by_side(run, jobs, arguments.lanes):
        print(report, flush=True)
        problems += [f"{report.ending} seed {report.seed}: {said}" for said in report.problems]
    return problems


def _side_by_side(work: Callable[..., Done], jobs: Iterable[tuple[object, ...]], lanes: int) -> Iterator[Done]:
    with ProcessPoolExecutor(lanes, mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(work, *job) for job in jobs]):
            yield done.result()


def _slug(name: str, number: int) -> str:
    return "".join(char if char.isalnum() else "-" for char in name)[:40] + f"-{number}"


if __name__ == "__main__":
    sys.exit(main())
