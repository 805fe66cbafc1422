"""A Java process as the rest of the profiler asks for it: frames for names, and rows for walking its code."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.symbols import Frame
from aperture_tui.symbolize.hotspot.binary import binary_cache
from aperture_tui.symbolize.hotspot.errors import HotSpotError, HotSpotNotReady
from aperture_tui.symbolize.hotspot.process import HotSpot
from aperture_tui.symbolize.hotspot.unwind_rows import CodeFrames, code_frames
from aperture_tui.symbolize.mapping import Mapping
from aperture_tui.symbolize.process_memory import ProcessMemory
from aperture_tui.symbolize.runtime_frames import NotReadyError, Opener


class JavaReader:
    """A `RuntimeReader`. Owned by one thread."""

    def __init__(self, pid: int, hotspot: HotSpot) -> None:
        self._hotspot = hotspot
        self._memory = ProcessMemory(pid, HotSpotError)

    def refresh(self) -> list[tuple[int, int]]:
        """See `RuntimeReader.refresh`."""
        try:
            return self._hotspot.refresh()
        except HotSpotError:
            return []

    def frames(self, addresses: NDArray[np.uint64], is_return: NDArray[np.bool_]) -> list[tuple[Frame, ...] | None]:
        """See `RuntimeReader.frames`."""
        return self._hotspot.frames(addresses, is_return)

    def objects(self, words: NDArray[np.uint64]) -> list[Frame | None]:
        """See `RuntimeReader.objects`; the words are those of Methods."""
        return self._hotspot.methods(words)

    # -- for the unwinder

    @property
    def bounds(self) -> tuple[int, int]:
        """Where code lay at the last refresh, [from, to); it grows upwards."""
        return self._hotspot.bounds

    def code_frames(self) -> CodeFrames:
        """How the code that there was at the last refresh keeps its callers."""
        return code_frames(self._hotspot.blobs)

    def read(self, addresses: Sequence[int], sizes: Sequence[int]) -> list[bytes | None]:
        """Pieces of the process, each whole or None."""
        try:
            return self._memory.read_many(addresses, sizes)
        except HotSpotError:
            return [None] * len(addresses)


def opener() -> Opener:
    """What opens Java processes for one thread, which reads each version of libjvm.so once."""
    binaries = binary_cache()

    def opened(pid: int, mappings: Sequence[Mapping]) -> JavaReader | None:
        try:
            hotspot = HotSpot.open(pid, mappings, binaries)
        except HotSpotNotReady as error:
            raise NotReadyError(str(error)) from error
        except HotSpotError as error:
            raise ValueError(str(error)) from error
        return None if hotspot is None else JavaReader(pid, hotspot)

    return opened
