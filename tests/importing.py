"""A program: import every alertmanager.yml of a folder that amtool accepts, and compare where alerts go with amtool.

    python -m tests.importing FOLDER [--truth routes_truth.json] [--sets 12]

It prints what differs and a line of figures, and exits with 1 if anything does.
"""

import argparse
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from relay.config import examine
from relay.errors import BadConfig
from relay.importing import Imported, convert
from relay.rules.routing import Router
from relay.rules.ruleset import Route

URL = "http://127.0.0.1:9095/webhook"
RELAY = "pagerelay"
Labels = Mapping[str, str]


def main() -> int:
    """Run over the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--truth", type=Path, help="recorded answers of amtool: label sets are taken from there too")
    parser.add_argument("--sets", type=int, default=12, help="label sets to make for each file")
    given = parser.parse_args()
    asked = recorded(given.truth) if given.truth else {}
    files = sorted(path for path in given.folder.rglob("*.y*ml") if accepted(path))
    figures: dict[str, int] = {}
    wrong: list[str] = []
    for file in files:
        sets = asked.get(str(file.relative_to(given.folder.parent)), [])
        found, counted = compared(file, sets, given.sets)
        wrong += [f"{file.name}: {fault}" for fault in found]
        for name, number in counted.items():
            figures[name] = figures.get(name, 0) + number
    for fault in wrong:
        print(fault)
    print(f"{len(files)} files: " + ", ".join(f"{number} {name}" for name, number in figures.items()))
    print(f"{len(wrong)} differ")
    return 1 if wrong else 0


def recorded(truth: Path) -> dict[str, list[Labels]]:
    """Return the label sets of a file of recorded answers, by file."""
    configs = json.loads(truth.read_text())["configs_list"]
    return {row["config"]: [case["labels"] for case in row["cases"]] for row in configs}


def accepted(path: Path) -> bool:
    """Whether amtool takes a file."""
    return subprocess.run(["amtool", "check-config", str(path)], capture_output=True, check=False).returncode == 0


def amtool(path: Path, labels: Labels) -> list[str]:
    """Ask amtool for the receivers of a label set."""
    pairs = [f"{name}={json.dumps(value)}" for name, value in labels.items()]
    command = ["amtool", "config", "routes", "test", f"--config.file={path}", *pairs]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return said.strip().split(",")


def filled(imported: Imported, folder: Path) -> Path:
    """Write an import as `-o` does, with a key in each file that waits for one."""
    path = folder / "relay.yml"
    path.write_text(imported.relay)
    for name in re.findall(r"routing_key_file: (keys/\S+)", imported.relay):
        key = folder / name
        key.parent.mkdir(exist_ok=True)
        key.write_text("".join(random.Random(name).choices("0123456789abcdef", k=32)))
    return path


def compared(file: Path, sets: list[Labels], more: int) -> tuple[list[str], dict[str, int]]:
    """Import one file; say what differs, and how much was compared."""
    try:
        imported = convert(file.name, file.read_bytes(), templates={}, url=URL)
    except BadConfig as error:
        return [f"refused: {problem}" for problem in error.problems], {"refused": 1}
    folder = Path(tempfile.mkdtemp())
    try:
        return _compared(file, imported, sets, more, folder)
    finally:
        shutil.rmtree(folder)


def _compared(
    file: Path, imported: Imported, sets: list[Labels], more: int, folder: Path
) -> tuple[list[str], dict[str, int]]:
    examined = examine(filled(imported, folder), {})
    wrong = [f"config check: {problem}" for problem in examined.problems if not problem.warning]
    # Placeholders of the corpus (key files with blanks, templates that are elsewhere) are not what is compared.
    new = folder / "alertmanager.yml"
    new.write_text(imported.alertmanager)
    if not accepted(new):
        wrong.append("amtool refuses the new alertmanager.yml")
    if examined.root is None or wrong:
        return wrong, {"unusable": 1}
    router, old_names = Router(examined.root), _names(examined.root)
    name = next(label for label in (RELAY, f"{RELAY}-2", f"{RELAY}-3") if label not in old_names)
    beside = "continue: true" in imported.alertmanager
    every = [*sets, *made(examined.root, more, file.name)]
    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(lambda labels: amtool(file, labels), every))
        after = list(pool.map(lambda labels: amtool(new, labels), every))
    for labels, native, now in zip(every, said, after, strict=True):
        ours = [route.receiver for route in router.match(dict(labels))]
        if ours != native:
            wrong.append(f"{dict(labels)}: amtool says {native}, the relay {ours}")
        if now != [*(native if beside else ()), name]:
            wrong.append(f"{dict(labels)}: amtool said {native}, and says {now} of the new alertmanager.yml")
    kinds = {"label sets": len(every), "notes": len(imported.notes)}
    return wrong, {"imported": 1, **kinds, "with PagerDuty": int("pagerduty_configs" in imported.relay)}


def _names(route: Route) -> set[str]:
    return {route.receiver}.union(*(_names(child) for child in route.routes))


def made(root: Route, number: int, seed: str) -> Iterator[Labels]:
    """Make label sets that the matchers of a tree are about."""
    chance = random.Random(seed)
    wanted: dict[str, set[str]] = {}
    for route in _every(root):
        for matcher in route.matchers:
            values = [matcher.value] if matcher.op in ("=", "!=") else re.split(r"[|()^$:?.*+]+", matcher.value)
            wanted.setdefault(matcher.name, {"other"}).update(value for value in values if value.strip())
    for _ in range(number):
        names = chance.sample(sorted(wanted), chance.randint(0, min(4, len(wanted))))
        yield {name: chance.choice(sorted(wanted[name])) for name in names}


def _every(route: Route) -> Iterator[Route]:
    yield route
    for child in route.routes:
        yield from _every(child)


if __name__ == "__main__":
    sys.exit(main())
