"""Programs at functions of files, for every process that runs them: those that run already, and those to come.

A probe belongs to the file's inode, whoever has it mapped. Formats: include/uapi/linux/bpf.h and perf_event.h.
"""

from __future__ import annotations

import ctypes
import os
import struct
from functools import cache
from pathlib import Path
from typing import Final

from aperture_tui.collect import bpf

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


def attach(path: str, offset: int, program: int, cookie: int) -> int:
    """Have a program run when the code at this offset of a file is reached -> descriptor that holds it there.

    cookie: what the program is told. Raises OSError: EINVAL before Linux 5.15, which has no cookies.
    """
    name = ctypes.create_string_buffer(os.fsencode(path))
    attr = struct.pack("=IIQQQQQIIQQ", _pmu(), 128, 0, 0, 0, 0, 0, 0, 0, ctypes.addressof(name), offset)
    event = bpf.open_perf_event(attr.ljust(128, b"\0"), 0)
    try:
        return bpf.call(_LINK_CREATE, bpf.attribute("=IIIIQ", program, event, _PERF_EVENT, 0, cookie))
    finally:
        os.close(event)  # the link holds it
