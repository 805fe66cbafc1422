"""Frames of real interpreters against what they say of themselves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame
from aperture_tui.symbolize.address_space import AddressSpace, Mapping
from aperture_tui.symbolize.cpython import (
    ENTRY,
    HIDDEN,
    CPythonError,
    CPythonNotReady,
    Interpreter,
    binary_cache,
    is_eval_name,
    merge,
)
from aperture_tui.symbolize.cpython.layout import MAX_FRAME

from .conftest import Child, backtraces, need, walk_thread


def opened(child: Child) -> Interpreter:
    interpreter = Interpreter.open(child.pid, child.space.mappings, binary_cache())
    assert interpreter is not None
    return interpreter


def test_every_thread_has_the_frames_and_lines_that_the_process_itself_reports(child: Child) -> None:
    interpreter = opened(child)
    major, minor = child.said["version"]
    assert interpreter.version == f"{major}.{minor}"
    assert len(child.said["stacks"]) == 6
    for thread, expected in child.said["stacks"].items():
        codes, instructions = walk_thread(child.pid, int(thread), interpreter.walk)
        entry = (codes & ENTRY) != 0
        frames = interpreter.frames(codes, instructions)
        if interpreter.shim:
            assert all(frame in (None, HIDDEN) for frame, mark in zip(frames, entry, strict=True) if mark)
        assert entry[-1]
        seen = [f for f, mark in zip(frames, entry, strict=True) if not (mark and interpreter.shim) and f is not HIDDEN]
        name = 1 if minor >= 11 else 0
        assert [(f.function, f.file, f.line, f.kind) for f in seen if f is not None] == [
            (frame[name], frame[2], frame[3], FrameKind.PYTHON) for frame in expected
        ]
        assert len(seen) == len(expected)


def test_the_merged_stack_is_the_native_one_with_python_frames_for_each_loop(child: Child) -> None:
    """The native stacks are gdb's; the Python ones are the process's own."""
    need("gdb")
    interpreter = opened(child)
    for tid, native in backtraces(child.pid).items():
        thread = child.said["tids"][str(tid)]
        expected = child.said["stacks"][str(thread)]
        codes, instructions = walk_thread(child.pid, thread, interpreter.walk)
        frames = interpreter.frames(codes, instructions)
        names = [name for _, name in native]
        # a stripped file names no more than the part of the loop that a compiler has left where it was
        is_eval = np.array([is_eval_name(name) for name in names])
        is_eval |= interpreter.is_loop(np.array([address - 1 if address else 0 for address, _ in native], np.uint64))
        entry = (codes & ENTRY) != 0
        assert int(entry.sum()) == int(is_eval.sum()) > 0
        merged = merge(
            np.arange(1, len(names) + 1, dtype=np.uint32),
            is_eval,
            np.array([0 if f in (None, HIDDEN) else 1000 + i for i, f in enumerate(frames)], np.uint32),
            np.array([frame is not None for frame in frames]),
            entry,
            shim=interpreter.shim,
            whole=True,
        )
        assert (merged.unplaced, merged.loops) == (0, 0)
        words = [frames[i - 1000] if i >= 1000 else names[i - 1] for i in merged.frames.tolist()]
        assert [word for word in words if isinstance(word, str)] == [
            name for name, loop in zip(names, is_eval, strict=True) if not loop
        ]
        lines = [(word.file, word.line) for word in words if isinstance(word, Frame)]
        assert lines == [(file, line) for _, _, file, line in reversed(expected)]


def test_the_walk_fits_what_the_kernel_reads(child: Child) -> None:
    walk = opened(child).walk
    assert walk.frame_bytes <= MAX_FRAME
    assert walk.frame_bytes % 8 == 0
    for offset in (walk.code, walk.previous, walk.instruction, walk.entry):
        assert 0 <= offset <= walk.frame_bytes - 8


def test_marks_and_tags_in_the_code_word_do_not_matter(child: Child) -> None:
    interpreter = opened(child)
    thread = next(iter(child.said["stacks"]))
    codes, instructions = walk_thread(child.pid, int(thread), interpreter.walk)
    plain = codes & ~ENTRY & ~np.uint64(7)
    assert interpreter.frames(codes | np.uint64(1), instructions) == interpreter.frames(plain, instructions)


def test_what_is_no_code_object_is_none_beside_what_is(child: Child) -> None:
    interpreter = opened(child)
    thread = next(iter(child.said["stacks"]))
    codes, instructions = walk_thread(child.pid, int(thread), interpreter.walk)
    good = next(i for i, frame in enumerate(interpreter.frames(codes, instructions)) if frame not in (None, HIDDEN))
    stack = int(thread)
    odd = np.array([0, 8, 1 << 60, stack, int(codes[good]), 2**64 - 1], np.uint64)
    frames = interpreter.frames(odd, np.full(6, instructions[good], np.uint64))
    assert [frame is not None for frame in frames] == [False, False, False, False, True, False]


def test_nothing_is_found_once_the_process_is_gone(child: Child) -> None:
    interpreter = opened(child)
    thread = next(iter(child.said["stacks"]))
    codes, instructions = walk_thread(child.pid, int(thread), interpreter.walk)
    child.process.kill()
    child.process.wait()
    assert interpreter.frames(codes, instructions) == [None] * len(codes)
    with pytest.raises(CPythonError):
        Interpreter.open(child.pid, child.space.mappings)


def test_a_forked_child_is_opened_like_its_parent(python: str) -> None:
    text = "import os, sys\nif os.fork(): os.wait()\nelse: print(os.getpid(), flush=True); sys.stdin.read()"
    process = subprocess.Popen([python, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert Interpreter.open(pid, AddressSpace.read(pid).mappings) is not None
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


def test_an_interpreter_that_starts_is_not_ready_and_then_is(python: str) -> None:
    """Stopped at ever later moments of its start, there is never another error and never a wrong answer."""
    states = set()
    for step in range(40):
        process = subprocess.Popen([python, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
        try:
            time.sleep(step * 0.0006)
            os.kill(process.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
            mappings = AddressSpace.read(process.pid).mappings
            try:
                states.add(Interpreter.open(process.pid, mappings) is not None)
            except CPythonNotReady:
                states.add("not ready")
            except CPythonError as error:
                states.add(str(error))
        finally:
            process.kill()
            process.wait()
    # before the kernel has mapped the loader as well there is a program of that name and nothing more
    early = ("no symbol _PyRuntime", "no libc.so.6")
    assert {s for s in states if not str(s).startswith(early)} <= {True, False, "not ready"}
    assert True in states


def test_a_process_without_python_is_none() -> None:
    process = subprocess.Popen(["sleep", "10"])
    try:
        assert Interpreter.open(process.pid, AddressSpace.read(process.pid).mappings) is None
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/usr/lib/libpython2.7.so.1.0", "CPython 2.7 is older than 3.9"),
        ("/usr/bin/python2", "CPython 2.7 is older than 3.9"),
        ("/opt/python3.8", "CPython 3.8 is older than 3.9"),
        ("/opt/libpython3.6m.so.1.0", "CPython 3.6 is older than 3.9"),
        ("/opt/libpython3.15.so.1.0", "CPython 3.15 is newer than 3.14"),
    ],
)
def test_versions_that_cannot_be_read_are_named_without_opening_a_file(path: str, words: str) -> None:
    with pytest.raises(CPythonError, match=words):
        Interpreter.open(os.getpid(), [Mapping(0x1000, 0x2000, 0, path, 1, 1)])


@pytest.mark.parametrize(
    "path",
    ["", "[vdso]", "/usr/lib/libpython3.so", "/usr/lib/libboost_python311.so", "/usr/bin/python3-config", "/python/x"],
)
def test_other_names_are_not_python(path: str) -> None:
    assert Interpreter.open(os.getpid(), [Mapping(0x1000, 0x2000, 0, path, 1, 1)]) is None


def test_a_file_that_is_gone_or_is_no_interpreter_is_one_line(tmp_path: os.PathLike[str]) -> None:
    with pytest.raises(CPythonError, match=r"python3\.11 of process"):
        Interpreter.open(os.getpid(), [Mapping(0x1000, 0x2000, 0, "/nowhere/python3.11", 1, 1)])
    other = os.path.join(tmp_path, "python3.11")
    with open("/bin/true", "rb") as source, open(other, "wb") as file:
        file.write(source.read())
    status = os.stat(other)
    mapping = Mapping(0x1000, 0x2000, 0, other, status.st_dev, status.st_ino)
    with pytest.raises(CPythonError, match="no symbol _PyRuntime"):
        Interpreter.open(os.getpid(), [mapping])


def test_without_glibc_it_is_one_line() -> None:
    mappings = [m for m in AddressSpace.read(os.getpid()).mappings if not m.module.startswith(("libc", "libpthread"))]
    with pytest.raises(CPythonNotReady, match="mapped"):
        Interpreter.open(os.getpid(), mappings)
    mappings = [m for m in mappings if not m.module.startswith("ld-")]
    with pytest.raises(CPythonError, match="glibc"):
        Interpreter.open(os.getpid(), mappings)
    with pytest.raises(CPythonError, match="musl"):
        Interpreter.open(os.getpid(), [*mappings, Mapping(0x1000, 0x2000, 0, "/lib/ld-musl-x86_64.so.1")])


def test_this_very_process_can_be_looked_into() -> None:
    interpreter = Interpreter.open(os.getpid(), AddressSpace.read(os.getpid()).mappings)
    assert interpreter is not None
    assert interpreter.version == f"3.{sys.version_info[1]}"
