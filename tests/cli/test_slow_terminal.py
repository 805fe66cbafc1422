"""The live screens with all collectors on a terminal that is slow, stands still or goes away: nothing is lost by it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Any

import pytest

from aperture_tui.cli.opening import opened
from aperture_tui.profile.health import Health
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Query
from aperture_tui.recording.reader import Reader
from tests.collect.test_cpu import assert_gone, programs_of
from tests.programs import build
from tests.tui.pty_terminal import PtyTerminal

pytestmark = pytest.mark.bpf

CALLS, THREADS = 200_000, 2
STANDS_S = 30.0

Opener = Callable[..., PtyTerminal]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Opener]:
    terminals = []

    def open_one(**options: Any) -> PtyTerminal:
        top = [
            sys.executable,
            "-m",
            "aperture_tui.cli.top",
            "--events",
            "all",
            "--record",
            str(tmp_path / "it.aperture"),
        ]
        terminals.append(PtyTerminal(tmp_path, top, **options))
        terminals[-1].see(r"lost 0", timeout_s=60)
        terminals[-1].press("3")
        time.sleep(2)
        return terminals[-1]

    yield open_one
    for terminal in terminals:
        terminal.close()


def _calls_are_made() -> dict[int, int]:
    """In several steps, so that they are made throughout -> pid, calls of getppid."""
    told: dict[int, int] = {}
    program = build("calls")
    for _ in range(5):
        with subprocess.Popen(
            [program, str(CALLS // 5), "0", str(THREADS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as running:
            out, _ = running.communicate(b"\n")
        told[running.pid] = json.loads(out)["getppid"]
        time.sleep(0.5)
    return told


def _recorded(folder: Path, of: Container[int]) -> tuple[dict[int, int], tuple[Health, ...]]:
    """How many calls of getppid there are of these processes, and the last word of the collectors."""
    store = opened(str(folder / "it.aperture"))
    found = store.latencies(Query(kind=Kind.SYSCALL))
    return {one.pid: one.count for one in found if one.name == "getppid" and one.pid in of}, tuple(store.health())


def _lost(health: tuple[Health, ...]) -> dict[str, int]:
    """All but what no line has to do with: a wait for a kernel lock that an interrupt begins, or our own program within
    the kernel, while that program runs on this CPU. The kernel leaves it out, and counts it: bpf_prog_info has the
    number as recursion_misses.
    """
    lost = {(one.name, cause): n for one in health for cause, n in one.lost.items() if n}
    lost.pop(("kernel locks", "events: the program was running already"), None)
    return {f"{name}: {cause}": n for (name, cause), n in lost.items()}


def _is_closed_in_order(file: Path) -> bool:
    reader = Reader(str(file))
    try:
        return reader.complete
    finally:
        reader.close()


def test_a_slow_line_costs_no_event(live: Opener, tmp_path: Path) -> None:
    terminal = live(size=(200, 50), rate=20_000, buffer=2_000_000)
    made = _calls_are_made()
    pressed = terminal.press("?")
    assert terminal.see(" Keys  ", pressed) - pressed < 5
    terminal.leave_panel()
    terminal.press("q")
    assert terminal.ended(30) == 0
    counted, health = _recorded(tmp_path, made)
    assert counted == made
    assert not _lost(health)


def test_a_terminal_that_stands_still_costs_no_event(live: Opener, tmp_path: Path) -> None:
    terminal = live()
    os.kill(terminal.reader.pid, signal.SIGSTOP)
    goes_on = time.monotonic() + STANDS_S
    time.sleep(2)
    made = _calls_are_made()
    time.sleep(max(0.0, goes_on - time.monotonic()))
    os.kill(terminal.reader.pid, signal.SIGCONT)
    resumed = time.monotonic()
    terminal.see(r"getppid|calls", resumed)
    assert sum(len(one.data) for one in terminal.drawn() if resumed <= one.at < resumed + 1.0) < 80_000
    terminal.press("q")
    assert terminal.ended(30) == 0
    counted, health = _recorded(tmp_path, made)
    assert counted == made
    assert not _lost(health)


@pytest.mark.parametrize("how", ["closed", "closed while it stands still", "SIGTERM while it stands still"])
def test_a_recording_is_closed_in_order_when_the_terminal_goes_away(live: Opener, tmp_path: Path, how: str) -> None:
    terminal = live()
    held = programs_of(terminal.pid)
    assert held
    if "still" in how:
        os.kill(terminal.reader.pid, signal.SIGSTOP)
        time.sleep(3)
    if "closed" in how:
        terminal.hang_up()
    else:
        terminal.signal(signal.SIGTERM)
    terminal.ended(30)
    assert _is_closed_in_order(tmp_path / "it.aperture")
    assert_gone(held)
