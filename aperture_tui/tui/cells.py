"""Text measured in terminal cells. Every row that reaches the screen is cut and filled here, so none breaks."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final

from rich.cells import cell_len, chop_cells

from aperture_tui.profile.text import clean

_MARKS: Final = ("Mn", "Me", "Cf")
_LONGEST: Final = 1000  # characters of a name that are looked at: no screen is wider

LEVELS: Final = " ▁▂▃▄▅▆▇█"
"""Lower parts of a cell, in eighths."""


@lru_cache(8192)
def plain(text: str) -> str:
    """The text as it may stand in a row: without controls, and without marks that take no cell of their own.

    Terminals disagree about the width of joined emoji and stacked marks, and a row that is one cell off breaks all
    to its right. Accents survive where Unicode has the letter as one character; what is no character yet is a ?.
    """
    if text.isascii() and text.isprintable():
        return text[:_LONGEST]
    safe = unicodedata.normalize("NFC", clean(text[:_LONGEST]))
    return "".join(_shown(c) for c in safe)


def _shown(c: str) -> str:
    category = unicodedata.category(c)
    if category in _MARKS or not cell_len(c):  # the vowel signs of India's scripts: a cell for some terminals
        return ""
    if c.isprintable():
        return c
    return " " if category == "Zs" else "?"


@lru_cache(16384)
def fit(text: str, width: int) -> str:
    """Exactly `width` cells of the text: cut with …, or filled with spaces."""
    text = plain(text)
    length = len(text) if text.isascii() else cell_len(text)
    if length > width:
        text = cut(text, width)
        length = cell_len(text)
    return text + " " * (width - length)


def cut(text: str, width: int) -> str:
    """At most `width` cells of a text that is longer, the last of them …."""
    if width <= 1:
        return "…"[:width]
    if text.isascii():
        return text[: width - 1] + "…"
    return chop_cells(text, width - 1)[0] + "…"


def width_of(text: str) -> int:
    """The cells that a text takes, as `plain` leaves it."""
    return min(len(text), _LONGEST) if text.isascii() and text.isprintable() else cell_len(plain(text))


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` cells, at least one, broken at spaces, and where there is none for so long."""
    lines: list[str] = []
    line = ""
    for word in plain(text).split():
        if line and width_of(line) + 1 + width_of(word) > width:
            lines.append(line)
            line = ""
        line = f"{line} {word}" if line else word
        if width_of(line) > width:
            *whole, line = chop_cells(line, max(2, width))
            lines += whole
    return [*lines, line]
