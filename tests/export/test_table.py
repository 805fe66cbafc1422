from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from aperture_tui.export.table import Column, fitted, table, wrapped

COLUMNS = [
    Column("total", ["9 s", "120 ms"]),
    Column("calls", ["1", "1,234"], 1),
    Column("p50", ["1 µs", ""], 2),
    Column("process", ["web server", "データベース"], left=True),
]


def test_columns_are_as_wide_as_what_they_hold() -> None:
    assert table(COLUMNS, 80) == [
        " total  calls   p50  process",
        "   9 s      1  1 µs  web server",
        "120 ms  1,234        データベース",
    ]


def test_the_least_important_column_is_left_out_first() -> None:
    headings = [table(COLUMNS, width)[0].split() for width in (33, 32, 26, 1)]
    assert headings == [
        ["total", "calls", "p50", "process"],
        ["total", "calls", "process"],
        ["total", "process"],
        ["total", "process"],
    ]


def test_one_long_name_does_not_push_the_numbers_out() -> None:
    rows = table([Column("process", ["x" * 99, "sh"], left=True), Column("n", ["1", "2"], 1)], 40)
    assert rows == [f"process{' ' * 21}  n", f"{'x' * 27}…  1", f"sh{' ' * 26}  2"]


def test_no_rows() -> None:
    assert table([Column("total", []), Column("process", [], left=True)], 80) == ["total  process"]


def test_a_line_is_broken_at_words_but_not_between_a_number_and_its_unit() -> None:
    line = "label      took 12 ms of 3.5 s, and 2 more"
    assert wrapped(line, 23, further=4) == ["label      took 12 ms", "    of 3.5 s, and", "    2 more"]
    assert wrapped("a b", 80, 4) == ["    a b"]
    assert wrapped("", 80) == []


texts = st.text(st.sampled_from("ab1 ,文é\u200b"), max_size=60)


@given(texts, st.integers(1, 60), st.integers(0, 8))
def test_breaking_loses_nothing_and_keeps_the_width(line: str, width: int, indent: int) -> None:
    lines = wrapped(line, width, indent)
    assert "".join("".join(lines).split()) == "".join(line.split())
    assert all(cell_len(one) <= max(width, 2 * (indent + 2), indent + 10) for one in lines)
    assert all(cell_len(fitted(one, width)) <= width for one in lines)
