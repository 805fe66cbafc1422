"""The GPUs of this process, asked of the driver that it has loaded. CUPTI tells of them only before they are used."""

from __future__ import annotations

import ctypes
import re
from typing import Any

import numpy as np

from . import wire

_ATTRIBUTES = {
    "multiprocessors": 16,
    "major": 75,
    "minor": 76,
    "blocks": 106,
    "registers": 82,
    "registers_block": 12,
    "shared": 81,
    "shared_block": 97,
    "threads_block": 1,
}
"""CUdevice_attribute of cuda.h. shared_block: what a block may have if it asks for it."""
_THREADS, _CLOCK_KHZ, _BUS_BITS = 39, 36, 37
_WARP = 32


def devices() -> Any:
    """(n,) of wire.DEVICE; none if the driver does not answer. It makes no context."""
    try:
        return _asked(ctypes.CDLL(_path()))
    except (OSError, AttributeError):  # a driver that is older than these functions
        return np.zeros(0, wire.DEVICE)


def _path() -> str:
    with open("/proc/self/maps") as maps:
        for line in maps:
            found = re.search(r"\s(/\S*libcuda\.so[^\s/]*)$", line)
            if found:
                return found[1]
    raise OSError("libcuda is not loaded")


def _asked(driver: Any) -> Any:
    n = ctypes.c_int()
    if driver.cuDeviceGetCount(ctypes.byref(n)):  # it has not been initialised yet
        return np.zeros(0, wire.DEVICE)
    rows = np.zeros(max(0, min(n.value, wire.MAX_DEVICES)), wire.DEVICE)
    uuid_of = getattr(driver, "cuDeviceGetUuid_v2", None) or driver.cuDeviceGetUuid
    for i, row in enumerate(rows):
        row["number"] = i
        for name, attribute in _ATTRIBUTES.items():
            row[name] = _attribute(driver, attribute, i)
        row["warps"] = _attribute(driver, _THREADS, i) // _WARP
        row["bandwidth"] = 2 * _attribute(driver, _CLOCK_KHZ, i) * _attribute(driver, _BUS_BITS, i) // 8
        raw = ctypes.create_string_buffer(16)
        if not uuid_of(raw, i):  # of a part of a divided GPU its own
            row["uuid"] = np.frombuffer(raw.raw, "V16")[0]
    return rows


def _attribute(driver: Any, attribute: int, device: int) -> int:
    """0 if it is not known."""
    value = ctypes.c_int()
    return 0 if driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device) else max(0, value.value)
