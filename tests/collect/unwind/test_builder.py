"""The child that builds: in order of size, and whatever becomes of it."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from aperture_tui.collect.unwind import builder as module
from aperture_tui.collect.unwind.builder import Builder, Lane
from aperture_tui.collect.unwind.table import FileTable
from aperture_tui.symbolize.images import ImageKey
from aperture_tui.symbolize.unwind_table import MAX_ROWS
from tests.collect.unwind.known_files import key_of, libc
from tests.programs import build
from tests.symbolize.call_frames import CODE, FRAMES_AT, cie, elf_bytes, u32


def submit(to: Builder | Lane, path: Path, size: int | None = None, wanted: int = 1) -> ImageKey:
    key = key_of(path)
    key = key._replace(size=key.size if size is None else size)
    assert to.submit(key, os.open(path, os.O_RDONLY), key.size, lambda: wanted)
    return key


def answers(of: Builder | Lane, n: int) -> list[tuple[ImageKey, FileTable]]:
    """The next n. How long a child is waited for is the lane's to say, by the CPU time that it has had."""
    found: list[tuple[ImageKey, FileTable]] = []
    deadline = time.monotonic() + 300  # else it has no patience of its own any more
    while len(found) < n and time.monotonic() < deadline:
        assert of.waiting if isinstance(of, Builder) else of.queued or of.busy, "nothing is left to wait for"
        found += of.advance()
        time.sleep(0.01)
    assert len(found) == n
    return found


def test_the_smallest_come_first_and_all_are_right() -> None:
    lane = Lane([])
    order = [submit(lane, libc(), size) for size in (1, 900, 30, 500)]
    found = [key for key, _table in answers(lane, 4)]
    assert found == [order[0], order[2], order[3], order[1]]
    lane.close()


def test_what_most_wait_for_comes_first() -> None:
    lane = Lane([])
    order = [submit(lane, libc(), size, wanted) for size, wanted in ((1, 9), (2, 1), (900, 3), (30, 3))]
    found = [key for key, _table in answers(lane, 4)]
    assert found == [order[0], order[3], order[2], order[1]]
    lane.close()


def test_a_large_file_does_not_hold_up_the_small_ones() -> None:
    builder = Builder(cpus=1)
    large = submit(builder, libc(), 600 << 20)
    builder.advance()
    os.kill(builder._large[0]._child.pid, signal.SIGSTOP)  # type: ignore[union-attr]  # as slow as can be
    small = submit(builder, build("ratio", "-O2"))
    ((key, table),) = answers(builder, 1)
    assert key == small
    assert len(table.table.rows) > 5
    assert builder.waiting == 1
    os.kill(builder._large[0]._child.pid, signal.SIGCONT)  # type: ignore[union-attr]
    ((key, table),) = answers(builder, 1)
    assert key == large
    assert len(table.table.rows) > 10_000
    builder.close()
    assert builder.cpu_s > 0


@pytest.mark.parametrize(("cpus", "children"), [(1, 1), (8, 2), (256, 4)])
def test_large_files_have_children_by_the_number_of_cpus(cpus: int, children: int) -> None:
    builder = Builder(cpus)
    files = [submit(builder, libc(), size << 20) for size in range(600, 606)]
    builder.advance()
    assert builder.waiting == 6
    assert sum(lane._child is not None for lane in builder._large) == children
    begun = [lane._job.key for lane in builder._large if lane._job is not None]
    assert begun == [*files[: max(1, children - 1)], *files[:4:-1]][:children], (
        "the last of several begins with the largest"
    )
    assert {key for key, _table in answers(builder, 6)} == set(files)
    assert builder.waiting == 0
    builder.close()


def test_a_child_that_dies_is_counted_and_the_next_file_has_another() -> None:
    lane = Lane([])
    first = submit(lane, libc())
    lane.advance()
    child = lane._child
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)
    second = submit(lane, build("ratio", "-O2"))
    found = dict(answers(lane, 2))
    assert "could not be built" in found[first].problem
    assert len(found[second].table.rows) > 5
    assert lane.died == 1
    lane.close()


def test_a_child_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = Lane([])
    monkeypatch.setattr(module, "_PATIENCE_S", 0.2)
    submit(lane, libc())
    lane.advance()
    os.kill(lane._child.pid, signal.SIGSTOP)  # type: ignore[union-attr]
    ((_key, table),) = answers(lane, 1)
    assert "took too long" in table.problem
    assert lane._child is None
    lane.close()


def test_it_ends_when_there_is_nothing_to_do_and_starts_again() -> None:
    lane = Lane([])
    submit(lane, build("ratio", "-O2"))
    answers(lane, 1)
    child, connection = lane._child, lane.socket
    assert child is not None
    assert connection is not None
    select.select([connection], [], [], 20)
    assert lane.advance() == []
    assert lane._child is None
    assert lane.died == 0
    submit(lane, build("ratio", "-O2"))
    answers(lane, 1)
    lane.close()


def very_large(n: int, stride: int) -> bytes:
    """A file of n functions, `stride` bytes apart, as a compiler writes them, four rows each."""
    common = cie(augmentation=b"zR")
    common += bytes(-len(common) % 8)
    common = u32(len(common) - 4) + common[4:]
    # push rbp; mov rbp, rsp; ...; pop rbp: rsp+16 and rbp at cfa-16, rbp+16, rsp+8
    program = b"\x41\x0e\x10\x86\x02\x43\x0d\x06\x02\x0a\x0c\x07\x08\x00\x00"
    one = np.frombuffer(u32(28) + bytes(12) + b"\0" + program, np.uint8)
    functions = np.tile(one, (n, 1))
    link_at = len(common) + 32 * np.arange(n) + 4
    words = functions[:, :16].view("<u4")  # the length, the distance to the common entry, the address, the size
    words[:, 1], words[:, 3] = link_at, 20
    words[:, 2] = (CODE + stride * np.arange(n) - (FRAMES_AT + link_at + 4)) & 0xFFFFFFFF
    return elf_bytes(common + functions.tobytes() + bytes(4))


def test_a_file_larger_than_any_known_one_is_built_whole_and_the_next_one_is_cut(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    n = 800_000
    whole.write_bytes(very_large(n, 64))  # 26 MB of call frames
    cut.write_bytes(very_large(1_100_000, 48))  # 35 MB, more rows than there may be of a file
    lane = Lane([])
    keys = [submit(lane, whole, 1), submit(lane, cut, 2)]
    found = dict(answers(lane, 2))
    assert lane.died == 0
    lane.close()
    table = found[keys[0]].table
    assert (table.functions, table.malformed, table.truncated) == (n, 0, False)
    assert len(table.rows) == 5 * n, "four rows a function, and the gap behind it"
    start = CODE - table.base + 64 * np.arange(n)
    assert np.array_equal((table.rows >> np.uint64(32)).reshape(n, 5), start[:, None] + [0, 1, 4, 14, 20])
    assert len(np.unique(table.rows & np.uint64(0xFFFFFFFF))) == 5
    table = found[keys[1]].table
    assert table.truncated
    assert len(table.rows) == MAX_ROWS


def test_no_descriptor_is_left_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    builder = Builder()
    for size in (1, 2, 3):
        submit(builder, libc(), size)
    answers(builder, 1)
    submit(builder, libc(), 100 << 20)
    builder.advance()
    builder.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_nothing_is_imported_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """We are root, and the folder may be anybody's."""
    for module_name in ("numpy", "json", "socket", "struct"):
        (tmp_path / f"{module_name}.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    lane = Lane([])
    submit(lane, build("ratio", "-O2"))
    ((_key, table),) = answers(lane, 1)
    assert len(table.table.rows) > 5
    lane.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
def test_hostile_files_are_read_by_nobody_in_a_group_of_its_own() -> None:
    lane = Lane([])
    submit(lane, build("ratio", "-O2"))
    answers(lane, 1)
    child = lane._child
    assert child is not None
    status = dict(line.split(":", 1) for line in Path(f"/proc/{child.pid}/status").read_text().splitlines())
    assert status["Uid"].split() == status["Gid"].split() == ["65534"] * 4
    assert status["Groups"].split() == []
    assert int(status["NoNewPrivs"]) == 1
    assert int(status["CapPrm"], 16) == 0
    assert os.getpgid(child.pid) == child.pid, "Ctrl-C at our terminal is not meant for it"
    lane.close()


def test_a_file_that_the_child_may_not_open_is_read_by_its_descriptor(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.write_bytes(build("ratio", "-O2").read_bytes())
    private.chmod(0o600)
    lane = Lane([])
    submit(lane, private)
    ((_key, table),) = answers(lane, 1)
    assert len(table.table.rows) > 5
    lane.close()


def test_a_child_that_has_ended_with_the_thread_that_started_it_is_let_go() -> None:
    """The supply's thread ends before the builder is closed."""
    lane = Lane([])
    submit(lane, libc())
    thread = threading.Thread(target=lambda: answers(lane, 1))
    thread.start()
    thread.join()
    child = lane._child
    assert child is not None
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    lane.close()
    assert child.returncode == -signal.SIGKILL
    assert lane.cpu_s > 0
