"""A Python program of known functions and known lines, under every interpreter of this machine, beside py-spy."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from aperture_tui.collect.unwind.builder import Builder
from aperture_tui.profile.kinds import FrameKind, Stop, stop_of
from aperture_tui.symbolize.unwind_cache import UnwindCache
from tests.collect.collecting import Kept, collecting
from tests.symbolize.cpython.conftest import pythons
from tests.truth.stacks import noise_floor, overlap

pytestmark = pytest.mark.bpf

SCRIPT = Path(__file__).parent / "scripts" / "busy.py"
SECONDS = 7.0
SETTLED_S = 1.0
WARM_S = 2.0
"""Before the program starts: at first everything that runs is given its tables."""
RECURSION = ("<module>", "run", "method", "<lambda>", "through_c", *["descend"] * 21, "work")
LEAVES = ("three_parts", "one_part")


class Line(NamedTuple):
    """A Python frame: the function's own name, the line that runs."""

    function: str
    line: int


def line_with(mark: str) -> int:
    return next(n for n, text in enumerate(SCRIPT.read_text().splitlines(), 1) if text.endswith(f"# {mark}"))


def python_stacks(kept: Kept, pid: int) -> Counter[tuple[Line, ...]]:
    """The Python frames of each sample, root first, once the process was settled."""
    began = int(kept.of(pid)["time_ns"].min())
    found: Counter[tuple[Line, ...]] = Counter()
    for batch in kept.batches:
        events = batch.events[batch.events["pid"] == pid]
        events = events[events["time_ns"] > began + int(SETTLED_S * 1e9)]
        for node, n in zip(*np.unique(events["stack"], return_counts=True), strict=True):
            frames = (batch.symbols.frame_at(f) for f in batch.symbols.trie.path(int(node)))
            lines = (Line(f.function.rpartition(".")[2], f.line) for f in frames if f.kind is FrameKind.PYTHON)
            found[tuple(lines)] += int(n)
    return found


def functions(stack: tuple[Line, ...]) -> tuple[str, ...]:
    return tuple(line.function for line in stack)


def spied(pid: int, scratch: Path) -> Counter[tuple[Line, ...]]:
    """What py-spy samples of a running process, in the same terms."""
    out = scratch / f"{pid}.folded"
    tool = Path(sys.executable).with_name("py-spy")
    command = [tool, "record", "-p", str(pid), "-r", "200", "-d", "4", "-f", "raw", "-o", out, "--nonblocking"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode and not out.exists():
        raise RuntimeError(f"py-spy: {done.stderr.strip()[-300:]}")
    found: Counter[tuple[Line, ...]] = Counter()
    for text in out.read_text().splitlines():
        path, _, n = text.rpartition(" ")
        frames = [re.fullmatch(r"(.+) \(.*?(?::(\d+))?\)", frame) for frame in path.split(";")]
        found[tuple(Line(f[1].rpartition(".")[2], int(f[2] or 0)) for f in frames if f)] += int(n)
    return found


def share(stacks: Counter[tuple[Line, ...]], leaf: str) -> float:
    """Of the samples in either of the two loops, those in this one."""
    of = {name: sum(n for s, n in stacks.items() if s and s[-1].function == name) for name in LEAVES}
    return of[leaf] / sum(of.values())


@pytest.mark.parametrize("python", pythons() or [None], ids=lambda path: path or "none")
def test_every_sample_shows_the_functions_and_the_line_that_ran(python: str | None, tmp_path: Path) -> None:
    if python is None:
        pytest.skip("no python3.9 or later in ~/.pyenv/versions or /usr/bin, and none in APERTURE_TEST_PYTHONS")
    py_spy = shutil.which("py-spy", path=os.path.dirname(sys.executable)) is not None
    theirs: Counter[tuple[Line, ...]] = Counter()
    with collecting() as kept:
        time.sleep(WARM_S)
        child = subprocess.Popen([python, SCRIPT, str(SECONDS)], stdout=subprocess.DEVNULL)
        time.sleep(1.5)
        if py_spy:
            theirs = spied(child.pid, tmp_path)
        child.wait(timeout=60)
    ours = python_stacks(kept, child.pid)
    assert ours.total() > 500
    allowed = {(*RECURSION, leaf)[:depth] for leaf in LEAVES for depth in range(2, len(RECURSION) + 2)}
    wrong = Counter({functions(s): n for s, n in ours.items() if functions(s) not in allowed})
    said = [(one.name, one.message, one.lost, one.degraded) for one in kept.health if one.name in ("unwind", "naming")]
    assert wrong.total() <= 0.01 * ours.total(), f"not what was called: {wrong.most_common(3)}; {said}"
    full = sum(n for s, n in ours.items() if functions(s)[-1:] and functions(s)[-1] in LEAVES)
    assert full > 0.97 * ours.total(), "nearly all of the time is spent in the two loops"
    hot = sum(n for s, n in ours.items() if s and s[-1] == Line("three_parts", line_with("HOT")))
    cold = sum(n for s, n in ours.items() if s and s[-1] == Line("one_part", line_with("COLD")))
    leaves = Counter({s[-1]: n for s, n in ours.items() if s})
    assert hot + cold > 0.97 * ours.total(), f"not in the lines of the loops: {leaves.most_common(4)}"
    assert abs(hot / (hot + cold) - 0.75) < 0.03
    if not py_spy:
        pytest.skip("compared with the program's own clock alone: py-spy is not installed")
    assert theirs.total() > 300
    chance = (0.75 * 0.25 * (1 / theirs.total() + 1 / ours.total())) ** 0.5  # py-spy takes 400 to 800 samples
    assert abs(share(theirs, "three_parts") - share(ours, "three_parts")) < max(0.05, 4 * chance)
    both = [Counter(_by_function(stacks)) for stacks in (ours, theirs)]
    assert overlap(*both) > min(0.95, noise_floor(*both))  # the latter where there are few samples of theirs


@pytest.mark.skipif(not pythons(), reason="no python3.9 or later in ~/.pyenv/versions or /usr/bin")
def test_while_tables_are_made_stacks_are_of_their_python_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new interpreter on a saturated machine: its library has no rows for seconds, and native stacks end in it."""
    monkeypatch.setattr(UnwindCache, "cached_rows", lambda self, key, make: make())
    monkeypatch.setattr(Builder, "advance", lambda self: [])
    with collecting() as kept:
        time.sleep(WARM_S)
        child = subprocess.Popen([pythons()[0], SCRIPT, "3"], stdout=subprocess.DEVNULL)
        child.wait(timeout=60)
    stacks = python_stacks(kept, child.pid)
    stops = Counter(stop_of(int(flags)) for flags in kept.of(child.pid)["flags"])
    assert stops[Stop.NO_TABLES] > 0.8 * stops.total()
    full = sum(n for s, n in stacks.items() if functions(s) in {(*RECURSION, leaf) for leaf in LEAVES})
    assert full > 0.95 * stacks.total() > 0


def _by_function(stacks: Counter[tuple[Line, ...]]) -> dict[tuple[str, ...], int]:
    found: Counter[tuple[str, ...]] = Counter()
    for stack, n in stacks.items():
        found[functions(stack)] += n
    return found
