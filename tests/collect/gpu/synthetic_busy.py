"""A program that launches kernels on a GPU that does not exist, all the time that it is asked to.

Arguments: libcuda, libcupti, how long in milliseconds, how much later each kernel is done in milliseconds; then one for
each time that it is asked to, the last for all further ones: how many it launches a second, N or NxM, M at once. What
it was kept from launching, because the machine had others to run, it launches as soon as it can: so there are as many
in one second as in another. It prints and waits as synthetic_target.py does, and says how long it was kept at most.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time

driver = ctypes.CDLL(sys.argv[1])
cuda = ctypes.PyDLL(sys.argv[2])
for_s, later_ns, rates = int(sys.argv[3]) / 1e3, int(sys.argv[4]) * 1_000_000, sys.argv[5].split(",")
NAME = ctypes.c_char_p(b"_Z4gemmPfS_i")

print(json.dumps({"ready": True}), flush=True)
for _ in sys.stdin:
    rate, _, at_once = (rates.pop(0) if len(rates) > 1 else rates[0]).partition("x")
    between_s, n = 1 / int(rate), int(at_once or 1)
    began = time.monotonic()
    launches = on = with_calls = 0
    before, longest_s = began, 0.0
    while (now := time.monotonic()) < began + for_s:
        before, longest_s = now, max(longest_s, now - before)
        due = n * (int((now - began) / between_s) + 1) - launches
        cuda.synthetic_launch_late(NAME, due, ctypes.c_uint64(later_ns), ctypes.c_uint64(1000))
        launches += due
        on += due * cuda.synthetic_is_on(10)
        with_calls += due * cuda.synthetic_is_on(5)
        while time.monotonic() < now + between_s:
            pass
    told = {"launches": launches, "on": on, "with_calls": with_calls, "longest_s": longest_s}
    print(json.dumps(told), flush=True)
