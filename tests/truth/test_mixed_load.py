"""The whole machine under a load of many kinds: interpreter, hand-written assembler, small C program, JIT."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import Counter, defaultdict
from typing import Final

import numpy as np
import pytest

from aperture_tui.profile.kinds import STOP_SHIFT, Flag
from aperture_tui.profile.symbols import Process
from tests.collect.collecting import Kept, collecting
from tests.truth.stacks import why

pytestmark = pytest.mark.bpf

_SECONDS: Final = 10
_WARM_SECONDS: Final = 5
_AGE_NS: Final = 1_000_000_000
_WHOLE: Final = 0.98
_FOREIGN: Final = 0.1
"""Processes that nobody here started count as well, as long as they have no more than this share of the samples:
somebody's JVM without frame pointers says nothing about us, and what a busy machine runs is not for a test to choose.
"""

_PYTHON: Final = """
import time
def leaf(n):
    return sum(i * i % 7 for i in range(n))
def deep(n):
    return deep(n - 1) + 1 if n else leaf(2000)
end = time.monotonic() + SECONDS
while time.monotonic() < end:
    deep(20)
"""
_NODE: Final = """
function leaf(n) { let s = 0; for (let i = 0; i < n; i++) s += i * i % 7; return s; }
function deep(n) { return n ? deep(n - 1) + 1 : leaf(2000); }
const end = Date.now() + SECONDS * 1000;
let sum = 0;
while (Date.now() < end) sum += deep(20);
if (sum === 0) console.log(sum);
"""


def loads(seconds: int) -> list[list[str]]:
    """Commands that each keep a CPU busy, those that this machine has. All but gzip end by themselves."""
    python = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable
    wanted = [
        [python, "-c", _PYTHON.replace("SECONDS", str(seconds))],
        ["openssl", "speed", "-seconds", str(seconds), "-bytes", "4096", "sha256"],
        ["node", "-e", _NODE.replace("SECONDS", str(seconds))],
        ["gzip", "-6", "-c", "/dev/zero"],
    ]
    return [command for command in wanted if shutil.which(command[0])]


def busy(seconds: int) -> set[int]:
    """Runs the loads together for so long -> their pids."""
    children = [subprocess.Popen(c, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for c in loads(seconds)]
    time.sleep(seconds)
    for child in children:
        if child.args[0] == "gzip":  # type: ignore[index]  # a list, above
            child.kill()
        child.wait(timeout=30)
    return {child.pid for child in children}


def test_stacks_of_the_whole_machine_are_whole() -> None:
    """All samples count: the loads, ourselves, the kernel's threads, and what else runs; but see _FOREIGN.

    The loads run once before: the table of a file is made once on a machine, and is then there for every process.
    """
    with collecting() as kept:
        busy(_WARM_SECONDS)
        began_ns = time.time_ns()
        ours = busy(_SECONDS) | {os.getpid()}
    reasons = reasons_by_process(kept, began_ns)
    counted = {who: counter for who, counter in reasons.items() if who.pid in ours}
    assert {who.pid for who in counted} == ours, "a load has no samples"
    foreign = sum(counter.total() for who, counter in reasons.items() if who.pid not in ours)
    if foreign <= _FOREIGN * sum(counter.total() for counter in reasons.values()):
        counted = reasons
    by_name: dict[str, Counter[str]] = defaultdict(Counter)
    for who, counter in counted.items():
        by_name[who.name] += counter
    total = sum(counter.total() for counter in by_name.values())
    whole = sum(counter["whole"] for counter in by_name.values())
    words = [f"  {name}: {dict(c.most_common())}" for name, c in sorted(by_name.items(), key=lambda r: -r[1].total())]
    assert whole / total >= _WHOLE, f"{whole / total:.2%} of {total} are whole:\n" + "\n".join(words)


def reasons_by_process(kept: Kept, began_ns: int) -> dict[Process, Counter[str]]:
    """From a moment on, of processes older than a second: how many stacks are whole, and why the others are not."""
    out: dict[Process, Counter[str]] = defaultdict(Counter)
    for process, part in kept.by_process():
        grown = part.events["time_ns"] >= np.uint64(max(began_ns, process.start_ns + _AGE_NS))
        for flags, n in zip(*np.unique(part.events["flags"][grown], return_counts=True), strict=True):
            out[process][why(int(flags))] += int(n)
    return out


def test_a_whole_stack_has_no_reason_why_not() -> None:
    """Flags that contradict each other would make the screen's completeness a lie."""
    with collecting() as kept:
        busy(2)
    flags = kept.events()["flags"]
    whole = flags & Flag.WHOLE != 0
    assert np.any(whole)
    assert not np.any(whole & (flags & (Flag.NO_STACK | Flag.NO_USER_STACK | Flag.TRUNCATED) != 0))
    assert not np.any(whole & (flags >> STOP_SHIFT & 0xF != 0))
