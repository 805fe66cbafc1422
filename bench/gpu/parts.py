"""The parts of the run, each a function -> JSON types, each in a process of its own: one that fails stops no other."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from aperture_tui.collect.gpu.environment import PYTHON, callbacks
from aperture_tui.collect.gpu.inside._aperture_gpu import wire
from aperture_tui.collect.settings import Settings
from aperture_tui.symbolize.demangle import demangle
from bench.gpu import overhead as bench_overhead
from bench.gpu import prices as bench_prices
from bench.gpu.asking import COUNTED, FAILURES, Answers, Program, program, recording
from bench.gpu.overhead import FIRST_S, WORKS, Reader, overhead
from bench.gpu.prices import prices
from bench.gpu.unified import doctor, unified

_PACKAGES: Final = ("torch", "cupti-python", "nvidia-cuda-cupti", "nvidia-ml-py", "cuda-bindings", "numpy")
_LAUNCHES: Final = ("cuLaunchKernel", "cuLaunchKernelEx", "cuMemcpyHtoDAsync_v2", "cuGraphLaunch")
_FIXTURES: Final = {"mix": (("train", 1), ("matmul", 2), ("tiny", 5), ("copies", 1)), "graph": (("graph", 2),)}
_MIX: Final = (("matmul", 5), ("train", 2), ("tiny", 50), ("copies", 2))
"""What is compared and recorded: eager, without graphs."""


_MOMENTS: Final = (("threads", 400), ("graph", 500), ("train", 20))
"""One round under an agent that comes and goes: some tenths of a second each, so that it does so amid all of them."""
_LAST_S: Final = 10.0
"""For a part that leaves out the rest: its programs end, and it tells what it has."""
_SEEN: Final = 50
"""Kernels that torch.profiler must see afterwards."""
_PROFILED_S: Final = 30.0
"""How long that may take it: it has to begin."""


def machine(out: Path) -> dict[str, Any]:
    """Versions, and what the driver says of itself."""
    smi = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,mig.mode.current", "--format=csv,noheader"]
    try:
        told = subprocess.run(smi, capture_output=True, text=True, timeout=30, check=False).stdout.strip()
    except OSError as error:
        told = str(error)
    found: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return {"kernel": platform.release(), "python": sys.version.split()[0], "packages": found, "nvidia_smi": told}


def devices(out: Path) -> dict[str, Any]:
    """The gauges: which are there; the memory's share of its bandwidth against bytes and time of a copy."""
    from aperture_tui.collect.gpu.device import opened

    gpus = opened()
    gpus.read()
    time.sleep(0.5)
    idle = [one.as_json() for one in gpus.read()]
    with program(callbacks="") as worker:
        worker.do({"do": "matmul", "n": 10})
        busy: list[dict[str, Any]] = []

        def watch() -> None:
            time.sleep(0.3)
            gpus.read()
            time.sleep(0.8)
            busy.extend(one.as_json() for one in gpus.read())

        watcher = threading.Thread(target=watch)
        watcher.start()
        took_s = worker.do({"do": "matmul", "n": 12_000})["s"]
        watcher.join()
    return {"idle": idle, "busy_with_matmul": busy, "matmul_s": took_s}


def smoke(out: Path) -> dict[str, Any]:
    """Whether CUPTI can be had, by both kinds of callbacks; what switching on costs at first; where the driver's
    functions are, for the probes."""
    told: dict[str, Any] = {}
    for kind in ("native", "python"):
        try:
            with program(callbacks=_callbacks(kind)) as worker:
                worker.do({"do": "tiny", "n": 100})
                began = time.monotonic()
                asking = worker.ask()
                on_s = time.monotonic() - began
                first_s = worker.do({"do": "tiny", "n": 100})["s"]
                second_s = worker.do({"do": "tiny", "n": 100})["s"]
                asking.read(2)
                told[kind] = {
                    "on_s": on_s,
                    "first_s": first_s,
                    "second_s": second_s,
                    "hello": asking.answers.hello,
                    "status": asking.answers.status,
                    "counts": _counts(asking.answers),
                }
                if kind == "native":
                    told["addresses"] = worker.do({"do": "address", "names": list(_LAUNCHES)})["addresses"]
                asking.close()
        except (RuntimeError, TimeoutError, OSError) as error:
            told[kind] = {"error": str(error)}
    return told


def fixtures(out: Path) -> dict[str, Any]:
    """Recordings for the tests: a mix of work, and a graph."""
    told = {}
    for name, works in _FIXTURES.items():
        answers = _answers(works)
        data = recording(answers, {"recorded": time.strftime("%Y-%m-%d"), "work": dict(works), **_scrubbed(out)})
        path = out / f"recorded-{name}.apgpu"
        path.write_bytes(data)
        launched = set(answers.of(wire.CALLS)["correlation"].tolist())
        without = sum(one not in launched for one in answers.of(wire.KERNELS)["correlation"].tolist())
        told[name] = {
            "file": path.name,
            "bytes": len(data),
            "counts": _counts(answers),
            "kernels_without_call": without,
        }
    return told


def compare(out: Path) -> dict[str, Any]:
    """Kernels and copies beside torch.profiler's of the same work: as multisets, and durations by name."""
    told = {}
    for work, n in _MIX:
        answers = _answers(((work, n),))
        with program(callbacks="") as worker:
            theirs = worker.do({"do": work, "n": n, "profile": True}, 180)["events"]
        told[work] = compared(answers, theirs)
    return told


def compared(answers: Answers, theirs: list[dict[str, Any]]) -> dict[str, Any]:
    """Ours against what is in torch.profiler's trace."""
    kernels = answers.of(wire.KERNELS)
    names = answers.frames.names
    own: Counter[str] = Counter()
    durations: dict[str, list[float]] = {}
    for row in kernels:
        name = demangle(names.get(int(row["name"]), "?").encode())
        grid, block = ([int(row[f"{what}_{side}"]) for side in "xyz"] for what in ("grid", "block"))
        own[
            json.dumps(
                [name, grid, block, int(row["registers"]), int(row["static_shared"]) + int(row["dynamic_shared"])]
            )
        ] += 1
        durations.setdefault(name, []).append(float(row["end_ns"] - row["start_ns"]))
    other: Counter[str] = Counter()
    their_durations: dict[str, list[float]] = {}
    for event in theirs:
        if event["cat"] == "kernel":
            args, name = event["args"], event["name"]
            key = [name, args["grid"], args["block"], args["registers per thread"], args["shared memory"]]
            other[json.dumps(key)] += 1
            their_durations.setdefault(name, []).append(1000 * float(event["dur"]))
    copied = answers.of(wire.COPIES)
    ours_bytes = Counter(int(row["bytes"]) for row in copied)
    their_bytes = Counter(int(event["args"].get("bytes", 0)) for event in theirs if event["cat"] != "kernel")
    ratios = {
        name: statistics.median(durations[name]) / statistics.median(their_durations[name])
        for name in durations.keys() & their_durations.keys()
        if len(durations[name]) >= 3
    }
    calls = answers.of(wire.CALLS)
    launched = set(calls["correlation"].tolist())
    return {
        "kernels": {"ours": own.total(), "theirs": other.total(), "equal": own == other},
        "only_ours": dict((own - other).most_common(10)),
        "only_theirs": dict((other - own).most_common(10)),
        "copies": {"ours": ours_bytes.total(), "theirs": their_bytes.total(), "equal": ours_bytes == their_bytes},
        "median_ratios": ratios,
        "kernels_without_call": sum(int(one) not in launched for one in kernels["correlation"]),
        "status": answers.status,
    }


def stress(out: Path, seconds: float = 300.0, patience_s: float = 20.0) -> dict[str, Any]:
    """Sixteen threads that launch while records are read and switched on and off: does it go on, or hang?

    seconds: by compiled callbacks; at most a quarter of it by those in Python. patience_s: after which a round hangs.
    """
    told: dict[str, Any] = {}
    for kind, lasts in (("native", seconds), ("python", min(seconds / 4, 20.0))):
        rounds = 0
        began = time.monotonic()
        try:
            with program(callbacks=_callbacks(kind)) as worker:
                worker.do({"do": "threads", "n": 50})
                while time.monotonic() - began < lasts:
                    asking = worker.ask()
                    reader = Reader(asking)
                    worker.do({"do": "threads", "n": 400}, patience_s)
                    reader.end()
                    status = asking.answers.status
                    asking.close()
                    rounds += 1
            told[kind] = {"hung": False, "rounds": rounds, "seconds": time.monotonic() - began, "status": status}
        except TimeoutError as error:
            told[kind] = {"hung": True, "rounds": rounds, "seconds": time.monotonic() - began, "error": str(error)}
        except (RuntimeError, OSError) as error:
            told[kind] = {"error": str(error), "rounds": rounds}
    return told


def stress_moments(out: Path, seconds: float = 45.0, patience_s: float = 20.0) -> dict[str, Any]:
    """One conversation with a session's limit over work of many threads, of graphs and of training: the agent attaches
    and detaches again and again amid it. Does the program go on, and does torch.profiler work in it afterwards?
    """
    told: dict[str, Any] = {"hung": False, "rounds": 0}
    with program(callbacks=callbacks()) as worker:
        try:
            _moments(worker, told, seconds, patience_s)
            events = worker.do({"do": "tiny", "n": _SEEN, "profile": True}, _PROFILED_S)["events"]
            told["profiler_afterwards"] = seen = sum(event["cat"] == "kernel" for event in events)
            if seen != _SEEN:
                told["error"] = f"torch.profiler saw {seen} of {_SEEN} kernels afterwards"
        except FAILURES as error:
            told |= {"hung": isinstance(error, TimeoutError), "error": str(error)}
        if worker.died is not None:
            told["died"] = worker.died
    return told


def _moments(worker: Program, told: dict[str, Any], seconds: float, patience_s: float) -> None:
    """The rounds; what there is of them is told whatever happens."""
    for work, _ in _MOMENTS:
        worker.do({"do": work, "n": 1}, FIRST_S)
    reader = Reader(worker.ask(limit=Settings().gpu_limit))
    began = time.monotonic()
    try:
        while time.monotonic() - began < seconds:
            for work, n in _MOMENTS:
                worker.do({"do": work, "n": n}, patience_s)
            told["rounds"] += 1
    finally:
        told["seconds"] = time.monotonic() - began
        told |= reader.close()


def _callbacks(kind: str) -> str:
    return PYTHON if kind == "python" else callbacks()


def _answers(works: tuple[tuple[str, int], ...]) -> Answers:
    """What the agent says of some work, warmed up before."""
    with program(callbacks=_callbacks("native")) as worker:
        for work, _ in works:
            worker.do({"do": work, "n": 1})
        asking = worker.ask()
        asking.read(1)
        asking.answers.rows.clear()  # what is told at the beginning is of the warming up
        for work, n in works:
            worker.do({"do": work, "n": n})
        asking.read(2)
        asking.close()
        return asking.answers


def _counts(answers: Answers) -> dict[str, int]:
    return {name: len(answers.of(frame)) for frame, name in COUNTED.items()} | {"names": len(answers.frames.names)}


def _scrubbed(out: Path) -> dict[str, Any]:
    """What may be told of the machine: versions, and what the GPU is called."""
    told = machine(out)
    return {"gpu": told["nvidia_smi"], "packages": told["packages"], "python": told["python"]}


def _overhead(work: str) -> Callable[[Path], dict[str, Any]]:
    return lambda out: overhead(work)


PARTS: Final[dict[str, tuple[Callable[[Path], dict[str, Any]], float]]] = {
    "machine": (machine, 40),
    "smoke": (smoke, 90),
    "devices": (devices, 60),
    "fixtures": (fixtures, 90),
    "compare": (compare, 180),
    "doctor": (doctor, 60),
    "unified": (unified, 120),
    **{f"overhead-{work}": (_overhead(work), 100) for work in WORKS},
    "stress-moments": (stress_moments, 120),
    "stress": (stress, 380),
    "prices": (prices, 150),
}
"""In this order, each with the seconds that it may take."""


def run(name: str, out: Path, seconds: float) -> dict[str, Any]:
    """One part, that is stopped after so many seconds: those of many steps leave out the last ones before that, lest
    all be lost.
    """
    os.makedirs(out, exist_ok=True)
    bench_overhead.ENDS_S = min(bench_overhead.ENDS_S, seconds - _LAST_S)
    bench_prices.ENDS_S = min(bench_prices.ENDS_S, seconds - _LAST_S)
    return PARTS[name][0](out)
