from __future__ import annotations

import itertools
import tomllib

import pytest

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.resources import folder
from aperture_tui.tui.look import DEFAULT, Look, look, looks
from aperture_tui.tui.palette import Palette, box_key, change_key
from aperture_tui.tui.terminal import Colours, terminal_problem
from aperture_tui.tui.terminal import colours as colours_of

ALL = list(looks().values())


def _luminance(colour: str) -> float:
    """WCAG 2.2 relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def _contrast(a: str, b: str) -> float:
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_default_is_first() -> None:
    assert next(iter(looks())) == DEFAULT
    assert len(looks()) >= 4


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_every_label_can_be_read(one: Look) -> None:
    c = one.colours
    for kind, shade, waits in itertools.product(FrameKind, range(3), (False, True)):
        style = Palette(one, Colours.RGB).style(box_key(kind, shade, waits=waits))
        assert style.color is not None
        assert style.bgcolor is not None
        ratio = _contrast(style.color.get_truecolor().hex, style.bgcolor.get_truecolor().hex)
        assert ratio >= 3.9, f"{kind.name} {shade}: {ratio:.1f}"
    for step in range(-3, 4):
        style = Palette(one, Colours.RGB).style(change_key(step))
        assert style.color is not None
        assert style.bgcolor is not None
        ratio = _contrast(style.color.get_truecolor().hex, style.bgcolor.get_truecolor().hex)
        assert ratio >= 3.9, f"{step}: {ratio:.1f}"
    for ink in ("text", "error", "warning", "good", "accent", "muted"):
        assert _contrast(c[ink], c["background"]) >= 4.0, ink


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_the_default_kinds_differ_in_the_look(one: Look) -> None:
    for waits in ("", "wait-"):
        middles = {one.colours[f"{waits}{kind.name.lower()}1"] for kind in FrameKind if kind is not FrameKind.ROOT}
        assert len(middles) == len(FrameKind) - 1


@pytest.mark.parametrize("colours", [Colours.RGB, Colours.NAMED], ids=lambda c: c.value)
@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_time_that_passed_waiting_has_a_look_of_its_own(one: Look, colours: Colours) -> None:
    palette = Palette(one, colours)
    kinds = [kind for kind in FrameKind if kind not in (FrameKind.ROOT, FrameKind.LOCK)]
    ran, waited = ([palette.style(box_key(kind, 1, waits=waits)) for kind in kinds] for waits in (False, True))
    assert len(set(waited)) == len(kinds)
    assert not set(ran) & set(waited)


@pytest.mark.parametrize("colours", [Colours.RGB, Colours.NAMED], ids=lambda c: c.value)
@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_what_grew_what_shrank_and_what_did_neither_differ_in_the_look(one: Look, colours: Colours) -> None:
    steps = [Palette(one, colours).style(change_key(step)) for step in range(-3, 4)]
    assert len(set(steps)) == (7 if colours is Colours.RGB else 3)


@pytest.mark.parametrize("colours", list(Colours), ids=lambda c: c.value)
def test_every_sort_of_terminal_has_every_style(colours: Colours) -> None:
    palette = Palette(look(None), colours)
    plain = palette.style(box_key(FrameKind.KERNEL, 1))
    for state in ("selected", "match", "selected-match"):
        assert palette.style(f"box:{state}") != plain
    assert palette.style("text@cursor") != palette.style("text")
    with pytest.raises(KeyError):
        palette.style("nonsense")


def test_mono_has_no_colour_at_all() -> None:
    palette = Palette(look(None), Colours.MONO)
    for key in (
        "text",
        "*error",
        "text@cursor",
        "box:kernel1",
        "box:selected",
        "box:match",
        "box:gpu2:dim",
        "box:wait-kernel0:above",
    ):
        style = palette.style(key)
        assert style.color is None
        assert style.bgcolor is None


def test_an_unknown_theme_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no theme 'neon': choose one of aperture-dark, "):
        look("neon")


def test_a_broken_file_says_what_is_wrong() -> None:
    data = tomllib.loads((folder("themes") / f"{DEFAULT}.toml").read_text("utf-8"))
    data["frames"]["gpu"] = ["#000000"]
    with pytest.raises(ValueError, match=r"frames\.gpu is not a list of 3"):
        Look.of(data)
    del data["frames"]["gpu"][1:]
    data["frames"]["gpu"] *= 3
    del data["waits"]["lock"]
    with pytest.raises(ValueError, match=r"waits\.lock is not a list of 3"):
        Look.of(data)
    data["base"]["text"] = "red"
    with pytest.raises(ValueError, match=r"base\.text is not a colour"):
        Look.of(data)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"TERM": "xterm-256color"}, Colours.RGB),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, Colours.RGB),
        ({"TERM": "xterm"}, Colours.NAMED),
        ({"TERM": "linux"}, Colours.NAMED),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, Colours.MONO),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, Colours.RGB),
    ],
)
def test_what_a_terminal_can_show(environ: dict[str, str], expected: Colours) -> None:
    assert colours_of(environ) is expected


def test_a_terminal_that_cannot_draw_is_told_what_mends_it() -> None:
    assert terminal_problem({"TERM": "xterm"}) is None
    for environ in ({"TERM": "dumb"}, {}):
        problem = terminal_problem(environ)
        assert problem is not None
        assert "--once" in problem
