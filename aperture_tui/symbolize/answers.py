"""Answers that were given before: address -> frame, until something changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame

_FEW_RANGES: Final = 16  # more changes than these are not worth looking for one by one

Found = tuple[list[int], NDArray[np.bool_] | bool]
"""Frame ids, and which of them may be remembered."""


@dataclass(slots=True)
class Answers:
    """The frames of one address space. leaf, back: address -> frame id, for leaves and for return addresses."""

    leaf: dict[int, int] = field(default_factory=dict)
    back: dict[int, int] = field(default_factory=dict)

    def clear(self) -> None:
        """Forget all."""
        self.leaf.clear()
        self.back.clear()

    def forget(self, ranges: Sequence[tuple[int, int]] | None) -> bool:
        """Forget the addresses in these ranges, or all of them: then True."""
        if ranges is None or len(ranges) > _FEW_RANGES:
            self.clear()
            return True
        for start, end in ranges:
            for cache in (self.leaf, self.back):
                for address in [a for a in cache if start <= a < end]:
                    del cache[address]
        return False

    def drop(self, ranges: Sequence[tuple[int, int]]) -> int:
        """Forget the addresses in these ranges [start, end), which do not overlap; -> how many these were."""
        bounds = np.array(sorted(ranges), np.uint64).reshape(-1, 2)
        dropped = 0
        for cache in (self.leaf, self.back):
            known = np.fromiter(cache, np.uint64, len(cache))
            at = np.searchsorted(bounds[:, 0], known, "right") - 1
            inside = (at >= 0) & (known < bounds[at, 1]) if len(bounds) else np.zeros(len(known), bool)
            for address in known[inside].tolist():
                del cache[address]
            dropped += int(np.count_nonzero(inside))
        return dropped

    def through(
        self,
        addresses: NDArray[np.uint64],
        is_return: NDArray[np.bool_],
        miss: Callable[[NDArray[np.uint64], NDArray[np.bool_]], Found],
    ) -> tuple[NDArray[np.uint32], int]:
        """The remembered frames, and the others by `miss`, which are then remembered; -> and how many these were."""
        pairs = list(zip(addresses.tolist(), is_return.tolist(), strict=True))
        leaf, back = self.leaf, self.back
        out = [back.get(address, -1) if called else leaf.get(address, -1) for address, called in pairs]
        if -1 not in out:
            return np.array(out, np.uint32), 0
        new = list(dict.fromkeys(pair for pair, frame in zip(pairs, out, strict=True) if frame < 0))
        missing = np.array([address for address, _ in new], np.uint64)
        frames, settled = miss(missing, np.array([called for _, called in new], bool))
        found = dict(zip(new, frames, strict=True))
        for (address, called), frame, keep in zip(new, frames, np.broadcast_to(settled, len(new)), strict=True):
            if keep:
                (back if called else leaf)[address] = frame
        return np.array([found[p] if f < 0 else f for p, f in zip(pairs, out, strict=True)], np.uint32), len(new)


def offset_frame(label: str, module: str, offset: int, kind: FrameKind) -> Frame:
    """What stands for an address that no symbol covers; for ELF files the offset is what addr2line takes.

    Of a stripped ELF file it is where the function begins, so that a function is one frame, though it has no name.
    """
    return Frame(f"[{label}+{offset:#x}]", module, kind=kind)
