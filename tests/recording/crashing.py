"""Writes recordings and is killed while it does: a program of its own, as it forks.

crashing.py FOLDER TIMES SEED prints a JSON line for each: where it wrote, how many events it had flushed for certain
when it was killed, and how many it had given away.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import struct
import sys
import time
from pathlib import Path

from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.recording import writer as writing
from aperture_tui.recording.rotation import RotatingWriter, Rotation
from aperture_tui.recording.writer import Writer
from tests.recording.sample import STACK
from tests.store.conformance import HOST, SH
from tests.store.facts import T0, Fact, batch_of

_COUNTS = struct.Struct("=QQ")  # flushed, given


def write_for_ever(path: Path, counts: mmap.mmap, rotating: bool) -> None:
    """Event i has the value i. A flush after each few, with new symbols; small generations and small files."""
    writing.GENERATION_BYTES = 5000
    symbols = Symbols()
    writer = RotatingWriter(path, Rotation(every_bytes=20_000)) if rotating else Writer(path)
    writer.set_hosts([HOST])
    given = 0
    while True:
        some = [Fact(T0 + i, SH, stack=(*STACK, Frame(f"f{i % 997}")), value=i) for i in range(given, given + 7)]
        given += len(some)
        counts[8:16] = struct.pack("=Q", given)
        writer.append(batch_of(some, symbols))
        (writer._writer if isinstance(writer, RotatingWriter) else writer)._flush()
        if not rotating:  # of several files the last few may be in a thread that closes them
            counts[:8] = struct.pack("=Q", given)


def _cpu_s(pid: int) -> float:
    """The CPU time of a process: its clock's number is made of its own, include/linux/posix-timers_types.h."""
    return time.clock_gettime(~pid << 3 | 2)


def main() -> None:
    folder, times, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    chance = random.Random(seed)
    for i in range(times):
        counts, path, rotating = mmap.mmap(-1, _COUNTS.size), folder / f"{i}", i % 4 == 3
        child = os.fork()
        if not child:
            write_for_ever(path, counts, rotating)
        ends = chance.uniform(0.002, 0.06)
        while _cpu_s(child) < ends:  # not of the wall's clock: beside others it would have written next to nothing
            time.sleep(0.0005)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        flushed, given = _COUNTS.unpack(counts[:])
        print(json.dumps([str(path), flushed, given]), flush=True)


if __name__ == "__main__":
    main()
