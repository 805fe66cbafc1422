"""Names of files, and what a typed one means."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from aperture_tui.tui.taking.names import default_name, target, with_suffix
from tests.tui.synthetic import START_NS


def test_a_default_name_says_what_it_is() -> None:
    assert default_name("web-7", "cpu", START_NS, ".svg") == "aperture-web-7-cpu-20231114-221320.svg"


@pytest.mark.parametrize("host", ["../../etc", "a/b\x00c", "-rf", "\x1b]0;x\x07", "x" * 500, "", "視頻", "a b;rm $(x)"])
def test_whatever_a_machine_is_called_it_is_one_plain_name(host: str) -> None:
    name = default_name(host, "cpu", START_NS, ".svg")
    assert name.startswith("aperture-")
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert len(name) < 120


def test_another_format_is_another_end_of_the_same_name() -> None:
    assert with_suffix("a.svg", ".svg", ".pb.gz") == "a.pb.gz"
    assert with_suffix("mine", ".svg", ".pb.gz") == "mine"
    assert with_suffix(".svg", ".svg", ".pb.gz") == ".svg"


def test_a_name_is_beside_us_or_where_it_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ml")
    monkeypatch.delenv("SUDO_UID", raising=False)
    assert target(" a.svg ") == tmp_path / "a.svg"
    assert target("../a.svg") == tmp_path.parent / "a.svg"
    assert target("~/a.svg") == Path("/home/ml/a.svg")
    assert target(f"{os.sep}srv/a b.svg") == Path("/srv/a b.svg")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_by_sudo_home_is_that_of_who_called_it(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = pwd.getpwnam("nobody")
    monkeypatch.setenv("HOME", "/srv/home")
    monkeypatch.setenv("SUDO_UID", str(nobody.pw_uid))
    monkeypatch.setenv("SUDO_GID", str(nobody.pw_gid))
    assert target("~/a.svg") == Path(nobody.pw_dir) / "a.svg"
    monkeypatch.setenv("SUDO_UID", "4000000000")
    assert target("~/a.svg") == Path("/srv/home/a.svg")


@pytest.mark.parametrize("text", ["", "  ", "x/", "..", "a/..", "a\x07b", "a\u202eb"])
def test_what_is_no_name_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="name"):
        target(text)
