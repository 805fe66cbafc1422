"""Which pictures there are, and the keys that lead to each: from the one before, as a person presses them."""

from __future__ import annotations

from typing import Final, NamedTuple

SIZE: Final = (130, 38)
"""Columns and rows."""


class Picture(NamedTuple):
    """A screen that is shown. keys: those that lead to it. before: what is pressed first, of which nothing is told.

    sale: then the shop begins its sale. settles_s: how long what is looked at goes on before the picture is taken.
    """

    name: str
    keys: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    sale: bool = False
    settles_s: float = 1.0


SHOP: Final = (
    Picture("overview"),
    Picture("cpu", ("slash", *"serve", "enter", "escape"), ("2",)),
    Picture("functions", ("v", "v")),
    Picture("both-sides", ("S",), ("v", "slash", *"price", "enter", "escape")),
    Picture("filter-line", ("backslash", *"fn:ser"), ("escape",)),
    Picture("filtered", ("tab", "enter")),
    Picture("range", ("T", *["left"] * 3, *["shift+left"] * 4, "enter"), ("backslash", "ctrl+u", "enter")),
    Picture("compared", (), ("L", "right_square_bracket", "c"), sale=True, settles_s=35.0),
    Picture("export", ("e",)),
    Picture("syscalls", ("3",), ("escape", "c")),
    Picture("locks", ("4",)),
    Picture("offcpu", ("5",)),
)
"""Over the shop that goes on; what is collected is collected all the time."""
FILTERS: Final = (Picture("filters", ("6",), settles_s=20.0),)
"""Over the shop, through filters."""
GPU: Final = (Picture("gpu", ("down", *["home", "enter"] * 4, *["home", "left"] * 8, *["n"] * 12), ("7",)),)
"""Over what an H200 did once: 24 ms, so closer four times, each time at the left end, and from there back to where it
began; the cursor goes to a kernel."""
FLEET: Final = (Picture("hosts", ("end", "up"), settles_s=20.0),)
"""Over an aggregator."""
ALL: Final = {"shop": SHOP, "filters": FILTERS, "gpu": GPU, "fleet": FLEET}
