"""The one record layout: the same bytes in a batch, in a recording, in a push and in the memory of a filter."""

from __future__ import annotations

from typing import Final

import numpy as np

EVENT: Final = np.dtype(
    [
        ("time_ns", "<u8"),  # when, Unix nanoseconds; of an aggregate: the end of its interval
        ("duration_ns", "<u8"),  # sum over `weight`; of a CPU sample: the sampling period
        ("maximum_ns", "<u8"),  # the longest of them
        ("value", "<u8"),  # lock address, bytes, occupancy inputs
        ("pid", "<u4"),
        ("tid", "<u4"),
        ("process", "<u4"),  # row in Symbols.processes: name, start, cgroup
        ("thread", "<u4"),  # string: the thread's name
        ("name", "<u4"),  # string: syscall, lock kind, GPU kernel, copy direction
        ("stack", "<u4"),  # node in Symbols.stacks
        ("weight", "<u4"),  # how many; a filter's sampling weight multiplies it
        ("aux", "<u4"),  # errno class; of a GPU its device and stream
        ("kind", "<u2"),  # profile.kinds.Kind
        ("flags", "<u2"),  # profile.kinds.Flag
        ("cpu", "<u2"),  # CPU; of a GPU which call it comes from
        ("tags", "<u2"),  # a bit for each tag that a filter gave it; in a store, a row of Symbols.tag_sets
    ]
)
"""72 bytes, little-endian, every field on its natural boundary. Headers in C and in the filter SDK mirror it."""
