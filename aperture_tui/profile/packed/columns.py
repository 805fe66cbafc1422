"""Records as columns: alike bytes stand together, and are compressed to a third of what rows are. Pure.

The CPU and the tags of an event are one column, as they were before there were tags.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.event import EVENT

_EVENT: Final = np.dtype([(name, EVENT[name]) for name in (EVENT.names or ())[:-2]] + [("cpu and tags", "<u4")])


def packed(rows: NDArray[np.void]) -> bytes:
    """The columns of records, one after the other in the order of their fields."""
    rows = rows.view(_EVENT) if rows.dtype == EVENT else rows
    return b"".join(np.ascontiguousarray(rows[name]).tobytes() for name in rows.dtype.names or ())


def unpacked(data: bytes, n: int, dtype: np.dtype[np.void]) -> NDArray[np.void]:
    """(n,) of dtype. Raises ValueError unless the data is exactly that."""
    if len(data) != n * dtype.itemsize:
        raise ValueError(f"{len(data)} bytes are not {n} records of {dtype.itemsize}")
    out = np.zeros(n, _EVENT if dtype == EVENT else dtype)
    at = 0
    for name in out.dtype.names or ():
        column: np.dtype[Any] = out.dtype[name]
        out[name] = np.frombuffer(data, column, n, at)
        at += n * column.itemsize
    return out.view(dtype)


def array(data: bytes, dtype: str) -> NDArray[Any]:
    """The bytes as an array of numbers. Raises ValueError for a part of one."""
    return np.frombuffer(data, dtype)
