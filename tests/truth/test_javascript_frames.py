"""A JavaScript program of known functions, under every Node.js, as each compiler of V8 runs it, beside its profiler."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from aperture_tui.profile.kinds import FrameKind
from tests.collect.collecting import Kept, collecting
from tests.symbolize.v8.conftest import NODES, need_node

pytestmark = pytest.mark.bpf

SCRIPT = Path(__file__).parent / "scripts" / "busy.js"
SECONDS = 4
TURNS = {"--cpu-prof": 4_000_000, "--no-opt": 2_000_000, "--jitless": 400_000}
"""Of the loops in a call: so few calls that none is made a part of its caller, whose frame would be the only one."""
SETTLED_S = 1.0
WARM_S = 1.0
"""Before the program starts: at first everything that runs is given its tables."""
CALLS = ("(anonymous)", "main", "(anonymous)", "outer")
LEAVES = ("three", "one")


class Called(NamedTuple):
    """A function of JavaScript. line: where it begins."""

    function: str
    file: str
    line: int


Stacks = Counter[tuple[Called, ...]]


def collected(kept: Kept, pid: int) -> Stacks:
    """The functions of each sample of the first thread, root first, while the program's loop runs: at the end V8's
    profiler writes its file."""
    began = int(kept.of(pid)["time_ns"].min())
    from_ns, until_ns = (began + int(seconds * 1e9) for seconds in (SETTLED_S, SECONDS - 0.2))
    found: Stacks = Counter()
    for batch in kept.batches:
        events = batch.events[batch.events["pid"] == pid]
        events = events[(events["tid"] == pid) & (events["time_ns"] > from_ns) & (events["time_ns"] < until_ns)]
        for node, n in zip(*np.unique(events["stack"], return_counts=True), strict=True):
            frames = [batch.symbols.frame_at(f) for f in batch.symbols.trie.path(int(node))]
            found[tuple(Called(*f[:1], *f[2:4]) for f in frames if f.kind is FrameKind.JIT)] += int(n)
    return found


def profiled(file: Path) -> Stacks:
    """What V8's own profiler says, in the same terms; its lines count from 0. Without its marks and its builtins, which
    are of no script."""
    said = json.loads(file.read_text())
    hits = Counter(said["samples"])
    found: Stacks = Counter()
    nodes = {node["id"]: node for node in said["nodes"]}
    waiting: list[tuple[int, tuple[Called, ...]]] = [(said["nodes"][0]["id"], ())]
    while waiting:
        node, path = waiting.pop()
        frame = nodes[node]["callFrame"]
        if frame["url"]:
            name, file_ = frame["functionName"] or "(anonymous)", frame["url"].removeprefix("file://")
            path = (*path, Called(name, file_, frame["lineNumber"] + 1))
        found[path] += hits[node]
        waiting += [(child, path) for child in nodes[node].get("children", ())]
    return found


def ran(node: str, *flags: str) -> Stacks:
    with collecting() as kept:
        time.sleep(WARM_S)
        child = subprocess.Popen([node, *flags, str(SCRIPT), str(SECONDS), str(TURNS[flags[0]])])
        assert child.wait(timeout=60) == 0
    return collected(kept, child.pid)


def own(stack: tuple[Called, ...]) -> tuple[str, ...]:
    return tuple(called.function for called in stack if called.file == str(SCRIPT))


def check(stacks: Stacks) -> None:
    """That they are what the program does."""
    total = stacks.total()
    assert total > 1000
    whole = {(*CALLS, leaf) for leaf in LEAVES}
    right = sum(n for stack, n in stacks.items() if own(stack) in whole)
    wrong = Counter({own(stack): n for stack, n in stacks.items() if own(stack) not in whole})
    assert right > 0.98 * total, f"not what was called: {wrong.most_common(4)}"
    hot = sum(n for stack, n in stacks.items() if own(stack)[-1:] == ("three",))
    assert abs(hot / right - 0.75) < 0.03


@pytest.mark.parametrize("node", NODES)
def test_optimized_functions_are_named_as_by_v8s_own_profiler(node: str | None, tmp_path: Path) -> None:
    ours = ran(need_node(node), "--cpu-prof", "--cpu-prof-dir", str(tmp_path))
    check(ours)
    (file,) = tmp_path.glob("*.cpuprofile")
    theirs = profiled(file)
    assert theirs.most_common(1)[0][0] == ours.most_common(1)[0][0], "the same functions, files and lines from the root"
    shares = [sum(n for s, n in both.items() if own(s)[-1:] == ("three",)) for both in (ours, theirs)]
    assert abs(shares[0] / ours.total() - shares[1] / theirs.total()) < 0.05


@pytest.mark.parametrize("flag", ["--no-opt", "--jitless"], ids=("unoptimized", "interpreted"))
@pytest.mark.parametrize("node", NODES)
def test_functions_are_named_however_they_are_run(node: str | None, flag: str) -> None:
    check(ran(need_node(node), flag))
