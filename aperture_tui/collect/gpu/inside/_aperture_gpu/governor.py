"""What the agent may cost its program, and what it has cost: a budget. Pure.

What CUPTI costs a program it says only in small part, and from inside a program that cannot be measured; it is reckoned
by what was recorded, at prices that were measured: docs/gpu.md has them. There are two: what is charged for a record,
and what is charged for each launch as long as the process lives, once CUPTI was asked for its kernels or its calls.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import wire

KERNEL_NS = 300
"""Of a kernel or a copy that was launched by itself."""
OF_GRAPH_NS = 500
"""Of a kernel that a CUDA graph runs."""
CALL_NS = 3_000
"""Of a call to the runtime or the driver, with those about it that are not told."""
LAUNCH_NS = 3_500
"""Of a launch, recorded or not, after kernels were recorded once."""
CALLED_NS = 8_000
"""The same after calls were."""
NO_LIMIT = 1.0
"""The limit from which on everything is recorded, whatever it costs."""
_LEAST = 1e-4
"""Below it nothing would ever be recorded again."""
_SAVED_NS = 1_000_000_000
_OWED_NS = 10_000_000_000
"""The time by whose budget may be saved, or be owed."""
_SPAN_NS = 5_000_000_000
"""Of what is told as the share that it costs: the newest one or two of these."""
_KNOWN_NS = 900_000_000
"""Of launches that are seen, before what they cost is believed."""
_IDLE = 4
"""A program that uses less than this part of a CPU has the budget of one that does: it may wait for its GPU."""


class Governor:
    """limit: of the CPU time that the program uses, at most one CPU's, the share that the agent may cost it."""

    def __init__(self, limit: float) -> None:
        self.limit = max(limit, _LEAST)
        self._left_ns = self.limit * _SAVED_NS
        self._spans = [(0.0, 0.0), (0.0, 0.0)]
        """Of the span before and of this one: time, cost."""

    def passed(self, wall_ns: int, program_ns: int) -> None:
        """So much time, in which the program had so much of the CPUs."""
        basis = min(wall_ns, max(program_ns, wall_ns // _IDLE))
        self._left_ns = min(self._left_ns + self.limit * basis, self.limit * _SAVED_NS)
        before, (time, cost) = self._spans
        if time + basis > _SPAN_NS:
            before, time, cost = (time, cost), 0.0, 0.0
        self._spans = [before, (time + basis, cost)]

    def spend(self, cost_ns: float) -> None:
        """What has been done has cost so much."""
        self._left_ns = max(self._left_ns - cost_ns, -self.limit * _OWED_NS)
        before, (time, cost) = self._spans
        self._spans = [before, (time, cost + cost_ns)]

    @property
    def share(self) -> float:
        """What it has cost of late."""
        time, cost = (sum(part) for part in zip(*self._spans))
        return cost / time if time else 0.0

    @property
    def may_record(self) -> bool:
        """Whether there is something left."""
        return self.limit >= NO_LIMIT or self._left_ns >= 0

    @property
    def wait_ns(self) -> float:
        """How long, at least, until there is something left again."""
        return 0.0 if self.may_record else -self._left_ns / self.limit


class Launches:
    """How many there are in a second in which there are some."""

    def __init__(self) -> None:
        self._n = 0.0
        self._ns = 0.0

    def add(self, n: int, wall_ns: int) -> None:
        """So many in so much time. The older they are the less they count."""
        if n:
            kept = max(0.0, 1 - wall_ns / _SPAN_NS)
            self._n, self._ns = kept * self._n + n, kept * self._ns + wall_ns

    @property
    def are_known(self) -> bool:
        """Whether they were seen for long enough."""
        return self._ns >= _KNOWN_NS

    @property
    def per_s(self) -> float:
        """Launches a second."""
        return 1e9 * self._n / self._ns if self._ns else 0.0

    @property
    def share(self) -> float:
        """Of the program's time, what CUPTI costs it by being there."""
        return self.per_s * LAUNCH_NS / 1e9

    @property
    def calls_share(self) -> float:
        """The same after calls were recorded."""
        return self.per_s * CALLED_NS / 1e9


def launches(told: dict[int, Any]) -> int:
    """How many launches these are records of. told: rows by the type of their frame."""
    kernels = told.get(wire.KERNELS)
    if kernels is None:
        return 0
    of_graphs = kernels["correlation"][kernels["graph"] != 0]
    return len(kernels) - len(of_graphs) + len(np.unique(of_graphs))


def cost_ns(told: dict[int, Any]) -> int:
    """What the recording of these has cost."""
    n = {frame: len(rows) for frame, rows in told.items()}
    of_graphs = int(np.count_nonzero(told[wire.KERNELS]["graph"])) if wire.KERNELS in told else 0
    alone = n.get(wire.KERNELS, 0) - of_graphs + n.get(wire.COPIES, 0)
    return KERNEL_NS * alone + OF_GRAPH_NS * of_graphs + CALL_NS * n.get(wire.CALLS, 0)
