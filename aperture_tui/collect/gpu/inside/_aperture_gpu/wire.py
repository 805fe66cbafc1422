"""What goes over the socket, for both its ends. All is little-endian; every field lies on its natural boundary.

Who asks sends one REQUEST. Who answers sends frames: FRAME, then so many bytes. A reader leaves out frames of types
that it does not know; MAGIC changes when what is known changes its meaning.
"""

from __future__ import annotations

import struct
from typing import Final

FAMILY: Final = b"APGPU\x00"
MAGIC: Final = FAMILY + b"\x003"
"""Who is asked in another version's words says so: FRAME and STATUS stay as they are."""
REQUEST: Final = struct.Struct("<8sII")
"""MAGIC, Wish bits, what recording may cost in parts per million of the CPU time that the program uses."""
FRAME: Final = struct.Struct("<HHI")
"""Type; how many each of its records stands for, itself among them, 0 or 1 for itself alone, and PAUSES; length."""
PAUSES: Final = 1 << 15
"""Nothing was recorded for a while after these records."""
MOST_EACH: Final = PAUSES - 1
MAX_FRAME: Final = 1 << 20
MAX_TEXT: Final = 1 << 14
MAX_DEVICES: Final = 64
"""Of a process."""

WISH_CALLS: Final = 1
"""Calls of the runtime too: which thread had what done."""

HELLO, STRING, DEVICES, KERNELS, COPIES, CALLS, SYNCS, UNRECORDED, STATUS = range(1, 10)
"""Types of frames. HELLO and STATUS are JSON; STRING is a u64 and a text; of all others arrays of what follows."""

_U8, _U4 = "<u8", "<u4"

KERNEL: Final = [
    *((name, _U8) for name in ("start_ns", "end_ns", "name", "graph_node")),
    *((name, _U4) for name in ("correlation", "device", "context", "stream", "graph")),
    *((name, _U4) for name in ("grid_x", "grid_y", "grid_z", "block_x", "block_y", "block_z")),
    *((name, _U4) for name in ("registers", "static_shared", "dynamic_shared")),
]
"""One kernel. name: of a STRING. graph, graph_node: of a launched CUDA graph, 0 for none."""
COPY: Final = [
    *((name, _U8) for name in ("start_ns", "end_ns", "bytes", "graph_node")),
    *((name, _U4) for name in ("correlation", "device", "context", "stream", "graph")),
    *((name, "u1") for name in ("direction", "source", "target", "flags")),
]
"""One copy or memset. direction: CUPTI's, or MEMSET; source, target: kinds of memory; flags: 1 if asynchronous."""
CALL: Final = [
    *((name, _U8) for name in ("start_ns", "end_ns", "name")),
    *((name, _U4) for name in ("correlation", "tid", "returned", "domain")),
]
"""One call of the runtime (domain 0) or the driver (1), on the CPU."""
SYNC: Final = [
    *((name, _U8) for name in ("start_ns", "end_ns")),
    *((name, _U4) for name in ("correlation", "context", "stream", "kind")),
]
"""One wait for a GPU: 1 for an event, 2 of a stream for one, 3 for a stream, 4 for everything."""
DEVICE: Final = [
    ("uuid", "V16"),
    ("bandwidth", _U8),
    *((name, _U4) for name in ("number", "major", "minor", "multiprocessors", "warps", "blocks", "registers")),
    *((name, _U4) for name in ("registers_block", "shared", "shared_block", "threads_block", "mig")),
]
"""One GPU, by the number that the process knows it by. bandwidth: of its memory, kB/s. What is 0 is unknown."""

SPAN: Final = [("start_ns", _U8), ("end_ns", _U8)]
"""A stretch of time in which nothing was recorded of what the process had its GPUs do."""

MEMSET: Final = 64
LAYOUTS: Final = {DEVICES: DEVICE, KERNELS: KERNEL, COPIES: COPY, CALLS: CALL, SYNCS: SYNC, UNRECORDED: SPAN}
