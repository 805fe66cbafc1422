"""One stack from a program's outermost function to what the GPU did: the launch's, the call, the kernel."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.collect.gpu.launched import How
from aperture_tui.profile.kinds import Flag, FrameKind
from aperture_tui.profile.symbols import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aperture_tui.collect.naming import Naming
    from aperture_tui.profile.symbols import Symbols
    from aperture_tui.profile.trie import Trie

NOT_KNOWN: Final = Frame("[launch stack not known]", kind=FrameKind.UNKNOWN)
_DRIVERS: Final = ("libcuda.so", "libcudart", "libcupti")
_OF_SAMPLE: Final = ~np.uint16(Flag.KERNEL_MODE | Flag.NO_STACK)


def joined(
    launches: NDArray[np.void], records: NDArray[np.void], naming: Naming, symbols: Symbols
) -> tuple[NDArray[np.void], NDArray[np.uint32]]:
    """Events of who and where as `naming` gives them, (n,) of EVENT, and how each stack is known, (n,) of How.

    launches: (n,) of LAUNCH. records: (n,) of naming.RECORD; their stacks and flags are filled in. A stack ends with
    the function that calls the driver; one that is not known, with NOT_KNOWN.
    """
    records["stack"], records["flags"] = launches["stack"], launches["flags"]
    events = naming.events(records, symbols)
    how = np.where(events["flags"] & np.uint16(Flag.NO_STACK), np.uint32(How.UNKNOWN), launches["how"])
    if (near := how == How.NEAR).any():
        others = records[near]
        others["stack"] = launches["other"][near]
        other = naming.events(others, symbols)
        how[near] = np.where(other["flags"] & np.uint16(Flag.NO_STACK), np.uint32(How.UNKNOWN), how[near])
        events["stack"][near] = in_common(events["stack"][near], other["stack"], symbols)
    stacks = callers(events["stack"], symbols)
    how = np.where(symbols.trie.depth[stacks] > 1, how, np.uint32(How.UNKNOWN)).astype(np.uint32)
    events["flags"] &= _OF_SAMPLE
    events["flags"] |= np.where((how == How.ALIKE) | (how == How.NEAR), np.uint16(Flag.ESTIMATED), np.uint16(0))
    unknown = how == How.UNKNOWN
    events["flags"][unknown] = Flag.NO_STACK
    stacks[unknown] = _not_known(stacks[unknown], symbols)
    events["stack"] = stacks
    return events, how


def callers(stacks: NDArray[np.uint32], symbols: Symbols) -> NDArray[np.uint32]:
    """(n,): the same stacks without the driver's own functions at their end, and the kernel's below them."""
    found, which = np.unique(stacks, return_inverse=True)
    trie, frames = symbols.trie, symbols.frames
    inside = np.ones(len(found), bool)
    while inside.any():
        frame = frames[trie.frame[found]]
        inside = (frame["kind"] == FrameKind.KERNEL) | _is_driver(frame["module"], symbols)
        inside &= trie.depth[found] > 1
        found = np.where(inside, trie.parent[found], found).astype(np.uint32)
    return found[which]


def _is_driver(modules: NDArray[np.uint32], symbols: Symbols) -> NDArray[np.bool_]:
    known, which = np.unique(modules, return_inverse=True)
    names = (symbols.strings[module].rpartition("/")[2] for module in known.tolist())
    return np.array([name.startswith(_DRIVERS) for name in names], bool)[which]


def in_common(ones: NDArray[np.uint32], others: NDArray[np.uint32], symbols: Symbols) -> NDArray[np.uint32]:
    """(n,): the functions that both stacks begin with, to the last that is Python's if there is one.

    Of a native function it is not known whether it called the one that called the driver.
    """
    pairs, which = np.unique(np.column_stack((ones, others)), axis=0, return_inverse=True)
    trie = symbols.trie
    paths = [_in_common(one, other, trie, symbols) for one, other in pairs.tolist()]
    return symbols.stacks(paths).astype(np.uint32)[which.reshape(-1)]


def _in_common(one: int, other: int, trie: Trie, symbols: Symbols) -> list[int]:
    told = zip(*((map(symbols.frame_at, trie.path(node))) for node in (one, other)), strict=False)
    same = list(takewhile(lambda pair: pair[0]._replace(line=0) == pair[1]._replace(line=0), told))
    python = [i for i, (frame, _) in enumerate(same) if frame.kind is FrameKind.PYTHON]
    same = same[: python[-1] + 1] if python else same
    return [symbols.frame(a if a.line == b.line else a._replace(line=0)) for a, b in same]


def _not_known(stacks: NDArray[np.uint32], symbols: Symbols) -> NDArray[np.uint32]:
    """(n,): of each stack its process, and that it is not known."""
    found, which = np.unique(stacks, return_inverse=True)
    trie, frame = symbols.trie, symbols.frame(NOT_KNOWN)
    paths = [[*trie.path(node)[:1], frame] for node in found.tolist()]
    return symbols.stacks(paths).astype(np.uint32)[which]
