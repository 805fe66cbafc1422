"""Recordings without end: what is begun anew when, what is let go of, and that nothing is lost on the way."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from aperture_tui.profile.host import HostSample
from aperture_tui.profile.query import Query
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.recording import rotation
from aperture_tui.recording.reader import Reader
from aperture_tui.recording.replay import replay
from aperture_tui.recording.rotation import RotatingWriter, Rotation
from tests.recording.sample import HEALTH, STACK
from tests.store.conformance import HOST, SH
from tests.store.facts import SECOND, T0, Fact, batch_of, words


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of the rotation, to be moved."""
    clock = [1000.0]
    monkeypatch.setattr(rotation.time, "monotonic", lambda: clock[0])
    return clock


def recorded(folder: Path, limits: Rotation, now: list[float], steps: int, step_s: float = 10) -> RotatingWriter:
    """An event with a stack of its own each step."""
    symbols, writer = Symbols(), RotatingWriter(folder, limits, {"host": "box", "clocks": {"unix_ns": T0}})
    writer.set_hosts([HOST])
    writer.set_health([HEALTH])
    for i in range(steps):
        writer.append(batch_of([Fact(T0 + i * SECOND, SH, stack=(*STACK, Frame(f"f{i}")))], symbols))
        now[0] += step_s
    return writer


def test_a_new_file_by_age_and_nothing_is_lost_between_them(tmp_path: Path, now: list[float]) -> None:
    writer = recorded(tmp_path, Rotation(every_s=30), now, 20)
    writer.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) == 7
    store = replay(tmp_path)
    assert words(store.call_tree(Query())) == {(*STACK, Frame(f"f{i}")): 1 for i in range(20)}
    assert (store.span().events, writer.events) == (20, 20)
    assert writer.bytes == sum(file.stat().st_size for file in files)
    assert [store.hosts(), store.health()[0]] == [[HOST], HEALTH]
    for file in files:
        with Reader(file) as reader:
            assert reader.complete
            assert reader.header["host"] == "box"
            assert file.stat().st_mode & 0o777 == 0o600


def test_each_file_can_be_read_alone(tmp_path: Path, now: list[float]) -> None:
    recorded(tmp_path, Rotation(every_s=30), now, 9).close()
    names = [sorted(words(replay(file).call_tree(Query()))) for file in tmp_path.iterdir()]
    every = sorted(stack[-1].function for stacks in names for stack in stacks)
    assert every == [f"f{i}" for i in range(9)]


def test_a_new_file_by_size(tmp_path: Path, now: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aperture_tui.recording.writer._FLUSH_BYTES", 1)
    recorded(tmp_path, Rotation(every_bytes=2000), now, 40).close()
    sizes = [file.stat().st_size for file in tmp_path.iterdir()]
    assert len(sizes) > 3
    assert max(sizes) < 4000


def test_what_is_too_old_is_let_go_of(tmp_path: Path, now: list[float]) -> None:
    writer = recorded(tmp_path, Rotation(every_s=10, keep_s=3600), now, 4)
    old, *_ = sorted(file for file in tmp_path.iterdir() if str(file) != writer._writer.path)
    os.utime(old, (1, 1))
    writer._rotate_if_due()
    assert not old.exists()
    assert len(list(tmp_path.iterdir())) == 4
    writer.close()


def test_of_too_much_the_oldest_is_let_go_of(tmp_path: Path, now: list[float]) -> None:
    writer = recorded(tmp_path, Rotation(every_s=10, keep_bytes=4000), now, 30)
    writer.close()
    kept = [stack[-1].function for stack in words(replay(tmp_path).call_tree(Query()))]
    assert sorted(kept) == sorted(f"f{i}" for i in range(30 - len(kept), 30))
    assert 1 <= len(kept) < 10


def test_files_of_one_moment_are_as_old_as_their_names_say(tmp_path: Path, now: list[float]) -> None:
    """The clock of a file system may stand still for some milliseconds."""
    writer = recorded(tmp_path, Rotation(every_s=10), now, 12)
    in_order = sorted(tmp_path.iterdir(), key=lambda file: file.stat().st_mtime_ns)
    stem = "aperture-20200101T000000Z"
    for i, file in enumerate(in_order[:-1]):
        os.utime(file, (1, 1))
        file.rename(tmp_path / f"{stem}{f'-{i}' if i else ''}.aperture")
    assert [path.name for path, *_ in rotation._ours(tmp_path)][:3] == [f"{stem}{n}.aperture" for n in ("", "-1", "-2")]
    assert rotation._ours(tmp_path)[10][0].name == f"{stem}-10.aperture"
    writer.close()


def test_what_is_kept_does_not_all_go_with_one_file(tmp_path: Path, now: list[float]) -> None:
    """A file each hour that is larger than all that is to be kept."""
    writer = recorded(tmp_path, Rotation(every_s=3600, keep_bytes=20_000), now, 200)
    sizes = [file.stat().st_size for file in tmp_path.iterdir()]
    writer.close()
    assert sum(sizes) < 20_000 * 9 / 8
    assert len(sizes) > 4


def test_a_file_is_begun_where_nothing_but_the_time_goes_on(tmp_path: Path, now: list[float]) -> None:
    writer = RotatingWriter(tmp_path, Rotation(every_s=30))
    for i in range(9):
        writer.append_gauges(HostSample(T0 + i * SECOND))
        now[0] += 10
    writer.close()
    assert len(list(tmp_path.iterdir())) == 3


def test_a_file_that_cannot_be_followed_by_another_is_whole_all_the_same(
    tmp_path: Path, now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = recorded(tmp_path, Rotation(every_s=1000), now, 5)
    now[0] += 1000
    with monkeypatch.context() as patch:
        patch.setattr(rotation, "_ours", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
        with pytest.raises(OSError, match="Input/output"):
            writer.append(batch_of([Fact(T0, SH)], Symbols()))
    writer.close()
    store = replay(tmp_path)
    assert (store.span().events, writer.events, store.health()[-1].message) == (5, 5, "")


def test_only_our_own_files_are_ever_deleted(tmp_path: Path, now: list[float]) -> None:
    others = ["mine.aperture", "notes.txt", "aperture-20200101T000000Z.aperture.bak", "aperture-1.aperture"]
    for name in others:
        (tmp_path / name).write_bytes(b"x" * 10_000)
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.write_bytes(b"x" * 10_000)
    link = tmp_path / "aperture-20200101T000000Z.aperture"
    link.symlink_to(outside)
    recorded(tmp_path, Rotation(every_s=10, keep_s=1, keep_bytes=1), now, 5).close()
    assert all((tmp_path / name).exists() for name in others)
    assert link.is_symlink()
    assert outside.read_bytes() == b"x" * 10_000


def test_a_link_that_waits_in_the_folder_is_not_written_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation.time, "strftime", lambda *_: "aperture-20260101T000000Z")
    folder, victim = tmp_path / "folder", tmp_path / "victim"
    folder.mkdir()
    (folder / "aperture-20260101T000000Z.aperture").symlink_to(victim)
    writer = RotatingWriter(folder, Rotation(every_s=10))
    writer.close()
    assert not victim.exists()
    assert (folder / "aperture-20260101T000000Z-1.aperture").exists()


def test_a_folder_that_cannot_be_made_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"File exists|Not a directory"):
        RotatingWriter(tmp_path / "file" / "below", Rotation(every_s=10))


def test_on_a_full_disk_the_oldest_make_room_and_it_goes_on(
    tmp_path: Path, now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is one that holds so many bytes of our files."""
    room, write = 6000, os.write

    def used() -> int:
        return sum(size for _, _, size in rotation._ours(tmp_path))

    def limited(file: int, data: bytes) -> int:
        if used() + len(data) > room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data)

    monkeypatch.setattr("aperture_tui.recording.writer._FLUSH_BYTES", 1)
    monkeypatch.setattr("aperture_tui.recording.writer.os.write", limited)
    writer = recorded(tmp_path, Rotation(every_s=30), now, 60)
    monkeypatch.setattr("aperture_tui.recording.writer.os.write", write)
    writer.close()
    kept = sorted(int(stack[-1].function[1:]) for stack in words(replay(tmp_path).call_tree(Query())))
    assert kept[-1] > 50, "it goes on until the end"
    assert writer.lost > 0
    assert writer.events + writer.lost == 60
    assert used() <= room + 3000


def test_a_disk_that_is_full_without_us_is_an_error(
    tmp_path: Path, now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = recorded(tmp_path, Rotation(every_s=1000), now, 1)

    def full(file: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("aperture_tui.recording.writer._FLUSH_BYTES", 1)
    monkeypatch.setattr("aperture_tui.recording.writer.os.write", full)
    with pytest.raises(OSError, match="No space left"):
        writer.append(batch_of([Fact(T0, SH)], Symbols()))
    assert writer.lost == 2
