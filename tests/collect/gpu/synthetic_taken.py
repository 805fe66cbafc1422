"""A synthetic program in which another profiler takes CUPTI over, as torch.profiler does: what says so is torch's own
variable, and a function that knows only of the thread that asks.

Arguments as of synthetic_target.py. Lines on stdin: "go", a launch each 10 ms for 0.3 s; "long", a kernel of 1.5 s, of
which 0.8 s are waited for; "take"; "burst", many launches and then the same; "give"; "fork", a child of 3 seconds.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
import time
from types import ModuleType
from typing import Any

driver = ctypes.CDLL(sys.argv[1])
cuda = ctypes.PyDLL(sys.argv[2])
cuda.synthetic_other_ends.restype = ctypes.c_uint64
GEMM = ctypes.c_char_p(b"_Z4gemmPfS_i")

profiler: Any = ModuleType("torch.autograd.profiler")
profiler._is_profiler_enabled = False
torch: Any = ModuleType("torch")
torch._C = ModuleType("torch._C")
torch._C._autograd = ModuleType("torch._C._autograd")
of_thread = threading.local()
torch._C._autograd._profiler_enabled = lambda: getattr(of_thread, "enabled", False)
sys.modules |= {"torch": torch, "torch.autograd.profiler": profiler}


def profile(on: bool) -> int:
    of_thread.enabled = profiler._is_profiler_enabled = on
    return int(cuda.synthetic_other_begins() and 0 if on else cuda.synthetic_other_ends())


def launch() -> int:
    for _ in range(30):
        cuda.synthetic_launch(GEMM, 64, 256, 32, 0, ctypes.c_uint64(1_000_000), 7, 0)
        time.sleep(0.01)
    return 30


print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    began, seen, launched = time.time_ns(), 0, 0
    if line == "fork\n":
        child = os.fork()
        if not child:
            time.sleep(3)
            sys.exit(7)
        seen = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if line == "long\n":
        cuda.synthetic_launch_late(GEMM, 1, ctypes.c_uint64(0), ctypes.c_uint64(1_500_000_000))
        time.sleep(0.8)
    elif line == "burst\n":
        for _ in range(20_000):
            cuda.synthetic_launch(GEMM, 64, 256, 32, 0, ctypes.c_uint64(1_000), 7, 0)
        profile(True)
    elif line in ("take\n", "give\n"):
        seen = profile(line == "take\n")
    elif line == "go\n":
        launched = launch()
    told = {"began_ns": began, "ended_ns": time.time_ns(), "launched": launched, "seen": seen}
    print(json.dumps({**told, "on": bool(cuda.synthetic_is_on(10))}), flush=True)
