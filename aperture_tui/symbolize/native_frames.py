"""Frames of ELF files."""

from __future__ import annotations

import numpy as np

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.symbolize.answers import offset_frame
from aperture_tui.symbolize.counts import ResolverCounts
from aperture_tui.symbolize.demangle import demangle
from aperture_tui.symbolize.elf import ElfError
from aperture_tui.symbolize.images import Image, ImageKey
from aperture_tui.symbolize.inline_frames import InlineFrames
from aperture_tui.symbolize.known import Part


class NativeFrames:
    """The frames of one Symbols. Owned by one thread."""

    def __init__(self, chains: InlineFrames, counts: ResolverCounts) -> None:
        self.error = ""
        """The last thing that went wrong, in one line."""
        self._chains = chains
        self._counts = counts
        self._frames: dict[tuple[ImageKey, str, int], int] = {}

    def forget(self) -> None:
        """Forget every frame: they are of another Symbols."""
        self._frames.clear()

    def find(self, symbols: Symbols, part: Part, key: ImageKey, image: Image, module: str) -> list[int]:
        """The frame of each address of a part: its id in the symbols, or a chain's of what is inlined there."""
        rows, virtual = image.find(part.offsets - part.is_return)
        # the return address of a signal handler is the first byte of __restore_rt: nothing called it
        again = np.flatnonzero((rows < 0) & part.is_return)
        if len(again):
            at, exact = image.find(part.offsets[again])
            rows[again] = np.where((at >= 0) & (image.index.start[at] == exact), at, -1) if len(image.index) else -1
        nodes = self._chains.nodes(key, virtual)
        starts = image.function_starts(virtual, virtual + part.is_return)
        out = []
        for row, start, node in zip(rows.tolist(), starts.tolist(), nodes, strict=True):
            known = self._named(symbols, key, image, module, row) if row >= 0 else None
            if known is None:
                self._counts.unknown_symbol += 1
                known = symbols.frame(offset_frame(module, module, start, FrameKind.NATIVE))
            out.append(self._chains.chain(symbols, key, module, known, node) if node else known)
        return out

    def _named(self, symbols: Symbols, key: ImageKey, image: Image, module: str, row: int) -> int | None:
        """The frame of a symbol; None if its name cannot be read any more."""
        known = self._frames.get((key, module, row))
        if known is not None:
            return known
        try:
            name = demangle(image.index.name_at(row))
        except ElfError as error:
            self._counts.elf_errors += 1
            self.error = f"{module}: {error}"
            return None
        known = self._frames[key, module, row] = symbols.frame(Frame(name, module))
        return known
