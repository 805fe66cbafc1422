"""How soon there is something to see: from exec to the first drawn screen, and to a function of a running program."""

from __future__ import annotations

import shutil
import sys
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from bench import load, profilers
from bench.figures import Figure
from bench.launch import FailedError
from bench.terminal import Terminal, drawn

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.load import Loads

_PAINT_S, _COLD_S, _WARM_S = 0.35, 1.0, 0.6
"""Budgets: first paint; first live flame graph with and without compiling."""
_COLUMNS, _ROWS = 120, 40
_PATIENCE_S: Final = 15.0
_SETTLE_S: Final = 0.5
_ROUND_S: Final = 120.0
_COLD, _WARM = "aperture-top, nothing compiled yet", "aperture-top"


def measure(loads: Loads, rounds: int, tell: Callable[[str], None]) -> list[Figure]:
    """All figures of this group, under one burning thread, at 120x40."""
    ours = (profilers.beside_python("aperture-top"),)
    arms = {
        _COLD: ours,
        _WARM: ours,
        "minimal Textual": (sys.executable, "-m", "bench.minimal_screen"),
        "htop": ("htop",),
    }
    why = dict.fromkeys(arms, "")
    if shutil.which("htop") is None:
        why["htop"] = "htop is not installed: apt-get install htop"
    paint: dict[str, list[float]] = defaultdict(list)
    graph: dict[str, list[float]] = defaultdict(list)
    for n in range(rounds):
        burning = loads.start_burning(_ROUND_S, 1)
        for name, command in arms.items():
            if why[name]:
                continue
            tell(f"first paint, round {n + 1} of {rounds}: {name}")
            if name == _COLD:
                profilers.clear_bpf_cache()
            try:
                painted_s, graph_s = _one(command, live=command is ours)
            except FailedError as error:
                why[name] = str(error)
                continue
            paint[name].append(painted_s)
            if graph_s is not None:
                graph[name].append(graph_s)
        load.end(burning)
    budgets = {_COLD: _PAINT_S, _WARM: _PAINT_S}
    out = [Figure("exec to first paint", name, "s", tuple(paint[name]), budgets.get(name), why[name]) for name in arms]
    measure = "exec to a function of the running program on the screen"
    for name, budget in ((_COLD, _COLD_S), (_WARM, _WARM_S)):
        out.append(Figure(measure, name, "s", tuple(graph[name]), budget, why[name]))
    return out


def _one(command: tuple[str, ...], live: bool) -> tuple[float, float | None]:
    terminal = Terminal(command, _COLUMNS, _ROWS, cwd=".")
    graph_s = None
    try:
        painted_s = terminal.seconds_until(drawn, _PATIENCE_S)
        if live:
            graph_s = terminal.seconds_until(lambda text: load.FUNCTION in text, _PATIENCE_S)
        terminal.read(_SETTLE_S)
    finally:
        terminal.end(b"q")
        time.sleep(_SETTLE_S)
    return painted_s, graph_s
