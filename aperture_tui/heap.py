"""The memory that the C library holds beside what is in use: kept small. Others than glibc are left as they are."""

from __future__ import annotations

import ctypes
from typing import Final

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGE: Final = 1 << 20
_SPARE: Final = 4 << 20


def keep_large_apart() -> None:
    """Have large blocks come from the kernel and go back to it, all the time.

    glibc puts the limit as high as the largest block that was ever freed, up to 32 MB: after the first large symbol
    table every array of a moment lies among small things that stay, and its room is in pieces afterwards.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_M_MMAP_THRESHOLD, _LARGE)
        set_option(_M_TRIM_THRESHOLD, _SPARE)


def give_back() -> None:
    """Have free pages returned to the kernel.

    Reading symbol tables takes tens of megabytes for a moment, and glibc keeps them (30 of 100 MB measured).
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
