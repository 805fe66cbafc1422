"""The live screens in a real terminal, driven as a person would."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aperture_tui.recording.replay import replay
from tests.cli.full import fill
from tests.collect.test_cpu import FRAME_POINTERS, assert_gone, programs_of
from tests.programs import build

pytestmark = [
    pytest.mark.bpf,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux: apt-get install tmux"),
]
APERTURE_TOP = [sys.executable, "-m", "aperture_tui.cli.top"]


class Terminal:
    """A tmux of our own with one window, in which a shell runs a command, then says its modes, last its status."""

    def __init__(self, folder: Path, command: list[str], width: int = 120, height: int = 40) -> None:
        name = f"aperture-{uuid.uuid4().hex[:8]}"
        self._socket = ["tmux", "-L", name, "-f", "/dev/null"]
        self._pid_file = folder / f"{name}.pid"
        run = f"echo $$ > {self._pid_file}; exec {shlex.join(command)}"
        script = f"sh -c {shlex.quote(run)}; code=$?; stty -a; echo STATUS=$code; sleep 60"
        env = {**os.environ, "COLORTERM": "truecolor", "TERM": "xterm-256color"}
        size = ["-x", str(width), "-y", str(height)]
        subprocess.run([*self._socket, "new-session", "-d", *size, script], check=True, env=env)

    @property
    def pid(self) -> int:
        self.until(lambda: self._pid_file.exists() and self._pid_file.read_text().strip() != "")
        return int(self._pid_file.read_text())

    def text(self) -> str:
        return subprocess.run([*self._socket, "capture-pane", "-p"], capture_output=True, text=True, check=True).stdout

    def press(self, *keys: str) -> None:
        subprocess.run([*self._socket, "send-keys", *keys], check=True)

    def leave(self, pattern: str) -> None:
        """Escape, and wait until what it ends is gone: a key that is read together with it is Alt and that key."""
        self.see(pattern)
        self.press("Escape")
        self.until(lambda: re.search(pattern, self.text()) is None, f"the end of {pattern}")

    def resize(self, width: int, height: int) -> None:
        subprocess.run([*self._socket, "resize-window", "-x", str(width), "-y", str(height)], check=True)

    def until(self, holds: Callable[[], bool], words: str = "") -> None:
        deadline = time.monotonic() + 30
        while not holds():
            if time.monotonic() > deadline:
                pytest.fail(f"never seen: {words}\n{self.text()}")
            time.sleep(0.05)

    def see(self, pattern: str) -> str:
        """Wait until the screen shows this -> the screen."""
        self.until(lambda: re.search(pattern, self.text()) is not None, pattern)
        return self.text()

    def rows(self) -> list[str]:
        """The screen below the line of time, and without the row of health: these two are of now, frozen or not."""
        return [row for row in self.text().splitlines()[3:] if " lag " not in row]

    def still(self) -> list[str]:
        """These rows, once they have not changed for a second: what was asked for before may come in parts."""
        before: list[str] = []
        while (now := self.rows()) != before:
            before = now
            time.sleep(1)
        return now

    def hang_up(self) -> None:
        """What runs in it is told so, and goes on for as long as it takes to end."""
        subprocess.run([*self._socket, "kill-server"], check=False, stderr=subprocess.DEVNULL)

    def close(self) -> None:
        """Leave nothing behind that still measures, or has files open, when the next test begins."""
        self.hang_up()
        said = self._pid_file.read_text().strip() if self._pid_file.exists() else ""
        deadline = time.monotonic() + 30
        while said and running(int(said)):
            assert time.monotonic() < deadline, f"{said} did not end"
            time.sleep(0.02)


@pytest.fixture
def load() -> Iterator[subprocess.Popen[bytes]]:
    """A program that is worth looking at. Beside others its boxes may be too narrow for its names: look at it alone."""
    child = subprocess.Popen([build("ratio", *FRAME_POINTERS), "60"], stdout=subprocess.DEVNULL)
    yield child
    child.kill()
    child.wait()


def top_of(program: subprocess.Popen[bytes]) -> list[str]:
    """The screens over this program alone, whatever else the machine does."""
    return [*APERTURE_TOP, "-p", str(program.pid)]


@pytest.fixture
def terminal(tmp_path: Path, load: subprocess.Popen[bytes]) -> Iterator[Terminal]:
    opened = Terminal(tmp_path, top_of(load))
    yield opened
    opened.close()


def running(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def test_a_sitting(terminal: Terminal) -> None:
    screen = terminal.see(r"three_parts")
    assert "Overview" in screen
    terminal.see(r"CPU\s+\d")
    terminal.see(r"lost 0")  # the first samples may be seen before the collector's first word of itself

    terminal.press("2")
    terminal.until(lambda: "PROCESS" not in terminal.text(), "the CPU screen")
    terminal.press("/", "three_parts")
    terminal.see(r"\d+\.\d ?% of samples match")
    terminal.press("Enter")
    terminal.see(r"% of parent .*ratio")
    terminal.press("Enter")
    terminal.leave(r"100\.0 ?% of samples match")
    terminal.leave("› work")

    terminal.press("Space")
    frozen = terminal.see(r"FROZEN")
    time.sleep(2)
    samples = re.compile(r"[\d,]+ samples")
    assert samples.findall(terminal.text()) == samples.findall(frozen), "a frozen view does not move"
    terminal.press("Up")
    terminal.press("Space")
    terminal.until(lambda: "FROZEN" not in terminal.text(), "live again")

    for width, height in ((80, 24), (40, 10), (20, 5), (10, 3), (200, 50)):
        terminal.resize(width, height)
        time.sleep(0.5)
        assert "Traceback" not in terminal.text()
    terminal.see(r"three_parts")

    terminal.press("?")
    terminal.see(r"freeze")
    terminal.leave("esc closes")
    terminal.press("q")
    left = terminal.see(r"STATUS=0")
    assert "Overview" not in left, "the screen is given back"
    assert " icanon" in left, "the terminal's modes are restored"
    assert re.search(r"(?<!-)\becho\b", left)
    assert not running(terminal.pid)


def test_a_bad_pattern_is_said_in_place(terminal: Terminal) -> None:
    terminal.see(r"three_parts")
    terminal.press("/", "(")
    terminal.leave(r"missing \)|unterminated")
    terminal.press("q")
    terminal.see(r"STATUS=0")


@pytest.mark.parametrize("signal", ["TERM", "HUP", "INT"])
def test_a_signal_ends_it_and_leaves_the_terminal_clean(terminal: Terminal, signal: str) -> None:
    terminal.see(r"three_parts")
    subprocess.run(["kill", f"-{signal}", str(terminal.pid)], check=True)
    left = terminal.see(r"STATUS=\d")
    assert "Overview" not in left
    assert " icanon" in left


def test_ctrl_l_mends_what_others_wrote_on_the_screen(terminal: Terminal) -> None:
    terminal.see(r"three_parts")
    terminal.press("2")
    terminal.press("Space")
    terminal.see(r"FROZEN")
    whole = terminal.still()
    tty = os.readlink(f"/proc/{terminal.pid}/fd/1")
    Path(tty).write_text("\x1b[5;1HBroadcast message from root\x1b[6;20H and more")
    terminal.see("Broadcast message")
    terminal.press("C-l")
    terminal.until(lambda: terminal.rows() == whole, "the screen as it was")


def test_ctrl_c_ends_it(terminal: Terminal) -> None:
    terminal.see(r"three_parts")
    terminal.press("C-c")
    terminal.see(r"STATUS=0")


def test_a_terminal_that_goes_away_takes_it_along(terminal: Terminal) -> None:
    terminal.see(r"three_parts")
    pid = terminal.pid
    held = programs_of(pid)
    assert held
    terminal.hang_up()
    deadline = time.monotonic() + 10
    while running(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not running(pid)
    assert_gone(held)


def test_without_rights_the_reason_is_on_the_screen(tmp_path: Path) -> None:
    bare = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root and setpriv (util-linux)")
    opened = Terminal(tmp_path, [*bare, *APERTURE_TOP])
    try:
        opened.see(r"CAP_BPF")
        opened.press("q")
        opened.see(r"CAP_BPF[^$]*STATUS=1")
    finally:
        opened.close()


def test_on_a_full_disk_the_screens_go_on_without_the_recording(
    tmp_path: Path, load: subprocess.Popen[bytes], disk: Path
) -> None:
    fill(disk)
    terminal = Terminal(tmp_path, [*top_of(load), "--record", str(disk / "busy.aperture")])
    try:
        terminal.see("three_parts")
        terminal.see("recording failed: nothing is recorded: No space left on device")
        terminal.press("q")
        screen = terminal.see("STATUS=1").replace("\n", "")
        assert f"aperture-top: recording: nothing is recorded: No space left on device: {disk}/busy.aperture" in screen
    finally:
        terminal.close()


def test_a_disk_that_fills_meanwhile_costs_the_rest_of_the_recording_alone(
    tmp_path: Path, load: subprocess.Popen[bytes], disk: Path
) -> None:
    path = disk / "busy.aperture"
    terminal = Terminal(tmp_path, [*top_of(load), "--record", str(path)])
    try:
        terminal.see("three_parts")
        terminal.until(lambda: path.stat().st_size > 2000, "a recording")
        fill(disk)
        terminal.see("recording failed: cannot write the recording: No space left on device")
        samples = terminal.text()
        terminal.until(lambda: terminal.text() != samples, "a picture that goes on")
        terminal.press("q")
        assert "aperture-top: recording: cannot write the recording: No space" in terminal.see("STATUS=1")
    finally:
        terminal.close()
    assert replay(path).span().cut_short


@pytest.mark.parametrize(("where", "words"), [("nowhere/it", "there is no folder"), ("", "it is a folder")])
def test_a_recording_that_cannot_be_is_wrong_usage(tmp_path: Path, where: str, words: str) -> None:
    path = str(tmp_path / where)
    done = subprocess.run([*APERTURE_TOP, "--once", "--record", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"aperture-top: --record {path}: {words}")
    assert done.stderr.count("\n") == 1


def test_a_theme_that_does_not_exist_is_wrong_usage(tmp_path: Path) -> None:
    opened = Terminal(tmp_path, [*APERTURE_TOP, "--theme", "mauve"])
    try:
        screen = opened.see(r"STATUS=2")
        assert "mauve" in screen
        assert "aperture-dark" in screen
        assert "Traceback" not in screen
    finally:
        opened.close()


def test_errors_can_be_sent_elsewhere_without_losing_the_screen(tmp_path: Path, load: subprocess.Popen[bytes]) -> None:
    opened = Terminal(tmp_path, ["sh", "-c", f"exec {shlex.join(top_of(load))} 2>/dev/null"])
    try:
        opened.see(r"three_parts")
        opened.press("q")
        opened.see(r"STATUS=0")
    finally:
        opened.close()


def test_a_terminal_that_cannot_draw_is_refused(tmp_path: Path) -> None:
    opened = Terminal(tmp_path, ["env", "TERM=dumb", *APERTURE_TOP])
    try:
        opened.see(r"aperture-top: .*dumb")
        opened.see(r"STATUS=1")
    finally:
        opened.close()
