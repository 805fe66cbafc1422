"""The screens on a terminal that is slow, or has stopped: what is seen is not old, keys are obeyed, feeding goes on."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tui.pty_terminal import PtyTerminal, Stamp

RATE = 20_000
BUFFERS = 2_000_000
"""What waits on the way of an SSH connection, at most."""
SETTLING_S = 4.0
"""The first pictures are the whole screen."""

Opener = Callable[..., PtyTerminal]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    terminals = []

    def open_one(**options: object) -> PtyTerminal:
        terminals.append(
            PtyTerminal(tmp_path, [sys.executable, "-m", "tests.tui.stamped", str(tmp_path / "fed")], **options)
        )  # type: ignore[arg-type]
        terminals[-1].see(r"t\d{5,}")
        return terminals[-1]

    yield open_one
    for terminal in terminals:
        terminal.close()


def _since(terminal: PtyTerminal, moment: float) -> list[Stamp]:
    return [stamp for stamp in terminal.stamps() if stamp.drawn > moment]


def _fed_steadily(folder: Path) -> None:
    """Feeding, as collecting is, was never held up by the screen."""
    fed, seconds, longest = map(float, (folder / "fed").read_text().split())
    assert longest < 1.0
    assert fed > 0.7 * 2000 * seconds  # a loaded machine is late now and then


@pytest.mark.parametrize(
    ("buffer", "answers"), [(0, False), (0, True), (BUFFERS, True)], ids=["mute", "answers", "ssh"]
)
def test_a_slow_line_shows_nothing_old(opened: Opener, tmp_path: Path, buffer: int, answers: bool) -> None:
    terminal = opened(size=(120, 40), rate=RATE, buffer=buffer, answers=answers)
    terminal.press("2")
    settled = time.monotonic() + SETTLING_S
    time.sleep(SETTLING_S + 6)
    stamps = _since(terminal, settled)
    assert len(stamps) >= 4
    ages = sorted(stamp.drawn - stamp.of for stamp in stamps)
    assert ages[3 * len(ages) // 4] < 1.0, ages  # a loaded machine is late now and then
    assert ages[-1] < 2.5, ages
    assert sorted(stamp.size for stamp in stamps)[len(stamps) // 2] < RATE, "one picture takes less than a second"
    for moved in ("j", "k", "j"):
        pressed = terminal.press(moved)
        terminal.see(r".", pressed, 2.0)
    pressed = terminal.press("?")
    assert terminal.see(" Keys  ", pressed) - pressed < 2.5
    terminal.leave_panel()
    terminal.press("q")
    assert terminal.ended() == 0
    _fed_steadily(tmp_path)


def test_a_line_that_is_too_slow_is_refreshed_less_often_and_says_so(opened: Opener) -> None:
    terminal = opened(size=(120, 40), rate=8_000, buffer=BUFFERS)
    pressed = terminal.press("2")
    terminal.see(r"slow line: 1 Hz", pressed, 15)
    time.sleep(4)
    stamps = _since(terminal, time.monotonic() - 4)
    assert len(stamps) >= 3
    assert (stamps[-1].of - stamps[0].of) / (len(stamps) - 1) > 0.9, "once a second, however they come through"
    assert all(stamp.drawn - stamp.of < 4.0 for stamp in stamps)


def test_keys_that_are_held_down_are_not_queued_behind_their_pictures(opened: Opener) -> None:
    terminal = opened(size=(120, 40), rate=RATE, buffer=BUFFERS, answers=True)
    terminal.press("2")
    time.sleep(SETTLING_S)
    for _ in range(60):
        terminal.press("j")
        terminal.press("k")
        time.sleep(0.02)
    pressed = terminal.press("?")
    assert terminal.see(" Keys  ", pressed) - pressed < 2.5


def _memory_kb(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1])


def _sleeps(pid: int) -> bool:
    """Whether the thread of the screens waits for events, and not for somebody to read."""
    wchan = Path(f"/proc/{pid}/wchan").read_text()
    return "tty" not in wchan and "pty" not in wchan


@pytest.mark.parametrize(
    ("answers", "stands_s", "most"), [(False, 6, 0), (True, 6, 2), (True, 30, 4)], ids=["mute", "answers", "for long"]
)
def test_a_terminal_that_stops_gets_one_picture_when_it_goes_on(
    opened: Opener, tmp_path: Path, answers: bool, stands_s: float, most: int
) -> None:
    terminal = opened(size=(120, 40), answers=answers)
    terminal.press("2")
    time.sleep(2)
    before = _memory_kb(terminal.pid)
    os.kill(terminal.reader.pid, signal.SIGSTOP)
    time.sleep(stands_s - 1)
    keys_at = terminal.press("j")
    time.sleep(1)
    assert _sleeps(terminal.pid)
    assert _memory_kb(terminal.pid) - before < 20_000
    os.kill(terminal.reader.pid, signal.SIGCONT)
    resumed = time.monotonic()
    time.sleep(1.5)
    first_second = [one for one in terminal.drawn() if resumed <= one.at < resumed + 1.0]
    told = [stamp for stamp in _since(terminal, resumed) if stamp.drawn < resumed + 1.0]
    stale = [stamp for stamp in told if stamp.of < resumed - 0.7]
    if answers:
        assert len(stale) <= most, "what was on its way; after 1 and 11 s in case an answer was lost; and the key"
    assert sum(stamp.size for stamp in stale) < 40_000, "what the kernel holds, and no more"
    assert len(told) - len(stale) <= 4
    assert sum(len(one.data) for one in first_second) < 80_000
    assert keys_at < resumed
    assert told[-1].of > resumed - 0.7, "the newest"
    pressed = terminal.press("?")
    terminal.see(" Keys  ", pressed)
    terminal.leave_panel()
    terminal.press("q")
    assert terminal.ended() == 0
    _fed_steadily(tmp_path)
