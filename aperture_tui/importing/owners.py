"""Whose the events of a file are, as far as it tells: their process and thread, and with it the first frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import Flag, FrameKind
from aperture_tui.profile.symbols import Frame, Process

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aperture_tui.importing.stacks import Frames, Paths
    from aperture_tui.profile.symbols import Symbols

_HALF: Final = np.uint64(32)
_LOW: Final = np.uint64((1 << 32) - 1)
NOBODY: Final = Process(0)
"""Of what has neither a process nor a stack."""


class Owner(NamedTuple):
    """A thread of a process. tid 0 and an empty name are unknown."""

    process: Process
    tid: int = 0
    thread: str = ""


def numbered(processes: Sequence[Process]) -> list[Process]:
    """Processes without a pid told apart by their names: a number, from 1, stands in place of their start."""
    numbers: dict[str, int] = {}
    return [
        p if p.pid or p == NOBODY else p._replace(start_ns=numbers.setdefault(p.name, len(numbers) + 1))
        for p in processes
    ]


def place(
    events: NDArray[np.void],
    owners: Sequence[Owner],
    whose: NDArray[np.integer],
    frames: Frames,
    paths: Paths,
    path: NDArray[np.integer],
) -> None:
    """Fill in whose the events are, their stacks and flags.

    events: (n,) of EVENT. whose, path: (n,) numbers of an owner and of one of the paths, which begins below its
    process's frame. An empty path of NOBODY is no stack.
    """
    symbols = frames.symbols
    heads = np.array([_head(owner.process, frames) for owner in owners], np.uint32)
    events["pid"] = np.array([owner.process.pid for owner in owners], np.uint32)[whose]
    events["tid"] = np.array([owner.tid for owner in owners], np.uint32)[whose]
    events["process"] = np.array([symbols.process(owner.process) for owner in owners], np.uint32)[whose]
    events["thread"] = np.array([symbols.string(owner.thread) for owner in owners], np.uint32)[whose]
    pairs, of = np.unique(heads[whose].astype(np.uint64) << _HALF | path.astype(np.uint64), return_inverse=True)
    stacks = paths.nodes(symbols, (pairs >> _HALF).astype(np.uint32), (pairs & _LOW).astype(np.int64))
    events["stack"] = stacks[of]
    events["flags"] = _flags(symbols, stacks)[of]


def _head(process: Process, frames: Frames) -> int:
    if process == NOBODY:
        return 0
    return frames.id_of(Frame(process.name, kind=FrameKind.PROCESS if process.name else FrameKind.UNKNOWN))


def _flags(symbols: Symbols, stacks: NDArray[np.int32]) -> NDArray[np.uint16]:
    """(n,): whether the innermost frame of these stacks, (n,), is the kernel's. Nothing else is known of them."""
    in_kernel = symbols.frames["kind"] == FrameKind.KERNEL
    out: NDArray[np.uint16] = in_kernel[symbols.trie.frame[stacks]].astype(np.uint16) * np.uint16(Flag.KERNEL_MODE)
    return out
