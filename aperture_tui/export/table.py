"""Columns of text, as wide as what they hold; where there is no room for all, the least important ones are left out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len, chop_cells, set_cell_size

_NAME: Final = 28
"""Cells that a column of names may take: one long name must not push the numbers of all others out."""
_WORDS: Final = re.compile(r"( *)((?:[^ ]|(?<=\d) (?=[^ ]))+)")
_GAP: Final = "  "


@dataclass(frozen=True, slots=True)
class Column:
    """A heading and a cell for each row.

    rank: 0 is always there; of the others the highest is left out first. left: aligned to the left, as names are.
    room: cells that names ask for as the last column, where the edge of the text may cut longer ones.
    """

    title: str
    cells: Sequence[str]
    rank: int = 0
    left: bool = False
    room: int = 16


def table(columns: Sequence[Column], width: int) -> list[str]:
    """The headings, then a line for each row. What is always there may still be wider than `width` cells."""
    shown = list(columns)
    while _width(shown) > width and any(column.rank for column in shown):
        shown.remove(max(shown, key=lambda column: column.rank))
    *others, last = shown
    aligned = [_aligned(column, _cells(column)) for column in others]
    aligned.append(_aligned(last, max(map(cell_len, (last.title, *last.cells)))))
    return [_GAP.join(cells).rstrip() for cells in zip(*aligned, strict=True)]


def fitted(line: str, width: int) -> str:
    """A line cut to this many terminal cells, with an ellipsis where something was cut."""
    line = line.rstrip()
    if cell_len(line) <= width:
        return line
    return set_cell_size(line, max(width - 1, 0)).rstrip() + "…"


def wrapped(line: str, width: int, indent: int = 0, further: int | None = None) -> list[str]:
    """A line in as many as it needs, broken at its words but not behind a number, which belongs to its unit.

    indent, further: cells by which the first line, and all others, are indented (two more than the first).
    """
    others = " " * (indent + 2 if further is None else further)
    room = max(width, 2 * len(others), len(others) + 8)
    lines, current = [], " " * indent
    for gap, words in _WORDS.findall(line):
        for i, word in enumerate(chop_cells(words, room - len(others)) or [words]):
            space = gap if current.strip() and not i else ""
            if current.strip() and cell_len(current + space + word) > room:
                lines.append(current)
                current, space = others, ""
            current += space + word
    return [*lines, current] if current.strip() else lines


def _width(columns: Sequence[Column]) -> int:
    *others, last = columns
    needed = min(_cells(last), last.room) if last.left else _cells(last)
    return sum(_cells(column) for column in others) + needed + len(_GAP) * len(others)


def _cells(column: Column) -> int:
    widest = max(map(cell_len, (column.title, *column.cells)))
    return min(widest, _NAME) if column.left else widest


def _aligned(column: Column, width: int) -> list[str]:
    texts = [fitted(text, width) for text in (column.title, *column.cells)]
    padding = [" " * (width - cell_len(text)) for text in texts]
    return [text + pad if column.left else pad + text for text, pad in zip(texts, padding, strict=True)]


__all__ = ["Column", "fitted", "table", "wrapped"]
