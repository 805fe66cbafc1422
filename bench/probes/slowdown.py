"""How much longer a watched call takes: CPU time of the load, an arm and nothing in turn."""

from __future__ import annotations

import subprocess
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bench import load, procfs, profilers
from bench.counted import counted
from bench.figures import Figure
from bench.launch import FailedError
from bench.probes import loads as programs
from bench.probes.arms import Arm, table
from bench.procfs import BpfRuns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bench.launch import Program
    from bench.probes.loads import Load

_STATISTICS: Final = "BPF statistics were on, by its own or another's will, and are contained"


@dataclass(slots=True)
class Found:
    """What the rounds gave for one arm, a value a round. off_ns, on_ns: CPU time of a call, by load.

    run_ns: of a run of its BPF programs, without those that sample. runs: a call. cpu_percent: of one core, while it
    watched loads for window_s. remark: what the ratios contain that is not the probes'. why: the reason, if it failed.
    """

    off_ns: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    on_ns: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    run_ns: list[float] = field(default_factory=list)
    runs: list[float] = field(default_factory=list)
    cpu_percent: list[float] = field(default_factory=list)
    window_s: list[float] = field(default_factory=list)
    remark: str = ""
    why: str = ""

    @property
    def words(self) -> str:
        """What has to be said beside the ratios."""
        return f"a round failed: {self.why}" if self.why and any(self.on_ns.values()) else self.why or self.remark

    def ratios(self, name: str) -> tuple[float, ...]:
        """How many times as long, each by the base just before it."""
        return tuple(on / off for on, off in zip(self.on_ns[name], self.off_ns[name], strict=True))

    def added_ns(self, name: str) -> tuple[float, ...]:
        """What came on top of a call."""
        return tuple(on - off for on, off in zip(self.on_ns[name], self.off_ns[name], strict=True))


def measure(scratch: Path, rounds: int, share: float, tell: Callable[[str], None]) -> list[Figure]:
    """All figures of this part. share: of the calls that each load makes."""
    folder = _folder(scratch)
    loads = programs.built(folder)
    other = subprocess.Popen(["sleep", "3600"], start_new_session=True)
    try:
        arms = table(scratch, other.pid)
        return figures(loads, arms, alternate(loads, arms, scratch, rounds, share, tell))
    finally:
        load.end(other)


def alternate(
    loads: Mapping[str, Load],
    arms: Sequence[Arm],
    scratch: Path,
    rounds: int,
    share: float,
    tell: Callable[[str], None],
) -> dict[str, Found]:
    """Rounds of all arms, each after a base of its own -> by the arm's name."""
    found = {arm.profiler.name: Found(why=arm.profiler.missing) for arm in arms}
    for n in range(rounds):
        for arm in arms:
            if not arm.profiler.missing:
                tell(f"probes, round {n + 1} of {rounds}: {arm.profiler.name}")
                _one(arm, found[arm.profiler.name], loads, scratch, share)
    return found


def _folder(scratch: Path) -> Path:
    """Where the loads run: what they say must not overwrite what the profiler says."""
    folder = scratch / "probed"
    folder.mkdir(exist_ok=True)
    return folder


def _one(arm: Arm, into: Found, loads: Mapping[str, Load], scratch: Path, share: float) -> None:
    folder = _folder(scratch)
    usable = [loads[name] for name in arm.loads if not loads[name].missing]
    try:
        off_ns = {each.name: each.cpu_ns(folder, share) for each in usable}
        with ExitStack() as ending:
            watching = None
            if arm.profiler.family != profilers.BASE and not arm.wrap:
                with counted():
                    watching = arm.attach(scratch)
                ending.callback(watching.kill)
                _count_runs(arm, into, watching, usable[0], folder, share)
            before, began = _spent(watching), time.monotonic()
            on_ns = {each.name: each.cpu_ns(folder, share * arm.share, arm.wrap) for each in usable}
            passed_s, after = time.monotonic() - began, _spent(watching)
            if watching is not None:
                watching.end()
                into.cpu_percent.append((after[0] - before[0]) / 1e7 / passed_s)
                into.window_s.append(passed_s)
                if probing(before[1], after[1]).count:
                    into.remark = _STATISTICS
    except FailedError as error:
        into.why = str(error)
        return
    for name in on_ns:
        into.off_ns[name].append(off_ns[name])
        into.on_ns[name].append(on_ns[name])


def _spent(watching: Program | None) -> tuple[int, dict[str, BpfRuns]]:
    """CPU time of its processes, ns, and what is counted of its programs; nothing if nobody watches."""
    return (procfs.cpu_ns(watching.pid), procfs.bpf_programs(watching.pid)) if watching else (0, {})


def _count_runs(arm: Arm, into: Found, watching: Program, probed: Load, folder: Path, share: float) -> None:
    """With statistics on, before it is timed. Raises FailedError if it does not watch what it should."""
    share *= arm.share
    with counted():
        before = procfs.bpf_programs(watching.pid)
        probed.cpu_ns(folder, share)
        after = procfs.bpf_programs(watching.pid)
    spent = probing(before, after)
    runs = spent.count / max(2, round(probed.count * share)) / probed.calls
    if arm.each_call and runs < 1:
        raise FailedError(f"not attached: its programs ran {runs:.2f} times in one {probed.noun}")
    if spent.count:
        into.run_ns.append(spent.time_ns / spent.count)
        into.runs.append(runs)


def probing(before: Mapping[str, BpfRuns], after: Mapping[str, BpfRuns]) -> BpfRuns:
    """What the programs did in between that are not run by a sampling interrupt, by type of program."""
    since = [runs.since(before.get(kind, BpfRuns())) for kind, runs in after.items() if kind != procfs.PERF_EVENT]
    return BpfRuns(sum(runs.time_ns for runs in since), sum(runs.count for runs in since))


def figures(loads: Mapping[str, Load], arms: Sequence[Arm], found: Mapping[str, Found]) -> list[Figure]:
    """Of each load: what a call takes unwatched, how many times as long watched, what came on top."""
    rows: list[Figure] = []
    for each in loads.values():
        mine = [(arm, found[arm.profiler.name]) for arm in arms if each.name in arm.loads]
        of_one = f"{each.name}: CPU of one {each.noun}"
        off_ns = tuple(value for _, one in mine for value in one.off_ns[each.name])
        rows.append(Figure(of_one, profilers.BASE, "ns", off_ns, why=each.missing, comparable=False))
        rows += [
            Figure(
                f"{of_one}, to that of an unwatched one",
                arm.profiler.name,
                "×",
                one.ratios(each.name),
                arm.budgets.get(each.name),
                each.missing or one.words,
                comparable=arm.rival,
            )
            for arm, one in mine
            if one.ratios(each.name) or each.name in arm.budgets or each.name == arm.loads[0]
        ]
        rows += [
            Figure(f"{each.name}: added to one {each.noun}", arm.profiler.name, "ns", added, comparable=False)
            for arm, one in mine
            if (added := one.added_ns(each.name))
        ]
    return [*rows, *_of_programs(loads, arms, found)]


def _of_programs(loads: Mapping[str, Load], arms: Sequence[Arm], found: Mapping[str, Found]) -> list[Figure]:
    named = [(arm, arm.profiler.name, found[arm.profiler.name]) for arm in arms]
    runs = [
        Figure(
            "BPF run time of a run, probes alone",
            name,
            "ns",
            tuple(one.run_ns),
            why=f"{sum(one.runs) / len(one.runs):.1f} in one {loads[arm.loads[0]].noun}, {arm.loads[0]}",
            comparable=arm.rival,
        )
        for arm, name, one in named
        if one.run_ns
    ]
    own = [
        Figure(
            "CPU of its processes under these loads (of one core)",
            name,
            "%",
            tuple(one.cpu_percent),
            why=f"in {sum(one.window_s) / len(one.window_s):.1f} s of them, two seconds after it was attached",
            comparable=False,
        )
        for _, name, one in named
        if one.cpu_percent
    ]
    return [*runs, *own]
