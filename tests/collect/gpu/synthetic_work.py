"""In the place of bench/gpu/work.py: the same questions, over a synthetic CUPTI.

What it calls torch.profiler's is its own truth, in that one's words; what that one costs is three times the work.
With SYNTHETIC_DIES_AT it is killed at so manieth a question, if the agent is in it.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.gpu.switched import Switched

driver = ctypes.CDLL(os.environ["SYNTHETIC_CUDA"])
cuda = ctypes.PyDLL(os.environ["SYNTHETIC_CUPTI"])
NAME = ctypes.c_char_p(b"_Z4gemmPfS_i")


def launch() -> None:
    cuda.synthetic_launch(NAME, 64, 256, 32, 49152, ctypes.c_uint64(100_000), 7, 0)


def kernel() -> dict[str, Any]:
    shape = {"grid": [64, 1, 1], "block": [256, 1, 1], "registers per thread": 32, "shared memory": 49152}
    return {"cat": "kernel", "name": "gemm(float*, float*, int)", "dur": 100.0, "args": shape}


def work(name: str, n: int) -> list[dict[str, Any]]:
    if name == "copies":
        for _ in range(n):
            cuda.synthetic_copy(1, 1, ctypes.c_uint64(4096), ctypes.c_uint64(2_000))
        return [{"cat": "gpu_memcpy", "name": "Memcpy HtoD", "dur": 2.0, "args": {"bytes": 4096}}] * n
    if name == "threads":
        workers = [threading.Thread(target=lambda: [launch() for _ in range(n)]) for _ in range(16)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return [kernel()] * (16 * n)
    for _ in range(n):
        launch()
    return [kernel()] * n


switched: list[Switched] = []


def switch(what: str, callbacks: str) -> dict[str, Any]:
    from bench.gpu.switched import Switched

    if not switched:
        switched.append(Switched(callbacks))
    return switched[0].to(what)


dies_at = int(os.environ.get("SYNTHETIC_DIES_AT", 0)) if "APERTURE_GPU_CALLBACKS" in os.environ else 0
for question, line in enumerate(sys.stdin, 1):
    asked = json.loads(line)
    if question == dies_at:
        os.kill(os.getpid(), signal.SIGKILL)
    began, cpu_began = time.perf_counter(), time.process_time()
    if "switch" in asked:
        try:
            told: dict[str, Any] = switch(asked["switch"], asked.get("callbacks", ""))
        except Exception as error:
            told = {"error": str(error)}
    elif asked["do"] == "address":
        told = {"addresses": {name: [1, 1] for name in asked["names"]}}
    else:
        events = work(asked["do"], asked["n"] * (3 if asked.get("peer") else 1))
        took = {"s": time.perf_counter() - began, "cpu_s": time.process_time() - cpu_began}
        told = {"events": events} if asked.get("profile") else took
    print(json.dumps(told), flush=True)
