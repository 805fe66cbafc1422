"""What a GPU did, by kernel and by direction of copies. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aperture_tui.profile.gpu_launch import Launch
from aperture_tui.profile.latency import BUCKETS, Latency, quantile


@dataclass(frozen=True, slots=True)
class KernelUse:
    """The executions of one kernel by one process. share: of the time of all kernels, 0 to 1.

    launches: the different blocks, registers and shared memory, each with its executions and their time, most of it
    first.
    """

    pid: int
    start_ns: int
    process: str
    name: str
    count: int
    time_ns: int
    maximum_ns: int
    share: float
    histogram: tuple[int, ...]
    launches: tuple[tuple[Launch, int, int], ...]

    @property
    def mean_ns(self) -> int:
        """Of an execution."""
        return self.time_ns // max(self.count, 1)

    def quantile(self, q: float) -> int:
        """What this part (0 to 1) of the executions took at most, ns."""
        return quantile(self.histogram, q, 0, self.maximum_ns)


@dataclass(frozen=True, slots=True)
class CopyUse:
    """The copies of one direction by one process. bytes: of all together."""

    pid: int
    start_ns: int
    process: str
    name: str
    count: int
    time_ns: int
    maximum_ns: int
    bytes: int

    @property
    def bytes_s(self) -> float | None:
        """Bytes in a second of copying; None if none has taken any time."""
        return self.bytes * 1e9 / self.time_ns if self.time_ns else None


def kernel_uses(told: Iterable[Latency]) -> list[KernelUse]:
    """By process and kernel, most time first. told: a store's latencies of kernels, each of one shape."""
    groups = _by_name(told)
    total = sum(one.time_ns for rows in groups for one in rows) or 1
    made = [_kernel(rows, total) for rows in groups]
    return sorted(made, key=lambda use: (-use.time_ns, -use.count, use.name, use.pid))


def copy_uses(told: Iterable[Latency]) -> list[CopyUse]:
    """By process and direction, most time first. told: a store's latencies of copies, each of one size."""
    made = [
        CopyUse(
            *(rows[0].pid, rows[0].start_ns, rows[0].process, rows[0].name),
            sum(one.count for one in rows),
            sum(one.time_ns for one in rows),
            max(one.maximum_ns for one in rows),
            sum(one.value * one.count for one in rows),
        )
        for rows in _by_name(told)
    ]
    return sorted(made, key=lambda use: (-use.time_ns, -use.bytes, use.name, use.pid))


def _kernel(rows: Sequence[Latency], total_ns: int) -> KernelUse:
    first, time_ns = rows[0], sum(one.time_ns for one in rows)
    by_time = sorted(rows, key=lambda one: (-one.time_ns, one.value))
    return KernelUse(
        first.pid,
        first.start_ns,
        first.process,
        first.name,
        sum(one.count for one in rows),
        time_ns,
        max(one.maximum_ns for one in rows),
        time_ns / total_ns,
        tuple(sum(one.histogram[i] for one in rows) for i in range(BUCKETS)),
        tuple((Launch.unpacked(one.value), one.count, one.time_ns) for one in by_time),
    )


def _by_name(told: Iterable[Latency]) -> list[list[Latency]]:
    groups: dict[tuple[int, int, str, str], list[Latency]] = {}
    for one in told:
        groups.setdefault((one.pid, one.start_ns, one.process, one.name), []).append(one)
    return list(groups.values())
