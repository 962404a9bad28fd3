"""Cut a YAML file into its sections as they stand there, comments and all, to be written again elsewhere."""

import re
from dataclasses import dataclass, field

import yaml as pyyaml

from relay.config import yaml

_MAY_BE_SECRET = re.compile(
    r"(?:key|token|password|secret|credential|\w*url)\w*[\"']?\s*[:=]|://|(?=[\w+/=-]*\d)[\w+/=-]{16,}", re.IGNORECASE
)

_COMMENT = re.compile(r"(?:^|(?<=\s))\s*#.*$")


@dataclass(slots=True)
class Layout:
    """The lines of a file whose top level is `key: value` lines; nothing at all where it is written otherwise."""

    lines: list[str] = field(default_factory=list)
    starts: dict[str, int] = field(default_factory=dict)
    """By top-level key: its line, from 0."""

    def section(self, key: str) -> list[tuple[int, str]] | None:
        """Return the lines of a section and the comment right above it, each with its number (from 1).

        None where it cannot be cut out.
        """
        if key not in self.starts:
            return None
        start = self.starts[key]
        end = min((other for other in self.starts.values() if other > start), default=len(self.lines))
        if end < len(self.lines):
            end = self._comment_above(end)
        while end > start and (not self.lines[end - 1].strip() or self.lines[end - 1].startswith(("...", "#"))):
            end -= 1
        first = self._comment_above(start)
        return list(enumerate(self.lines[first:end], first + 1))

    def _comment_above(self, start: int) -> int:
        while start > 0 and self.lines[start - 1].startswith("#"):
            start -= 1
        return start


def layout(text: str, root: yaml.Mapping) -> Layout:
    """Find the sections of a file. Anchors, or braces around it all: it has none that could stand alone."""
    lines = text.splitlines()
    keys = {name: key for name, (key, _) in root.pairs.items()}
    if any(key.column != 1 for key in keys.values()) or _has_anchors(text):
        return Layout()
    return Layout(lines, {name: key.line - 1 for name, key in keys.items()})


def _has_anchors(text: str) -> bool:
    return any(getattr(event, "anchor", None) for event in pyyaml.parse(text, Loader=pyyaml.SafeLoader))


def without_secrets(section: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Leave out comments that may hold a secret."""
    cleaned = [(number, _COMMENT.sub(_harmless, line)) for number, line in section]
    return [(number, line) for number, line in cleaned if line.strip() or not _was_comment(section, number)]


def _harmless(comment: re.Match[str]) -> str:
    return "" if _MAY_BE_SECRET.search(comment[0]) else comment[0]


def _was_comment(section: list[tuple[int, str]], number: int) -> bool:
    return section[number - section[0][0]][1].lstrip().startswith("#")


def says(text: list[str], key: str, meant: object) -> bool:
    """Whether lines are a document in which that key, and no other, has that value."""
    try:
        root, faults = yaml.read("\n".join(text))
    except yaml.BadYaml:
        return False
    return not faults and bool(yaml.plain(root) == {key: meant})
