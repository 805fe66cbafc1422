"""Who watches, and which loads show what it costs: one table. An arm that cannot run here says why."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bench import procfs, profilers
from bench.launch import Program
from bench.probes.loads import DD, GETPPID, PIPE, SERVER, SYSCALL
from bench.profilers import OURS, PERF_DATA, RECORDING, Profiler

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_CALLS: Final = (GETPPID, DD, SYSCALL, SERVER)
_SWITCHES: Final = (PIPE, SERVER)
_FEW: Final = 0.02
"""Of the calls, for what makes each a hundred times as long."""
ALL_EVENTS: Final = "cpu,offcpu,syscall,lock"
_BPFTRACE: Final = (
    "tracepoint:raw_syscalls:sys_enter { @began[tid] = nsecs; } "
    "tracepoint:raw_syscalls:sys_exit /@began[tid]/ "
    "{ @took[pid, args->id] = hist(nsecs - @began[tid]); delete(@began[tid]); }"
)
_WRAPS: Final = "strace"
_PERF: Final = "perf"
_START_S: Final = 30.0
_SETTLE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Arm:
    """loads: those it is timed with. share: of the load's count. budgets: load -> how many times as long, at most.

    each_call: its BPF programs run in every call of these loads; where they do not it is not attached, and has no
    figure. rival: its ratio says something beside those of the peers.
    """

    profiler: Profiler
    loads: tuple[str, ...] = _CALLS
    share: float = 1.0
    budgets: Mapping[str, float] = field(default_factory=dict)
    each_call: bool = False
    rival: bool = False

    @property
    def wrap(self) -> tuple[str, ...]:
        """The command that a load is put behind, for what can only watch its own child."""
        return self.profiler.command if self.profiler.family == _WRAPS else ()

    def attach(self, scratch: Path) -> Program:
        """Start it, and wait until it watches and has settled. BPF statistics have to be on. Raises FailedError."""
        program = Program(self.profiler.command, scratch, self.profiler.extra)
        try:
            if self.profiler.family == _PERF:
                program.wait_for_perf_event(_START_S)
            else:
                program.wait_until(_has_run, "no BPF program of it has run", _START_S)
            settled = time.monotonic() + _SETTLE_S
            program.wait_until(lambda _: time.monotonic() > settled, "not settled", 2 * _START_S)
        except BaseException:
            program.kill()
            raise
        return program


def _has_run(pid: int) -> bool:
    return any(runs.count for runs in procfs.bpf_programs(pid).values())


def table(scratch: Path, other: int) -> list[Arm]:
    """All arms in the order of the rounds. other: a process that has nothing to do with the loads."""
    return [
        Arm(profilers.nothing(), loads=(*_CALLS, PIPE)),
        Arm(ours("cpu"), loads=(GETPPID, PIPE)),
        Arm(ours("syscall"), budgets={GETPPID: 2.7}, each_call=True, rival=True),
        Arm(_renamed(ours("syscall", "-p", str(other)), "aperture record --events syscall -p OTHER"), each_call=True),
        Arm(ours("lock")),
        Arm(ours("syscall,lock"), each_call=True, rival=True),
        Arm(
            _renamed(ours("offcpu", "--no-wait-stacks"), "aperture record --events offcpu, no stacks"),
            loads=_SWITCHES,
            budgets={PIPE: 1.15},
            each_call=True,
            rival=True,
        ),
        Arm(ours("offcpu"), loads=_SWITCHES, each_call=True, rival=True),
        Arm(ours(ALL_EVENTS), loads=(*_CALLS, PIPE), each_call=True),
        Arm(profilers.bcc_tool("syscount-bpfcc", scratch, "-L", "-P"), each_call=True),
        Arm(_peer("bpftrace", "hist by pid, id", "-e", _BPFTRACE), each_call=True),
        Arm(_peer("strace", "-c -f", "-c", "-f", "-o", "strace.txt"), loads=(GETPPID, SERVER), share=_FEW),
        Arm(_peer(_PERF, "trace -s -a", "trace", "-s", "-a", "-o", "trace.txt"), (GETPPID, SERVER), _FEW),
        Arm(_switches(), loads=_SWITCHES, share=0.25),
    ]


def ours(events: str, *more: str) -> Profiler:
    """`aperture record --events`."""
    arguments = ("record", "--events", events, *more)
    command = (profilers.beside_python("aperture"), *arguments, "-o", RECORDING)
    return Profiler(" ".join(("aperture", *arguments)), OURS, command)


def _renamed(profiler: Profiler, name: str) -> Profiler:
    return Profiler(name, profiler.family, profiler.command)


def _peer(name: str, words: str, *arguments: str) -> Profiler:
    missing = "" if shutil.which(name) else f"{name} is not installed"
    return Profiler(f"{name} {words}", name, (name, *arguments), missing=missing)


def _switches() -> Profiler:
    event = ("-e", "sched:sched_switch", "-a", "-g")
    return _peer(_PERF, f"record {' '.join(event)}", "record", "-q", *event, "-o", PERF_DATA)
