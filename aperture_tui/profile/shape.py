"""What is left out of the stacks of a call tree, and what is made one. Free of numpy: the screens choose it."""

from __future__ import annotations

from dataclasses import dataclass

from aperture_tui.profile.kinds import FrameKind

NO_FUNCTIONS = (FrameKind.ROOT, FrameKind.PROCESS, FrameKind.THREAD, FrameKind.TAG)
"""Kinds of frames that say whose a stack is: never hidden, and never a function of a table."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The defaults leave a tree as it is.

    kernel: frames of the kernel are shown. without: modules whose frames are hidden; a frame without a module is of
    its file. folded: a function that was called again below itself is counted where it was called first. by_module:
    stacks begin with a frame for the module of their innermost frame.
    """

    kernel: bool = True
    without: tuple[str, ...] = ()
    folded: bool = False
    by_module: bool = False

    @property
    def plain(self) -> bool:
        """Whether it leaves trees as they are."""
        return self == PLAIN


PLAIN = Shape()
