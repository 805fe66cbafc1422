"""A program that launches kernels on a GPU that does not exist, all the time that it is asked to.

Arguments: libcuda, libcupti, how long in milliseconds, how much later each kernel is done in milliseconds, the time
between launches in microseconds. It prints and waits as synthetic_target.py does.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time

driver = ctypes.CDLL(sys.argv[1])
cuda = ctypes.PyDLL(sys.argv[2])
for_s, later_ns, between_s = int(sys.argv[3]) / 1e3, int(sys.argv[4]) * 1_000_000, int(sys.argv[5]) / 1e6
NAME = ctypes.c_char_p(b"_Z4gemmPfS_i")
FACTS = ("is_attached", "attachments", "unsafe", "lost")

print(json.dumps({"ready": True}), flush=True)
for _ in sys.stdin:
    began = time.monotonic()
    launches = attached = 0
    while (now := time.monotonic()) < began + for_s:
        cuda.synthetic_launch_late(NAME, ctypes.c_uint64(later_ns), ctypes.c_uint64(1000))
        launches += 1
        attached += cuda.synthetic_is_attached()
        while time.monotonic() < now + between_s:
            pass
    facts = {name: getattr(cuda, f"synthetic_{name}")() for name in FACTS}
    print(json.dumps({"launches": launches, "while_attached": attached, **facts}), flush=True)
