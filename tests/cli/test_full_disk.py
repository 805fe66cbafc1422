"""What commands say, and leave behind, where a disk has no room."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from aperture_tui.cli import output
from aperture_tui.recording.replay import replay
from tests.cli.full import fill

FULL = "No space left on device"


def recorded(*arguments: str) -> str:
    """The one line of an `aperture record` that fails."""
    command = [sys.executable, "-m", "aperture_tui.cli.main", "record", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    return done.stderr


@pytest.mark.bpf
def test_a_recording_that_has_no_room_at_all_is_not_there(disk: Path) -> None:
    """An empty file would be taken for one, and be refused as none."""
    fill(disk)
    path, mark = disk / "x.aperture", disk.parent / "mark"
    assert recorded("-o", str(path), "--", "touch", str(mark)) == (
        f"aperture record: {path}: cannot write the recording: {FULL}\n"
    )
    assert not path.exists()
    assert not mark.exists()
    assert FULL in recorded("--duration", "1", "--rotate", "1h", "-o", str(disk / "always"))
    assert list((disk / "always").iterdir()) == []


@pytest.mark.bpf
def test_of_one_that_is_cut_short_it_is_said_what_is_there(disk: Path) -> None:
    path = disk / "x.aperture"
    line = recorded("--duration", "60", "-F", "999", "--events", "all", "-o", str(path))
    assert line.startswith(f"aperture record: recording: cannot write the recording: {FULL}: {path} (")
    found = re.search(r"\((no|[\d,]+) events were recorded, ([\d,]+) could not be written\)$", line.rstrip())
    assert found is not None, line
    span = replay(path).span()
    assert span.cut_short
    assert span.events == int(found[1].replace("no", "0").replace(",", ""))


def test_a_part_of_an_answer_is_not_left(disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(disk)
    path = disk / "busy.svg"
    assert output.write("aperture export", b"x" * 100_000, str(path)) == 1
    assert capsys.readouterr().err == f"aperture export: {path}: {FULL}\n"
    assert not path.exists()


def test_what_is_no_plain_file_stays(disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(disk)
    link = disk.parent / "link.svg"
    link.symlink_to(disk / "busy.svg")
    assert output.write("aperture export", b"x" * 100_000, str(link)) == 1
    assert link.is_symlink()
