"""The V8 of one process: found, checked, and asked for the functions that the kernel saw."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.symbols import Frame
from aperture_tui.symbolize.address_space import Mapping
from aperture_tui.symbolize.binary_cache import BinaryCache
from aperture_tui.symbolize.process_memory import Memory, ProcessMemory
from aperture_tui.symbolize.v8.binary import binary_cache, is_v8
from aperture_tui.symbolize.v8.functions import Functions
from aperture_tui.symbolize.v8.layout import Layout, V8Error


class V8Reader:
    """See `runtime_frames.RuntimeReader`. Functions stand for themselves, as the kernel has found them: code without
    one is left to a perf map."""

    def __init__(self, memory: Memory, layout: Layout, clock: Callable[[], float] = time.monotonic) -> None:
        self._functions = Functions(memory, layout, clock)

    def refresh(self) -> Sequence[tuple[int, int]]:
        """Nothing: functions are looked at again whenever they are asked for."""
        return ()

    def frames(self, addresses: NDArray[np.uint64], is_return: NDArray[np.bool_]) -> list[tuple[Frame, ...] | None]:
        """Nothing: of code alone it cannot be told what it is."""
        return [None] * len(addresses)

    def objects(self, words: NDArray[np.uint64]) -> list[Frame | None]:
        """The function of each word (n,), a SharedFunctionInfo; None where it is gone."""
        return self._functions.frames(words.tolist())


def opener() -> Callable[[int, Sequence[Mapping]], V8Reader | None]:
    """For the processes of one thread: pid and executable mappings -> its V8; None if it has none. Raises V8Error."""
    binaries = binary_cache()

    def open_v8(pid: int, mappings: Sequence[Mapping]) -> V8Reader | None:
        layout = layout_in(pid, mappings, binaries)
        return None if layout is None else V8Reader(ProcessMemory(pid, V8Error), layout)

    return open_v8


def layout_in(pid: int, mappings: Sequence[Mapping], binaries: BinaryCache[Layout]) -> Layout | None:
    """That of the first file of V8 among these mappings; None if none has the name of one. Raises V8Error."""
    problem: V8Error | None = None
    paths: set[str] = set()
    for mapping in filter(is_v8, mappings):
        if mapping.path in paths:  # V8 maps its builtins once more, near to the code that it makes
            continue
        paths.add(mapping.path)
        try:
            return binaries.get(pid, mapping)
        except V8Error as error:
            problem = error
    if problem is not None:
        raise problem
    return None
