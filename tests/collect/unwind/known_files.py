"""Files that the tests of this folder give to the unwinder, their keys, and their rows as the kernel has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aperture_tui.collect.unwind.kernel_maps import KernelMaps
from aperture_tui.symbolize.images import ImageKey


def libc() -> Path:
    """The C library of this process: its table is large."""
    text = Path("/proc/self/maps").read_text()
    return Path(next(line.split()[-1] for line in text.splitlines() if "libc.so" in line or "libc-" in line))


def key_of(path: Path) -> ImageKey:
    """What the unwinder knows a file by."""
    return ImageKey.of(path.stat())


def rows_at(maps: KernelMaps, first: int, n: int) -> NDArray[np.uint64]:
    """What stands there: (n,), a copy."""
    with maps._window(first, n) as window:
        return window.copy()
