"""Rows in ASCII, for terminals whose font has nothing else. Every sign takes as many cells as what it stands for."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from rich.cells import cell_len

_SIGNS: Final = dict(
    zip(
        "…–—−·≥×µ½°±≈∞→←↑↓›●○▾▼▲▸▶◂│┃─━╸├┤╭╮╰╯▌▏▎▍▋▊▉█▮░▒▓▁▂▃▄▅▆▇",
        r"~---.>xuho~~-><^v>*ovv^>><||-=-||++++||||#####:%%__.-=*#",
        strict=True,
    )
)


@lru_cache(8192)
def in_ascii(text: str) -> str:
    """The same text in as many cells: `?` for what has no likeness."""
    if text.isascii():
        return text
    return "".join(c if c.isascii() else _SIGNS.get(c, "?" * cell_len(c)) for c in text)
