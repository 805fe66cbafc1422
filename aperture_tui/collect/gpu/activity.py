"""An agent's records as events: kernels, copies and calls with all that is known of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.collect.gpu.inside._aperture_gpu import wire
from aperture_tui.collect.gpu.leaves import with_leaves
from aperture_tui.profile.event import EVENT
from aperture_tui.profile.gpu_launch import Launch, Shape, shape_frame
from aperture_tui.profile.kinds import FrameKind, Kind
from aperture_tui.profile.occupancy import MULTIPROCESSORS, Factor, Multiprocessor, occupancy
from aperture_tui.profile.symbols import Frame
from aperture_tui.symbolize.demangle import demangle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from aperture_tui.profile.symbols import Symbols

DIRECTIONS: Final = {
    1: "host to device",
    2: "device to host",
    3: "host to array",
    4: "array to host",
    5: "array to array",
    6: "array to device",
    7: "device to array",
    8: "device to device",
    9: "host to host",
    10: "peer to peer",
    wire.MEMSET: "memset",
}
"""CUpti_ActivityMemcpyKind."""
_MEMORY: Final = {1: "pageable", 2: "pinned", 5: "managed"}
"""CUpti_ActivityMemoryKind, where it matters to a copy."""
_WAITS: Final = {1: "for an event", 2: "of a stream for an event", 3: "for a stream", 4: "for the device"}
_UNKNOWN: Final = "[unknown]"


def multiprocessor(device: np.void) -> Multiprocessor | None:
    """Of a row of wire.DEVICE; None if nothing is known of GPUs of its capability."""
    known = MULTIPROCESSORS.get((int(device["major"]), int(device["minor"])))
    if known is None:
        return None
    told = {"warps": "warps", "blocks": "blocks", "registers": "registers", "registers_block": "registers_block"}
    told |= {"threads_block": "threads_block", "shared_bytes": "shared", "shared_block_bytes": "shared_block"}
    return replace(known, **{ours: int(device[its]) for ours, its in told.items() if device[its]})


def launch_values(rows: NDArray[np.void], device_of: Mapping[int, Multiprocessor]) -> NDArray[np.uint64]:
    """(n,): profile.gpu_launch.Launch of kernels. rows: with their block, registers, shared memory and device."""
    threads = np.prod([rows[side].astype(np.float64) for side in ("block_x", "block_y", "block_z")], axis=0)
    shared = rows["static_shared"].astype(np.uint64) + rows["dynamic_shared"]
    columns = (np.minimum(threads, 1 << 31).astype(np.uint64), rows["registers"], shared, rows["device"])
    keys = np.column_stack([column.astype(np.uint64) for column in columns])
    found, which = np.unique(keys, axis=0, return_inverse=True)
    launches = [Launch(*key) for key in found[:, :3].tolist()]
    for device, of in device_of.items():
        mine = np.flatnonzero((found[:, 3] == device) & (found[:, 0] > 0))
        known = occupancy(of, *found[mine, :3].astype(np.int64).T)
        for i, blocks, limited in zip(mine.tolist(), known.blocks.tolist(), known.limited_by.tolist(), strict=True):
            launches[i] = replace(launches[i], blocks=blocks, limited_by=Factor(limited), warps=of.warps)
    return np.array([one.packed() for one in launches], np.uint64)[which.reshape(-1)]


class Names:
    """What an agent's numbers are called in Symbols; of one generation. Owned by the collecting thread."""

    def __init__(self, symbols: Symbols, texts: Mapping[int, str]) -> None:
        self.symbols = symbols
        self._texts = texts
        self._kernels: dict[int, tuple[int, int]] = {}
        self.unknown = 0
        """Records whose name has not come."""

    def strings(self, numbers: NDArray[np.uint64]) -> NDArray[np.uint32]:
        """(n,): of the names of kernels or calls."""
        return self._each(numbers, 0)

    def frames(self, numbers: NDArray[np.uint64]) -> NDArray[np.uint32]:
        """(n,): of kernels."""
        return self._each(numbers, 1)

    def call_frames(self, numbers: NDArray[np.uint64]) -> NDArray[np.uint32]:
        """(n,): of calls; 0 where no name is known."""
        found, which = np.unique(numbers, return_inverse=True)
        frames = [self.symbols.frame(Frame(text)) if (text := self._texts.get(one)) else 0 for one in found.tolist()]
        return np.array(frames, np.uint32)[which]

    def _each(self, numbers: NDArray[np.uint64], part: int) -> NDArray[np.uint32]:
        found, which, n = np.unique(numbers, return_inverse=True, return_counts=True)
        for number, times in zip(found.tolist(), n.tolist(), strict=True):
            if part == 0 and number not in self._texts:
                self.unknown += times
        return np.array([self._known(number)[part] for number in found.tolist()], np.uint32)[which]

    def _known(self, number: int) -> tuple[int, int]:
        known = self._kernels.get(number)
        if known is None:
            raw = self._texts.get(number)
            text = _UNKNOWN if raw is None else demangle(raw.encode("utf-8", "surrogateescape"))
            name = self.symbols.string(text)
            known = name, self.symbols.frame(Frame(self.symbols.strings[name], kind=FrameKind.GPU))
            if raw is not None:
                self._kernels[number] = known
        return known


def kernels(rows: NDArray[np.void], names: Names, device_of: Mapping[int, Multiprocessor]) -> NDArray[np.void]:
    """(n,) of EVENT without who, where and on which stream. rows: (n,) of frames.ROWS of kernels, at our clock."""
    events = _timed(rows, Kind.GPU_KERNEL)
    events["name"] = names.strings(rows["name"])
    events["value"] = launch_values(rows, device_of)
    return events


def copies(rows: NDArray[np.void], symbols: Symbols) -> NDArray[np.void]:
    """The same of copies."""
    events = _timed(rows, Kind.GPU_COPY)
    words = [symbols.string(direction(*pair)) for pair in _pairs(rows).tolist()]
    events["name"] = np.array(words, np.uint32) if words else 0
    events["value"] = rows["bytes"]
    return events


def _pairs(rows: NDArray[np.void]) -> NDArray[np.uint8]:
    """(n, 2): direction, and the kind of the host's memory."""
    host = np.where(rows["direction"] == 1, rows["source"], np.where(rows["direction"] == 2, rows["target"], 0))
    return np.column_stack((rows["direction"], host.astype(np.uint8)))


def direction(kind: int, memory: int) -> str:
    """A copy's, in words: "host to device, pageable"."""
    words = DIRECTIONS.get(kind, "copy")
    return f"{words}, {_MEMORY[memory]}" if memory in _MEMORY else words


def calls(rows: NDArray[np.void], names: Names) -> NDArray[np.void]:
    """The same of calls."""
    events = _timed(rows, Kind.GPU_CALL)
    events["name"] = names.strings(rows["name"])
    events["tid"] = rows["tid"]
    return events


def waits(rows: NDArray[np.void], symbols: Symbols) -> NDArray[np.void]:
    """The same of waits."""
    events = _timed(rows, Kind.GPU_CALL)
    words = [symbols.string(f"wait {_WAITS.get(kind, '')}".strip()) for kind in rows["kind"].tolist()]
    events["name"] = np.array(words, np.uint32) if words else 0
    return events


def _timed(rows: NDArray[np.void], kind: Kind) -> NDArray[np.void]:
    events = np.zeros(len(rows), EVENT)
    events["time_ns"] = rows["start_ns"]
    events["maximum_ns"] = rows["end_ns"] - rows["start_ns"]
    events["duration_ns"] = events["maximum_ns"] * rows["each"]
    events["weight"], events["kind"] = rows["each"], kind
    return events


KERNEL_LIKENESS: Final = ("name", "stream", "grid_x", "grid_y", "grid_z", "block_x", "block_y", "block_z")
COPY_LIKENESS: Final = ("direction", "source", "target", "stream", "bytes")
"""What launches by one thread have in common that most likely come from one place."""


def below(
    stacks: NDArray[np.uint32],
    rows: NDArray[np.void],
    calls: NDArray[np.uint64],
    events: NDArray[np.void],
    names: Names,
) -> NDArray[np.uint32]:
    """(n,): the stacks with what the GPU did below them: the call, where it is known; a kernel and its shape; a copy.

    calls: (n,), the numbers of their names, 0 for none.
    """
    symbols, columns = names.symbols, [names.call_frames(calls)]
    if "name" not in (rows.dtype.names or ()):
        found, which = np.unique(events["name"], return_inverse=True)
        words = [symbols.frame(Frame(symbols.strings[i], kind=FrameKind.GPU)) for i in found.tolist()]
        columns.append(np.array(words, np.uint32)[which])
    else:
        columns.append(names.frames(rows["name"]))
    if "grid_x" in (rows.dtype.names or ()):
        columns.append(shape_frames(rows, symbols))
    return with_leaves(stacks, np.column_stack(columns), symbols)


def shape_frames(rows: NDArray[np.void], symbols: Symbols) -> NDArray[np.uint32]:
    """(n,): of each launch's grid and block."""
    sides = ("grid_x", "grid_y", "grid_z", "block_x", "block_y", "block_z")
    found, which = np.unique(np.column_stack([rows[side] for side in sides]), axis=0, return_inverse=True)
    frames = [symbols.frame(shape_frame(Shape((a, b, c), (x, y, z)))) for a, b, c, x, y, z in found.tolist()]
    return np.array(frames, np.uint32)[which.reshape(-1)]


def sane(
    rows: NDArray[np.void], offset_ns: int, now_ns: int, longest_ns: int = 3_600_000_000_000
) -> tuple[NDArray[np.void], int]:
    """Rows at our clock, and how many were left out because their times make no sense.

    offset_ns: what to add. now_ns: Unix.
    """
    out = rows.copy()
    fields = [name for name in ("start_ns", "end_ns") if name in (rows.dtype.names or ())]
    keep = np.ones(len(rows), bool)
    for name in fields:
        times = out[name].astype(np.int64) + offset_ns
        keep &= (times > now_ns - longest_ns) & (times < now_ns + 10_000_000_000) & (out[name] < 1 << 63)
        out[name] = times.astype(np.uint64)
    if len(fields) == 2:
        keep &= out["end_ns"] >= out["start_ns"]
    return out[keep], int(np.count_nonzero(~keep))
