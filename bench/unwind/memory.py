"""What the unwinder holds: the kernel's maps, what it adds to `aperture record`, the children that make tables."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from bench import load, procfs
from bench.figures import Figure
from bench.launch import FailedError
from bench.unwind import children, programs
from bench.unwind.held import held, peak_bytes
from bench.unwind.tables import BCC, libllvm

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.unwind.programs import Programs

_HZ: Final = 99
_SETTLE_S: Final = 6.0
"""Until the memory that the start took has been given back."""
_BUILD_S, _LOOK_S = 4.0, 0.05
_MIB: Final = 1 << 20
_MAPS: Final = "kernel memory of its BPF maps"
_RSS, _PSS = "resident memory of aperture record, steady", "proportional memory of aperture record, steady"
_CHILDREN: Final = "children that make tables, peak of all together"
_LARGE: Final = (
    f"import ctypes, time; ctypes.CDLL({BCC!r}); end = time.time() + {_BUILD_S}\nwhile time.time() < end: pass"
)


def measure(built: Programs, scratch: Path, rounds: int, tell: Callable[[str], None]) -> list[Figure]:
    """All figures of this part."""
    arms = {"aperture record": children.record, "without the unwinder": children.record_without}
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    why: dict[str, str] = defaultdict(str)
    for n in range(rounds):
        for name, recording in arms.items():
            tell(f"memory, round {n + 1} of {rounds}: {name}")
            burning = programs.start(built.omitted, 2 * _SETTLE_S + 10, 1, 25)
            try:
                running = children.attach(recording(_HZ, "-p", str(burning.pid)), scratch)
                try:
                    time.sleep(_SETTLE_S)
                    found[_MAPS, name].append(held(running.pid).map_bytes / _MIB)
                    found[_RSS, name].append(procfs.rss_bytes(running.pid) / _MIB)
                    found[_PSS, name].append(procfs.pss_bytes(running.pid) / _MIB)
                    running.end()
                finally:
                    running.kill()
            except FailedError as error:
                why[name] = str(error)
            finally:
                load.end(burning)
    figures = [
        Figure(measure, name, "MB", tuple(found[measure, name]), why=why[name])
        for measure in (_MAPS, _RSS, _PSS)
        for name in arms
    ]
    return [*figures, _while_building(scratch, rounds, tell)]


def _while_building(scratch: Path, rounds: int, tell: Callable[[str], None]) -> Figure:
    """No table on disk, and a process that has loaded libLLVM."""
    subject = "aperture record"
    if libllvm() is None:
        return Figure(_CHILDREN, subject, "MB", why="there is no libLLVM here")
    peaks = []
    for n in range(rounds):
        tell(f"memory, round {n + 1} of {rounds}: tables of all there is")
        try:
            running = children.attach(children.record_uncached(_HZ), scratch)
            try:
                peaks.append(_peak_of_children(running.pid) / _MIB)
                running.end()
            finally:
                running.kill()
        except FailedError as error:
            return Figure(_CHILDREN, subject, "MB", tuple(peaks), why=str(error))
    return Figure(_CHILDREN, subject, "MB", tuple(peaks), why="libLLVM's table among them")


def _peak_of_children(pid: int) -> int:
    """While a process with a large library runs: the sum of each child's own peak."""
    using = subprocess.Popen([sys.executable, "-c", _LARGE], start_new_session=True)
    peaks: dict[int, int] = {}
    try:
        while using.poll() is None:
            for child in procfs.tree(pid)[1:]:
                peaks[child] = max(peaks.get(child, 0), peak_bytes(child))
            time.sleep(_LOOK_S)
    finally:
        load.end(using)
    return sum(peaks.values())
