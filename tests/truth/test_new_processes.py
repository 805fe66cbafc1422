"""Processes that live for some milliseconds: when they are sampled, the kernel has no tables for them yet."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from aperture_tui.profile.kinds import Flag
from tests.collect.collecting import Kept, await_true, collecting
from tests.truth.programs import NotBuilt, Recipe, build
from tests.truth.stacks import follows, plain

pytestmark = pytest.mark.bpf

_CHAIN: Final = ("main", *(f"f{n}" for n in range(1, 21)))
_SECONDS: Final = "0.006"
_PROCESSES: Final = 150


def run(program: Path, times: int) -> set[int]:
    """One after the other -> their pids."""
    pids = set()
    for _ in range(times):
        with subprocess.Popen([program, _SECONDS]) as process:
            pids.add(process.pid)
        assert process.returncode == 0
    return pids


def of_all(kept: Kept, pids: set[int]) -> tuple[Counter[tuple[str, ...]], int, int]:
    """Their whole stacks in words, with samples; how many samples these are, and how many there are."""
    stacks: Counter[tuple[str, ...]] = Counter()
    whole = total = 0
    for batch in kept.batches:
        events = batch.events[np.isin(batch.events["pid"], list(pids))]
        total += len(events)
        events = events[events["flags"] & Flag.WHOLE != 0]
        whole += len(events)
        for node in events["stack"].tolist():
            stacks[tuple(plain(batch.symbols.frame_at(f).function) for f in batch.symbols.trie.path(node))] += 1
    return stacks, whole, total


def _with_chain(stacks: Counter[tuple[str, ...]]) -> Counter[tuple[str, ...]]:
    return Counter({stack: n for stack, n in stacks.items() if "f20" in stack})


@pytest.mark.parametrize("flags", [(), ("-static",)], ids=["dynamic", "static"])
def test_stacks_of_short_lived_processes_are_whole(flags: tuple[str, ...]) -> None:
    """Once its tables are made, as it was run before."""
    try:
        program = build("-".join(["short", *flags]), Recipe(("chain.c",), flags=flags))
    except NotBuilt as missing:
        pytest.skip(str(missing))
    with collecting(pids=(os.getpid(),)) as kept:  # and what it starts
        first: set[int] = set()

        def is_known() -> bool:
            first.update(run(program, 10))
            return bool(_with_chain(of_all(kept, first)[0]))

        await_true(is_known, 60)
        pids = run(program, _PROCESSES)
    stacks, whole, total = of_all(kept, pids)
    assert total > _PROCESSES
    health = kept.health_of("cpu")
    assert health is not None
    no_time = health.degraded.get("stacks of new processes that there was no time to walk", 0)
    assert whole + no_time >= 0.9 * total, health
    assert whole > _PROCESSES // 2, health  # what others leave of the CPUs suffices for that
    in_chain = _with_chain(stacks)
    wrong = Counter({stack: n for stack, n in in_chain.items() if not follows(stack, _CHAIN)})
    assert in_chain.total() > 0.5 * whole
    assert wrong.total() <= 0.01 * in_chain.total(), wrong.most_common(3)
