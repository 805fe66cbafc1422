"""What the agent may cost its program, and what it has cost: a budget. Pure.

What CUPTI costs a program it says only in small part, and from inside a program that cannot be measured; it is reckoned
by what was recorded, at prices that were measured: docs/gpu.md has them.
"""

from __future__ import annotations

KERNEL_NS = 3_000
"""Of a kernel or a copy that was launched by itself."""
OF_GRAPH_NS = 500
"""Of a kernel that a CUDA graph runs."""
CALL_NS = 5_000
"""Of a call to the runtime or the driver, with those about it that are not told."""
ATTACH_NS = 15_000_000
"""Of attaching CUPTI and detaching it again: as if the program stood still meanwhile."""
NO_LIMIT = 1.0
"""The limit from which on everything is recorded, whatever it costs."""
_SAVED_NS = 1_000_000_000
_OWED_NS = 10_000_000_000
"""The time by whose budget may be saved, or be owed."""
_SPAN_NS = 5_000_000_000
"""Of what is told as the share that it costs: the newest one or two of these."""
_IDLE = 4
"""A program that uses less than this part of a CPU has the budget of one that does: it may wait for its GPU."""


class Governor:
    """limit: of the CPU time that the program uses, at most one CPU's, the share that the agent may cost it."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._left_ns = limit * _SAVED_NS
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


def cost_ns(kernels: int, of_graphs: int, copies: int, calls: int) -> int:
    """What the recording of so many has cost. kernels: without those of graphs."""
    return KERNEL_NS * (kernels + copies) + OF_GRAPH_NS * of_graphs + CALL_NS * calls
