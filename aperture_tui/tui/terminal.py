"""What the terminal can show, read from the environment as other tools read it."""

from __future__ import annotations

import enum
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

SMALLEST: Final = (20, 5)
"""Columns and rows below which nothing can be drawn but a word of regret."""


def name_thread(name: str) -> None:
    """Name this thread for `top -H` and its like, 15 characters; where that cannot be, it has none."""
    with suppress(OSError):
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(name)


class Colours(enum.Enum):
    """How colours reach the terminal."""

    RGB = "rgb"
    """Truecolor, or 256 colours that the nearest is picked from."""
    NAMED = "named"
    """The terminal's own 16."""
    MONO = "mono"
    """None: reverse, bold and underline only."""


def colours(environ: Mapping[str, str] = os.environ) -> Colours:
    """What to draw with: NO_COLOR (https://no-color.org), COLORTERM and TERM."""
    if environ.get("NO_COLOR"):
        return Colours.MONO
    term = environ.get("TERM", "").lower()
    if environ.get("COLORTERM", "").lower() in ("truecolor", "24bit") or "256color" in term or "kitty" in term:
        return Colours.RGB
    return Colours.NAMED


def terminal_problem(environ: Mapping[str, str] = os.environ) -> str | None:
    """Why the screens cannot be shown here, in one line with what mends it; None if they can."""
    term = environ.get("TERM", "")
    if term in ("", "dumb", "unknown"):
        what = f"TERM={term}" if term else "TERM is not set"
        return f"the terminal cannot draw screens ({what}): set TERM, for example to xterm-256color, or use --once"
    return None
