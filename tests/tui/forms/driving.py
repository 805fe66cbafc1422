"""A pilot over the forms of a call tree: what stands on the screen, and how to get there."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot

from aperture_tui.tui.app import ApertureApp
from aperture_tui.tui.forms.crumbs import Crumbs
from aperture_tui.tui.icicle.navigate import Place
from aperture_tui.tui.model import Box, IcicleView
from aperture_tui.tui.screens.view import ViewScreen
from tests.tui.screen import settled, text_of

SIZES = pytest.mark.parametrize(
    "size", [(120, 40), (80, 24), (200, 50), (40, 10)], ids=lambda size: f"{size[0]}x{size[1]}"
)


def app_of(pilot: Pilot[Any]) -> ApertureApp:
    assert isinstance(pilot.app, ApertureApp)
    return pilot.app


def view_of(pilot: Pilot[Any]) -> ViewScreen:
    view = app_of(pilot)._view
    assert isinstance(view, ViewScreen)
    return view


def icicle_of(pilot: Pilot[Any]) -> IcicleView:
    view = view_of(pilot).icicle.view
    assert view is not None
    return view


def screen_of(pilot: Pilot[Any]) -> str:
    return "\n".join(text_of(app_of(pilot)))


def crumbs_of(pilot: Pilot[Any]) -> str:
    line = view_of(pilot).query_one(Crumbs)
    return text_of(app_of(pilot))[line.region.y] if line.display else ""


async def press(pilot: Pilot[Any], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await settled(pilot)


def boxes_of(view: IcicleView) -> list[Box]:
    return [box for row in view.rows for box in row.boxes]


async def select(pilot: Pilot[Any], function: str) -> Box:
    """Put the cursor on the widest frame of this name."""
    view = icicle_of(pilot)
    found = [
        (box.total, Place(y, i))
        for y, row in enumerate(view.rows)
        for i, box in enumerate(row.boxes)
        if box.label.function == function
    ]
    place = max(found)[1]
    view_of(pilot).icicle._go(place)
    await settled(pilot)
    return view.rows[place.row].boxes[place.box]
