"""The search table of .eh_frame: where each function of a file begins, also of one that is stripped.

Format: .eh_frame_hdr in the Linux Standard Base, "Exception Frame Header".
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.symbolize.elf import Elf

_HEADER: Final = b"\x01\x1b\x03\x3b"  # version 1; 4-byte pointer, count and table, as every linker writes it
_MAX_HEADER: Final = 16 << 20


class FrameHeader(NamedTuple):
    """Entries of .eh_frame: (n,) int64 each, ascending. start: virtual address of the code. at: of the entry."""

    start: NDArray[np.int64]
    at: NDArray[np.int64]


def frame_header(elf: Elf) -> FrameHeader:
    """The table of a file; empty where it has none, or one of another form.

    Raises ElfError if it does not lie in the file, is compressed, or is larger than any linker makes it.
    """
    section = elf.section(b".eh_frame_hdr")
    data = elf.content(section, _MAX_HEADER) if section is not None else b""
    if section is None or data[:4] != _HEADER or len(data) < 12 or section.address >= 1 << 62:
        return FrameHeader(np.zeros(0, np.int64), np.zeros(0, np.int64))
    count = min(struct.unpack_from("<I", data, 8)[0], (len(data) - 12) // 8)
    table = np.frombuffer(data, "<i4", count * 2, 12).astype(np.int64).reshape(-1, 2) + section.address
    table = table[np.argsort(table[:, 0], kind="stable")]
    return FrameHeader(table[:, 0], table[:, 1])
