"""Tables kept on disk: found again whole, or not believed."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aperture_tui.symbolize.private_folder import PrivateFolder, cache_folder
from aperture_tui.symbolize.unwind_cache import UnwindCache, UnwindCacheCounts
from aperture_tui.symbolize.unwind_layout import UnwindTable
from aperture_tui.symbolize.unwind_table import UnwindSource

from .call_frames import elf_at

KEY = bytes(range(32))


def some_table(n: int = 5) -> UnwindTable:
    """A table with n rows and every count set."""
    rows = (np.arange(n, dtype=np.uint64) << np.uint64(36)) | (np.arange(n, dtype=np.uint64) & np.uint64(1)) + 0x80100
    return UnwindTable(rows, 0x400000, 7, 2, 1, True)


def never() -> UnwindTable:
    raise AssertionError("it was in the cache")


def same(a: UnwindTable, b: UnwindTable) -> bool:
    """Equal in every field."""
    facts = [(t.base, t.functions, t.malformed, t.unsupported, t.truncated) for t in (a, b)]
    return facts[0] == facts[1] and np.array_equal(a.rows, b.rows)


def only_file(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def test_a_real_table_is_made_once(tmp_path: Path, calls: Path) -> None:
    made_of = UnwindSource.read(elf_at(calls))
    made = UnwindCache(tmp_path / "cache").cached_rows(made_of.key, made_of.table)
    again = UnwindCache(tmp_path / "cache")
    assert same(again.cached_rows(UnwindSource.read(elf_at(calls)).key, never), made)
    assert again.counts == UnwindCacheCounts(hits=1)
    assert len(made.rows)


@given(st.integers(0, 300), st.integers(0, 2**64 - 1), st.booleans())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_field_comes_back(tmp_path: Path, n: int, base: int, truncated: bool) -> None:
    table = UnwindTable(some_table(n).rows, base, n, 3, 4, truncated)
    key = struct.pack("<QQ?", n, base, truncated)
    cache = UnwindCache(tmp_path)
    cache.cached_rows(key, lambda: table)
    assert same(cache.cached_rows(key, never), table)


def test_another_key_is_another_table(tmp_path: Path) -> None:
    cache = UnwindCache(tmp_path)
    cache.cached_rows(KEY, some_table)
    assert len(cache.cached_rows(KEY[::-1], lambda: some_table(9)).rows) == 9
    assert cache.counts.built == 2


def test_what_is_not_whole_is_counted_and_made_anew(tmp_path: Path) -> None:
    UnwindCache(tmp_path).cached_rows(KEY, some_table)
    file = only_file(tmp_path)
    good = file.read_bytes()
    damaged = [good[:i] + bytes((good[i] ^ 1,)) + good[i + 1 :] for i in range(len(good))]
    for data in [b"", good[:-8], good[:50], good + bytes(8), *damaged]:
        file.write_bytes(data)
        cache = UnwindCache(tmp_path)
        assert same(cache.cached_rows(KEY, some_table), some_table())
        assert (cache.counts.rejected, cache.counts.built) == (1, 1)
        assert file.read_bytes() == good


def test_rows_that_cannot_be_searched_are_not_believed(tmp_path: Path) -> None:
    cache = UnwindCache(tmp_path)
    cache.cached_rows(KEY, lambda: UnwindTable(some_table().rows[::-1], 0))
    assert same(cache.cached_rows(KEY, some_table), some_table())
    assert cache.counts.rejected == 1


def test_a_file_under_another_files_name_is_not_believed(tmp_path: Path) -> None:
    cache = UnwindCache(tmp_path)
    cache.cached_rows(KEY, some_table)
    only_file(tmp_path).rename(tmp_path / f"{KEY[::-1].hex()}.rows")
    cache.cached_rows(KEY[::-1], some_table)
    assert cache.counts.rejected == 1


def test_the_folder_is_made_for_this_user_alone(tmp_path: Path) -> None:
    UnwindCache(tmp_path / "a" / "b").cached_rows(KEY, some_table)
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert only_file(tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_others_may_write_to_is_not_believed(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "cache"
    UnwindCache(folder).cached_rows(KEY, some_table)
    (folder if what == "folder" else only_file(folder)).chmod(0o777)
    cache = UnwindCache(folder)
    cache.cached_rows(KEY, some_table)
    assert cache.counts.rejected == 1
    assert cache.counts.unwritable == (1 if what == "folder" else 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_belongs_to_another_user_is_not_believed(tmp_path: Path) -> None:
    UnwindCache(tmp_path).cached_rows(KEY, some_table)
    os.chown(only_file(tmp_path), 65534, 65534)
    cache = UnwindCache(tmp_path)
    cache.cached_rows(KEY, some_table)
    assert cache.counts.rejected == 1


def test_links_are_not_followed(tmp_path: Path) -> None:
    real = tmp_path / "real"
    UnwindCache(real).cached_rows(KEY, some_table)
    (tmp_path / "link").symlink_to(real)
    cache = UnwindCache(tmp_path / "link")
    cache.cached_rows(KEY, some_table)
    assert (cache.counts.rejected, cache.counts.unwritable) == (1, 1)
    file = only_file(real)
    file.rename(tmp_path / "moved")
    file.symlink_to(tmp_path / "moved")
    cache = UnwindCache(real)
    cache.cached_rows(KEY, some_table)
    assert cache.counts.rejected == 1
    assert not file.is_symlink()


def test_a_fifo_does_not_stop_us(tmp_path: Path) -> None:
    UnwindCache(tmp_path).cached_rows(KEY, some_table)
    file = only_file(tmp_path)
    file.unlink()
    os.mkfifo(file, 0o600)
    cache = UnwindCache(tmp_path)
    cache.cached_rows(KEY, some_table)
    assert cache.counts.rejected == 1


def test_where_nothing_can_be_written_the_table_is_made_each_time(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file is in the way")
    cache = UnwindCache(tmp_path / "cache")
    assert same(cache.cached_rows(KEY, some_table), some_table())
    assert (cache.counts.built, cache.counts.unwritable) == (1, 1)


def test_files_unused_for_longest_go_when_there_are_too_many(tmp_path: Path) -> None:
    folder = PrivateFolder(tmp_path, 1000)
    for i in range(3):
        folder.write(f"{i}", bytes(300))
        os.utime(tmp_path / f"{i}", (i, i))
    assert folder.read("0") == bytes(300)
    folder.write("3", bytes(300))
    assert sorted(os.listdir(tmp_path)) == ["0", "2", "3"]


def test_a_file_that_another_process_let_go_first_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, unlink = PrivateFolder(tmp_path, 1000), os.unlink
    for i in range(3):
        folder.write(f"{i}", bytes(300))
        os.utime(tmp_path / f"{i}", (i, i))

    def too_late(name: str, *, dir_fd: int) -> None:
        unlink(name, dir_fd=dir_fd)
        unlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", too_late)
    folder.write("3", bytes(300))
    assert sorted(os.listdir(tmp_path)) == ["1", "2", "3"]


def test_a_folder_that_cannot_be_written_to_is_still_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(fd: int) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    PrivateFolder(tmp_path, 1000).write("file", b"content")
    monkeypatch.setattr(os, "utime", read_only)
    assert PrivateFolder(tmp_path, 1000).read("file") == b"content"


def test_a_file_larger_than_the_folder_may_be_is_not_read(tmp_path: Path) -> None:
    PrivateFolder(tmp_path, 1000).write("big", bytes(900))
    with pytest.raises(OSError, match="too large"):
        PrivateFolder(tmp_path, 100).read("big")


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        PrivateFolder(tmp_path, 1000).write("taken", b"x")
    assert os.listdir(tmp_path) == ["taken"]


def test_the_cache_of_a_user_is_in_their_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cache_folder("unwind") == tmp_path / "aperture" / "unwind"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert cache_folder("unwind") == Path("/var/cache/aperture/unwind")
