"""A picture of every screen, in truecolor and without colours, on terminals of three sizes: text and styles.

`APERTURE_GOLDEN=write pytest tests/tui/test_every_screen.py` writes all of them anew, `-k NAME` one. Below each row
stand its styles from left to right: a letter, and of how many cells; what the letters are is told below each picture.
A picture without colours whose text is that of the coloured one has `=` in place of a row.
"""

from __future__ import annotations

import string
from itertools import chain, groupby
from typing import Any

import pytest
from rich.style import Style
from textual.pilot import Pilot

from aperture_tui.tui.app import ApertureApp
from aperture_tui.tui.look import looks
from tests.tui.scenes import SCENES, app_of, shown
from tests.tui.screen import assert_golden, text_of
from tests.tui.test_sight import contrast

SIZES = ((80, 24), (120, 40), (200, 50))
_LETTERS = [*string.ascii_letters, *(a + b for a in string.ascii_lowercase for b in string.ascii_uppercase)]
_NOT_STEADY = {"filter-details"}
"""Whose blanks have now this style, now that; its text has a picture in test_filters."""
_ATTRIBUTES = ("bold", "dim", "italic", "underline", "reverse")


def _words(style: Style | None, blank: bool) -> str:
    """ "#aabbcc on #000000 bold"; "" for plain. blank: there is no text, so what cannot be seen is not told."""
    if style is None:
        return ""
    if blank and not (style.underline or style.reverse):
        style = Style(bgcolor=style.bgcolor)
    ink = style.color.name if style.color and not style.color.is_default else ""
    ground = f"on {style.bgcolor.name}" if style.bgcolor and not style.bgcolor.is_default else ""
    return " ".join(filter(None, [ink, ground, *(name for name in _ATTRIBUTES if getattr(style, name))]))


def _styles(app: ApertureApp) -> list[list[str]]:
    """The style of each cell."""
    strips = app.screen._compositor.render_strips()
    return [
        [_words(segment.style, not segment.text.strip()) for segment in strip for _ in range(segment.cell_length)]
        for strip in strips
    ]


def _picture(app: ApertureApp, like: list[str]) -> list[str]:
    """Rows, their styles, and the key to them. like: rows that need not be told again."""
    letters: dict[str, str] = {}
    out: list[str] = []
    for y, (row, styles) in enumerate(zip(text_of(app), _styles(app), strict=True)):
        out.append("=" if like and like[y] == row else row)
        told = [(letters.setdefault(words, _LETTERS[len(letters)]), len(list(run))) for words, run in groupby(styles)]
        out.append("  ~ " + " ".join(f"{letter}{cells}" for letter, cells in told))
    return [*out, *(f"{letter}: {words or 'plain'}" for words, letter in letters.items())]


async def _still(pilot: Pilot[Any]) -> None:
    """Until the styles stand still as well: where the focus is is painted after the text."""
    before: list[list[str]] = []
    same = 0
    for _ in range(200):
        now = _styles(app_of(pilot))
        same = same + 1 if now == before else 0
        if same == 6:
            return
        before = now
        await pilot.pause(0.03)


@pytest.mark.parametrize("name", [name for name in SCENES if name not in _NOT_STEADY])
async def test_pictures(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    for size in SIZES:
        coloured: list[str] = []
        for colours in ("truecolor", "mono"):
            if colours == "mono":
                monkeypatch.setenv("NO_COLOR", "1")
            else:
                monkeypatch.delenv("NO_COLOR", raising=False)
            async with shown(SCENES[name], size) as pilot:
                await _still(pilot)
                app = app_of(pilot)
                told += [f"== {size[0]}x{size[1]}, {colours}", *_picture(app, coloured)]
                coloured = text_of(app)
                if colours == "mono":
                    words = set(" ".join(chain.from_iterable(_styles(app))).split())
                    assert words <= set(_ATTRIBUTES), "no colours"
    assert_golden(f"screens/{name}", told)


@pytest.mark.parametrize("name", ["overview", "search", "compared", "syscalls", "wakers", "offcpu", "filters", "gpu"])
async def test_every_word_can_be_read_in_every_theme(name: str) -> None:
    """WCAG 1.4.3 asks 3 of what is large or bold; nothing that is a word or a number has less."""
    async with shown(SCENES[name], (120, 40)) as pilot:
        app = app_of(pilot)
        for theme in looks():
            app.theme = theme
            await _still(pilot)
            for segment in chain.from_iterable(app.screen._compositor.render_strips()):
                style = segment.style
                if not any(map(str.isalnum, segment.text)) or style is None or not (style.color and style.bgcolor):
                    continue
                ink, ground = (colour.get_truecolor().hex for colour in (style.color, style.bgcolor))
                assert contrast(ink, ground) >= 3.0, f"{theme}: {segment.text!r}, {ink} on {ground}"


async def test_the_cursor_in_a_line_stands_still() -> None:
    async with shown(SCENES["searching"], (80, 24)) as pilot:
        await _still(pilot)
        before = _styles(app_of(pilot))
        for _ in range(12):
            await pilot.pause(0.1)
            assert _styles(app_of(pilot)) == before
