"""Puts the table into docs/performance.md, between its two markers."""

import re
import time
from collections.abc import Sequence
from pathlib import Path
from platform import python_version

from bench.figures import Row, table
from bench.processes import cores

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
_BETWEEN = re.compile(r"(<!-- bench: begin -->\n).*(<!-- bench: end -->)", re.DOTALL)


def write(rows: Sequence[Row], page: Path = PAGE) -> None:
    """Replace what stands between the markers with this run's table."""
    day = time.strftime("%Y-%m-%d")
    said = (
        f"Measured on {day} with `make bench`, on {cores()} noisy cores, Python {python_version().rpartition('.')[0]}."
    )
    text = page.read_text()
    if not _BETWEEN.search(text):
        raise ValueError(f"{page} has no markers `<!-- bench: begin -->` and `<!-- bench: end -->`")
    page.write_text(_BETWEEN.sub(lambda found: f"{found[1]}\n{said}\n\n{table(rows)}\n\n{found[2]}", text))
