"""What the live screens cost while they run: CPU at 2 Hz and 120x40, memory after a minute on a busy machine."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench import load, procfs, profilers
from bench.figures import Figure
from bench.launch import FailedError
from bench.terminal import Terminal, drawn

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from bench.load import Loads

_CPU_BUDGET, _MEMORY_BUDGET_MB = 2.0, 120.0
"""Percent of one core, BPF apart; MB resident."""
_UI, _UI_BUDGET = "CPU of the screens: drawing, asking, writing (of one core)", 5.0
_COLUMNS, _ROWS = 120, 40
_STARTED_S: Final = 4.0
_PATIENCE_S: Final = 20.0
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Cost:
    """What a program on a terminal took. Percent of one core: cpu the whole, drawing its first thread, ui that and the
    threads that ask and write for it, bpf BPF.

    The whole has its children, those that have ended as well. sent: bytes to the terminal a second.
    """

    cpu: float
    drawing: float
    ui: float
    bpf: float
    rss_bytes: int
    sent: float


def measure(loads: Loads, calm_s: float, busy_s: float, tell: Callable[[str], None]) -> list[Figure]:
    """All figures of this group. calm_s: under burning threads alone; busy_s: with many short processes as well."""
    ours = (profilers.beside_python("aperture-top"),)
    arms: list[tuple[str, tuple[str, ...], float]] = [
        ("aperture-top", ours, calm_s),
        ("aperture-top --events all", (*ours, "--events", "all"), calm_s),
        ("htop -d 5", ("htop", "-d", "5"), calm_s / 2),
        ("perf top -F 99 -g", ("perf", "top", "-F", "99", "-g"), calm_s / 2),
    ]
    figures: list[Figure] = []
    for name, command, seconds in arms:
        tell(f"live: {name}, {seconds:.0f} s under a steady load")
        with_load = [loads.start_burning(seconds + _PATIENCE_S, 2)]
        figures += _figures(name, "two threads burning", command, seconds, with_load)
    tell(f"live: aperture-top, {busy_s:.0f} s with a compiler running again and again")
    with_load = [loads.start_burning(busy_s + _PATIENCE_S, 1), loads.start_building(busy_s + _PATIENCE_S)]
    figures += _figures("aperture-top", "compiling without pause", ours, busy_s, with_load)
    order = list(dict.fromkeys(figure.measure for figure in figures))
    return sorted(figures, key=lambda figure: order.index(figure.measure))


def _figures(
    name: str, under: str, command: tuple[str, ...], seconds: float, running: list[subprocess.Popen[bytes]]
) -> list[Figure]:
    why, cost = "", None
    try:
        if shutil.which(command[0]) is None:
            raise FailedError(f"{command[0]} is not installed")
        cost = _cost(command, seconds)
    except FailedError as error:
        why = str(error)
    finally:
        for each in running:
            load.end(each)
    mine = name.startswith("aperture-top")
    budgeted = name == "aperture-top"
    subject = f"{name}, {under}"
    words = f"after {seconds:.0f} s"

    def figure(measure: str, unit: str, value: Callable[[Cost], float], budget: float | None = None) -> Figure:
        values = (value(cost),) if cost else ()
        kept = budget if budgeted or (mine and measure == _UI) else None
        return Figure(measure, subject, unit, values, kept, why or words)

    figures = [figure("CPU of the live screens, 120x40 (of one core)", "%", lambda cost: cost.cpu, _CPU_BUDGET)]
    if mine:
        figures += [
            figure(_UI, "%", lambda cost: cost.ui, _UI_BUDGET),
            figure("CPU of the thread that draws (of one core)", "%", lambda cost: cost.drawing),
            figure("BPF run time beside the live screens (of one core)", "%", lambda cost: cost.bpf),
        ]
    figures.append(figure("bytes to the terminal, 120x40", "KB/s", lambda cost: cost.sent / 1000))
    figures.append(
        figure("resident memory of the live screens", "MB", lambda cost: cost.rss_bytes / _MIB, _MEMORY_BUDGET_MB)
    )
    return figures


def _of_threads(pid: int) -> tuple[int, int]:
    """CPU time of the thread that draws, and of all of the screens, ns."""
    return procfs.thread_cpu_ns(pid).get(pid, 0), procfs.ui_cpu_ns(pid)


def _cost(command: tuple[str, ...], seconds: float) -> Cost:
    """Start it, let it settle, watch it. Raises FailedError."""
    terminal = Terminal(command, _COLUMNS, _ROWS, cwd=".")
    try:
        terminal.seconds_until(drawn, _PATIENCE_S)
        terminal.read_for(_STARTED_S)
        before_ns, bpf_before_ns = procfs.cpu_ns(terminal.pid), procfs.bpf_time_ns(terminal.pid)
        drew_before_ns, ui_before_ns = _of_threads(terminal.pid)
        began = time.monotonic()
        sent_before = terminal.output.size
        terminal.read_for(max(1.0, seconds - _STARTED_S))
        after_ns, bpf_after_ns = procfs.cpu_ns(terminal.pid), procfs.bpf_time_ns(terminal.pid)
        drew_after_ns, ui_after_ns = _of_threads(terminal.pid)
        passed_ns = (time.monotonic() - began) * 1e9
        rss = procfs.rss_bytes(terminal.pid)
    finally:
        terminal.end(b"q")
    if not ui_after_ns or not rss:
        raise FailedError("it ended by itself")
    return Cost(
        cpu=100 * (after_ns - before_ns) / passed_ns,
        drawing=100 * (drew_after_ns - drew_before_ns) / passed_ns,
        ui=100 * (ui_after_ns - ui_before_ns) / passed_ns,
        bpf=100 * (bpf_after_ns - bpf_before_ns) / passed_ns,
        rss_bytes=rss,
        sent=1e9 * (terminal.output.size - sent_before) / passed_ns,
    )
