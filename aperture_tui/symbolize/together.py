"""Many address spaces at once: processes that run one program differ in the addresses of its files, in nothing else.

What was found out of a version of a file holds for every process that has it mapped, wherever that is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.symbolize.address_space import AddressSpace, Mapping
from aperture_tui.symbolize.images import ImageKey
from aperture_tui.symbolize.runtimes import runtime_of_file

_BITS: Final = np.uint64(48)
_TOP: Final = np.uint64(1 << 48)
"""User addresses are below, but for the vsyscall page."""
_NONE: Final = np.zeros(0, np.uint64), np.zeros(0, np.uint32)
_TRIED: Final = 3
"""Processes through which a file is sought."""


@dataclass(frozen=True, slots=True)
class Shared:
    """The addresses that lie in one file, whoever has it mapped.

    rows: (n,) which addresses they are. offsets: (n,) uint64, in the file. ended_ns: (n,) int64, when the process of
    each had ended: see AddressSpace. seen: where it is mapped, the likeliest to lead to the file first: what lives has
    it for sure; of those that have ended, the one that is last.
    """

    rows: NDArray[np.intp]
    offsets: NDArray[np.uint64]
    ended_ns: NDArray[np.int64]
    seen: list[tuple[AddressSpace, Mapping]]


def located(spaces: Sequence[AddressSpace], owner: NDArray[np.intp], addresses: NDArray[np.uint64]) -> NDArray[np.intp]:
    """The index of each address in the mappings of its space, -1 where nothing is mapped: (n,).

    owner: (n,), the place of each address's space in `spaces`, of which there are at most 65,536. One search for all:
    the number of the space is put above the 48 bits that addresses have.
    """
    bounds = [space.bounds() for space in spaces]
    counts = np.array([len(starts) for starts, _lasts in bounds], np.intp)
    if not counts.sum():
        return np.full(len(addresses), -1, np.intp)
    of = np.repeat(np.arange(len(spaces)), counts)
    starts = np.minimum(np.concatenate([starts for starts, _lasts in bounds]), _TOP - np.uint64(1))
    lasts = np.concatenate([lasts for _starts, lasts in bounds])
    keys = np.minimum(addresses, _TOP - np.uint64(1)) | owner.astype(np.uint64) << _BITS
    row = np.searchsorted(starts | of.astype(np.uint64) << _BITS, keys, "right") - 1
    hit = (row >= 0) & (of[row] == owner) & (addresses <= lasts[row]) & (addresses < _TOP)
    first = np.cumsum(counts) - counts
    return np.where(hit, row - first[owner], -1)


def by_file(
    spaces: Sequence[AddressSpace],
    owner: NDArray[np.intp],
    at: NDArray[np.intp],
    lookup: NDArray[np.uint64],
) -> Iterator[Shared]:
    """The addresses in files whose frames are alike in all processes. at: see `located`; spaces: the oldest first.

    A file is (device, inode, path), as the mappings say: while it is mapped nothing else can be called so. What is so
    called by a process that has ended may be another, if it has changed since.
    """
    hit = np.flatnonzero(at >= 0)
    pairs, which = np.unique(owner[hit].astype(np.int64) << 32 | at[hit], return_inverse=True)
    seen = [(spaces[pair >> 32], spaces[pair >> 32].mapping_at(pair & 0xFFFFFFFF)) for pair in pairs.tolist()]
    files: dict[tuple[int, int, str], list[int]] = {}
    for i, (_space, mapping) in enumerate(seen):
        if _is_alike(mapping.path):
            files.setdefault((mapping.device, mapping.inode, mapping.path), []).append(i)
    file_of = np.full(len(seen), -1, np.intp)
    for number, places in enumerate(files.values()):
        file_of[places] = number
    shifts = np.array([(mapping.offset - mapping.start) % 2**64 for _space, mapping in seen], np.uint64)
    ended_ns = np.array([space.ended_ns for space, _mapping in seen], np.int64)
    order = np.argsort(file_of[which], kind="stable")
    edges = np.searchsorted(file_of[which][order], np.arange(len(files) + 1))
    for places, (start, end) in zip(files.values(), pairwise(edges.tolist()), strict=True):
        part = order[start:end]
        likeliest = sorted(places, key=lambda i: (seen[i][0].ended, -i))[:_TRIED]
        offsets = lookup[hit[part]] + shifts[which[part]]
        yield Shared(hit[part], offsets, ended_ns[which[part]], [seen[i] for i in likeliest])


@functools.lru_cache(4096)
def _is_alike(path: str) -> bool:
    """Whether a file's frames depend on nothing of the process. Of what interprets, each process is told of."""
    mapping = Mapping(0, 1, path=path)
    runtime = runtime_of_file(mapping.module)
    return mapping.has_file and (runtime is None or not runtime.interprets)


class SharedAnswers:
    """Frames that were found before: by version of a file, what it is called, and the place in it. For one thread.

    In two columns for each file, by place: in dicts each took 160 bytes, and a busy machine has 50,000 in minutes.
    """

    def __init__(self) -> None:
        self._answers: dict[tuple[ImageKey, str], tuple[NDArray[np.uint64], NDArray[np.uint32]]] = {}

    def clear(self) -> None:
        """Forget all."""
        self._answers.clear()

    def forget(self, key: ImageKey) -> set[str]:
        """Forget what was found in one file; -> what it is called."""
        files = [file for file in self._answers if file[0] == key]
        for file in files:
            del self._answers[file]
        return {module for _key, module in files}

    def through(
        self,
        key: ImageKey,
        module: str,
        offsets: NDArray[np.uint64],
        is_return: NDArray[np.bool_],
        miss: Callable[[NDArray[np.uint64], NDArray[np.bool_]], list[int]],
    ) -> tuple[NDArray[np.uint32], int]:
        """The frames at these offsets, those that are not known yet by `miss`; -> and how many these were."""
        known, frames = self._answers.get((key, module), _NONE)
        asked: NDArray[np.uint64] = offsets << np.uint64(1) | is_return
        places, which = np.unique(asked, return_inverse=True)
        at = np.searchsorted(known, places)
        new = np.flatnonzero(~np.isin(places, known, assume_unique=True))
        if len(new):
            found = miss(places[new] >> np.uint64(1), (places[new] & np.uint64(1)).astype(bool))
            known = np.insert(known, at[new], places[new])
            frames = np.insert(frames, at[new], np.array(found, np.uint32))
            self._answers[key, module] = known, frames
            at = np.searchsorted(known, places)
        return frames[at][which], len(new)
