"""Signals, and terminals of every size: the screens go on after them, and leave the terminal as it was."""

from __future__ import annotations

import os
import re
import signal
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.terminal import visible
from tests.tui.pty_terminal import PtyTerminal


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[PtyTerminal]:
    opened = PtyTerminal(tmp_path, [sys.executable, "-m", "tests.tui.stamped", str(tmp_path / "fed")])
    opened.see(r"t\d{5,}")
    yield opened
    opened.close()


def _threads(pid: int) -> list[str]:
    return sorted((task / "comm").read_text().strip() for task in Path(f"/proc/{pid}/task").iterdir())


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _goes_on(terminal: PtyTerminal) -> None:
    """It is painted whole, by fresh pictures, and obeys."""
    since = time.monotonic()
    terminal.see(r"t\d{5,}", since)
    pressed = terminal.press("?")
    terminal.see(" Keys  ", pressed)
    terminal.leave_panel()


def _gives_it_back(terminal: PtyTerminal, since: float) -> None:
    """Whoever draws may be behind the program, even behind its end."""

    def is_left() -> bool:
        return b"\x1b[?1049l" in b"".join(one.data for one in terminal.drawn() if one.at >= since)

    terminal.until(is_left, "that the screen is given back")


def _leaves_it_as_it_was(terminal: PtyTerminal) -> None:
    pressed = terminal.press("q")
    assert terminal.ended() == 0
    assert termios.tcgetattr(terminal.fd)[3] & termios.ICANON
    assert termios.tcgetattr(terminal.fd)[3] & termios.ECHO
    _gives_it_back(terminal, pressed)


def test_it_is_stopped_and_goes_on(terminal: PtyTerminal) -> None:
    threads = _threads(terminal.pid)
    for _ in range(2):
        terminal.signal(signal.SIGSTOP)
        terminal.until(lambda: _state(terminal.pid) == "T", "that it stands still")
        time.sleep(1.5)
        went_on = time.monotonic()
        terminal.signal(signal.SIGCONT)
        terminal.see(r"Overview", went_on)
        _goes_on(terminal)
    assert _threads(terminal.pid) == threads, "nothing runs twice"
    _leaves_it_as_it_was(terminal)


def test_ctrl_z_gives_the_terminal_back_until_it_goes_on(terminal: PtyTerminal) -> None:
    pressed = terminal.press("\x1a")
    terminal.until(lambda: _state(terminal.pid) == "T", "that it stands still")
    _gives_it_back(terminal, pressed)
    assert termios.tcgetattr(terminal.fd)[3] & termios.ICANON
    went_on = time.monotonic()
    terminal.signal(signal.SIGCONT)
    terminal.see(r"Overview", went_on)
    _goes_on(terminal)
    _leaves_it_as_it_was(terminal)


def test_a_storm_of_sizes(terminal: PtyTerminal) -> None:
    terminal.press("2")
    for n in range(150):
        terminal.resize((40 + n % 90, 10 + n % 33))
        terminal.signal(signal.SIGWINCH)
        time.sleep(0.005)
    terminal.resize((120, 40))
    since = time.monotonic()
    terminal.see(r"t\d{5,}", since, 10)
    assert "Traceback" not in terminal.text()
    _goes_on(terminal)
    _leaves_it_as_it_was(terminal)


def _reaches(picture: bytes) -> tuple[int, int]:
    """The last column and row that it begins to write at; (0, 0) of one that writes nothing."""
    places = [(int(column), int(row)) for row, column in re.findall(rb"\x1b\[(\d+);(\d+)H", picture)]
    if not visible(picture).strip("\n") or not places:
        return 0, 0
    return max(column for column, _ in places), max(row for _, row in places)


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 60), (500, 200)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_a_terminal_of_any_size(terminal: PtyTerminal, tmp_path: Path, size: tuple[int, int]) -> None:
    before = sum(len(one.data) for one in terminal.drawn())
    terminal.resize(size)

    def pictures() -> list[tuple[int, int]]:
        """Where those reach that were drawn since, from the first on that fills the new size."""
        drawn = b"".join(one.data for one in terminal.drawn())[before:]
        reach = [_reaches(picture) for picture in drawn.split(b"\x1b[?2026h")[1:]]  # before it, the rest of one
        fills = (i for i, (column, row) in enumerate(reach) if column <= size[0] and row == size[1])
        return reach[next(fills, len(reach)) :]

    terminal.until(lambda: bool(pictures()), "a picture of that size")
    for key, shown in (
        ("2", "cpu CpuScreen "),
        ("3", "syscalls SyscallsScreen "),
        ("4", "locks LocksScreen "),
        ("5", "offcpu OffCpuScreen "),
        ("?", "offcpu Panel "),
        ("\x1b", "offcpu OffCpuScreen "),
        ("/", "offcpu OffCpuScreen PatternInput"),
        ("\x1b", "offcpu OffCpuScreen (?!PatternInput)"),
        ("1", "overview OverviewScreen "),
    ):
        terminal.press(key)
        terminal.until(lambda shown=shown: re.match(shown, (tmp_path / "fed.screen").read_text()) is not None, shown)
    assert "Traceback" not in terminal.text()
    assert all(column <= size[0] and row <= size[1] for column, row in pictures())
    terminal.resize((120, 40))
    _goes_on(terminal)
    _leaves_it_as_it_was(terminal)


def test_a_terminal_that_is_closed_ends_it(terminal: PtyTerminal, tmp_path: Path) -> None:
    terminal.hang_up()
    terminal.ended(10)
    assert (tmp_path / "fed").exists(), "in order, as with q"


def test_a_terminal_that_is_closed_while_it_stands_still_ends_it(terminal: PtyTerminal, tmp_path: Path) -> None:
    os.kill(terminal.reader.pid, signal.SIGSTOP)
    time.sleep(3)
    terminal.hang_up()
    terminal.ended(10)
    assert (tmp_path / "fed").exists(), "in order, as with q"


def test_it_can_be_ended_while_the_terminal_stands_still(terminal: PtyTerminal, tmp_path: Path) -> None:
    terminal.press("2")
    os.kill(terminal.reader.pid, signal.SIGSTOP)
    time.sleep(3)
    terminal.signal(signal.SIGTERM)
    terminal.ended()
    assert (tmp_path / "fed").exists(), "in order, as with q"
