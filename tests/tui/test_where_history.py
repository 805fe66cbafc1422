"""The history of filter lines: one's own file, or none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aperture_tui.tui import where_history
from aperture_tui.tui.where_history import MOST, WhereHistory, place


def _file(folder: Path) -> Path:
    return folder / "filter-lines"


def test_it_is_bounded_and_has_each_line_once(tmp_path: Path) -> None:
    history = WhereHistory(tmp_path / "aperture")
    for n in range(MOST + 20):
        history.add(f"pid:{n}")
    history.add(f"pid:{MOST}")
    lines = WhereHistory(tmp_path / "aperture").lines
    assert len(lines) == MOST
    assert lines[-2:] == [f"pid:{MOST + 19}", f"pid:{MOST}"]
    assert len(set(lines)) == MOST
    assert sorted(os.listdir(tmp_path / "aperture")) == ["filter-lines"]
    assert (tmp_path / "aperture").stat().st_mode & 0o777 == 0o700


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert place() == tmp_path / "aperture"
    monkeypatch.setenv("XDG_STATE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", "/home/x")
    assert place() == Path("/home/x/.local/state/aperture")


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe\x00\n", b"fn:/(/\n", b"x" * 5_000_000, b"\x1b[31m\n", b"", b"\n\n\n", b"comm:\x1b]52;c;x\x07\n"],
)
def test_a_hostile_file_is_no_history(tmp_path: Path, content: bytes) -> None:
    _file(tmp_path).write_bytes(content)
    _file(tmp_path).chmod(0o600)
    assert WhereHistory(tmp_path).lines == []


def test_what_others_could_have_written_is_not_read(tmp_path: Path) -> None:
    _file(tmp_path).write_text("comm:a\n")
    _file(tmp_path).chmod(0o666)
    assert WhereHistory(tmp_path).lines == []
    _file(tmp_path).chmod(0o644)
    assert WhereHistory(tmp_path).lines == ["comm:a"]


def test_links_fifos_and_folders_are_not_followed_read_or_waited_for(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("comm:secret\n")
    _file(tmp_path).symlink_to(other)
    history = WhereHistory(tmp_path)
    assert history.lines == []
    history.add("comm:a")
    assert other.read_text() == "comm:secret\n"
    assert not _file(tmp_path).is_symlink()
    _file(tmp_path).unlink()
    os.mkfifo(_file(tmp_path))
    assert WhereHistory(tmp_path).lines == []
    _file(tmp_path).unlink()
    _file(tmp_path).mkdir()
    history = WhereHistory(tmp_path)
    assert history.lines == []
    history.add("comm:a")
    assert history.problem
    assert history.lines == ["comm:a"], "it is there while the session lasts"
    assert set(os.listdir(tmp_path)) == {"filter-lines", "other"}


def test_another_users_folder_is_not_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As with sudo and the home of who called it."""
    me = os.geteuid()
    monkeypatch.setattr(where_history.os, "geteuid", lambda: me + 1)
    for folder in (tmp_path, tmp_path / "new"):
        history = WhereHistory(folder)
        history.add("comm:a")
        assert "another user's" in history.problem or "not this user's own" in history.problem
    assert os.listdir(tmp_path) == []


def test_a_folder_that_all_may_write_is_not_trusted(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    history = WhereHistory(tmp_path)
    history.add("comm:a")
    assert history.problem
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    history = WhereHistory(tmp_path / "aperture")
    history.add("comm:a")
    assert "not kept" in history.problem


def test_a_file_in_place_of_the_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "aperture").write_text("")
    history = WhereHistory(tmp_path / "aperture")
    assert history.lines == []
    history.add("comm:a")
    assert history.problem
