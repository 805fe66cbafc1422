from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from aperture_tui.cli import output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "file", "coloured"),
    [
        ({"TERM": "xterm"}, None, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, None, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, None, True),
        ({"TERM": "dumb"}, None, False),
        ({"TERM": "xterm"}, "x.txt", False),
    ],
)
def test_colours_are_for_terminals_that_want_them(
    environment: dict[str, str], file: str | None, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert output.colours(file) is coloured


def test_lines_are_as_wide_as_the_terminal_and_a_hundred_cells_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "57")
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert output.width(None) == 57
    assert output.width("x.txt") == 100
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert output.width(None) == 100
    assert not output.colours(None)


def test_a_full_disk_is_one_line_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    assert output.write("aperture diff", b"x", "/dev/full") == 1
    assert capsys.readouterr().err == "aperture diff: /dev/full: No space left on device\n"


def test_a_closed_stdout_is_one_line_and_status_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert output.width(None) == 100
    command = "import sys; from aperture_tui.cli import output; sys.exit(output.write('x', b'x', None))"
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -c "{command}" >&-', sys.executable], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "x: stdout: Bad file descriptor\n")
