"""How many blocks of a kernel can be resident on a multiprocessor at once, and what there is too little of. Pure.

The rules are those of CUDA's cuda_occupancy.h (CUDA 13.0) for compute capability 7.0 and later; a table of its results
is in tests/profile. Shared memory is taken to be divided in favour of the kernel, as it is unless a program says
otherwise.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

WARP: Final = 32
_UNIT_REGISTERS: Final = 256
_PARTS: Final = 4
"""A multiprocessor's registers are divided into so many parts, and a warp has its own in one of them."""
_MAX_REGISTERS: Final = 256
_PLENTY: Final = 1 << 30


class Factor(enum.IntFlag):
    """What there is too little of for one more block; of several all."""

    NONE = 0
    WARPS = 1
    REGISTERS = 2
    SHARED_MEMORY = 4
    BLOCKS = 8


@dataclass(frozen=True, slots=True)
class Multiprocessor:
    """What one has. shared_bytes: in all; shared_block_bytes: that a block may ask for, at most; shared_reserved_bytes:
    that the driver takes for each block; shared_unit_bytes: what it is given out by.
    """

    warps: int
    blocks: int
    registers: int = 65_536
    registers_block: int = 65_536
    threads_block: int = 1024
    shared_bytes: int = 0
    shared_block_bytes: int = 0
    shared_reserved_bytes: int = 1024
    shared_unit_bytes: int = 128


def _made(warps: int, blocks: int, shared_kb: int, block_kb: int) -> Multiprocessor:
    return Multiprocessor(warps, blocks, shared_bytes=shared_kb << 10, shared_block_bytes=block_kb << 10)


def _before_ampere(warps: int, blocks: int, shared_kb: int) -> Multiprocessor:
    shared = shared_kb << 10
    return Multiprocessor(warps, blocks, 65_536, 65_536, 1024, shared, shared, 0, 256)


MULTIPROCESSORS: Final = {
    (7, 0): _before_ampere(64, 32, 96),
    (7, 5): _before_ampere(32, 16, 64),
    (8, 0): _made(64, 32, 164, 163),
    (8, 6): _made(48, 16, 100, 99),
    (8, 7): _made(48, 16, 164, 163),
    (8, 9): _made(48, 24, 100, 99),
    (9, 0): _made(64, 32, 228, 227),
    (10, 0): _made(64, 32, 228, 227),
    (12, 0): _made(48, 24, 100, 99),
}
"""By compute capability (CUDA C++ Programming Guide, technical specifications per compute capability)."""


class Occupancy(NamedTuple):
    """Of n launches. blocks: (n,) that are resident at once, 0 if none fits. share: (n,) of the warps that there
    is room for, 0 to 1. limited_by: (n,) of Factor.
    """

    blocks: NDArray[np.int64]
    share: NDArray[np.float64]
    limited_by: NDArray[np.uint8]


def occupancy(
    of: Multiprocessor, threads: NDArray[np.integer], registers: NDArray[np.integer], shared_bytes: NDArray[np.integer]
) -> Occupancy:
    """threads: (n,) of a block, at least 1; registers: (n,) of a thread; shared_bytes: (n,) of a block, in all."""
    n_warps = np.maximum(1, -(-threads.astype(np.int64) // WARP))
    limits = np.stack(
        [
            np.where(threads > of.threads_block, 0, of.warps // n_warps),
            _by_registers(of, n_warps, registers.astype(np.int64)),
            _by_shared_memory(of, shared_bytes.astype(np.int64)),
            np.full(len(n_warps), of.blocks, np.int64),
        ]
    )
    blocks = limits.min(axis=0)
    bits = np.array([Factor.WARPS, Factor.REGISTERS, Factor.SHARED_MEMORY, Factor.BLOCKS], np.uint8)
    limited_by = np.bitwise_or.reduce(np.where(limits == blocks, bits[:, None], np.uint8(0)), axis=0)
    return Occupancy(blocks, blocks * n_warps / of.warps, limited_by)


def _by_registers(of: Multiprocessor, n_warps: NDArray[np.int64], registers: NDArray[np.int64]) -> NDArray[np.int64]:
    of_warp = _up(registers * WARP, _UNIT_REGISTERS)
    fits = (of_warp * _up(n_warps, _PARTS) <= of.registers_block) & (registers <= _MAX_REGISTERS)
    n = of.registers // _PARTS // np.maximum(of_warp, 1) * _PARTS // n_warps
    return np.where(of_warp == 0, _PLENTY, np.where(fits, n, 0))


def _by_shared_memory(of: Multiprocessor, shared_bytes: NDArray[np.int64]) -> NDArray[np.int64]:
    of_block = _up(shared_bytes + of.shared_reserved_bytes, of.shared_unit_bytes)
    fits = of_block <= of.shared_block_bytes + of.shared_reserved_bytes
    n = of.shared_bytes // np.maximum(of_block, 1)
    return np.where(of_block == 0, _PLENTY, np.where(fits, n, 0))


def _up(values: NDArray[np.int64], unit: int) -> NDArray[np.int64]:
    return -(-values // unit) * unit
