"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from pathlib import Path

import pytest

from aperture_tui.export.new_file import Owner, invoking_user, new_file

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def _write(path: Path, data: bytes = b"new", **options: object) -> None:
    with new_file(path, **options) as file:  # type: ignore[arg-type]
        file.write(data)


def test_a_file_takes_its_place_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    with new_file(path) as file:
        file.write(b"half")
        file.flush()
        assert not path.exists()
        assert [one.name.startswith(".a.svg.") for one in tmp_path.iterdir()] == [True]
        file.write(b" and half")
    assert path.read_bytes() == b"half and half"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), new_file(path, replace=True) as file:
        file.write(bytes(1 // (len(b"new") - 3)))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_replaced_only_if_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    path.write_text("old")
    with pytest.raises(FileExistsError):
        _write(path)
    assert path.read_text() == "old"
    _write(path, replace=True)
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_came_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    with pytest.raises(FileExistsError), new_file(path):
        path.write_text("theirs")
    assert path.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("replace", [False, True])
def test_a_link_at_its_place_is_neither_followed_nor_replaced(tmp_path: Path, replace: bool) -> None:
    secret, path = tmp_path / "shadow", tmp_path / "a.svg"
    for there in (True, False):
        if there:
            secret.write_text("theirs")
        path.symlink_to(secret)
        with pytest.raises(OSError, match="symbolic link"):
            _write(path, replace=replace)
        assert path.is_symlink()
        assert not there or secret.read_text() == "theirs"
        path.unlink()
        secret.unlink(missing_ok=True)
    assert not secret.exists(), "nothing was made where the link led"


def test_a_link_that_comes_meanwhile_is_not_followed(tmp_path: Path) -> None:
    secret, path = tmp_path / "shadow", tmp_path / "a.svg"
    secret.write_text("theirs")
    with pytest.raises(OSError, match="symbolic link"), new_file(path, replace=True):
        path.symlink_to(secret)
    assert secret.read_text() == "theirs"


def test_what_is_no_plain_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(IsADirectoryError):
        _write(tmp_path / "folder", replace=True)
    with pytest.raises(OSError, match="no plain file"):
        _write(tmp_path / "fifo", replace=True)
    with pytest.raises(FileNotFoundError):
        _write(tmp_path / "none" / "a.svg")
    with pytest.raises(OSError, match="too long") as raised:
        _write(tmp_path / ("x" * 300))
    assert raised.value.errno == errno.ENAMETOOLONG
    assert sorted(one.name for one in tmp_path.iterdir()) == ["fifo", "folder"]


def test_the_longest_name_that_there_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 127)
    _write(path)
    assert path.read_bytes() == b"new"


@as_root
def test_a_disk_that_is_full_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(tmp_path)], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        with pytest.raises(OSError, match="No space left"):
            _write(tmp_path / "a.svg", b"x" * (1 << 20))
        assert list(tmp_path.iterdir()) == []
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path)], check=True)
        with pytest.raises(OSError, match="Read-only"):
            _write(tmp_path / "a.svg")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@as_root
def test_who_called_by_sudo_gets_the_file(tmp_path: Path) -> None:
    assert invoking_user({}) is None
    assert invoking_user({"SUDO_UID": "x", "SUDO_GID": "1"}) is None
    owner = invoking_user({"SUDO_UID": "1234", "SUDO_GID": "2345"})
    assert owner == Owner(1234, 2345)
    _write(tmp_path / "a.svg", owner=owner)
    found = (tmp_path / "a.svg").stat()
    assert (found.st_uid, found.st_gid) == (1234, 2345)
    assert stat.S_IMODE(found.st_mode) & 0o111 == 0


@as_root
def test_without_rights_it_is_one_error_and_nobody_gets_a_file(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    number = os.open(tmp_path, os.O_RDONLY)
    before = os.getcwd()
    os.fchdir(number)
    os.seteuid(65534)
    try:
        assert invoking_user({"SUDO_UID": "1", "SUDO_GID": "1"}) is None, "only root gives files away"
        with pytest.raises(PermissionError):
            _write(Path("a.svg"))
    finally:
        os.seteuid(0)
        os.chdir(before)
        os.close(number)
    assert list(tmp_path.iterdir()) == []
