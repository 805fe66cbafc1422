"""The Python frames of stacks: named, and put where the interpreter's own frames stand."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

import numpy as np

from aperture_tui.symbolize.cpython import (
    ENTRY,
    HIDDEN,
    CPythonError,
    Interpreter,
    binary_cache,
    is_eval_name,
    merge,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aperture_tui.collect.processes import Image
    from aperture_tui.collect.stack_frames import Raw
    from aperture_tui.profile.symbols import Frame, Symbols

MAX_WORDS: Final = 512
"""Of one stack, two a frame: MAX_PYTHON of bpf/walk.h. As many mean that there may be more."""
MARK: Final = np.uint32(1 << 31)
"""In a path: not the id of a frame, but the number of an address, whose frames are to stand there."""
_RETRY_S: Final = 0.5
_UNREAD: Final = "Python frames of processes that could not be read"


@dataclass(slots=True)
class _Process:
    """interpreter: None until it could be opened. due: when that is tried again, on the clock. missed: frames that were
    not named for want of it."""

    interpreter: Interpreter | None = None
    due: float = 0.0
    missed: int = 0


class PythonFrames:
    """Owned by the collecting thread.

    It opens interpreters that the supply has opened as well, each thread with a cache of its own: what is known of a
    process's code is used by one thread alone. 0.4 ms a process, and 2 to 20 ms a file that has not been met yet.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[str] = Counter()
        """Cause -> frames that are not shown as they should be, once each time that a stack is named."""
        self.opened_late = False
        """Set when a process was opened whose stacks have been named without its Python frames until now."""
        self._clock = clock
        self._binaries = binary_cache()
        self._processes: WeakKeyDictionary[Image, _Process] = WeakKeyDictionary()
        self.rebind()

    def rebind(self) -> None:
        """Forget the ids of the symbols' last generation."""
        self._is_loop: dict[int, bool] = {}  # by the id of a frame: no more than the symbols have

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
        words = np.concatenate([raw.python for raw in stacks]).reshape(-1, 2)
        interpreter = self._interpreter(image, len(words))
        if interpreter is None:
            return None
        ids, known = self._named(interpreter, words, symbols)
        entry = (words[:, 0] & ENTRY) != 0
        loops = self._loops(interpreter, functions, lookup, symbols)
        marks = np.arange(len(functions), dtype=np.uint32) | MARK
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
        ids: dict[Frame | None, int] = {None: 0, HIDDEN: 0}
        for frame in frames:
            if frame is not None and frame not in ids:
                ids[frame] = symbols.frame(frame)
        return np.array([ids[frame] for frame in frames], np.uint32), np.array([f is not None for f in frames], bool)

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

    def _interpreter(self, image: Image, frames: int) -> Interpreter | None:
        """That of a process. None if it cannot be opened: these frames are missed then."""
        process = self._processes.setdefault(image, _Process())
        if process.interpreter is None and self._clock() >= process.due:
            self._open(image, process)
        if process.interpreter is None:
            process.missed += frames
            self.counts[_UNREAD] += frames
        return process.interpreter

    def _open(self, image: Image, process: _Process) -> None:
        try:
            process.interpreter = Interpreter.open(image.pid, image.space.mappings, self._binaries)
        except CPythonError:  # it has ended, most often; the supply has said what else there is to say
            process.interpreter = None
        if process.interpreter is None:
            process.due = self._clock() + _RETRY_S
        elif process.missed:  # they are named anew
            self.counts[_UNREAD] -= process.missed
            process.missed = 0
            self.opened_late = True
