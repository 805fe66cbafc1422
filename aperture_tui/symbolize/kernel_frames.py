"""Kernel addresses to frames."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.symbolize.answers import Answers, Found, offset_frame
from aperture_tui.symbolize.counts import ResolverCounts
from aperture_tui.symbolize.demangle import demangle
from aperture_tui.symbolize.kernel import KernelSymbols


class KernelFrames:
    """The frames of kernel addresses in one Symbols. error: why there are no kernel symbols, once that was met."""

    def __init__(self, kernel: KernelSymbols, counts: ResolverCounts) -> None:
        self.error = ""
        self._kernel = kernel
        self._counts = counts
        self._answers = Answers()
        self._frames: dict[int, int] = {}
        self._reads = 0

    def prepare(self) -> None:
        """Read the kernel's symbols now."""
        self.error = self._kernel.reason

    def forget(self) -> None:
        """Forget every frame: they are of another Symbols, or another kernel's."""
        self._answers.clear()
        self._frames.clear()

    def find(
        self, symbols: Symbols, addresses: NDArray[np.uint64], is_return: NDArray[np.bool_]
    ) -> tuple[NDArray[np.uint32], int]:
        """The frame of each address, and how many of them were new."""
        self._follow()
        return self._answers.through(addresses, is_return, partial(self._miss, symbols))

    def _follow(self) -> None:
        if self._reads != self._kernel.reads:
            self.forget()
            self._reads = self._kernel.reads

    def _miss(self, symbols: Symbols, addresses: NDArray[np.uint64], is_return: NDArray[np.bool_]) -> Found:
        self._counts.addresses += len(addresses)
        rows = self._kernel.find(addresses - is_return)
        self._follow()
        if not len(self._kernel):
            self._counts.kernel_unreadable += len(addresses)
            self.error = self._kernel.reason
        self._counts.unknown_symbol += int((rows < 0).sum())
        return [
            self._named(symbols, row)
            if row >= 0
            else symbols.frame(offset_frame("kernel", "kernel", address, FrameKind.KERNEL))
            for row, address in zip(rows.tolist(), addresses.tolist(), strict=True)
        ], True

    def _named(self, symbols: Symbols, row: int) -> int:
        known = self._frames.get(row)
        if known is None:
            name, module = self._kernel.name_at(row)
            known = self._frames[row] = symbols.frame(Frame(demangle(name), module, kind=FrameKind.KERNEL))
        return known
