"""Threads that do not run, as /proc tells of them: where they sit, and what is on their stacks.

Nothing of a process is stopped or changed. Of its memory only anonymous pages are read, and only such as have been
written: one that a file system or a userfaultfd has to bring may never come, and we would wait for it.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

import numpy as np

_CHUNK_BYTES: Final = 64 << 10
_MOST_BYTES: Final = 1 << 20
"""Of one thread's stack."""
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_ADDRESS_BITS: Final = 56
"""Of user space, with five levels of page tables."""
_PRESENT, _SWAPPED, _OF_FILE = (1 << bit for bit in (63, 62, 61))
"""Documentation/admin-guide/mm/pagemap.rst."""


class Rest(NamedTuple):
    """Where a thread sits. call: the system call's number and arguments, "-1" outside of calls. switches: how often it
    has left a CPU: it has not run in between where this, too, is still the same."""

    call: tuple[bytes, ...]
    sp: int
    pc: int
    switches: tuple[bytes, ...]


def at_rest(pid: int, tid: int, again: bool = False) -> Rest | None:
    """None for a thread that runs, or is of the kernel. again: after its memory was read; then the switches are counted
    last, else first, so that what it does in between is not missed. Raises OSError.
    """
    folder = f"/proc/{pid}/task/{tid}"
    switches = () if again else _switches(folder)
    with open(f"{folder}/syscall", "rb", buffering=0) as file:
        words = file.read().split()
    if again:
        switches = _switches(folder)
    if len(words) not in (3, 9) or words[0] == b"running" or words[-1] == words[-2] == b"0x0":
        return None
    return Rest(tuple(words[:-2]), int(words[-2], 16), int(words[-1], 16), switches)


def _switches(folder: str) -> tuple[bytes, ...]:
    with open(f"{folder}/status", "rb", buffering=0) as file:
        lines = file.read().splitlines()
    return tuple(line for line in lines if b"ctxt_switches" in line)


class StackMemory:
    """Memory of a thread, read in large pieces up to a limit. Close it. Raises OSError when it is not ours to read."""

    def __init__(self, pid: int, tid: int) -> None:
        folder = f"/proc/{pid}/task/{tid}"
        self._memory = os.open(f"{folder}/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._pages = os.open(f"{folder}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            os.close(self._memory)
            raise
        self._pieces: list[tuple[int, bytes]] = []
        self._left = _MOST_BYTES

    def close(self) -> None:
        """Let go of the process."""
        os.close(self._memory)
        os.close(self._pages)

    def word(self, address: int) -> int | None:
        """8 bytes; None if they cannot be read, or too much has been read already."""
        for start, piece in reversed(self._pieces):
            if start <= address <= start + len(piece) - 8:
                return int.from_bytes(piece[address - start : address - start + 8], "little")
        piece = self._read(address)
        if len(piece) < 8:
            return None
        self._pieces.append((address, piece))
        return int.from_bytes(piece[:8], "little")

    def _read(self, address: int) -> bytes:
        if address >> _ADDRESS_BITS or self._left <= 0:
            return b""
        try:
            end = self._there(address, min(_CHUNK_BYTES, self._left))
            piece = os.pread(self._memory, end - address, address) if end > address else b""
        except OSError:  # it was unmapped just now, or is a device's
            piece = b""
        self._left -= max(len(piece), _PAGE)
        return piece

    def _there(self, address: int, size: int) -> int:
        """The end of the pages from here on, at most so many bytes of them, that nothing has to bring."""
        first = address // _PAGE
        entries = os.pread(self._pages, 8 * ((address + size - 1) // _PAGE - first + 1), 8 * first)
        n = 0
        for entry in np.frombuffer(entries[: len(entries) // 8 * 8], np.uint64).tolist():
            if not entry & (_PRESENT | _SWAPPED) or entry & _OF_FILE:
                break
            n += 1
        return min(address + size, (first + n) * _PAGE)
