"""Reads the project's Markdown: its files, tables, code blocks and links."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def markdown() -> list[Path]:
    """List every page people read; what tests quote is not among them."""
    places = (ROOT.glob("*.md"), (ROOT / "docs").rglob("*.md"), (ROOT / "examples").rglob("*.md"))
    return sorted(page for place in places for page in place)


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> Iterator[str]:
    """Return the code blocks of a language, with the indent of a list taken away."""
    for indent, found, body in _BLOCK.findall(text):
        if found == language:
            yield "".join(line.removeprefix(indent) for line in body.splitlines(keepends=True))


def prose(text: str) -> str:
    """Return a page without its code blocks."""
    return _BLOCK.sub("", text)


def links(text: str) -> list[str]:
    return _LINK.findall(prose(text))


def anchors(text: str) -> set[str]:
    """Return the names GitHub gives to a page's headings."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(prose(text))}


def tables(text: str) -> Iterator[list[list[str]]]:
    """Return every table as rows of cells, the head first, the line under it left out."""
    for found in re.findall(r"(?:^\|.*\|$\n?)+", prose(text), re.MULTILINE):
        rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in found.splitlines()]
        yield [rows[0], *rows[2:]]


def listed(text: str) -> set[str]:
    """Return every `name` in the first column of any table."""
    return {name for table in tables(text) for row in table[1:] for name in re.findall(r"`([^`]+)`", row[0])}
