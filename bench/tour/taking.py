"""The screens over the real collectors, without a terminal, and pictures of them."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from html import unescape
from typing import Any, Final

from textual.pilot import Pilot

from aperture_tui.cli.arguments import Parser, add_collecting, add_filters, filter_words
from aperture_tui.cli.behind import Collecting
from aperture_tui.profile.health import State
from aperture_tui.tui.app import ApertureApp
from aperture_tui.tui.taking.pictures import svg_picture
from bench.tour.pictures import SIZE, Picture

_CELL: Final = re.compile(r'<text class="[^"]*" x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)</text>')
_CELL_WIDTH: Final = 12.2
"""Of Rich's pictures, in the units of the SVG."""
_PATIENCE_S: Final = 60.0
_LOOK_S: Final = 0.05
_TERMINAL: Final = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "TZ": "UTC"}


class TourError(RuntimeError):
    """One line: why there is no picture."""


def rows(svg: str) -> list[str]:
    """The text of a picture, a line a row."""
    found: dict[float, list[tuple[float, str]]] = {}
    for x, y, text in _CELL.findall(svg):
        found.setdefault(float(y), []).append((float(x), unescape(text).replace("\xa0", " ")))
    told = []
    for _, parts in sorted(found.items()):
        row = ""
        for x, text in sorted(parts):
            row = row.ljust(round(x / _CELL_WIDTH)) + text
        told.append(row)
    return told


def neutral() -> None:
    """The terminal of the pictures, whatever this runs in."""
    os.environ.update(_TERMINAL)
    os.environ.pop("NO_COLOR", None)


@asynccontextmanager
async def collecting(arguments: Sequence[str], host: str) -> AsyncIterator[Pilot[None]]:
    """The app as `aperture-top` makes it with these arguments. Raises TourError."""
    parser = Parser("tour-pictures", "", "")
    add_collecting(parser)
    add_filters(parser)
    parser.set_defaults(record=None)
    chosen = parser.parse_args(list(arguments))
    source = Collecting(parser, chosen, live=True)
    app = ApertureApp(
        source.begin, title_host=host, pinned=filter_words(chosen), want=source.want, filters=source.filters
    )
    try:
        async with shown(app) as pilot:
            yield pilot
    finally:
        source.end()


@asynccontextmanager
async def shown(app: ApertureApp) -> AsyncIterator[Pilot[None]]:
    """An app with something on its screen. Raises TourError."""
    async with app.run_test(size=SIZE) as pilot:
        await until(lambda: app.snapshot is not None, app)
        yield pilot


async def until(holds: Callable[[], bool], app: ApertureApp) -> None:
    """Wait for something. Raises TourError if it does not come, or nothing can be shown."""
    for _ in range(round(_PATIENCE_S / _LOOK_S)):
        if app.snapshot is not None and app.snapshot.fatal:
            raise TourError(app.snapshot.error)
        if holds():
            return
        await asyncio.sleep(_LOOK_S)
    raise TourError("what is waited for does not come")


async def press(pilot: Pilot[Any], keys: Sequence[str]) -> None:
    """One after the other, each for what the one before has led to. Raises TourError."""
    app = pilot.app
    assert isinstance(app, ApertureApp)
    for key in keys:
        await pilot.press(key)
        await until(lambda: app.is_answered, app)
        await pilot.pause()


async def take(pilot: Pilot[Any], picture: Picture, host: str) -> str:
    """The SVG. Raises TourError, also where a part of what collects has failed."""
    await press(pilot, picture.keys)
    await asyncio.sleep(picture.settles_s)
    app = pilot.app
    assert isinstance(app, ApertureApp)
    await until(lambda: app.is_answered, app)
    await pilot.pause()
    for one in app.snapshot.health if app.snapshot is not None else ():
        if one.state is State.FAILED:
            raise TourError(f"{one.name} failed: {one.message}")
    return svg_picture(app, f"{app.title} {host}")


def check_private(svg: str, words: Sequence[str]) -> None:
    """Raises TourError for a picture with what is nobody's business: what this machine and its folders are called."""
    text = "\n".join(rows(svg))
    for word in words:
        if word != os.sep and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text):
            raise TourError(f"there is {word} in it")
