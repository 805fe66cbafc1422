"""Looks: the colours of the screens, read from `themes/*.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

from textual.theme import BUILTIN_THEMES, Theme

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.resources import folder

DEFAULT: Final = "aperture-dark"
SHADES: Final = 3
WAIT: Final = "wait-"
"""What the names of colours begin with where a box is time that passed waiting."""
BASE: Final = (
    "background", "bar", "track", "text", "muted", "faint", "accent", "good", "warning", "error", "cursor",
)  # fmt: skip
MARKS: Final = ("selection", "match")
GAUGES: Final = ("user", "system", "iowait", "steal", "memory", "swap", "history")
FRAMES: Final = tuple(kind.name.lower() for kind in FrameKind if kind is not FrameKind.ROOT)
CHANGES: Final = ("more", "less", "same")
"""What became of a box that is compared: three steps of each, of the last the first alone."""
_BOXES: Final = (("frames", "", FRAMES), ("waits", WAIT, FRAMES), ("changes", "", CHANGES))
"""Tables of three shades a kind, what their colours' names begin with, and the kinds."""
_HEX: Final = re.compile("#[0-9a-fA-F]{6}")
_NAME: Final = re.compile(r"[\w-]{1,40}")


@dataclass(frozen=True)
class Look:
    """One file of `themes/`. colours: name -> #rrggbb.

    The shades of a kind of frame are `kernel0` to `kernel2`, of the same in waits `wait-kernel0` to `wait-kernel2`,
    those of changes `more0` to `more2`.
    """

    name: str
    dark: bool
    colours: dict[str, str]

    @classmethod
    def of(cls, data: dict[str, Any]) -> Look:
        """A look out of a parsed file. Raises ValueError that names what is missing or wrong."""
        colours: dict[str, str] = {}
        for table, keys in (("base", BASE), ("marks", MARKS), ("gauges", GAUGES)):
            for key in keys:
                colours[key] = _colour(_table(data, table).get(key), f"{table}.{key}")
        for table, prefix, kinds in _BOXES:
            for kind in kinds:
                shades = _table(data, table).get(kind)
                if not isinstance(shades, list) or len(shades) != SHADES:
                    raise ValueError(f"{table}.{kind} is not a list of {SHADES} colours")
                for i, shade in enumerate(shades):
                    colours[f"{prefix}{kind}{i}"] = _colour(shade, f"{table}.{kind}")
        name, dark = data.get("name"), data.get("dark")
        if not isinstance(name, str) or not _NAME.fullmatch(name) or not isinstance(dark, bool):
            raise ValueError("a look has a name, of 1 to 40 letters, digits and -, and says whether it is dark")
        return cls(name, dark, colours)

    def theme(self, ansi: bool) -> Theme:
        """The same as Textual's own theme, for its input line and its command palette."""
        if ansi:
            return replace(BUILTIN_THEMES["ansi-dark" if self.dark else "ansi-light"], name=self.name)
        c = self.colours
        return Theme(
            self.name,
            primary=c["accent"],
            secondary=c["memory"],
            warning=c["warning"],
            error=c["error"],
            success=c["good"],
            accent=c["accent"],
            foreground=c["text"],
            background=c["background"],
            surface=c["bar"],
            panel=c["track"],
            dark=self.dark,
            variables={"scrollbar": c["track"], "scrollbar-background": c["background"]},
        )


def _table(data: dict[str, Any], name: str) -> dict[str, Any]:
    table = data.get(name, {})
    if not isinstance(table, dict):
        raise ValueError(f"{name} is not a table: [{name}]")
    return table


def _colour(value: object, where: str) -> str:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise ValueError(f"{where} is not a colour like #rrggbb")
    return value


@cache
def looks() -> dict[str, Look]:
    """All looks by name, the default first. Raises ValueError that names the file, or FileNotFoundError."""
    found: dict[str, Look] = {}
    for file in sorted(folder("themes").glob("*.toml")):
        try:
            look = Look.of(tomllib.loads(file.read_text("utf-8")))
        except ValueError as error:  # also what tomllib and UTF-8 raise
            raise ValueError(f"{file}: {error}") from error
        found[look.name] = look
    return dict(sorted(found.items(), key=lambda item: (item[0] != DEFAULT, item[0])))


def look(name: str | None, among: Mapping[str, Look] | None = None) -> Look:
    """One look. among: by name, in place of the shipped ones. Raises ValueError with the names to choose from."""
    known = looks() if among is None else among
    wanted = known.get(name or DEFAULT)
    if wanted is None:
        raise ValueError(f"no theme {name!r}: choose one of {', '.join(known)}")
    return wanted
