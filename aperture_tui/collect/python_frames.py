"""The Python frames of stacks: named, and put where the interpreter's own frames stand."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

import numpy as np

from aperture_tui.symbolize.cpython import (
    ENTRY,
    HIDDEN,
    Binaries,
    CPythonError,
    Interpreter,
    is_eval_name,
    merge,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aperture_tui.collect.processes import Image
    from aperture_tui.collect.stack_frames import Raw
    from aperture_tui.profile.symbols import Frame, Symbols

MAX_WORDS: Final = 512
"""Of one stack, two a frame: MAX_PYTHON of bpf/unwind.h. As many mean that there may be more."""
_RETRY_S: Final = 0.5
_MARK: Final = np.uint32(1 << 31)  # of stack_frames


class PythonFrames:
    """Owned by the collecting thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[str] = Counter()
        """Cause -> frames or processes that are not shown as they should be."""
        self.opened_late = False
        """Set when a process was opened whose stacks have been named without its Python frames until now."""
        self._clock = clock
        self._binaries = Binaries()
        self._interpreters: WeakKeyDictionary[Image, Interpreter] = WeakKeyDictionary()
        self._refused: WeakKeyDictionary[Image, float] = WeakKeyDictionary()
        self.rebind()

    def rebind(self) -> None:
        """Forget the ids of the symbols' last generation."""
        self._is_loop: dict[int, bool] = {}
        self._ids: dict[Frame | None, int] = {}

    def merged(
        self,
        image: Image,
        stacks: list[Raw],
        functions: NDArray[np.uint32],
        lookup: NDArray[np.uint64],
        bounds: NDArray[np.intp],
        symbols: Symbols,
    ) -> list[NDArray[np.uint32]] | None:
        """The user part of each stack of a process, root first: marks of native frames, and ids of Python's among them.

        functions, lookup: (n,), of all user addresses, leaf first, the function that each lies in and the address
        that it was looked up by; bounds: (m + 1,), where each stack's begin. None if the process's Python cannot be
        read.
        """
        interpreter = self._interpreter(image)
        if interpreter is None:
            return None
        words = np.concatenate([raw.python for raw in stacks]).reshape(-1, 2)
        ids, known = self._named(interpreter, words, symbols)
        entry = (words[:, 0] & ENTRY) != 0
        loops = self._loops(interpreter, functions, lookup, symbols)
        marks = np.arange(len(functions), dtype=np.uint32) | _MARK
        out = []
        at = 0
        for raw, (start, end) in zip(stacks, pairwise(bounds.tolist()), strict=True):
            path = marks[start:end][::-1]
            part = slice(at, at := at + len(raw.python) // 2)
            if len(raw.python):
                ended = len(raw.python) < MAX_WORDS
                loop = loops[start:end][::-1]
                found = merge(
                    path, loop, ids[part], known[part], entry[part], shim=interpreter.shim, whole=raw.whole, ended=ended
                )
                self.counts["Python frames that found no place"] += found.unplaced
                path = found.frames
            out.append(path)
        shown = ~entry if interpreter.shim else np.ones(len(known), bool)
        self.counts["Python frames whose code was gone"] += int(np.count_nonzero(shown & ~known))
        return out

    def _named(
        self, interpreter: Interpreter, words: NDArray[np.uint64], symbols: Symbols
    ) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
        """The id of each frame, 0 for one that is not shown, and whether it is known: (n,) each."""
        frames = interpreter.frames(words[:, 0], words[:, 1])
        ids = []
        for frame in frames:
            known = self._ids.get(frame)
            if known is None:
                shown = frame is not None and frame is not HIDDEN
                known = self._ids[frame] = symbols.frame(frame) if frame is not None and shown else 0
            ids.append(known)
        return np.array(ids, np.uint32), np.array([frame is not None for frame in frames], bool)

    def _loops(
        self,
        interpreter: Interpreter,
        functions: NDArray[np.uint32],
        lookup: NDArray[np.uint64],
        symbols: Symbols,
    ) -> NDArray[np.bool_]:
        """Which native frames are the interpreter loop, by address or else by name: (n,)."""
        distinct, inverse = np.unique(functions, return_inverse=True)
        by_name = np.zeros(len(distinct), bool)
        for i, frame in enumerate(distinct.tolist()):
            known = self._is_loop.get(frame)
            if known is None:
                known = self._is_loop[frame] = is_eval_name(symbols.frame_at(frame).function)
            by_name[i] = known
        loops: NDArray[np.bool_] = interpreter.is_loop(lookup) | by_name[inverse]
        return loops

    def _interpreter(self, image: Image) -> Interpreter | None:
        known = self._interpreters.get(image)
        if known is not None:
            return known
        now = self._clock()
        if now < self._refused.get(image, 0.0):
            return None
        try:
            found = Interpreter.open(image.pid, image.space.mappings, self._binaries)
        except CPythonError:  # it has ended, most often; the supply has said what else there is to say
            found = None
        if found is None:
            self._refused[image] = now + _RETRY_S
            return None
        if self._refused.pop(image, None) is not None:
            self.opened_late = True
        self._interpreters[image] = found
        return found
