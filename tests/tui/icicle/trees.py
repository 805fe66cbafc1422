"""Small call trees written as text: one `frame;frame;frame weight` a line, as in folded stacks."""

from __future__ import annotations

import numpy as np

from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.tui.icicle.layout import Edges, Labels, lay_out
from aperture_tui.tui.model import IcicleView, Path


class Folded:
    """A tree of native frames of one module, and what is needed to lay it out."""

    def __init__(self, text: str) -> None:
        self.symbols = Symbols()
        self.labels = Labels(self.symbols)
        self.tree = self.weighted(text)

    def weighted(self, text: str) -> CallTree:
        """Another tree over the same symbols."""
        paths, weights = [], []
        for line in text.strip().splitlines():
            stack, _, weight = line.strip().rpartition(" ")
            paths.append([self.symbols.frame(Frame(name, "m", kind=FrameKind.NATIVE)) for name in stack.split(";")])
            weights.append(int(weight))
        return CallTree.of_stacks(self.symbols, self.symbols.stacks(paths), np.array(weights))

    def path(self, stack: str) -> Path:
        """The path of `a;b;c`."""
        frames = [self.symbols.frame(Frame(name, "m", kind=FrameKind.NATIVE)) for name in stack.split(";") if name]
        return tuple(self.labels[frame] for frame in frames)

    def view(self, width: int, zoom: str = "", by_weight: bool = False, last: Edges | None = None) -> IcicleView:
        """The view of the tree."""
        return lay_out(self.tree, self.labels, width, self.path(zoom), by_weight, last)[0]


def drawn(view: IcicleView) -> list[str]:
    """The rows as plain text, separators and all."""
    from aperture_tui.tui.icicle.render import icicle_row

    return ["".join(text for text, _ in icicle_row(row, view.width)) for row in view.rows]
