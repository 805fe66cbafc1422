"""A program that gives work to a GPU that does not exist, from two functions: three quarters of its time from one.

Arguments: libcuda, libcupti, rounds, 1 to call the driver as the runtime of CUDA does.

Both functions take as long on the CPU and launch the same kernel, so that only their stacks tell them apart.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time

driver = ctypes.CDLL(sys.argv[1])
cuda = ctypes.PyDLL(sys.argv[2])
rounds, calls_driver = int(sys.argv[3]), sys.argv[4] == "1"
GEMM = ctypes.c_char_p(b"gemm")
KERNEL_NS = 100_000
PHASE_NS = 200_000_000
OFTEN, SELDOM = 90, 30
HANDLE = ctypes.c_void_p(0x1000)
done = {"forward": 0, "backward": 0}


def compute_until(moment_ns: int) -> None:
    while time.monotonic_ns() < moment_ns:
        pass


def launch() -> None:
    cuda.synthetic_begin()
    if calls_driver:
        driver.cuLaunchKernel(HANDLE, 64, 1, 1, 256, 1, 1, 0, None, None, None)
    cuda.synthetic_launch(GEMM, 64, 256, 32, 0, ctypes.c_uint64(KERNEL_NS), 7, 0)


def forward() -> None:
    began = time.monotonic_ns()
    for i in range(OFTEN):
        compute_until(began + i * PHASE_NS // OFTEN)
        launch()
        done["forward"] += KERNEL_NS
    compute_until(began + PHASE_NS)


def backward() -> None:
    began = time.monotonic_ns()
    for i in range(SELDOM):
        compute_until(began + i * PHASE_NS // SELDOM)
        launch()
        done["backward"] += KERNEL_NS
    compute_until(began + PHASE_NS)


def train() -> None:
    for _ in range(rounds):
        forward()
        backward()


print(json.dumps({"ready": True}), flush=True)
for _ in sys.stdin:
    done.update(forward=0, backward=0, since_ns=time.time_ns())
    time.sleep(10 * KERNEL_NS / 1e9)  # the first kernel begins later than that
    train()
    print(json.dumps({**done, "on": bool(cuda.synthetic_is_on(10))}), flush=True)
