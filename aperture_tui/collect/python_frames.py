"""The Python frames of stacks: named, and put where the interpreter's own frames stand."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
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
    from aperture_tui.collect.stacks import Chains, Raw
    from aperture_tui.profile.symbols import Symbols

MAX_WORDS: Final = 512
"""Of one stack, two a frame: MAX_PYTHON of bpf/unwind.h. As many mean that there may be more."""
_RETRY_S: Final = 0.5


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

    def merged(
        self, image: Image, stacks: list[Raw], native: list[NDArray[np.uint32]], chains: Chains, symbols: Symbols
    ) -> list[NDArray[np.uint32]]:
        """The user part of each stack of a process, root first: marks of native frames, and ids of Python's among them.

        native: the marks of each stack, leaf first.
        """
        paths = [marks[::-1] for marks in native]
        interpreter = self._interpreter(image) if any(len(raw.python) for raw in stacks) else None
        if interpreter is None:
            return paths
        words = np.concatenate([raw.python for raw in stacks]).reshape(-1, 2)
        frames = interpreter.frames(words[:, 0], words[:, 1])
        ids = np.array([symbols.frame(f) if f is not None and f is not HIDDEN else 0 for f in frames], np.uint32)
        known = np.array([frame is not None for frame in frames], bool)
        entry = (words[:, 0] & ENTRY) != 0
        out = []
        at = 0
        for raw, path in zip(stacks, paths, strict=True):
            part = slice(at, at := at + len(raw.python) // 2)
            loops = self._loops(interpreter, raw, chains.functions(path), symbols)
            ended = len(raw.python) < MAX_WORDS
            found = merge(
                path, loops, ids[part], known[part], entry[part], shim=interpreter.shim, whole=raw.whole, ended=ended
            )
            self.counts["Python frames that found no place"] += found.unplaced
            out.append(found.frames)
        shown = ~entry if interpreter.shim else np.ones(len(known), bool)
        self.counts["Python frames whose code was gone"] += int(np.count_nonzero(shown & ~known))
        return out

    def _loops(
        self, interpreter: Interpreter, raw: Raw, functions: NDArray[np.uint32], symbols: Symbols
    ) -> NDArray[np.bool_]:
        """Which native frames, root first, are the interpreter loop: by address, or else by name."""
        addresses, called = raw.addresses
        loops: NDArray[np.bool_] = interpreter.is_loop(addresses - called)[::-1]
        by_name = []
        for frame in functions.tolist():
            known = self._is_loop.get(frame)
            if known is None:
                known = self._is_loop[frame] = is_eval_name(symbols.frame_at(frame).function)
            by_name.append(known)
        loops |= np.array(by_name, bool)
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
