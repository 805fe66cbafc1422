"""What profiling the whole machine costs, beside perf and profile-bpfcc: rounds of every arm in turn."""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bench import procfs, profilers
from bench.figures import Figure, throughput_loss
from bench.launch import FailedError, Program
from bench.procfs import BpfRuns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bench.load import Burnt, Loads
    from bench.profilers import Profiler

_BUDGET_PERCENT: Final = 0.5
_SETTLE_S: Final = 2.0
"""From attached to steady: the first second of ours is drained more often, bcc's tool has nothing left to do."""
_GAP_HZ: Final = 4999
"""Interrupts are timed at this rate, where they stand out of the machine's own; the cost of one is what counts."""
_MIB: Final = 1 << 20
_CPUS: Final = os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Arm:
    """One profiler in one round. *_cpu_s: CPU seconds of its processes before, during and after the steady window.

    bpf_s: of all its BPF programs. sampling: of those that take samples, in the window as well.
    """

    window_s: float
    start_cpu_s: float
    steady_cpu_s: float
    end_cpu_s: float
    bpf_s: float
    sampling: BpfRuns
    peak_rss_bytes: int
    pss_bytes: int


@dataclass(slots=True)
class Rounds:
    """What the rounds gave for one profiler. loss: percent of the same round's baseline."""

    arms: list[Arm] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    why: str = ""


def measure(loads: Loads, scratch: Path, rounds: int, seconds: float, tell: Callable[[str], None]) -> list[Figure]:
    """All figures of this group. seconds: of load in each arm."""
    arms = [
        profilers.nothing(),
        *(profiler for hz in (99, 999) for profiler in (profilers.ours(hz), profilers.perf(hz))),
        profilers.profile_bpfcc(99, scratch),
    ]
    found = {profiler.name: Rounds(why=profiler.missing) for profiler in arms}
    for n in range(rounds):
        base = loads.burn(seconds, _CPUS)
        for profiler in arms:
            tell(f"overhead, round {n + 1} of {rounds}: {profiler.name}")
            _one(profiler, found[profiler.name], base, loads, scratch, seconds)
    interrupts = _interrupts(loads, scratch, 2 * rounds, tell)
    return _figures(arms, found, interrupts)


def _one(profiler: Profiler, into: Rounds, base: Burnt, loads: Loads, scratch: Path, seconds: float) -> None:
    if profiler.missing:
        return
    try:
        if profiler.family == profilers.BASE:
            burnt = loads.burn(seconds, _CPUS)
        else:
            arm, burnt = _profiled(profiler, loads, scratch, seconds)
            into.arms.append(arm)
        into.loss.append(throughput_loss(burnt.iterations, burnt.cpu_s, base.iterations, base.cpu_s))
    except FailedError as error:
        into.why = str(error)


def _profiled(profiler: Profiler, loads: Loads, scratch: Path, seconds: float) -> tuple[Arm, Burnt]:
    program = Program(profiler.command, scratch, profiler.extra)
    try:
        program.wait_for_perf_event()
        time.sleep(_SETTLE_S)
        start_ns, bpf, began = procfs.cpu_ns(program.pid), procfs.bpf_programs(program.pid), time.monotonic()
        burnt = loads.burn(seconds, _CPUS)
        window_s = time.monotonic() - began
        end_ns, bpf_after = procfs.cpu_ns(program.pid), procfs.bpf_programs(program.pid)
        pss = procfs.pss_bytes(program.pid)
        ended = program.end()
    finally:
        program.kill()
    spent = {kind: runs.since(bpf.get(kind, BpfRuns())) for kind, runs in bpf_after.items()}
    arm = Arm(
        window_s=window_s,
        start_cpu_s=start_ns / 1e9,
        steady_cpu_s=(end_ns - start_ns) / 1e9,
        end_cpu_s=max(0.0, ended.cpu_s - end_ns / 1e9),
        bpf_s=sum(runs.time_ns for runs in spent.values()) / 1e9,
        sampling=spent.get(procfs.PERF_EVENT, BpfRuns()),
        peak_rss_bytes=ended.peak_rss_bytes,
        pss_bytes=pss,
    )
    return arm, burnt


def _interrupts(
    loads: Loads, scratch: Path, rounds: int, tell: Callable[[str], None]
) -> dict[str, tuple[tuple[float, ...], str]]:
    """Family -> us that one sample takes from the program it interrupts, a value a round; or why there is none."""
    arms = [profilers.ours(_GAP_HZ), profilers.perf(_GAP_HZ), profilers.profile_bpfcc(_GAP_HZ, scratch)]
    found: dict[str, list[float]] = {profiler.family: [] for profiler in arms}
    why = {profiler.family: profiler.missing for profiler in arms}
    for n in range(rounds):
        tell(f"interrupts, round {n + 1} of {rounds}")
        base = loads.gaps(_SETTLE_S)
        for profiler in arms:
            if why[profiler.family]:
                continue
            program = None
            try:
                program = Program(profiler.command, scratch, profiler.extra)
                program.wait_for_perf_event()
                gaps = loads.gaps(_SETTLE_S)
                program.end()
            except FailedError as error:
                why[profiler.family] = str(error)
            else:
                share = gaps.gaps_s / gaps.watched_s - base.gaps_s / base.watched_s
                found[profiler.family].append(share / _GAP_HZ * 1e6)
            finally:
                if program:
                    program.kill()
    return {family: (tuple(values), why[family]) for family, values in found.items()}


def _figures(
    arms: Sequence[Profiler], found: dict[str, Rounds], interrupts: dict[str, tuple[tuple[float, ...], str]]
) -> list[Figure]:
    out: list[Figure] = []
    for family, (values, why) in interrupts.items():
        out.append(Figure("one sample takes from the program it interrupts", family, "us", values, why=why))
    for profiler in arms:
        rounds = found[profiler.name]
        loss = "throughput lost by the load"
        out.append(Figure(loss, profiler.name, "%", tuple(rounds.loss), why=rounds.why, comparable=False))
        if profiler.family != profilers.BASE:
            out += _costs(profiler, rounds, interrupts[profiler.family][0])
    order = list(dict.fromkeys(figure.measure for figure in out))
    return sorted(out, key=lambda figure: order.index(figure.measure))


def _costs(profiler: Profiler, rounds: Rounds, sample_us: tuple[float, ...]) -> list[Figure]:
    hz = int(profiler.command[profiler.command.index("-F") + 1])
    interrupted = statistics.median(sample_us) * hz / 1e4 if sample_us else None

    def figure(measure: str, unit: str, value: Callable[[Arm], float], budget: float | None = None) -> Figure:
        why = rounds.why or profiler.remark
        return Figure(measure, profiler.name, unit, tuple(map(value, rounds.arms)), budget, why)

    def share(seconds: float, arm: Arm) -> float:
        return 100 * seconds / arm.window_s / _CPUS

    figures = [
        figure("CPU of its processes, steady (of the machine)", "%", lambda arm: share(arm.steady_cpu_s, arm)),
        figure("CPU of its processes, starting", "s", lambda arm: arm.start_cpu_s),
        figure("CPU of its processes, ending (symbols, files)", "s", lambda arm: arm.end_cpu_s),
        figure("resident memory, peak of the largest process", "MB", lambda arm: arm.peak_rss_bytes / _MIB),
        figure("memory, steady (proportional, all its processes)", "MB", lambda arm: arm.pss_bytes / _MIB),
    ]
    if any(arm.sampling.count for arm in rounds.arms):
        figures += [
            figure("BPF run time (of the machine)", "%", lambda arm: share(arm.bpf_s, arm)),
            figure(
                "BPF run time of a sample", "us", lambda arm: arm.sampling.time_ns / max(1, arm.sampling.count) / 1e3
            ),
        ]
    if interrupted is not None:
        budget = _BUDGET_PERCENT if (profiler.family, hz) == (profilers.OURS, 99) else None
        whole = "whole cost: its processes and the interrupts (of the machine)"
        figures.append(figure(whole, "%", lambda arm: share(arm.steady_cpu_s, arm) + interrupted, budget))
    return figures
