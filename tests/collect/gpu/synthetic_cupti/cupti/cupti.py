"""The functions, enumerations and dtypes of cupti-python that the agent uses, by their real names."""

from __future__ import annotations

import ctypes
import enum
import os
from typing import Any

import numpy as np

_LIBRARY = ctypes.CDLL(os.environ["SYNTHETIC_CUPTI"])
_LIBRARY.synthetic_now.restype = ctypes.c_uint64
_kept: list[Any] = []

_SIDES = ("grid_x", "grid_y", "grid_z", "block_x", "block_y", "block_z")
activity_kernel9_dtype = np.dtype([("kind", "<i4")])
activity_kernel10_dtype = np.dtype(
    [
        *(("kind", "<i4"), ("registers_per_thread", "<u4")),
        *((name, "<u8") for name in ("start", "end", "name", "graph_node_id")),
        *((name, "<u4") for name in ("device_id", "context_id", "stream_id", "correlation_id", "graph_id")),
        *((name, "<i4") for name in (*_SIDES, "static_shared_memory", "dynamic_shared_memory", "padding")),
    ]
)
activity_memcpy6_dtype = np.dtype(
    [
        ("kind", "<i4"),
        *((name, "u1") for name in ("copy_kind", "src_kind", "dst_kind", "flags_")),
        *((name, "<u8") for name in ("bytes", "start", "end")),
        *((name, "<u4") for name in ("device_id", "context_id", "stream_id", "correlation_id")),
    ]
)
activity_api_dtype = np.dtype(
    [
        *(("kind", "<i4"), ("cbid", "<u4"), ("start", "<u8"), ("end", "<u8")),
        *((name, "<u4") for name in ("process_id", "thread_id", "correlation_id", "return_value")),
    ]
)
activity_overhead3_dtype = np.dtype([("kind", "<i4"), ("overhead_kind", "<i4"), ("start", "<u8"), ("end", "<u8")])


class runtime_api_trace_cbid(enum.IntEnum):  # noqa: N801 - its name
    cudaGetDevice_v3020 = 10  # noqa: N815
    cudaMemcpyAsync_v3020 = 41  # noqa: N815
    cudaLaunchKernel_v7000 = 211  # noqa: N815
    cudaGraphLaunch_v10000 = 311  # noqa: N815


class driver_api_trace_cbid(enum.IntEnum):  # noqa: N801 - its name
    cuLaunchKernel = 307  # noqa: N815


if os.environ.get("SYNTHETIC_CUPTI_ODD"):  # as no version is, yet
    runtime_api_trace_cbid = 0  # type: ignore[assignment, misc]


class cuptiError(Exception):  # noqa: N801 - its name
    pass


def get_timestamp() -> int:
    if os.environ.get("SYNTHETIC_CUPTI_WITHOUT_DRIVER"):
        raise RuntimeError("CUDA driver is not found")
    return int(_LIBRARY.synthetic_now())


def activity_enable(kind: int) -> None:
    if os.environ.get("SYNTHETIC_CUPTI_TAKEN"):
        raise cuptiError("CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED (39)")
    if kind == 38:
        raise cuptiError("CUPTI_ERROR_NOT_COMPATIBLE (36)")
    _LIBRARY.synthetic_enable(kind, 1)


def activity_disable(kind: int) -> None:
    _LIBRARY.synthetic_enable(kind, 0)


def activity_enable_driver_api(cbid: int, enable: int) -> None:
    _LIBRARY.synthetic_switch(4, cbid, enable)


def activity_enable_runtime_api(cbid: int, enable: int) -> None:
    _LIBRARY.synthetic_switch(5, cbid, enable)


def set_thread_id_type(type: int) -> None:  # noqa: A002 - its name
    assert type == 1


def activity_flush_all(flag: int) -> None:
    _LIBRARY.synthetic_flush()


class _Record:
    """What cupti-python's records are: an object with attributes; a kernel's name is a text."""

    def __init__(self, row: np.void) -> None:
        for name in row.dtype.names or ():
            value = row[name].item()
            if name == "name":
                value = (ctypes.string_at(value) if value else b"").decode()
            setattr(self, name, value)


_TYPES = {10: activity_kernel10_dtype, 1: activity_memcpy6_dtype, 4: activity_api_dtype, 5: activity_api_dtype}
_TYPES |= {17: activity_overhead3_dtype}


class _Unknown:
    kind = 60


def activity_register_callbacks(func_buffer_requested: Any, func_buffer_completed: Any) -> None:
    pointer, size = ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_size_t)
    buffers: list[Any] = []

    def requested(data: Any, bytes_: Any, most: Any) -> None:
        wanted, most[0] = func_buffer_requested()
        buffers.append(ctypes.create_string_buffer(wanted))
        data[0], bytes_[0] = ctypes.addressof(buffers[-1]), wanted

    def completed(context: Any, stream: Any, data: Any, bytes_: Any, valid: int) -> None:
        record, told = ctypes.c_void_p(), []
        while not _LIBRARY.cuptiActivityGetNextRecord(
            ctypes.c_void_p(data), ctypes.c_size_t(valid), ctypes.byref(record)
        ):
            kind = ctypes.c_uint32.from_address(record.value or 0).value
            if kind in _TYPES:
                raw = ctypes.string_at(record.value or 0, _TYPES[kind].itemsize)
                told.append(_Record(np.frombuffer(raw, _TYPES[kind])[0]))
            else:
                told.append(_Unknown())
        func_buffer_completed(told)

    r = ctypes.CFUNCTYPE(None, pointer, size, size)(requested)
    c = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)(
        completed
    )
    _kept.extend((r, c, buffers))
    _LIBRARY.cuptiActivityRegisterCallbacks(r, c)
