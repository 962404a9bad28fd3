"""Plants one defect at a time in a copy of the project, and runs the tests that must catch it."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("defects.yml")
_COPIED = ("relay", "tests", "templates", "config", "examples", "docs", "bench", "README.md", "pyproject.toml")
_LONGEST = 300.0
"""Seconds that the tests of one defect may take."""
_RED = 1
"""pytest's exit status when tests failed; others mean that it could not run them."""


@dataclass(frozen=True)
class Defect:
    """One planted bug: in `file`, `before` becomes `after`; `tests` must go red."""

    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]
    """Arguments of pytest."""


def read_defects(table: Path = TABLE) -> list[Defect]:
    """Read the table; its order is the order of the run."""
    rows = yaml.safe_load(table.read_text(encoding="utf-8"))
    return [Defect(**{**row, "tests": tuple(row["tests"])}) for row in rows]


def planted(defect: Defect, root: Path = ROOT) -> str:
    """Return the file's text with the bug in it; ValueError where the place is not there exactly once."""
    text = (root / defect.file).read_text(encoding="utf-8")
    found = text.count(defect.before)
    if found != 1 or defect.before == defect.after:
        raise ValueError(
            f"{defect.name}: its place in {defect.file} is there {found} times: bring defects.yml up to date"
        )
    return text.replace(defect.before, defect.after)


def copy(folder: Path) -> None:
    """Copy what the tests need: the bug never stands in the project itself."""
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)


def caught(defect: Defect, folder: Path) -> tuple[bool, str]:
    """Plant a defect in a copy, run its tests, take it out again; return whether they went red, and their last line."""
    place = folder / defect.file
    sound = place.read_text(encoding="utf-8")
    place.write_text(planted(defect, folder), encoding="utf-8")
    try:
        status, said = run(defect.tests, folder)
    finally:
        place.write_text(sound, encoding="utf-8")
    return status == _RED, said


def run(tests: tuple[str, ...], folder: Path) -> tuple[int, str]:
    """Run tests in a copy; return pytest's exit status and its last line."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *tests]
    # The copy's own package comes first, in the tests and in every process they start.
    environ = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environ, capture_output=True, text=True, timeout=_LONGEST, check=False
        )
    except subprocess.TimeoutExpired:
        return _RED, f"did not end within {_LONGEST:.0f} s"
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return done.returncode, lines[-1] if lines else "(printed nothing)"
