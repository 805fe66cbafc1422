"""The journal: what is in it after anything that can happen to a machine."""

from __future__ import annotations

import errno
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aperture_tui.fleet.aggregator.journal import Entry, Journal, JournalError

ENTRY = Entry("shop", "ab" * 16, 7, [b"one", b"", b"three"])


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "journal")
    yield made
    made.close()


def again(journal: Journal) -> list[Entry]:
    """What the next run finds."""
    journal.close()
    other = Journal(journal.folder)
    try:
        return other.left()
    finally:
        other.close()
        journal.__init__(journal.folder)  # type: ignore[misc]  # as after a restart


entries = st.builds(
    Entry,
    st.sampled_from(["default", "a_1", "x" * 32]),
    st.binary(min_size=16, max_size=16).map(bytes.hex),
    st.integers(0, (1 << 64) - 1),
    st.lists(st.binary(max_size=50), min_size=1, max_size=5),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(entries, max_size=3, unique_by=lambda entry: entry.token))
def test_what_was_written_is_there_until_it_is_removed(journal: Journal, written: list[Entry]) -> None:
    for entry in written:
        journal.write(entry)
    found = again(journal)
    assert sorted(found, key=str) == sorted(written, key=str)
    assert [entry.stored_ns for entry in found] == sorted(entry.stored_ns for entry in written)
    for entry in written:
        journal.remove(entry.token)
    assert journal.left() == []


def test_the_same_batch_again_is_one(journal: Journal) -> None:
    journal.write(ENTRY)
    journal.write(ENTRY)
    assert again(journal) == [ENTRY]


def test_a_write_that_was_cut_short_is_as_if_it_had_not_been(journal: Journal) -> None:
    journal.write(ENTRY)
    whole = next(journal.folder.glob("*.batch"))
    whole.rename(whole.with_suffix(".unfinished"))
    assert again(journal) == []
    assert not list(journal.folder.glob("*.unfinished"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_batch_is_set_aside_and_the_others_are_read(journal: Journal, data: st.DataObject) -> None:
    for left in journal.folder.glob("*.*"):
        left.unlink()
    good = Entry("shop", "cd" * 16, 9, [b"good"])
    journal.write(ENTRY)
    journal.write(good)
    path = journal.folder / f"{ENTRY.token}.batch"
    content = path.read_bytes()
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        at = data.draw(st.integers(0, len(content) - 1))
        content = content[:at] + bytes([content[at] ^ data.draw(st.integers(1, 255))]) + content[at + 1 :]
    path.write_bytes(content)
    assert again(journal) == [good]
    assert again(journal) == [good]
    assert path.with_suffix(".damaged").read_bytes() == content  # a person may want to look at it


def test_it_belongs_to_one_aggregator(journal: Journal) -> None:
    with pytest.raises(JournalError, match="another aggregator has it"):
        Journal(journal.folder)
    assert again(journal) == []


def test_where_there_can_be_none_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="file"):
        Journal(tmp_path / "file" / "journal")


def test_others_may_not_read_it(journal: Journal) -> None:
    journal.write(ENTRY)
    assert journal.folder.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in journal.folder.iterdir())


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_write_that_fails_leaves_nothing(journal: Journal, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        if call == "rename":
            patched.setattr(Path, call, full)
        else:
            patched.setattr(os, call, full)
        with pytest.raises(OSError, match="No space"):
            journal.write(ENTRY)
    assert [path.name for path in journal.folder.iterdir()] == ["lock"]
    journal.write(ENTRY)
    assert again(journal) == [ENTRY]


@pytest.mark.skipif(os.geteuid() != 0, reason="a full disk is made of a small tmpfs, which needs root")
def test_on_a_full_disk_nothing_is_there_and_later_all_is(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", tmp_path], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        journal = Journal(tmp_path / "journal")
        large = Entry("shop", "ef" * 16, 1, [secrets.token_bytes(100_000)])
        with pytest.raises(OSError, match="No space"):
            journal.write(large)
        journal.write(ENTRY)
        assert again(journal) == [ENTRY]
        journal.close()
    finally:
        subprocess.run(["umount", tmp_path], check=True)
