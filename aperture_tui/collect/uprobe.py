"""Programs at functions of files, for every process that runs them: those that run already, and those to come.

A probe belongs to the file's inode, whoever has it mapped. Formats: include/uapi/linux/bpf.h and perf_event.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aperture_tui.collect import bpf

if TYPE_CHECKING:
    from collections.abc import Mapping

_LINK_CREATE: Final = 28
_PERF_EVENT: Final = 41  # BPF_PERF_EVENT, an attach type
_TYPE: Final = Path("/sys/bus/event_source/devices/uprobe/type")


@cache
def _pmu() -> int:
    """The number by which perf knows probes in programs. Raises OSError where this kernel has none."""
    return int(_TYPE.read_text())


def is_possible() -> bool:
    """Whether this kernel has probes in programs."""
    return _TYPE.exists()


def attach(path: str, cookies: Mapping[int, int], program: int) -> tuple[list[int], list[OSError]]:
    """Have a program run when the code at these offsets of a file is reached -> descriptors that hold it there, and why
    it is not at some of them.

    cookies: offset -> what the program is told. From Linux 6.6 on one descriptor holds all: since 6.12 the kernel waits
    for a tenth of a second to let go of each (measured: 36 took 4.6 s, and 0.03 s by one descriptor, 6.18).
    Raises OSError: EINVAL before Linux 5.15, which has no cookies.
    """
    try:
        return [_all(path, cookies, program)], []
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            raise
    held, failed = [], []  # an older kernel, or one of the places cannot be probed
    for offset, cookie in cookies.items():
        try:
            held.append(_one(path, offset, program, cookie))
        except OSError as error:
            failed.append(error)
    return held, failed


def _all(path: str, cookies: Mapping[int, int], program: int) -> int:
    """A link of BPF_TRACE_UPROBE_MULTI. Raises OSError."""
    n = len(cookies)
    name = ctypes.create_string_buffer(os.fsencode(path))
    offsets, told = ((ctypes.c_uint64 * n)(*some) for some in (cookies.keys(), cookies.values()))
    where = (ctypes.addressof(name), ctypes.addressof(offsets), 0, ctypes.addressof(told))
    return bpf.call(_LINK_CREATE, bpf.attribute("=IIIIQQQQIII", program, 0, bpf.UPROBE_MULTI, 0, *where, n, 0, 0))


def _one(path: str, offset: int, program: int, cookie: int) -> int:
    name = ctypes.create_string_buffer(os.fsencode(path))
    attr = struct.pack("=IIQQQQQIIQQ", _pmu(), 128, 0, 0, 0, 0, 0, 0, 0, ctypes.addressof(name), offset)
    event = bpf.open_perf_event(attr.ljust(128, b"\0"), 0)
    try:
        return bpf.call(_LINK_CREATE, bpf.attribute("=IIIIQ", program, event, _PERF_EVENT, 0, cookie))
    finally:
        os.close(event)  # the link holds it
