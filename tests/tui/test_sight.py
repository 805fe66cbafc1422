"""How themes are seen: contrasts by WCAG 2.2, and what people see who are red-, green- or blue-blind.

Colour blindness as Machado, Oliveira and Fernandes simulate it (IEEE TVCG 15, 2009), at full severity; how far apart
two colours look as their distance in Oklab (Ottosson 2020), in which 0.02 can just be noticed.
"""

from __future__ import annotations

from itertools import combinations, product
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.tui.icicle.render import icicle_row
from aperture_tui.tui.look import FRAMES, GAUGES, Look, looks
from aperture_tui.tui.model import Box, FrameLabel, Row
from aperture_tui.tui.palette import Palette, box_key, change_key
from aperture_tui.tui.terminal import Colours
from aperture_tui.tui.widgets.filter_columns import COLUMNS
from tests.tui.widgets.test_filters import ROWS

Vector = NDArray[np.float64]
ALL: Final = list(looks().values())
SIGHTS: Final = {
    "all": np.eye(3),
    "no red": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "no green": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "no blue": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
_NAMES: Final = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_TERMINALS: Final = {
    "xterm": (
        "#000000 #cd0000 #00cd00 #cdcd00 #0000ee #cd00cd #00cdcd #e5e5e5"
        " #7f7f7f #ff0000 #00ff00 #ffff00 #5c5cff #ff00ff #00ffff #ffffff"
    ),
    "console": (
        "#000000 #aa0000 #00aa00 #aa5500 #0000aa #aa00aa #00aaaa #aaaaaa"
        " #555555 #ff5555 #55ff55 #ffff55 #5555ff #ff55ff #55ffff #ffffff"
    ),
}
_TO_CONES: Final = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
     [0.0883024619, 0.2817188376, 0.6299787005]]
)  # fmt: skip
_TO_LAB: Final = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
     [0.0259040371, 0.7827717662, -0.8086757660]]
)  # fmt: skip


def _linear(colour: str) -> Vector:
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(a: str, b: str) -> float:
    high, low = sorted((float(_linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (a, b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _apart(a: str, b: str, sight: str) -> float:
    """How far apart two colours look."""
    seen = [np.clip(SIGHTS[sight] @ _linear(colour), 0, 1) for colour in (a, b)]
    labs = [_TO_LAB @ np.cbrt(_TO_CONES @ one) for one in seen]
    return float(np.linalg.norm(labs[0] - labs[1]))


def _colour(palette: Palette, key: str, ground: bool) -> str:
    style = palette.style(key)
    colour = style.bgcolor if ground else style.color
    assert colour is not None
    return str(colour.get_truecolor().hex)


def test_the_measures_are_the_measures() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert _apart("#000000", "#ffffff", "all") == pytest.approx(1, abs=1e-3)
    assert _apart("#c00000", "#6d6d00", "no green") < _apart("#c00000", "#6d6d00", "all") / 3


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_what_is_read_hascontrast(one: Look) -> None:
    """WCAG 1.4.3 asks for 4.5, and where contrast is what the theme is for 1.4.6 for 7."""
    high = one.name == "high-contrast"
    for ink, ground in product(
        ("text", "muted", "accent", "good", "warning", "error"), ("background", "bar", "cursor")
    ):
        least = 7.0 if high and ground != "cursor" else 4.5 if ink in ("text", "accent") else 3.0
        assert contrast(one.colours[ink], one.colours[ground]) >= least, (ink, ground)
    palette = Palette(one, Colours.RGB)
    keys = [box_key(kind, i, waits=waits) for kind, i, waits in product(FrameKind, range(3), (False, True))]
    for key in (*keys, *map(change_key, range(-3, 4)), "box:match", "box:selected", "box:selected-match"):
        ratio = contrast(_colour(palette, key, False), _colour(palette, key, True))
        assert ratio >= (5.5 if high else 3.9), f"{key}: {ratio:.2f}"
    for name in GAUGES:
        if name != "history":  # the only one that is no word beside its bar
            assert contrast(one.colours[name], one.colours["background"]) >= (7.0 if high else 4.5), name


@pytest.mark.parametrize("terminal", _TERMINALS)
def test_what_is_read_has_contrast_in_a_terminals_own_colours(terminal: str) -> None:
    """Of 16 colours each terminal has its own; those of xterm and of the console are the furthest apart."""
    names = (f"{bright}{name}" for bright in ("", "bright_") for name in _NAMES)
    own = dict(zip(names, _TERMINALS[terminal].split(), strict=True))
    palette = Palette(looks()["aperture-dark"], Colours.NAMED)
    boxes = [box_key(kind, 1, waits=waits) for kind, waits in product(FrameKind, (False, True))]
    grounds = [f"*background@{name}" for name in (*GAUGES, "accent", "good", "warning", "error", "match")]
    for key in (*boxes, *map(change_key, range(-3, 4)), "box:match", "box:selected", *grounds):
        style = palette.style(key)
        assert style.color is not None
        assert style.bgcolor is not None
        assert not (style.bold and style.color.name == "black"), f"{key}: bold black is grey in many terminals"
        assert contrast(own[style.color.name], own[style.bgcolor.name]) >= 2.9, key


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
@pytest.mark.parametrize("sight", SIGHTS)
def test_what_is_selected_or_found_is_seen_among_all_others(one: Look, sight: str) -> None:
    """By lightness too: the selection is the lightest or the darkest there is."""
    boxes = [one.colours[f"{wait}{kind}{i}"] for wait, kind, i in product(("", "wait-"), FRAMES, range(3))]
    assert min(_apart(one.colours["selection"], box, sight) for box in boxes) >= 0.05
    selection = _linear(one.colours["selection"]) @ [0.2126, 0.7152, 0.0722]
    others = [float(_linear(box) @ [0.2126, 0.7152, 0.0722]) for box in boxes]
    assert selection > max(others) or selection < min(others)


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("waits", ["", "wait-"])
def test_kinds_are_told_apart_by_everybody_where_that_is_what_the_theme_is_for(waits: str, sight: str) -> None:
    colours = looks()["colour-blind-safe"].colours
    for a, b in combinations((*FRAMES, "match"), 2):
        one, other = (colours[name if name == "match" else f"{waits}{name}1"] for name in (a, b))
        assert _apart(one, other, sight) >= 0.08, (a, b)


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
@pytest.mark.parametrize("waits", ["", "wait-"])
def test_kinds_are_told_apart_by_most(one: Look, waits: str) -> None:
    for a, b in combinations(FRAMES, 2):
        assert _apart(one.colours[f"{waits}{a}1"], one.colours[f"{waits}{b}1"], "all") >= 0.025, (a, b)


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
@pytest.mark.parametrize("sight", SIGHTS)
def test_more_and_less_differ_for_everybody(one: Look, sight: str) -> None:
    for step in range(3):
        assert _apart(one.colours[f"more{step}"], one.colours[f"less{step}"], sight) >= 0.08
        for way in ("more", "less"):
            assert _apart(one.colours[f"{way}{step}"], one.colours["same0"], sight) >= 0.05


@pytest.mark.parametrize("mono", [False, True])
def test_more_and_less_have_a_sign_as_well(mono: bool) -> None:
    box = Box(0, 9, 0, FrameLabel("read", "x", "", 0, FrameKind.NATIVE, ("read",), 0), 10, 0)
    told = {way: icicle_row(Row((box,)), 9, mono=mono, change=lambda _, way=way: way)[0][0] for way in (-2, 0, 2)}  # type: ignore[misc]
    assert ["+" in told[2], "-" in told[-2], "+" in told[0] or "-" in told[0]] == [True, True, False]


@pytest.mark.parametrize("mono", [False, True])
def test_each_kind_has_a_letter_where_that_is_wished_for(mono: bool) -> None:
    told = []
    for kind in FrameKind:
        box = Box(0, 12, 0, FrameLabel("read", "x", "", 0, kind, ("read",), 0), 10, 0)
        (plain, _), (marked, _) = (icicle_row(Row((box,)), 12, mono=mono, marks=marks)[0] for marks in (False, True))
        assert len(plain) == len(marked) == 12
        assert plain[1:5] == "read"
        told.append("" if kind is FrameKind.ROOT else marked[1:].removesuffix("_").split("read")[0].strip())
    assert len(set(told)) == len(FrameKind)
    assert all(len(mark) == 1 for mark in told if mark)


def test_good_and_bad_are_words() -> None:
    """Colours of states stand on words that say the same: here those of filters."""
    (column,) = [one for one in COLUMNS if one.title == "ON"]
    words = {column.cell(row, None, 3)[0][0] for row in ROWS}
    assert words == {"on", "off"}
