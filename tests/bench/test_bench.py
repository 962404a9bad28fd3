"""Every benchmark works. What it measures is not looked at: that is for `make bench`, on a machine with time."""

from pathlib import Path

import pytest

from bench.__main__ import BENCHMARKS, measure
from bench.figures import QUICK, Row, Target, table
from bench.page import PAGE, write


@pytest.mark.parametrize("id", BENCHMARKS)
def test_every_benchmark_measures_what_it_says(id: str, tmp_path: Path) -> None:
    rows = measure([id], QUICK, tmp_path)

    assert {row.id for row in rows} <= {id}
    assert all(row.figures for row in rows)


def test_a_table_says_whether_each_target_holds() -> None:
    rows = [
        Row("P1", "accept", (0.3, 0.5, 0.4), Target(0.35, at_least=True)),
        Row("P8", "block", (21.0,), Target(20, unit=" ms"), " ms"),
    ]

    assert table(rows).splitlines()[2:] == [
        "| P1 | accept | 0.40 (0.30-0.50) | >= 0.35 | holds |",
        "| P8 | block | 21.0 ms | <= 20.0 ms | **does not hold** |",
    ]


def test_the_table_goes_between_the_markers_and_nowhere_else(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("before\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nafter\n")

    write([Row("P1", "accept", (0.4,))], page)
    first = page.read_text()
    write([Row("P1", "accept", (0.4,))], page)

    assert page.read_text() == first
    assert first.startswith("before\n<!-- bench: begin -->\n")
    assert first.endswith("<!-- bench: end -->\nafter\n")
    assert "old" not in first


def test_the_page_in_the_documentation_names_every_benchmark() -> None:
    text = PAGE.read_text()

    assert [id for id in BENCHMARKS if f"| {id} |" not in text] == []
