"""Writes a routing file and loads it, for the tests of relay.config."""

from pathlib import Path
from typing import Any

from relay.config import Examined, Loaded, examine, load

KEY = "0123456789abcdef0123456789ABCDEF"
OTHER_KEY = "f" * 32


def write(folder: Path, text: str) -> Path:
    """Write a file, with `KEY` and `OTHER_KEY` in it replaced by routing keys."""
    file = folder / "relay.yml"
    file.write_text(text.replace("OTHER_KEY", OTHER_KEY).replace("KEY", KEY), encoding="utf-8")
    return file


def loaded(folder: Path, text: str, **options: Any) -> Loaded:
    return load(write(folder, text), {}, **options)


def examined(folder: Path, text: str, **options: Any) -> Examined:
    return examine(write(folder, text), {}, **options)


def errors(folder: Path, text: str) -> list[str]:
    """List every error of a text as `line:column: path: message`."""
    return [_short(problem) for problem in examined(folder, text).problems if not problem.warning]


def warnings(folder: Path, text: str) -> list[str]:
    """List every warning of a text that loads."""
    return [_short(problem) for problem in loaded(folder, text).warnings]


def _short(problem: Any) -> str:
    place = f"{problem.path}: " if problem.path else ""
    return f"{problem.line}:{problem.column}: {place}{problem.message}"


def paging(entry: str, *, route: str = "", rest: str = "") -> str:
    """A small file with one receiver that has one pagerduty_configs entry, written in flow style."""
    return f"route: {{receiver: r{route}}}\nreceivers:\n- name: r\n  pagerduty_configs:\n  - {{{entry}}}\n{rest}"
