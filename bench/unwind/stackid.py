"""`python -m bench.unwind.stackid PID HZ SETTLE_S SECONDS CACHE`: bench/programs/stackid.bpf.c, as JSON.

{time_ns, runs, samples: in the window; frames: of a user stack, mean}. The kernel has to keep BPF statistics.
"""

from __future__ import annotations

import json
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aperture_tui.collect import bpf, compiler

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FILE: Final = Path(__file__).parents[1] / "programs" / "stackid.bpf.c"
_KEY: Final = np.dtype([("pid", "<u4"), ("user", "<i4"), ("kernel", "<i4"), ("comm", "S16")])
"""struct key of the program."""
_ENTRIES: Final = 16384
_DEEPEST: Final = 127
"""PERF_MAX_STACK_DEPTH: addresses of a stack in the map."""


@dataclass(frozen=True, slots=True)
class _Source(compiler.Source):
    """A program of the benchmarks, not of the product."""

    def text(self) -> str:
        return _FILE.read_text()


def sampled(pid: int, hz: int, settle_s: float, seconds: float, cache: Path) -> dict[str, Any]:
    """The answer, as JSON types."""
    source = _Source("stackid", {"sample": bpf.PROG_PERF_EVENT})
    loaded = bpf.load(compiler.object_code(source, cache))
    bpf.update(loaded.maps["pids"], struct.pack("=I", pid), b"\1")
    program = loaded.programs["sample"]
    for cpu in bpf.online_cpus():
        bpf.sample_cpu(cpu, hz, program)
    time.sleep(settle_s)
    (time_ns, runs), (before, _) = bpf.run_time_ns(program), _counted(loaded)
    time.sleep(seconds)
    (time_after_ns, runs_after), (after, frames) = bpf.run_time_ns(program), _counted(loaded)
    return {"time_ns": time_after_ns - time_ns, "runs": runs_after - runs, "samples": after - before, "frames": frames}


def _counted(loaded: bpf.Loaded) -> tuple[int, float]:
    """Samples so far, and user frames of one."""
    keys, values = np.zeros(_ENTRIES, _KEY), np.zeros(_ENTRIES, np.uint64)
    n = bpf.read_hash(loaded.maps["counts"], keys, values)
    depths = np.array([_depth(loaded.maps["addresses"], int(stack)) for stack in keys["user"][:n]], np.int64)
    counts: NDArray[np.int64] = values[:n].astype(np.int64)
    return int(counts.sum()), float((depths * counts).sum() / max(1, counts.sum()))


def _depth(addresses: int, stack: int) -> int:
    if stack < 0:
        return 0
    value = bpf.lookup(addresses, struct.pack("=I", stack), 8 * _DEEPEST) or b""
    return int(np.count_nonzero(np.frombuffer(value, np.uint64)))


if __name__ == "__main__":
    print(
        json.dumps(
            sampled(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]), Path(sys.argv[5]))
        )
    )
