"""`python -m bench.long_recording FILE MEGABYTES`: a recording of this size, as of a large and busy machine.

10,000 events a second of three kinds, of 200 processes and 20,000 functions; what stacks are seen changes with time.
"""

from __future__ import annotations

import sys

import numpy as np

from aperture_tui.profile.batch import Batch, empty
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.recording.writer import Writer

_SECOND, _BEGAN, _EVENTS, _FRAMES, _STACKS, _PROCESSES = 10**9, 1_700_000_000 * 10**9, 10_000, 20_000, 40_000, 200


def write(path: str, megabytes: int) -> None:
    """Write it; seeded, so that it is the same each time."""
    rng, symbols = np.random.default_rng(1), Symbols()
    frames = [
        symbols.frame(Frame(f"function_{i}_with_a_name", f"lib{i % 50}.so", kind=FrameKind.NATIVE))
        for i in range(_FRAMES)
    ]
    depths, bases = rng.integers(8, 26, _STACKS), rng.integers(0, _FRAMES, (50, 6))
    paths = [np.append(bases[i % 50], rng.integers(0, _FRAMES, depth)) for i, depth in enumerate(depths)]
    stacks = symbols.stacks([np.asarray(frames, np.uint32)[path] for path in paths])
    processes = np.array([symbols.process(Process(i + 1, 1000 + i, f"process{i}")) for i in range(_PROCESSES)])
    names = np.array([symbols.string(f"name{i}") for i in range(300)])
    writer, at = Writer(path), _BEGAN
    writer.set_hosts([HostFacts("box", "6.1.0", 64, 256 << 30)])
    writer.set_health([Health(name, State.RUNNING, delivered=1) for name in ("cpu", "offcpu", "syscall")])
    while writer.bytes < megabytes * 1_000_000:
        events, who = empty(_EVENTS), rng.integers(0, _PROCESSES, _EVENTS)
        events["time_ns"] = at + np.sort(rng.integers(0, _SECOND, _EVENTS))
        events["pid"] = events["tid"] = who + 1
        events["process"], events["name"] = processes[who], names[rng.integers(0, len(names), _EVENTS)]
        seen = rng.zipf(1.3, _EVENTS) * 7919 + (at - _BEGAN) // (200 * _SECOND) * 13
        events["stack"] = stacks[seen % _STACKS]
        events["kind"], events["weight"] = rng.integers(1, 4, _EVENTS), rng.integers(1, 9, _EVENTS)
        events["duration_ns"] = rng.integers(1, 10**8, _EVENTS)
        events["maximum_ns"] = events["duration_ns"] // events["weight"]
        writer.append(Batch(symbols, events))
        at += _SECOND
        writer.append_gauges(HostSample(at, cpu_user=0.5))
    writer.close()


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]))
