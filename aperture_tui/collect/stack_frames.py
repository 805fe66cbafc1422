"""What the kernel sends of stacks, in frames: native (and inlined) ones, Python's among them, the kernel's.

All new stacks of many processes at a time: nothing here is done address by address, and little process by process.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.collect.python_frames import MARK, PythonFrames
from aperture_tui.symbolize.runtime_frames import are_objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aperture_tui.collect.processes import Image
    from aperture_tui.profile.symbols import Symbols
    from aperture_tui.symbolize.address_space import AddressSpace
    from aperture_tui.symbolize.resolver import Resolver

_TOP, _EXACT = np.uint64(62), np.uint64(2)
"""The two highest bits of a user address that was interrupted, and is no return address (the vsyscall page has 3)."""
_ROOM: Final = np.zeros(1, np.uint32)
_OURS: Final = ("bpf_prog_", "bpf_trace_run", "__bpf_trace_", "__traceiter_", "bpf_get_stack", "perf_trace_run_bpf")
_UNNAMED: Final = "[kernel+"
"""What the names begin with that `KernelFrames` makes up."""


class Raw(NamedTuple):
    """A stack as the kernel sent it, each part leaf first: (n,) uint64.

    python: two words a frame; user: addresses, with bit 63 where they are no return addresses, and what runtimes have
    in place of some (`runtime_frames.OBJECT`). whole: the user stack
    reaches its outermost function.
    """

    kernel: NDArray[np.uint64]
    python: NDArray[np.uint64]
    user: NDArray[np.uint64]
    whole: bool


class StackFrames:
    """Owned by the collecting thread."""

    def __init__(self, resolver: Resolver) -> None:
        self.python = PythonFrames()
        self._resolver = resolver

    def paths(self, images: Sequence[Image], stacks: list[Raw], symbols: Symbols) -> list[NDArray[np.uint32]]:
        """The frames of each stack, root first, behind a place that is free for the process's own.

        images: whose each of them is; the stacks of one follow each other.
        """
        outer = self._user(images, stacks, symbols)
        words, returns, bounds = _joined([raw.kernel for raw in stacks])
        inner = self._resolver.kernel_frames(words, returns)
        if not len(inner):
            return [np.concatenate((_ROOM, path)) for path in outer]
        ours, unnamed = _told_apart(inner, symbols)
        paths = []
        for path, (start, end) in zip(outer, pairwise(bounds.tolist()), strict=True):
            theirs = _behind_ours(ours[start:end], unnamed[start:end])
            paths.append(np.concatenate((_ROOM, path, inner[start + theirs : end][::-1])))
        return paths

    def _user(self, images: Sequence[Image], stacks: list[Raw], symbols: Symbols) -> list[NDArray[np.uint32]]:
        words, returns, bounds = _joined([raw.user for raw in stacks])
        called = words >> _TOP != _EXACT
        words = np.where(called, words, words & ~(_EXACT << _TOP))
        returns &= called & ~are_objects(words)
        spaces, of_stack = _spaces(images)
        owner = np.repeat(of_stack, np.diff(bounds))
        frames, counts = self._resolver.expanded_frames(spaces, owner, words, returns)
        edges = np.append(0, np.cumsum(counts))[bounds]
        paths = [frames[start:end][::-1] for start, end in pairwise(edges.tolist())]
        begins = [0, *(i for i in range(1, len(images)) if images[i] is not images[i - 1]), len(images)]
        for first, last in pairwise(begins):
            mine = stacks[first:last]
            if any(len(raw.python) for raw in mine):
                at, inner = slice(bounds[first], bounds[last]), slice(edges[first], edges[last])
                ends = np.cumsum(counts[at])
                merged = self.python.merged(
                    images[first],
                    mine,
                    frames[inner][ends - 1],
                    (words - returns)[at],
                    bounds[first : last + 1] - bounds[first],
                    symbols,
                )
                if merged is not None:
                    paths[first:last] = expanded(merged, frames[inner], counts[at])
        return paths


def _told_apart(frames: NDArray[np.uint32], symbols: Symbols) -> tuple[list[bool], list[bool]]:
    """Of each frame of the kernel: whether a tracepoint comes to our program through it; whether it has no name."""
    known, which = np.unique(frames, return_inverse=True)
    functions = [symbols.frame_at(frame).function for frame in known.tolist()]
    ours = np.array([function.startswith(_OURS) for function in functions], bool)
    unnamed = np.array([function.startswith(_UNNAMED) for function in functions], bool)
    return ours[which].tolist(), unnamed[which].tolist()


def _behind_ours(ours: Sequence[bool], unnamed: Sequence[bool]) -> int:
    """How many frames of a stack, leaf first, lead from what a tracepoint is in to our program.

    A program that was loaded after the kernel's symbols were read has no name: it is what a tracepoint called.
    """
    length = 0
    for i, (is_ours, has_no_name) in enumerate(zip(ours, unnamed, strict=True)):
        if is_ours:
            length = i + 1
        elif not has_no_name:
            break
    return length


def _spaces(images: Sequence[Image]) -> tuple[list[AddressSpace], NDArray[np.intp]]:
    """The distinct address spaces of these processes, the oldest first, and which of them is each one's: (n,)."""
    distinct = sorted({id(image): image for image in images}.values(), key=lambda image: image.since_ns)
    places: dict[int, int] = {}
    spaces: list[AddressSpace] = []
    for image in distinct:
        space = image.space
        if id(space) not in places:
            places[id(space)] = len(spaces)
            spaces.append(space)
    return spaces, np.array([places[id(image.space)] for image in images], np.intp)


def expanded(
    paths: list[NDArray[np.uint32]], frames: NDArray[np.uint32], counts: NDArray[np.intp]
) -> list[NDArray[np.uint32]]:
    """Paths, root first, with the frames of addresses in place of their marks.

    frames: (m,) ids, of each address the innermost first; counts: (n,), how many each address has.
    """
    joined = np.concatenate(paths)
    marked = (joined & MARK) != 0
    address = np.where(marked, joined & ~MARK, 0)
    lengths = np.where(marked, counts[address], 1) if len(counts) else np.ones(len(joined), np.intp)
    begins = np.cumsum(lengths) - lengths
    row = np.repeat(np.arange(len(joined)), lengths)
    out = joined[row]
    inside = marked[row]
    last = np.cumsum(counts) - 1
    # the last frame of an address is the function itself: root first, it comes first
    out[inside] = frames[last[address[row[inside]]] - (np.arange(len(row)) - begins[row])[inside]]
    bounds = np.append(begins, len(row))[np.cumsum([0, *map(len, paths)])]
    return [out[start:end] for start, end in pairwise(bounds.tolist())]


def _joined(stacks: Sequence[NDArray[np.uint64]]) -> tuple[NDArray[np.uint64], NDArray[np.bool_], NDArray[np.intp]]:
    """All words one after the other, which of them are return addresses (all but each stack's first), and the bounds
    of the stacks."""
    bounds = np.cumsum([0, *map(len, stacks)])
    returns = np.ones(bounds[-1], bool)
    returns[bounds[:-1][bounds[:-1] < bounds[1:]]] = False
    return np.concatenate(stacks), returns, bounds
