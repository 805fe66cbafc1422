"""What the unwinder (bpf/unwind.h and its supply) costs, how soon it covers a process, what it holds.

`measure` gives the group `unwind`. The modules that import the product (`recording`, `made`, `stackid`, `off`) are
run as processes of their own: numpy in this one would raise the floor of every peak of memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.unwind import cover, depth, dwarf, memory, storm, tables
from bench.unwind.programs import Programs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.figures import Figure


def measure(scratch: Path, rounds: int, seconds: float, tell: Callable[[str], None]) -> list[Figure]:
    """All figures of this group. seconds: of load in each arm."""
    programs = Programs(scratch)
    return [
        *depth.measure(programs, scratch, rounds, seconds / 2, tell),
        *tables.measure(scratch, rounds, tell),
        *cover.measure(programs, scratch, rounds, tell),
        *memory.measure(programs, scratch, rounds, tell),
        *dwarf.measure(programs, scratch, rounds, seconds, tell),
        *storm.measure(scratch, rounds, round(seconds), tell),
    ]
