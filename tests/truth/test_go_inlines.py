"""Samples of a stripped program of Go have the functions that its compiler inlined, in order."""

from __future__ import annotations

import subprocess
import time
from collections import Counter

import pytest

from tests.collect.collecting import Kept, await_true, collecting
from tests.truth.programs import NotBuilt, Recipe, build

pytestmark = pytest.mark.bpf

PROGRAM = Recipe(("inlined.go",), "go", ("-ldflags=-s -w",))
LONG = ("main.main", "main.long", "main.(*walker).walk", "main.middle", "main.inner", "main.leaf")
SHORT = ("main.main", "main.short", "main.inner", "main.leaf")
PATIENCE_S = 60.0
AFTER_S = 2.0


def chains(kept: Kept, pid: int, since_ns: int = 0) -> Counter[tuple[str, ...]]:
    """The samples in main.leaf, by what leads there from main.main."""
    found: Counter[tuple[str, ...]] = Counter()
    for names, n in kept.stacks(pid, since_ns).items():
        if "main.main" in names and names[-1] == "main.leaf":
            found[names[names.index("main.main") :]] += n
    return found


def test_a_stripped_program_has_the_functions_that_were_inlined() -> None:
    """Once its tables are read, by a child that is made to wait for everybody else."""
    try:
        program = build("go_inlined", PROGRAM)
    except NotBuilt as reason:
        pytest.skip(str(reason))
    with subprocess.Popen([str(program), str(2 * PATIENCE_S)]) as running:
        try:
            with collecting(events=("cpu",), pids=(running.pid,)) as kept:
                await_true(lambda: {LONG, SHORT} <= set(chains(kept, running.pid)), PATIENCE_S)
                ready_ns = time.time_ns()
                time.sleep(AFTER_S)
        finally:
            running.kill()
    found = chains(kept, running.pid, ready_ns)
    assert set(found) == {LONG, SHORT}, found
    assert 0.5 < found[LONG] / found[SHORT] < 2
