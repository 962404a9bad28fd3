"""Finds the comments that ask for a check to be left out: `# pagerelay: ignore no-runbook, no-team`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_ASKED = re.compile(r"(?:^|\s)#\s*pagerelay:\s*ignore\b(?P<names>[^#]*)")
_NAME = re.compile(r"[a-z][a-z-]*")

EVERYTHING = "*"
"""What a comment without names asks for."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """Which checks are left out where."""

    by_owner: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By the path of a rule or group, "" for the whole file: names of checks, or `*` for all."""
    places: tuple[tuple[str, int, int], ...] = ()
    """Every name a comment has, with its line and column."""

    def covers(self, path: str, check: str) -> bool:
        """Say whether a check of what stands at this path is left out."""
        named = (names for owner, names in self.by_owner.items() if not owner or _within(path, owner))
        return any(check in names or EVERYTHING in names for names in named)


def _within(path: str, owner: str) -> bool:
    return path == owner or path.startswith((f"{owner}.", f"{owner}["))


def ignored(text: str, owners: Mapping[int, str]) -> Ignored:
    """Read the comments of a file; `owners` has the path of each rule and group by the line on which it begins.

    A comment on lines of its own right above a rule (or group) is about that one; else it is about what it stands in.
    """
    if "pagerelay:" not in text:
        return Ignored()
    lines = text.splitlines()
    found: dict[str, set[str]] = {}
    places: list[tuple[str, int, int]] = []
    for number, line in enumerate(lines, 1):
        asked = _ASKED.search(line)
        if asked is None:
            continue
        names = list(_NAME.finditer(line, *asked.span("names")))
        places += [(name[0], number, name.start() + 1) for name in names]
        owner = _owner(lines, number, owners)
        found.setdefault(owner, set()).update([name[0] for name in names] or [EVERYTHING])
    return Ignored({owner: frozenset(names) for owner, names in found.items()}, tuple(places))


def _owner(lines: list[str], number: int, owners: Mapping[int, str]) -> str:
    """Say what a comment is about: what begins right below it, else what it stands in, else the file ("")."""
    below = number
    while below <= len(lines) and lines[below - 1].lstrip().startswith("#"):
        below += 1
    if below > number and below in owners:
        return owners[below]
    return (
        owners[max((line for line in owners if line <= number), default=0)] if owners and number >= min(owners) else ""
    )
