"""The HotSpot of one process: found, checked, and asked for the frames behind what the kernel saw."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame
from aperture_tui.symbolize.address_space import Mapping
from aperture_tui.symbolize.binary_cache import BinaryCache
from aperture_tui.symbolize.hotspot.binary import LIBRARY, Binary, binary_cache
from aperture_tui.symbolize.hotspot.blobs import BlobKind, Blobs
from aperture_tui.symbolize.hotspot.code_cache import CodeCache
from aperture_tui.symbolize.hotspot.errors import HotSpotError, HotSpotNotReady
from aperture_tui.symbolize.hotspot.inlined import Inlined
from aperture_tui.symbolize.hotspot.layout import make_layout
from aperture_tui.symbolize.hotspot.methods import MODULE, Methods
from aperture_tui.symbolize.hotspot.structs import read_structs
from aperture_tui.symbolize.process_memory import Memory, ProcessMemory

_LOADED: Final = "libjava.so"
"""What HotSpot loads as it sets itself up; until then its tables may be half made."""
_WORD: Final = (1 << 64) - 1


class HotSpot:
    """The HotSpot of one process. Owned by one thread. After an exec, `open` it anew."""

    def __init__(self, memory: Memory, symbols: Sequence[int], clock: Callable[[], float]) -> None:
        """symbols: addresses of `binary.SYMBOLS` in the process. Raises as `open` does."""
        layout = make_layout(memory, read_structs(memory, symbols))
        self.major = layout.major
        """The JDK's version: 17."""
        self._cache = CodeCache(memory, layout)
        self._methods = Methods(memory, layout, clock)
        self._inlined = Inlined(memory, layout)
        self._cache.refresh(self._inlined.known)

    @classmethod
    def open(
        cls,
        pid: int,
        mappings: Sequence[Mapping],
        binaries: BinaryCache[Binary] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> HotSpot | None:
        """The HotSpot in a process with these executable mappings; None if libjvm.so is not among them.

        binaries: what is known of files, to be shared by all processes of a thread. clock: seconds, only moves forward.
        Raises HotSpotNotReady: ask again in a moment. Raises HotSpotError: its frames cannot be read.
        """
        mapping = next((m for m in mappings if m.module == LIBRARY), None)
        if mapping is None:
            return None
        if not any(m.module == _LOADED for m in mappings):
            raise HotSpotNotReady("HotSpot has not loaded its own libraries yet")
        binary = (binaries if binaries is not None else binary_cache()).get(pid, mapping)
        bias = binary.loads.load_bias(mapping.start, mapping.offset)
        memory = ProcessMemory(pid, HotSpotError)
        return cls(memory, [symbol + bias & _WORD for symbol in binary.symbols], clock)

    @property
    def blobs(self) -> Blobs:
        """All code of the code cache as it was last seen."""
        return self._cache.blobs

    @property
    def bounds(self) -> tuple[int, int]:
        """The lowest and the highest address of the code cache as it was last seen; it grows upwards."""
        return self._cache.bounds

    def refresh(self) -> list[tuple[int, int]]:
        """Look for code that was made or freed. The ranges [from, to) of addresses in which what was said of any
        address until now may be wrong, ascending.

        Raises HotSpotError if the process is gone, or is no HotSpot any more.
        """
        changed = self._cache.refresh(self._inlined.known)
        self._inlined.forget(changed)
        return changed

    def name(self, row: int) -> str:
        """The name of one of `blobs` as HotSpot has it: "nmethod", "Interpreter", "StubRoutines (1)"."""
        return self._cache.name(int(self.blobs.name[row])).decode("utf-8", "backslashreplace")

    def frames(self, addresses: NDArray[np.uint64], is_return: NDArray[np.bool_]) -> list[tuple[Frame, ...] | None]:
        """The frames at addresses of code: innermost first, what is inlined before the compiled method, which is last.

        None: no code is there, or no name of it can be read. See `Inlined.methods` for what is known of inlining.
        """
        blobs = self.blobs
        rows = blobs.find(addresses - is_return)
        try:
            chains = self._chains(addresses, is_return, rows)
            named = self._methods.frames(method for chain in chains.values() for method in chain)
        except HotSpotError:
            return [None] * len(addresses)  # the process is gone
        out: list[tuple[Frame, ...] | None] = []
        for i, row in enumerate(rows.tolist()):
            if row < 0:
                out.append(None)
            elif i in chains:
                out.append(_of_chain(chains[i], named))
            elif blobs.kind[row] in (BlobKind.COMPILED, BlobKind.NATIVE):
                out.append(None)  # other code is there by now: the next refresh tells
            else:
                name = self.name(row)
                out.append((Frame(name, MODULE, kind=FrameKind.JIT),) if name else None)
        return out

    def _chains(
        self, addresses: NDArray[np.uint64], is_return: NDArray[np.bool_], rows: NDArray[np.intp]
    ) -> dict[int, tuple[int, ...]]:
        """The Methods at each address that is in code of methods, by its place among the addresses."""
        blobs = self.blobs
        fresh = np.unique(rows[rows >= 0])
        kinds = blobs.kind[fresh]
        fresh = fresh[(kinds == BlobKind.COMPILED) & ~np.isin(blobs.blob[fresh], self._inlined.known)]
        gone = fresh[~self._cache.are_same(fresh)] if len(fresh) else fresh
        there = np.flatnonzero((rows >= 0) & ~np.isin(rows, gone))
        native = there[blobs.kind[rows[there]] == BlobKind.NATIVE].tolist()
        compiled = there[blobs.kind[rows[there]] == BlobKind.COMPILED]
        offsets = (addresses[compiled] - blobs.start[rows[compiled]]).astype(np.int64)
        found = self._inlined.methods(blobs, rows[compiled], offsets, is_return[compiled])
        chains = {i: (int(blobs.method[rows[i]]),) for i in native}
        return chains | dict(zip(compiled.tolist(), found, strict=True))

    def methods(self, words: NDArray[np.uint64]) -> list[Frame | None]:
        """The frame of each Method*, as frames of the interpreter have it: (n,). None: no method is there."""
        asked: list[int] = words.tolist()
        try:
            named = self._methods.frames(asked)
        except HotSpotError:
            return [None] * len(asked)  # the process is gone
        return [named[word] for word in asked]


def _of_chain(chain: tuple[int, ...], named: dict[int, Frame | None]) -> tuple[Frame, ...] | None:
    """The frames of a chain; of the compiled method alone where another cannot be read."""
    frames = [frame for method in chain if (frame := named[method]) is not None]
    if len(frames) == len(chain):
        return tuple(frames)
    last = named[chain[-1]]
    return None if last is None else (last,)
