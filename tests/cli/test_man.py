"""The manual pages: whole, and without a complaint of those who read them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from aperture_tui.cli import man
from aperture_tui.cli.command_lines import PROGRAMS, parser_of
from aperture_tui.cli.main import COMMANDS, main

_READERS = {
    "groff": ["groff", "-man", "-ww", "-Tutf8", "-z", "-"],
    "mandoc": ["mandoc", "-T", "lint", "-W", "warning"],
    "man": ["man", "--warnings", "-l", "-"],
}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("reader", _READERS)
def test_no_reader_complains(reader: str, program: str) -> None:
    if shutil.which(reader) is None:
        pytest.skip(f"no {reader}: apt-get install {reader.replace('man', 'man-db') if reader == 'man' else reader}")
    env = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "100", "MANPAGER": "cat"}
    done = subprocess.run(
        _READERS[reader], input=man.page(program), capture_output=True, text=True, env=env, check=False
    )
    told = done.stderr if reader != "mandoc" else done.stdout + done.stderr
    lines = [line for line in told.splitlines() if "missing date" not in line]  # it is made anew whenever it is read
    assert lines == []


@pytest.mark.skipif(shutil.which("man") is None, reason="no man: apt-get install man-db")
def test_a_person_reads_every_option_and_example_as_it_is() -> None:
    env = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "200", "MANPAGER": "cat"}
    for program, commands in (("aperture-top", ["top"]), ("aperture", list(COMMANDS))):
        done = subprocess.run(
            ["man", "-l", "-"], input=man.page(program), capture_output=True, text=True, env=env, check=True
        )
        shown = re.sub(".\b", "", done.stdout)
        for command in commands:
            parser = parser_of(command)
            for action in parser._actions:
                for option in action.option_strings:
                    assert option in shown, f"{command} {option}"
            for line in (parser.epilog or "").splitlines():
                if line.startswith("  aperture"):
                    assert line.strip() in shown


def test_what_would_be_a_command_of_roff_is_text() -> None:
    assert man._escaped(".SH \\fB'x'") == "\\&.SH \\efB\\(aqx\\(aq"


def test_the_command_prints_it(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["man", "aperture-top"]) == 0
    assert capfdbinary.readouterr().out.decode() == man.page("aperture-top")
