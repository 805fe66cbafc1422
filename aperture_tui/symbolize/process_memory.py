"""Another process's memory, many pieces at a time."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import numpy as np

MAX_PIECES: Final = 1024
"""UIO_MAXIOV: how many pieces one call of process_vm_readv(2) takes."""
MAX_BYTES: Final = 8 << 20
"""Of one call; a request for more is split, and a piece that is longer counts as unreadable."""
_TOP: Final = 1 << 56  # user addresses end here, with five levels of page tables as well


class Memory(Protocol):
    """Memory that can be read in pieces."""

    def read_many(self, addresses: Sequence[int], sizes: Sequence[int]) -> list[bytes | None]:
        """Each piece whole, or None where it cannot be read. Raises its own error if nothing can be read at all."""
        ...


class ProcessMemory:
    """The memory of a process, by process_vm_readv(2). Needs the right to ptrace it (CAP_SYS_PTRACE, or its user).

    error: what is raised, with one line that says why, if nothing can be read at all.
    """

    def __init__(self, pid: int, error: Callable[[str], Exception]) -> None:
        self._pid = pid
        self._error = error

    def read_many(self, addresses: Sequence[int], sizes: Sequence[int]) -> list[bytes | None]:
        """Each piece whole, or None where it cannot be read. Raises `error` if nothing can be read at all."""
        out: list[bytes | None] = [None] * len(addresses)
        good = [i for i, size in enumerate(sizes) if 0 < size <= MAX_BYTES and 0 < addresses[i] < _TOP - size]
        at, most = 0, MAX_PIECES
        while at < len(good):
            end, left = at, MAX_BYTES
            while end < len(good) and end - at < most and sizes[good[end]] <= left:
                left -= sizes[good[end]]
                end += 1
            done = self._read(good[at:end], addresses, sizes, out)
            at += done
            most = min(2 * done, MAX_PIECES)  # a call ends at what is unreadable: where much is, ask for less
        return out

    def _read(self, pieces: list[int], addresses: Sequence[int], sizes: Sequence[int], out: list[bytes | None]) -> int:
        """One call for these pieces; how many of them are dealt with (the last of which may be unreadable)."""
        remote = np.array([(addresses[i], sizes[i]) for i in pieces], np.uint64)
        buffer = ctypes.create_string_buffer(int(remote[:, 1].sum()))
        local = np.array([[ctypes.addressof(buffer), len(buffer)]], np.uint64)
        got = _process_vm_readv()(self._pid, local.ctypes.data, 1, remote.ctypes.data, len(remote), 0)
        if got < 0:
            number = ctypes.get_errno()
            if number != errno.EFAULT:
                raise self._error(f"the memory of process {self._pid} cannot be read: {_reason(number)}")
            got = 0
        data = buffer.raw[:got]
        start = 0
        for done, i in enumerate(pieces):
            end = start + sizes[i]
            if end > got:
                return done + 1  # this one is unreadable; the call stopped here
            out[i] = data[start:end]
            start = end
        return len(pieces)


def read(memory: Memory, address: int, size: int) -> bytes | None:
    """One piece, or None."""
    return memory.read_many([address], [size])[0]


def _reason(number: int) -> str:
    if number == errno.EPERM:
        return "needs CAP_SYS_PTRACE"
    return "it is gone" if number == errno.ESRCH else os.strerror(number)


@functools.cache
def _process_vm_readv() -> Callable[..., int]:
    call = ctypes.CDLL(None, use_errno=True).process_vm_readv
    call.restype = ctypes.c_ssize_t
    size, pointer = ctypes.c_ulong, ctypes.c_void_p
    call.argtypes = (ctypes.c_int, pointer, size, pointer, size, size)
    return call
