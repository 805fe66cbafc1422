"""What probes cost the programs they watch: a syscall, a switch, a request; and what they lose under full load.

`measure` gives the group `probes`. It is timed without BPF statistics, which would cost every run of a program about
as much again as an empty one; they are on where run time is the figure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.probes import flood, slowdown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.figures import Figure
    from bench.load import Loads


def measure(
    loads: Loads, scratch: Path, rounds: int, share: float, seconds: float, tell: Callable[[str], None]
) -> list[Figure]:
    """All figures of this group. share: of the calls that each load makes; seconds: of the mixed load."""
    return [*slowdown.measure(scratch, rounds, share, tell), *flood.measure(loads, scratch, seconds, tell)]
