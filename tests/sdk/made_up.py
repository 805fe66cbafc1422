"""Events by chance, with tables that grow from batch to batch and begin anew halfway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from tests.sdk.host import BATCH, EVENT, FRAME, NODE, PROCESS, Batch, Tables

N_FRAMES: Final = 1_500
N_STACKS: Final = 6_000
N_PROCESSES: Final = 60
START_NS: Final = 1_700_000_000_000_000_000
SECONDS: Final = 8

_NAMES = [b"nginx", b"nginx: worker", b"postgres", b"python3.11", "dämon".encode(), b"ngin", b"x" * 300]
_CGROUPS = [b"", b"/", b"/pods", b"/pods/a", b"/pods/a/app", b"/pods/ab", b"/system.slice/ssh.service"]
_PARTS = [
    b"json",
    b"parse",
    b"malloc",
    b"secret_key",
    b"js",
    b"on",
    b"read",
    b"_licence_",
    b"std::vector<int>::",
    b"main",
]


def _tables(rng: np.random.Generator) -> Tables:
    strings = [b"", *_NAMES, *_CGROUPS[1:]]
    first_function = len(strings)
    for i in range(N_FRAMES):
        parts = rng.choice(len(_PARTS), rng.integers(1, 4))
        strings.append(b"".join(_PARTS[part] for part in parts) + b"#%d" % i)
    frames = np.zeros(N_FRAMES, FRAME)
    frames["function"][1:] = first_function + np.arange(1, N_FRAMES)
    frames["line"] = rng.integers(0, 5_000, N_FRAMES)
    stacks = np.zeros(N_STACKS, NODE)
    below = np.arange(1, N_STACKS)
    stacks["parent"][1:] = np.where(rng.random(N_STACKS - 1) < 0.1, 0, rng.integers(np.maximum(0, below - 40), below))
    known = 1 + (N_FRAMES - 1) * below // N_STACKS
    stacks["frame"][1:] = rng.integers(0, known) + (known > 1)
    processes = np.zeros(N_PROCESSES, PROCESS)
    processes["pid"][1:] = rng.integers(1, 1 << 22, N_PROCESSES - 1)
    processes["name"][1:] = rng.integers(1, 1 + len(_NAMES), N_PROCESSES - 1)
    processes["cgroup"][1:] = rng.integers(0, len(_CGROUPS), N_PROCESSES - 1)
    processes["cgroup"][1:] += (processes["cgroup"][1:] > 0) * np.uint32(len(_NAMES))
    return Tables(strings, frames, stacks, processes)


def _first(tables: Tables, part: float) -> Tables:
    """The tables as they were when this part of them was known."""
    n_stacks, n_processes = 1 + int((N_STACKS - 1) * part), 1 + int((N_PROCESSES - 1) * part)
    n_frames = min(N_FRAMES, 2 + (N_FRAMES - 1) * n_stacks // N_STACKS)
    n_strings = int(tables.frames["function"][:n_frames].max()) + 1
    return Tables(
        tables.strings[:n_strings], tables.frames[:n_frames], tables.stacks[:n_stacks], tables.processes[:n_processes]
    )


def batches(n: int, seed: int = 7) -> Iterator[Batch]:
    """`n` events in batches of at most 16,384 and of uneven length, roughly in the order of time."""
    rng = np.random.default_rng(seed)
    times = START_NS + np.sort(rng.integers(0, SECONDS * 10**9, n)) + rng.integers(-(10**7), 10**7, n)
    lengths: list[int] = []
    while sum(lengths) < n:
        lengths.append(min(n - sum(lengths), BATCH if not lengths else int(rng.integers(1, BATCH))))
    tables, generation, at, begun = _tables(rng), 1, 0, 0
    for i, length in enumerate(lengths):
        if i == (len(lengths) + 1) // 2:
            tables, generation, begun = _tables(rng), 2, i
        known = _first(tables, (i + 1 - begun) / (len(lengths) - begun))
        events = np.zeros(length, EVENT)
        events["time_ns"] = times[at : at + length]
        events["duration_ns"] = rng.integers(0, 10**9, length)
        events["maximum_ns"] = rng.choice([0, 999_999, 1_000_000, 1_000_001, 5 * 10**8], length)
        events["pid"] = rng.integers(1, 1 << 22, length)
        events["tid"] = rng.integers(1, 200, length)
        events["process"] = np.minimum(rng.geometric(0.1, length) - 1, len(known.processes) - 1)
        events["thread"] = rng.integers(0, len(known.strings), length)
        events["name"] = rng.integers(0, len(known.strings), length)
        events["stack"] = rng.integers(0, len(known.stacks), length)
        events["weight"] = rng.integers(1, 100, length)
        events["kind"] = rng.integers(1, 7, length)
        events["cpu"] = rng.integers(0, 512, length)
        at += length
        yield Batch(events, known, generation)
