"""What the C library holds: asked of itself, in a process of its own."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

_PROGRAM = """
import ctypes
from aperture_tui import heap
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
class Facts(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks".split()]
    _fields_ += [(f"rest_{i}", ctypes.c_size_t) for i in range(4)]
libc.mallinfo2.restype = Facts
if {apart}:
    heap.keep_large_apart()
libc.free(libc.malloc(16 << 20))  # glibc takes this for the size up to which blocks are the heap's
before = libc.mallinfo2().hblks
kept = libc.malloc(2 << 20)
print(libc.mallinfo2().hblks - before)
libc.free(kept)
heap.give_back()
"""


@pytest.mark.parametrize("apart", [False, True])
def test_large_blocks_stay_the_kernels_own_after_larger_ones_were_freed(apart: bool) -> None:
    if not hasattr(ctypes.CDLL(None), "mallinfo2"):
        pytest.skip("not glibc 2.33 or later")
    program = [sys.executable, "-c", _PROGRAM.replace("{apart}", str(apart))]
    assert int(subprocess.run(program, capture_output=True, text=True, check=True).stdout) == apart
