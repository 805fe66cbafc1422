"""The screen as it is, as SVG and as text. Called in the screen's thread."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from textual.app import App

_FONTS: Final = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def svg_picture(app: App[Any], title: str) -> str:
    """The screen as SVG, in colour. What would make a browser ask a server of others for fonts is taken out."""
    return _FONTS.sub("", app.export_screenshot(title=title))


def text_picture(app: App[Any]) -> str:
    """The screen as text, a line a row. Textual 8.2.8 keeps the rows of a whole screen private."""
    rows = ("".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips())
    return "".join(f"{row.rstrip()}\n" for row in rows)
