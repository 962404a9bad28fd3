"""Tables for people: what lines up, what is left out, and what is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.cli.tables import columns, table

HEADS = ("ID", "NAME", "TITLE")


def test_columns_line_up_and_an_empty_one_is_left_out() -> None:
    assert table(HEADS, [("1", "", "disk"), ("22", "", "磁盘已满"), ("333", "", "")]) == [
        "ID   TITLE",
        "1    disk",
        "22   磁盘已满",
        "333",
    ]


def test_a_table_without_rows_has_no_heads() -> None:
    assert table(HEADS, []) == []


@pytest.mark.parametrize(
    ("title", "shown"),
    [("disk of db01 is full", "1   disk of d…"), ("磁盘已满磁盘已满", "1   磁盘已满…"), ("disk", "1   disk")],
)
def test_a_line_is_cut_to_the_terminal(title: str, shown: str) -> None:
    assert table(("ID", "TITLE"), [("1", title)], width=14)[1] == shown


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20), st.text(max_size=40))), st.integers(10, 60))
def test_whatever_pagerduty_says_each_row_is_one_line_that_fits(rows: list[tuple[str, str, str]], width: int) -> None:
    shown = table(HEADS, rows, width)

    assert len(shown) in (0, len(rows) + 1)
    assert all(columns(line) <= width and "\n" not in line and "\x1b" not in line for line in shown)
