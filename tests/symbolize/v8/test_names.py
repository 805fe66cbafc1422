"""Names, files and lines of functions of every kind, in every version."""

from __future__ import annotations

import os
import re
import signal

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame
from aperture_tui.symbolize.perf_map import jit_frame
from aperture_tui.symbolize.v8.functions import RECHECK_S

from .conftest import PROGRAM, Clock, functions_on_stack, opened


def expected() -> dict[str, int]:
    """Function -> the line that says that it begins there."""
    lines = enumerate(PROGRAM.read_text().splitlines(), 1)
    return {found[1]: n for n, line in lines if (found := re.search(r"// LINE (.+)", line))}


def test_each_function_has_its_name_file_and_line(waiting: int) -> None:
    frames = [frame for frame in opened(waiting).objects(functions_on_stack(waiting)) if frame is not None]
    ours = {frame.function: frame.line for frame in reversed(frames) if frame.file == str(PROGRAM)}
    assert {name: ours.get(name) for name in expected()} == expected()
    assert {(frame.module, frame.kind) for frame in frames} == {("[jit]", FrameKind.JIT)}
    assert Frame("evaluated", "[jit]", kind=FrameKind.JIT) in frames, "code of eval is of no file"


def test_a_builtin_has_a_name(waiting: int) -> None:
    assert Frame("map", "[jit]", kind=FrameKind.JIT) in opened(waiting).objects(functions_on_stack(waiting))


def test_a_function_is_the_same_frame_as_by_a_perf_map(waiting: int) -> None:
    line = expected()["many"]
    named = jit_frame(f"JS:*many file://{PROGRAM}:{line}:14".encode(), "[jit]")
    assert named in opened(waiting).objects(functions_on_stack(waiting))


def test_what_was_known_stays_known_of_a_process_that_is_gone(waiting: int) -> None:
    clock = Clock()
    reader, later, words = opened(waiting, clock), opened(waiting, clock), functions_on_stack(waiting)
    before = reader.objects(words)
    assert any(before)
    os.kill(waiting, signal.SIGKILL)
    os.waitid(os.P_PID, waiting, os.WEXITED | os.WNOWAIT)
    clock.now += 2 * RECHECK_S
    assert reader.objects(words) == before
    assert later.objects(words) == [None] * len(words)
