"""All code of a VM, beside what the VM itself says of it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame
from aperture_tui.symbolize.hotspot import BlobKind, HotSpot

from .conftest import ADDED, PROGRAM, Running, text_of

CODE = re.compile(r"(\d+) (\d) -?\d (.+)\(.*\)\S+ \[0x\w+, 0x(\w+) - 0x(\w+)\]")
METHOD = re.compile(r"(?:[^ (]+ )?([^ (]+)\(.*\)")
TRIES = 10


def methods(hotspot: HotSpot) -> dict[int, tuple[int, int, int, str]]:
    """Start -> compile id, level, end, name of everything compiled."""
    blobs = hotspot.blobs
    rows = np.flatnonzero((blobs.kind == BlobKind.COMPILED) | (blobs.kind == BlobKind.NATIVE))
    found = hotspot.frames(blobs.start[rows], np.zeros(len(rows), bool))
    out = {}
    for row, frames in zip(rows.tolist(), found, strict=True):
        name = frames[-1].function if frames else ""
        out[int(blobs.start[row])] = (int(blobs.compile_id[row]), int(blobs.level[row]), int(blobs.end[row]), name)
    return out


def in_ascii(name: str) -> str:
    """What is left of a name in the output of jcmd, whatever the locale: it knows no characters beyond 16 bits."""
    return re.sub(r"[^\x00-\x7e]+|\?+", "?", name)


def test_every_method_is_called_what_the_vm_calls_it(running: Running) -> None:
    hotspot = running.open()
    for _ in range(TRIES):
        hotspot.refresh()
        listed = CODE.findall(running.ask("Compiler.codelist"))
        if not hotspot.refresh():
            break  # nothing was compiled in between
    said = {
        int(start, 16): (int(number), int(level), int(end, 16), in_ascii(ADDED.sub("", name)))
        for number, level, name, start, end in listed
    }
    found = {start: (*numbers, in_ascii(name)) for start, (*numbers, name) in methods(hotspot).items()}
    assert {start: found.get(start) for start in said} == said  # which leaves out what is not entered any more
    assert len(said) > 20 or "-Xint" in running.process.args


def test_all_code_is_what_a_perf_map_has(running: Running) -> None:
    hotspot = running.open()
    if hotspot.major < 17:
        pytest.skip(f"JDK {hotspot.major} writes no perf map")
    place = Path(f"/tmp/perf-{running.pid}.map")  # noqa: S108 the place that the format names
    try:
        for _ in range(TRIES):
            hotspot.refresh()
            running.ask("Compiler.perfmap")
            if not hotspot.refresh():
                break
        lines = [line.split(" ", 2) for line in text_of(place.read_bytes()).splitlines()]
    finally:
        place.unlink(missing_ok=True)
    said = {}
    for start, size, name in lines:
        method = METHOD.fullmatch(name)
        at = int(start, 16)
        said[at] = (at + int(size, 16), ADDED.sub("", method[1]) if method else name)
    blobs = hotspot.blobs
    frames = hotspot.frames(blobs.start, np.zeros(len(blobs), bool))
    ours = zip(blobs.start.tolist(), blobs.end.tolist(), [f[-1].function if f else "" for f in frames], strict=True)
    assert {start: (end, name) for start, end, name in ours} == said


def test_a_method_is_one_frame_however_it_runs(running: Running) -> None:
    hotspot = running.open()
    blobs = hotspot.blobs
    compiled = np.flatnonzero(blobs.kind == BlobKind.COMPILED)
    if not len(compiled):
        pytest.skip("nothing is compiled")
    by_method = hotspot.methods(blobs.method[compiled])
    by_code = hotspot.frames(blobs.start[compiled], np.zeros(len(compiled), bool))
    assert by_method == [frames[-1] if frames else None for frames in by_code]
    outer = [f for f in by_method if f is not None and f.function == "Known.outer"]
    line = 1 + PROGRAM.read_text().splitlines().index("        middle(millis);")
    assert outer == [Frame("Known.outer", "[jit]", "Known.java", line, FrameKind.JIT)] * len(outer)
