"""BPF statistics for a while: the kernel times the programs of every profiler alike."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aperture_tui.collect import bpf

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def counted() -> Iterator[None]:
    """Run times and runs grow while this is held, where the kernel can (5.8)."""
    statistics = bpf.enable_statistics()
    try:
        yield
    finally:
        if statistics is not None:
            os.close(statistics)
