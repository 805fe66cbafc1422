"""The contract with the programs, in numbers: version 1.0 of the filter ABI. docs/filters.md has it in words.

Everything is little-endian, and all offsets are relative to the header.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from aperture_tui.profile.event import EVENT
from aperture_tui.profile.symbols import FRAME, PROCESS

MAGIC: Final = 0x31425041  # "APB1"
MAJOR, MINOR = 1, 0

HEADER: Final = np.dtype(
    [
        ("magic", "<u4"),
        ("major", "<u2"),
        ("minor", "<u2"),
        ("header_size", "<u4"),
        ("event_size", "<u4"),
        ("n_events", "<u4"),
        ("events", "<u4"),  # (n_events,) of EVENT
        ("verdicts", "<u4"),  # (n_events,) uint32: 0 drop, 1 keep, n keep and multiply
        ("tags", "<u4"),  # (n_events,) uint32: a bit for each name of ap_tags
        ("generation", "<u4"),  # another one: all tables begin anew
        ("flags", "<u4"),
        ("now_ns", "<u8"),
        ("sequence", "<u8"),
        ("reserved", "<u8"),
        ("n_strings", "<u4"),
        ("strings", "<u4"),  # (n_strings,) of STRING
        ("n_frames", "<u4"),
        ("frames", "<u4"),  # (n_frames,) of FRAME
        ("n_stacks", "<u4"),
        ("stacks", "<u4"),  # (n_stacks,) of NODE
        ("n_processes", "<u4"),
        ("processes", "<u4"),  # (n_processes,) of PROCESS
        ("redacted", "<u4"),  # (n_frames,) uint8: 1 hides the frame's names
        ("padding", "V28"),
    ]
)
"""128 bytes at the head of the arena."""
STRING: Final = np.dtype([("offset", "<u4"), ("length", "<u4")])
"""Bytes of UTF-8, without a NUL."""
NODE: Final = np.dtype([("parent", "<u4"), ("frame", "<u4")])
"""One stack of the trie; the root is its own parent."""

LOST_BEFORE: Final = 1
"""Flag: events were lost before this batch."""
FIRST_BATCH: Final = 2
"""Flag: the first batch of this instance."""

MAX_VERDICT: Final = 65_535
MAX_BATCH: Final = 16_384
MAX_TAGS_TEXT: Final = 1024
MAX_MODULE_BYTES: Final = 10 << 20
MEMORY_BYTES: Final = 64 << 20
TABLE_ELEMENTS: Final = 10_000
LOG_LINE_BYTES: Final = 1024
LOG_LINES_PER_S: Final = 20
TICK_S: Final = 0.010
TICKS: Final = 3
"""Of a call, after which it is looked at."""
GRACE_NS: Final = 20_000_000
"""CPU time that a call has from then on before it is stopped: about 50 ms in all, but however long it had to wait."""
ROWS_PER_TICK: Final = 20_000
"""A call that brings so many new rows of tables has a tick more: a fresh instance gets those of a whole session."""
ALIGNMENT: Final = 64

EXPORTS: Final = {
    "ap_abi_version": 0,
    "ap_alloc": 1,
    "ap_on_batch": 1,
}
"""Functions that a module must have, and how many i32 they take; all give an i32."""
OPTIONAL_EXPORTS: Final = {"ap_configure": 2, "ap_tags": 0}
IMPORTS: Final = {("aperture", "log"): 3, ("env", "abort"): 4}
"""Functions that it may import, and how many i32 they take; they give nothing."""

__all__ = ["EVENT", "FRAME", "HEADER", "NODE", "PROCESS", "STRING"]
