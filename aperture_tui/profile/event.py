"""The one record layout: the same bytes in a batch, in a recording, in a push and in the memory of a filter."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

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


def tells_one(events: NDArray[np.void]) -> NDArray[np.bool_]:
    """(n,): the events that tell when one execution was and how long it took, be it for several that it stands for.

    events: (n,) of EVENT, or of rows with these columns as other integers. A sampled one has weight k, k times its own
    duration, and as maximum_ns its own; a sum of different durations has not.
    """
    weight = events["weight"].astype(np.uint64)
    own, rest = np.divmod(events["duration_ns"].astype(np.uint64), np.maximum(weight, np.uint64(1)))
    one: NDArray[np.bool_] = (weight > 0) & (own == events["maximum_ns"]) & (rest == 0)
    return one
