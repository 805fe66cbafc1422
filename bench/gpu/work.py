"""Work for a GPU, by torch: takes lines of JSON on stdin ({"do": NAME, "n": HOW MUCH}), answers each with the seconds
that it took; with "peer": true those under torch.profiler; with "profile": true what torch.profiler saw. To {"switch":
WHAT, "callbacks": LIBRARY} it answers with the records that CUPTI had in this process, see switched.py.

Everything is seeded and warmed up before its first answer, so that each answer is of the same work.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from bench.gpu.switched import Switched

torch.manual_seed(1)
torch.backends.cuda.matmul.allow_tf32 = False
DEVICE = torch.device("cuda:0")


def matmul() -> Callable[[int], None]:
    """Large products: the GPU is busy, and launches are few."""
    a, b = (torch.randn(4096, 4096, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))

    def work(n: int) -> None:
        for _ in range(n):
            torch.mm(a, b)

    return work


def train() -> Callable[[int], None]:
    """Steps of a small transformer."""
    layer = torch.nn.TransformerEncoderLayer(512, 8, 2048, dropout=0.0, batch_first=True)
    model = torch.nn.TransformerEncoder(layer, 4, enable_nested_tensor=False).to(DEVICE)
    optimizer = torch.optim.AdamW(model.parameters(), foreach=False)
    batch = torch.randn(16, 128, 512, device=DEVICE)

    def work(n: int) -> None:
        for _ in range(n):
            optimizer.zero_grad()
            model(batch).square().mean().backward()
            optimizer.step()

    return work


def tiny() -> Callable[[int], None]:
    """Launches of kernels that take no time: what is bound by launching."""
    x = torch.zeros(256, device=DEVICE)

    def work(n: int) -> None:
        for _ in range(n):
            x.add_(1)

    return work


def graph() -> Callable[[int], None]:
    """Replays of a CUDA graph of a hundred kernels."""
    x = torch.zeros(4096, device=DEVICE)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        x.add_(1)
    torch.cuda.synchronize()
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        for _ in range(100):
            x.add_(1)

    def work(n: int) -> None:
        for _ in range(n):
            captured.replay()

    return work


def copies() -> Callable[[int], None]:
    """Copies of known sizes in both directions, pageable and pinned, and a fill."""
    sizes = (4096, 1 << 20, 16 << 20)
    pageable = [torch.zeros(size, dtype=torch.uint8) for size in sizes]
    pinned = [one.clone().pin_memory() for one in pageable]
    there = [torch.zeros(size, dtype=torch.uint8, device=DEVICE) for size in sizes]

    def work(n: int) -> None:
        for _ in range(n):
            for host in (pageable, pinned):
                for ours, theirs in zip(host, there, strict=True):
                    theirs.copy_(ours, non_blocking=True)
                    ours.copy_(theirs)
            there[0].zero_()

    return work


def threads() -> Callable[[int], None]:
    """Sixteen threads that launch at the same time, each on its stream, and allocate and free."""
    streams = [torch.cuda.Stream() for _ in range(16)]

    def launch(stream: torch.cuda.Stream, n: int) -> None:
        with torch.cuda.stream(stream):
            for i in range(n):
                x = torch.zeros(1024 + i % 7, device=DEVICE)
                x.add_(1)
                if i % 50 == 0:
                    stream.synchronize()

    def work(n: int) -> None:
        workers = [threading.Thread(target=launch, args=(stream, n)) for stream in streams]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    return work


WORK = {"matmul": matmul, "train": train, "tiny": tiny, "graph": graph, "copies": copies, "threads": threads}
_ready: dict[str, Callable[[int], None]] = {}
_switched: list[Switched] = []
"""The one, once it is asked for."""


Took = tuple[float, float]
"""Seconds of the wall, and of all CPUs that this process had meanwhile."""


def timed(name: str, n: int) -> Took:
    """What so much of a work takes."""
    if name not in _ready:
        _ready[name] = WORK[name]()
        _ready[name](3)
    torch.cuda.synchronize()
    began, cpu_began = time.perf_counter(), time.process_time()
    _ready[name](n)
    torch.cuda.synchronize()
    return time.perf_counter() - began, time.process_time() - cpu_began


def profiled(name: str, n: int) -> list[dict[str, Any]]:
    """What torch.profiler says of it: kernels and copies with their arguments."""
    timed(name, 1)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        timed(name, n)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    kinds = ("kernel", "gpu_memcpy", "gpu_memset")
    return [{**one, "args": one.get("args", {})} for one in events if one.get("cat") in kinds]


def beside(name: str, n: int) -> Took:
    """What so much of a work takes under torch.profiler, without its beginning and its end."""
    timed(name, 1)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]):
        return timed(name, n)


def address(name: str) -> list[int]:
    """Where a function of the driver is: as it is exported, and as the runtime is given it."""
    import ctypes

    driver = ctypes.CDLL("libcuda.so.1")
    exported = ctypes.cast(getattr(driver, name), ctypes.c_void_p).value or 0
    found = ctypes.c_void_p()
    driver.cuGetProcAddress_v2(name.encode(), ctypes.byref(found), 12000, ctypes.c_uint64(0), None)
    return [exported, found.value or 0]


def switched(what: str, callbacks: str) -> dict[str, Any]:
    """CUPTI records so much from now on; it is loaded when this is asked first."""
    from bench.gpu.switched import Switched

    if not _switched:
        _switched.append(Switched(callbacks))
    return _switched[0].to(what)


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """Of one line."""
    if "switch" in asked:
        return switched(asked["switch"], asked.get("callbacks", ""))
    name, n = asked["do"], int(asked.get("n", 1))
    if name == "address":
        return {"addresses": {one: address(one) for one in asked["names"]}}
    if asked.get("profile"):
        return {"events": profiled(name, n)}
    took_s, cpu_s = beside(name, n) if asked.get("peer") else timed(name, n)
    return {"s": took_s, "cpu_s": cpu_s}


def main() -> None:
    """Until the end of stdin."""
    for line in sys.stdin:
        try:
            told = answer(json.loads(line))
        except Exception as error:  # the one who asks says what has failed
            told = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
