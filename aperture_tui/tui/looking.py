"""What the user looks at: one immutable value that all screens share, and the steps that change it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from aperture_tui.tui.model import Path, ProcessKey, ViewRequest
from aperture_tui.tui.search import Search

WINDOWS: Final[tuple[float | None, ...]] = (10.0, 30.0, 60.0, 300.0, None)
"""Seconds that `[` and `]` choose from; None is all that is held."""
RATES: Final = (0.5, 1.0, 2.0, 4.0, 10.0)
"""Refreshes a second that `-` and `+` choose from."""


@dataclass(frozen=True)
class Looking:
    """The window, the process, the zoom, the order, the search, and whether time stands still."""

    window_s: float | None = 30.0
    process: ProcessKey | None = None
    zoom: Path = ()
    by_weight: bool = False
    search: Search | None = None
    frozen: bool = False

    def request(self, width: int, processes: bool) -> ViewRequest:
        """What to ask the presenter for, for an icicle of this width."""
        return ViewRequest(
            width=width,
            window_s=self.window_s,
            process=self.process,
            zoom=self.zoom,
            by_weight=self.by_weight,
            search=self.search.source if self.search else "",
            frozen=self.frozen,
            processes=processes,
        )

    def longer(self, step: int) -> Looking:
        """The next longer (1) or shorter (-1) window."""
        return replace(self, window_s=neighbour(WINDOWS, self.window_s, step))

    def only(self, process: ProcessKey | None) -> Looking:
        """One process alone, or all. A zoom belongs to what it was made in."""
        return self if process == self.process else replace(self, process=process, zoom=())

    def back(self) -> Looking:
        """One step out: of the zoom, then of the search, then of the process."""
        if self.zoom:
            return replace(self, zoom=self.zoom[:-1])
        if self.search is not None:
            return replace(self, search=None)
        return self.only(None)


def neighbour(choices: tuple[float | None, ...], now: float | None, step: int) -> float | None:
    """The choice that is `step` places after the present one, or after the one nearest to it."""
    sizes = [float("inf") if choice is None else choice for choice in choices]
    value = float("inf") if now is None else now
    if value in sizes:
        at = sizes.index(value) + step
    else:
        above = sum(1 for size in sizes if size < value)
        at = above if step > 0 else above - 1
    return choices[max(0, min(len(choices) - 1, at))]
