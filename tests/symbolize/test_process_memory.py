"""Memory of a process, some pieces of which cannot be read."""

from __future__ import annotations

import ctypes
import os

import pytest

from aperture_tui.symbolize import process_memory
from aperture_tui.symbolize.process_memory import MAX_BYTES, ProcessMemory

BAD = 0x1000
"""Below vm.mmap_min_addr: nothing is ever mapped there."""


def test_each_piece_is_whole_or_none_whatever_lies_beside_it() -> None:
    text = ctypes.create_string_buffer(b"0123456789" * 1000)
    at = ctypes.addressof(text)
    wanted = [(at + i, 10) if i % 7 else (BAD, 10) for i in range(3000)]
    wanted += [(0, 8), (1 << 63, 8), (at, 0), (at, MAX_BYTES + 1), (at, 10_000)]
    found = ProcessMemory(os.getpid(), OSError).read_many(*zip(*wanted, strict=True))
    good = [text.raw[i : i + 10] if i % 7 else None for i in range(3000)]
    assert found == [*good, None, None, None, None, text.raw[:10_000]]


def test_pieces_that_cannot_be_read_are_not_asked_for_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    call, asked = process_memory._process_vm_readv(), []

    def counted(*arguments: int) -> int:
        asked.append(arguments[4])
        return call(*arguments)

    monkeypatch.setattr(process_memory, "_process_vm_readv", lambda: counted)
    assert ProcessMemory(os.getpid(), OSError).read_many([BAD] * 2000, [100] * 2000) == [None] * 2000
    assert sum(asked) < 3 * 2000 + 2 * process_memory.MAX_PIECES
