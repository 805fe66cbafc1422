"""A program that gives work to a GPU that does not exist.

Arguments: libcuda, libcupti, launches of a thread, threads, pause in microseconds.

Prints a line when it is ready, does its work after a line on stdin, prints what it did, and ends with the end of stdin.
The calls keep the interpreter, as most bindings of CUDA do.
"""

from __future__ import annotations

import ctypes
import json
import sys
import threading
import time

driver = ctypes.CDLL(sys.argv[1])
cuda = ctypes.PyDLL(sys.argv[2])
launches, threads, pause_s = int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]) / 1e6
GEMM = ctypes.c_char_p(b"_Z4gemmPfS_i")
REDUCE = ctypes.c_char_p(b"reduce")
tids: list[int] = []


def work() -> None:
    tids.append(threading.get_native_id())
    for _ in range(launches):
        cuda.synthetic_launch(GEMM, 64, 256, 32, 49152, ctypes.c_uint64(100_000), 7, 0)
        if pause_s:
            time.sleep(pause_s)
    for _ in range(launches // 10):
        cuda.synthetic_launch(REDUCE, 8, 1024, 16, 0, ctypes.c_uint64(5_000), 13, 0)
        cuda.synthetic_copy(1, 1, ctypes.c_uint64(4096), ctypes.c_uint64(2_000))
        cuda.synthetic_copy(2, 2, ctypes.c_uint64(65536), ctypes.c_uint64(9_000))
        cuda.synthetic_launch(REDUCE, 4, 1024, 16, 0, ctypes.c_uint64(1_000), 13, 5)
        cuda.synthetic_others()


print(json.dumps({"ready": True}), flush=True)
for _ in sys.stdin:
    del tids[:]
    workers = [threading.Thread(target=work) for _ in range(threads - 1)]
    for worker in workers:
        worker.start()
    work()
    for worker in workers:
        worker.join()
    tenth = launches // 10 * threads
    done = {"gemm": launches * threads, "reduce": 4 * tenth, "copies": 2 * tenth, "others": tenth, "tids": tids}
    print(json.dumps({**done, "on": bool(cuda.synthetic_is_on(10))}), flush=True)
