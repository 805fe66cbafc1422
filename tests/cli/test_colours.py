"""The live screens in tmux, with fewer and fewer colours: each screen by its key, help, palette, search, resize, quit.

What is sent is read back with its styles (`capture-pane -e`), by classes of SGR: 38;2 and 48;2 are truecolor, 38;5 and
48;5 one of 256, 30 to 49 and 90 to 107 the terminal's own, 1, 4 and 7 no colour at all.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.test_screens import APERTURE_TOP, Terminal
from tests.collect.test_cpu import FRAME_POINTERS
from tests.programs import build

pytestmark = [
    pytest.mark.bpf,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux: apt-get install tmux"),
]
_SGR = re.compile(r"\x1b\[([0-9;:]*)m")
MODES = {
    "truecolor": ("TERM=xterm-256color", "COLORTERM=truecolor"),
    "256": ("TERM=screen-256color", "-u", "COLORTERM"),
    "16": ("TERM=screen", "-u", "COLORTERM"),
    "mono": ("TERM=xterm-256color", "COLORTERM=truecolor", "NO_COLOR=1"),
}
WANTED = {
    "truecolor": {"truecolor", "attribute"},
    "256": {"256", "attribute"},
    "16": {"16", "attribute"},
    "mono": {"attribute"},
}
SCREENS = {
    "1": "PROCESS",
    "2": "three_parts",
    "3": "SYSCALL|system calls",
    "4": "LOCK|locks",
    "5": "OFF-CPU|Off-CPU",
    "6": "[Ff]ilter",
    "7": "GPU",
}


def classes(captured: str) -> set[str]:
    """What kinds of styles there are."""
    found = set()
    for codes in _SGR.findall(captured):
        left = [int(code or 0) for code in re.split("[;:]", codes)]
        while left:
            code = left.pop(0)
            if code in (38, 48):
                kind = left.pop(0)
                found.add("truecolor" if kind == 2 else "256")
                del left[: 3 if kind == 2 else 1]
            elif 30 <= code <= 49 or 90 <= code <= 107:
                found |= {"16"} - ({"16"} if code in (39, 49) else set())
            elif code in (1, 2, 3, 4, 7):
                found.add("attribute")
    return found


def _styled(terminal: Terminal) -> str:
    command = [*terminal._socket, "capture-pane", "-p", "-e"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


Opener = Callable[[str], Terminal]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    load = subprocess.Popen([build("ratio", *FRAME_POINTERS), "120"], stdout=subprocess.DEVNULL)
    terminals = []

    def open_one(mode: str) -> Terminal:
        environment = MODES[mode]
        unset = [part for part in environment if "=" not in part]
        given = [part for part in environment if "=" in part]
        terminals.append(
            Terminal(tmp_path, ["env", *unset, *given, *APERTURE_TOP, "--events", "all", "-p", str(load.pid)])
        )
        # tmux passes truecolor and 256 colours on to nobody here: what is captured is what the program sent
        return terminals[-1]

    yield open_one
    for terminal in terminals:
        terminal.close()
    load.kill()
    load.wait()


@pytest.mark.parametrize("mode", MODES)
def test_every_screen_with_these_colours(opened: Opener, mode: str) -> None:
    terminal = opened(mode)
    terminal.see(r"three_parts")
    for key, words in SCREENS.items():
        terminal.press(key)
        terminal.see(words)
        seen = classes(_styled(terminal))
        assert seen == WANTED[mode], (key, seen)
    terminal.press("2")
    terminal.see("three_parts")

    terminal.press("?")
    terminal.see("Colours of frames|Everywhere")
    assert classes(_styled(terminal)) == WANTED[mode]
    terminal.leave("esc closes")
    terminal.press("C-p")
    terminal.see("Search for commands")
    assert classes(_styled(terminal)) <= WANTED[mode] | {"attribute"}
    terminal.leave("Search for commands")
    terminal.press("/", "three")
    terminal.see(r"% of samples match")
    assert classes(_styled(terminal)) == WANTED[mode]
    terminal.leave("% of samples match")
    terminal.resize(80, 24)
    terminal.see("three_parts")
    assert classes(_styled(terminal)) == WANTED[mode]
    terminal.press("q")
    left = terminal.see(r"STATUS=0")
    assert "three_parts" not in left


def test_classes_of_styles() -> None:
    assert classes("\x1b[1;38;2;1;2;3;48;5;9m \x1b[0m\x1b[38:2:1:2:3m") == {"attribute", "truecolor", "256"}
    assert classes("\x1b[31;104m \x1b[39;49m") == {"16"}
    assert classes("\x1b[39;49m \x1b[m") == set()
