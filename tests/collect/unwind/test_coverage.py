"""Processes and their mappings in the kernel's maps, with real processes; no sampling."""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from aperture_tui.collect.unwind import coverage, kernel_maps
from aperture_tui.collect.unwind.kernel_maps import ANONYMOUS, PENDING
from aperture_tui.profile.kinds import Stop
from aperture_tui.symbolize.address_space import AddressSpace
from aperture_tui.symbolize.elf import FileSource
from tests.collect.unwind.covering import Kernel
from tests.collect.unwind.known_files import key_of, libc, rows_at
from tests.programs import build

pytestmark = pytest.mark.bpf


@contextmanager
def shell(script: str) -> Iterator[subprocess.Popen[str]]:
    """A shell that says a line when it has come so far, and waits for one to go on."""
    child = subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def say(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def hear(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert true()


def test_a_process_has_its_mappings_in_order_and_each_file_its_rows(kernel: Kernel) -> None:
    with shell("echo here; read _") as child:
        hear(child)
        kernel.cover(child.pid)
        rows = kernel.mappings(child.pid)
        expected = [m for m in AddressSpace.read(child.pid).mappings if m.path != "[vsyscall]"]
        assert rows["start"].tolist() == [m.start for m in expected]
        assert rows["end"].tolist() == [m.end for m in expected]
        for row, mapping in zip(rows, expected, strict=True):
            first, count = int(row["table"]) & 0xFFFFFFFF, int(row["table"]) >> 32
            assert count > 3, f"{mapping.path} has rows"
            table = rows_at(kernel.maps, first, count)
            assert (np.diff((table >> np.uint64(32)).astype(np.int64)) > 0).all()
            low, high = ((a - int(row["bias"])) % 2**64 for a in (mapping.start, mapping.end))
            inside = ((table >> np.uint64(32)) >= low) & ((table >> np.uint64(32)) < high)
            assert inside.any(), f"rows of {mapping.path} lie where it is mapped"


def test_a_forked_child_has_its_parents_and_keeps_them_when_the_parent_is_gone(kernel: Kernel) -> None:
    script = "echo here; read _; (echo; while :; do sleep 0.01; done) & echo $!; read _"
    with shell(script) as child:
        hear(child)
        kernel.cover(child.pid)
        before = kernel.maps.slices()[child.pid]
        say(child)
        forked = int(hear(child) or hear(child))
        try:
            until(lambda: forked in kernel.maps.slices())
            assert kernel.maps.slices()[forked] == before
            child.kill()
            child.wait()
            until(lambda: child.pid not in kernel.maps.slices())
            for _ in range(3):
                kernel.coverage.sweep()
            assert before in kernel.coverage._slices, "somebody still uses it"
        finally:
            os.kill(forked, signal.SIGKILL)
    until(lambda: forked not in kernel.maps.slices())
    for _ in range(2):
        kernel.coverage.sweep()
    assert before not in kernel.coverage._slices


def test_the_children_of_a_python_that_forks_before_its_frames_are_read_have_theirs(kernel: Kernel) -> None:
    """They begin with its tables, and so the kernel never asks for them."""
    source = (
        "import os, sys, time; forked = os.fork(); forked and print(forked, flush=True); "
        "sys.stdin.readline() if forked else time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    forked = int(hear(child))
    try:
        kernel.cover(child.pid)
        until(lambda: kernel.coverage.advance() is None and child.pid in kernel.maps.interpreters())  # type: ignore[func-returns-value]  # each time
        slice_of = kernel.coverage._processes[child.pid]
        kernel.maps.point(forked, slice_of.first, len(slice_of.entries))  # as of a fork before
        assert forked not in kernel.maps.interpreters()
        kernel.coverage.sweep()
        until(lambda: kernel.coverage.advance() is None and forked in kernel.maps.interpreters())  # type: ignore[func-returns-value]  # each time
    finally:
        os.kill(forked, signal.SIGKILL)
        child.kill()
        child.communicate()


def test_a_slice_in_the_place_of_another_is_nobodys_old_one(kernel: Kernel) -> None:
    with shell("echo here; read _") as child, shell("echo here; read _") as other:
        hear(child)
        hear(other)
        kernel.cover(child.pid)
        old = kernel.coverage._processes[child.pid]
        kernel.maps.point(child.pid, 1, 1)  # as of a fork whose pid an older process had
        kernel.coverage.sweep()
        kernel.coverage.sweep()
        assert old.first not in kernel.coverage._slices
        kernel.cover(other.pid)
        assert kernel.maps.slices()[other.pid] == old.first
        kernel.cover(child.pid)
        assert kernel.maps.slices()[child.pid] != old.first


def test_an_exec_ends_what_was_known(kernel: Kernel) -> None:
    with shell("echo here; read _; exec sleep 10") as child:
        hear(child)
        kernel.cover(child.pid)
        say(child)
        until(lambda: child.pid not in kernel.maps.slices())
        until(lambda: Path(f"/proc/{child.pid}/comm").read_text() == "sleep\n")
        kernel.cover(child.pid)
        assert b"sleep" in b" ".join(m.path.encode() for m in kernel.coverage._processes[child.pid].mappings)


def test_threads_outlive_the_first_one(kernel: Kernel) -> None:
    """The process is there until its last thread ends, though the first thread's end is an exit as well."""
    source = (
        "import ctypes, threading, time; threading.Thread(target=lambda: time.sleep(60)).start(); "
        "print('here', flush=True); input(); ctypes.CDLL(None).pthread_exit(None)"
    )
    child = subprocess.Popen([sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert hear(child) == "here"
        kernel.cover(child.pid)
        say(child)
        until(lambda: "Z" in Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1])
        time.sleep(0.1)
        assert child.pid in kernel.maps.slices()
    finally:
        child.kill()
        child.communicate()
    until(lambda: child.pid not in kernel.maps.slices())


def test_slices_and_rows_are_given_back_and_used_again(kernel: Kernel, tmp_path: Path) -> None:
    free = kernel.maps.free_mappings.free
    rows = []
    for _ in range(3):
        with shell("echo here; read _") as child:
            hear(child)
            kernel.cover(child.pid)
            assert kernel.maps.free_mappings.free < free
        until(lambda pid=child.pid: pid not in kernel.maps.slices())
        kernel.coverage.sweep()
        assert kernel.maps.free_mappings.free < free, "a process that was forked just now may still use it"
        kernel.coverage.sweep()
        assert kernel.maps.free_mappings.free == free
        rows.append(kernel.maps.free_rows.taken)
    assert rows[0] == rows[1] == rows[2] > 0, "files stay, for the next process"


def test_files_make_room_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_maps, "_ROWS", (1 << 15,))
    monkeypatch.setattr(kernel_maps, "_BANKS", 1)
    kernel = Kernel(tmp_path / "cache")
    try:
        with shell("echo here; read _") as child:
            hear(child)
            kernel.cover(child.pid)
            assert kernel.coverage.degraded == {}
            used = kernel.maps.free_rows.taken
            assert used > kernel.maps.rows // 2, "the C library's take most of it"
            # a second one of the same size does not fit while the first is in use
            other = shutil.copy(libc(), tmp_path / "other.so")
            key = key_of(other)
            kernel.files._new(FileSource(os.open(other, os.O_RDONLY)))
            kernel.wait()
            assert kernel.coverage.degraded == {"files whose rows found no room": 1}
        until(lambda: child.pid not in kernel.maps.slices())
        kernel.coverage.sweep()
        kernel.coverage.sweep()
        kernel.files._new(FileSource(os.open(other, os.O_RDONLY)))
        kernel.wait()
        assert kernel.files._files[key].extent.rows > 10_000, "those that nobody uses have made room"
    finally:
        kernel.close()


def test_a_file_makes_no_room_for_another_of_the_same_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would have that one's rows, as long as the process lives."""
    monkeypatch.setattr(kernel_maps, "_ROWS", (1 << 15,))
    monkeypatch.setattr(kernel_maps, "_BANKS", 1)
    paths = [Path(shutil.copy(libc(), tmp_path / f"{n}.so")) for n in range(2)]
    kernel = Kernel(tmp_path / "cache")
    with contextlib.ExitStack() as stack:
        stack.callback(kernel.close)
        for path in paths:
            file = stack.enter_context(path.open("rb"))
            flags = mmap.MAP_PRIVATE
            stack.enter_context(mmap.mmap(file.fileno(), 1 << 20, flags, mmap.PROT_READ | mmap.PROT_EXEC))
        ours = [m for m in AddressSpace.read(os.getpid()).mappings if m.path in map(str, paths)]
        assert len(ours) == 2
        monkeypatch.setattr(coverage, "executable_mappings", lambda _pid: ours)
        kernel.files._new(FileSource(os.open(paths[0], os.O_RDONLY)))
        kernel.wait()  # its rows are on disk now: those of the other one are there at once
        kernel.cover(os.getpid())
        tables = kernel.mappings(os.getpid())["table"].tolist()
        assert sorted(word >> 32 > 0 for word in tables) == [False, True]
        assert kernel.coverage.degraded == {"files whose rows found no room": 1}


def test_a_file_in_the_place_of_another_has_its_own_rows(kernel: Kernel, tmp_path: Path) -> None:
    program = tmp_path / "program"
    tables = []
    for name, arguments in (("ratio", ["60"]), ("burn", ["60", "1", "5"])):
        shutil.copy(build(name, "-O2"), program)
        child = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL)
        try:
            until(lambda pid=child.pid: str(program).encode() in Path(f"/proc/{pid}/maps").read_bytes())
            kernel.cover(child.pid)
            (at,) = [i for i, m in enumerate(kernel.coverage._processes[child.pid].mappings) if m.path == str(program)]
            word = int(kernel.mappings(child.pid)["table"][at])
            tables.append(rows_at(kernel.maps, word & 0xFFFFFFFF, word >> 32).tolist())
        finally:
            child.kill()
            child.wait()
        program.unlink()
    assert tables[0] != tables[1]


def test_code_without_a_file_is_marked_and_a_table_that_is_not_there_yet_too(kernel: Kernel) -> None:
    source = "import mmap; m = mmap.mmap(-1, 65536, prot=7, flags=34); m[0] = 195; print('here', flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert hear(child) == "here"
        kernel.coverage.cover(child.pid, Stop.NO_TABLES)
        words = [int(w) for w in kernel.mappings(child.pid)["table"]]
        assert ANONYMOUS in words
        assert PENDING in words
        kernel.cover(child.pid)
        words = [int(w) for w in kernel.mappings(child.pid)["table"]]
        assert ANONYMOUS in words
        assert PENDING not in words
    finally:
        child.kill()
        child.communicate()


def test_a_process_that_is_gone_leaves_nothing_behind(kernel: Kernel) -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    kernel.coverage.cover(child.pid, Stop.NO_TABLES)
    assert kernel.coverage.degraded == {}
    assert child.pid not in kernel.maps.slices()


def test_what_asks_in_vain_is_answered_less_and_less_often(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    asked_again_ns: list[int] = []
    monkeypatch.setattr(kernel.maps, "put_off", lambda pid, until_ns, code: asked_again_ns.append(until_ns))
    with shell("echo here; read _") as child:
        hear(child)
        kernel.cover(child.pid)
        for expected_ms in (50, 100, 200, 400, 800, 1600, 3200, 6400, 12_800, 16_000, 16_000):
            before_ns = time.monotonic_ns()
            kernel.coverage.cover(child.pid, Stop.NO_MAPPING)
            after_ns = time.monotonic_ns()
            from_ns = asked_again_ns.pop() - expected_ms * 1_000_000
            assert before_ns <= from_ns <= after_ns
