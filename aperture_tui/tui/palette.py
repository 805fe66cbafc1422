"""Style keys and what they look like.

A renderer writes spans (text, key) and knows no colour. A key is `[*]ink[@ground]`: names of colours of a look, bold
with a star, on the background if no ground is named; or for frames `box:KIND SHADE[:dim|:above[:edge]]`,
`box:selected`, `box:match`, `box:selected-match`. The edge of a faded box is its separator. `box:wait-KIND SHADE` is
the same kind where a box is time that passed waiting, `box:more STEP`, `box:less STEP` and `box:same0` are boxes that
are compared.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from rich.style import Style

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.tui.look import WAIT, Look
from aperture_tui.tui.terminal import Colours

Span = tuple[str, str]
"""Text and style key."""
Spans = tuple[Span, ...]
"""One row of the screen."""

_DIMMED: Final = 0.26
_ABOVE: Final = 0.42

_NAMED_INK: Final = {
    "text": "default", "accent": "cyan", "good": "green", "warning": "yellow", "error": "red", "match": "magenta",
    "selection": "default", "user": "cyan", "system": "red", "iowait": "yellow", "steal": "magenta", "memory": "blue",
    "swap": "magenta", "history": "cyan", "track": "bright_black", "background": "default", "bar": "default",
}  # fmt: skip
_DARK: Final = ("red", "blue")
"""Grounds on which black cannot be read."""
_NAMED_BOX: Final = {
    "process": ("black", "white"),
    "kernel": ("bright_white", "red"),
    "native": ("black", "yellow"),
    "jit": ("black", "cyan"),
    "python": ("bright_white", "blue"),
    "runtime": ("bright_white", "magenta"),
    "gpu": ("black", "green"),
    "unknown": ("bright_white", "bright_black"),
    "thread": ("black", "bright_cyan"),
    "lock": ("black", "bright_yellow"),
    "tag": ("black", "magenta"),
    "more": ("bright_white", "red"),
    "less": ("bright_white", "blue"),
    "same": ("black", "white"),
    f"{WAIT}process": ("black", "bright_blue"),
    f"{WAIT}kernel": ("bright_yellow", "blue"),
    f"{WAIT}native": ("bright_cyan", "blue"),
    f"{WAIT}jit": ("blue", "cyan"),
    f"{WAIT}python": ("bright_green", "blue"),
    f"{WAIT}runtime": ("blue", "bright_cyan"),
    f"{WAIT}gpu": ("black", "bright_green"),
    f"{WAIT}unknown": ("white", "blue"),
    f"{WAIT}thread": ("blue", "white"),
    f"{WAIT}lock": ("black", "bright_yellow"),
    f"{WAIT}tag": ("bright_magenta", "blue"),
}


def change_key(step: int, state: str = "") -> str:
    """The key of a box that is compared. step: -3 to 3, as of `icicle.change.step`; state: as above."""
    name = f"more{step - 1}" if step > 0 else f"less{-step - 1}" if step else "same0"
    return f"box:{name}:{state}" if state else f"box:{name}"


def box_key(kind: FrameKind, shade: int, state: str = "", waits: bool = False) -> str:
    """The key of a frame's box. state: "", "dim" (does not match) or "above" (outside of the zoom).

    waits: the box is time that passed waiting.
    """
    name = WAIT * waits + ("process" if kind is FrameKind.ROOT else kind.name.lower())
    return f"box:{name}{shade}:{state}" if state else f"box:{name}{shade}"


class Palette:
    """Styles of one look, for one sort of terminal."""

    def __init__(self, look: Look, colours: Colours, ascii: bool = False, marks: bool = False) -> None:  # noqa: A002
        """ascii: nothing but ASCII is drawn, where the font has no other signs. marks: kinds by letters too."""
        self.look = look
        self.ascii = ascii
        self.marks = marks
        self.colours = colours
        self._known: dict[str, Style] = {}

    @property
    def mono(self) -> bool:
        """Whether shapes alone must tell things apart."""
        return self.colours is Colours.MONO

    @property
    def shapes(self) -> bool:
        """Whether shapes or letters tell things apart, beside colours or without any."""
        return self.mono or self.marks

    @property
    def rich(self) -> bool:
        """Whether the terminal has many colours, and so most likely a font with more than a console's signs."""
        return self.colours is Colours.RGB and not self.ascii

    def style(self, key: str) -> Style:
        """The style of a key. Raises KeyError for a name that no look has."""
        style = self._known.get(key)
        if style is None:
            make = {Colours.RGB: self._rgb, Colours.NAMED: self._named, Colours.MONO: self._mono}[self.colours]
            style = self._known[key] = make(key)
        return style

    def _rgb(self, key: str) -> Style:
        c = self.look.colours
        ground = c["background"]
        if not key.startswith("box:"):
            bold, ink, on = _parts(key)
            return Style(color=c[ink], bgcolor=c[on], bold=bold or None)
        kind, state, edge = f"{key[4:]}::".split(":")[:3]
        if kind == "match":
            return Style(color=ground, bgcolor=c["match"], bold=True)
        if kind.startswith("selected"):
            return Style(color=ground, bgcolor=c["selection"], bold=True, underline=kind != "selected" or None)
        if not state:  # ink and ground are one colour, so that the separator costs no span of its own
            return Style(color=ground, bgcolor=c[kind])
        share = _DIMMED if state == "dim" else _ABOVE
        faded = mix(c[kind], ground, share)
        if edge:
            return Style(color=ground, bgcolor=faded)
        return Style(color=mix(c["text"], faded, 0.62 if state == "dim" else 0.95), bgcolor=faded)

    def _named(self, key: str) -> Style:
        if not key.startswith("box:"):
            bold, ink, on = _parts(key)
            self.look.colours[ink], self.look.colours[on]
            if on == "cursor":
                return Style(reverse=True, bold=bold or None)
            colour = None if ink in ("muted", "faint") else _NAMED_INK[ink]
            behind = None if on in ("background", "bar") else _NAMED_INK[on]
            if ink == "background" and behind:
                # what the terminal's own ink is there may be as light as the ground
                colour = "bright_white" if behind in _DARK else "black"
                bold = bold and colour != "black"  # many terminals draw what is bold brighter: black as grey
            return Style(color=colour, bgcolor=behind, bold=bold or None, dim=ink in ("muted", "faint") or None)
        kind, _, state = key[4:].partition(":")
        if kind == "match":
            return Style(color="black", bgcolor="bright_magenta")
        if kind.startswith("selected"):
            return Style(color="black", bgcolor="bright_white", underline=kind != "selected" or None)
        if state:
            return Style(color="bright_white", bgcolor="bright_black")
        ink, behind = _NAMED_BOX[kind[:-1]]
        return Style(color=ink, bgcolor=behind)

    def _mono(self, key: str) -> Style:
        if not key.startswith("box:"):
            bold, ink, on = _parts(key)
            self.look.colours[ink], self.look.colours[on]
            loud = bold or ink in ("error", "warning")
            return Style(bold=loud or None, reverse=on == "cursor" or None, dim=ink == "faint" or None)
        kind = key[4:].partition(":")[0]
        marked = kind.endswith("match") or None
        return Style(reverse=kind.startswith("selected") or None, bold=marked, underline=marked)


def _parts(key: str) -> tuple[bool, str, str]:
    """Bold, ink, ground."""
    ink, _, on = key.removeprefix("*").partition("@")
    return key.startswith("*"), ink, on or "background"


@lru_cache(1024)
def mix(colour: str, ground: str, share: float) -> str:
    """So much of a colour, the rest of a ground; all #rrggbb."""
    pairs = ((int(colour[i : i + 2], 16), int(ground[i : i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(a * share + b * (1 - share)):02x}" for a, b in pairs)
