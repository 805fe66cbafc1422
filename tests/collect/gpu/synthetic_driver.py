"""A program that launches kernels on a GPU that does not exist by the driver alone, as what is compiled for one may do.

Arguments: libcuda, libcupti, how long in milliseconds. It prints and waits as synthetic_target.py does.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time

driver = ctypes.CDLL(sys.argv[1])
cuda = ctypes.PyDLL(sys.argv[2])
NAME = ctypes.c_char_p(b"triton_kernel")

print(json.dumps({"ready": True}), flush=True)
for _ in sys.stdin:
    ends, launches = time.monotonic() + int(sys.argv[3]) / 1e3, 0
    while time.monotonic() < ends:
        cuda.synthetic_launch_by_driver(NAME, ctypes.c_uint64(1000))
        launches += 1
        time.sleep(0.001)
    print(json.dumps({"launches": launches}), flush=True)
