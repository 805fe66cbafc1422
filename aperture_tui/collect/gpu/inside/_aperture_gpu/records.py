"""CUPTI's records as those of the wire. Pure. What a version of CUPTI does not tell is 0, which the wire calls unknown.

A record comes as an object with attributes (cupti-python's, in its callback) or as rows of an array (copied out of
CUPTI's buffers by callbacks.c, with cupti-python's own dtypes): the names of the fields are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from . import wire

MEMCPY, MEMSET, KERNEL, DRIVER, RUNTIME, CONCURRENT_KERNEL = 1, 2, 3, 4, 5, 10
OVERHEAD, MEMCPY2, SYNCHRONIZATION = 17, 22, 38
"""CUpti_ActivityKind."""

_IDS = (("device", "device_id"), ("context", "context_id"), ("stream", "stream_id"), ("correlation", "correlation_id"))
_GRAPH = (("graph", "graph_id"), ("graph_node", "graph_node_id"))
_TIME = (("start_ns", "start"), ("end_ns", "end"))
_SIDES = tuple((side, side) for side in ("grid_x", "grid_y", "grid_z", "block_x", "block_y", "block_z"))
_SHARED = (("static_shared", "static_shared_memory"), ("dynamic_shared", "dynamic_shared_memory"))

Fields = tuple[tuple[str, str], ...]
KERNEL_FIELDS: Fields = (
    *_TIME,
    *_IDS,
    *_GRAPH,
    *_SIDES,
    *_SHARED,
    ("registers", "registers_per_thread"),
    ("name", "name"),
)
COPY_FIELDS: Fields = (
    *_TIME,
    *_IDS,
    *_GRAPH,
    *(
        ("bytes", "bytes"),
        ("direction", "copy_kind"),
        ("source", "src_kind"),
        ("target", "dst_kind"),
        ("flags", "flags_"),
    ),
)
MEMSET_FIELDS: Fields = (*_TIME, *_IDS, *_GRAPH, ("bytes", "bytes"), ("target", "memory_kind"), ("flags", "flags_"))
CALL_FIELDS: Fields = (
    *_TIME,
    *(("correlation", "correlation_id"), ("tid", "thread_id"), ("returned", "return_value"), ("name", "cbid")),
)
SYNC_FIELDS: Fields = (*_TIME, *_IDS[1:], ("kind", "type"))
_ALL = {
    KERNEL: (wire.KERNELS, KERNEL_FIELDS),
    CONCURRENT_KERNEL: (wire.KERNELS, KERNEL_FIELDS),
    MEMCPY: (wire.COPIES, COPY_FIELDS),
    MEMCPY2: (wire.COPIES, COPY_FIELDS),
    MEMSET: (wire.COPIES, MEMSET_FIELDS),
    RUNTIME: (wire.CALLS, CALL_FIELDS),
    DRIVER: (wire.CALLS, CALL_FIELDS),
    SYNCHRONIZATION: (wire.SYNCS, SYNC_FIELDS),
}
Rows = Any
"""An array, (n,), of one of the wire's layouts."""
_WORD = (1 << 64) - 1


def known(kind: int) -> bool:
    """Whether records of this kind are told."""
    return kind in _ALL


def of_objects(kind: int, records: Sequence[Any], text: Callable[[Any], int]) -> tuple[int, Rows]:
    """Records of one known kind -> type of frame, rows. text: a name's number, for kernels whose names are texts."""
    frame, fields = _ALL[kind]
    rows = np.zeros(len(records), wire.LAYOUTS[frame])
    for to, of in fields:
        values: list[Any] = [getattr(record, of, 0) for record in records]
        if to == "name" and frame == wire.KERNELS:
            rows[to] = [text(value) for value in values]
        else:
            rows[to] = _whole(values).astype(rows.dtype[to])
    return frame, _settled(kind, rows)


def of_array(kind: int, records: Rows) -> tuple[int, Rows]:
    """The same of rows in cupti-python's dtype. A kernel's name stays a pointer."""
    frame, fields = _ALL[kind]
    rows = np.zeros(len(records), wire.LAYOUTS[frame])
    names = records.dtype.names or ()
    for to, of in fields:
        if of in names:
            column = records[of]
            rows[to] = column.astype(np.int64).view(np.uint64) if column.dtype.kind == "i" else column
    return frame, _settled(kind, rows)


def _settled(kind: int, rows: Rows) -> Rows:
    if kind == MEMSET:
        rows["direction"] = wire.MEMSET
    elif kind == DRIVER:
        rows["domain"] = 1
    return rows


def _whole(values: Iterable[Any]) -> Rows:
    return np.array([_number(value) & _WORD for value in values], np.uint64)


def _number(value: Any) -> int:
    """Of any kind, of an enumeration too; what is none is 0."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return 0


_OWN_COST = frozenset(n << 16 for n in (1, 2, 3, 7))
"""CUpti_ActivityOverheadKind of CUPTI's own: flushes, instrumentation, resources, buffers. Others are the driver's."""


def cost_ns(records: Sequence[Any]) -> int:
    """What CUPTI says that it took of the program, by records of OVERHEAD: objects, or rows of an array."""
    total = 0
    for record in records:
        kind, start, end = (_number(getattr(record, name, 0)) for name in ("overhead_kind", "start", "end"))
        if kind in _OWN_COST and 0 < start < end:
            total += end - start
    return total


def without_nested(rows: Rows) -> Rows:
    """Calls without those of the driver that one of the runtime made: they have its correlation."""
    nested = (rows["domain"] == 1) & np.isin(rows["correlation"], rows["correlation"][rows["domain"] == 0])
    return rows[~nested]


def by_kind(records: Iterable[Any]) -> dict[int, list[Any]]:
    """Objects by their kinds; those without a number for it are of kind 0, which nobody knows."""
    out: dict[int, list[Any]] = {}
    for record in records:
        try:
            kind = int(getattr(record, "kind", 0))
        except (TypeError, ValueError):
            kind = 0
        out.setdefault(kind, []).append(record)
    return out
