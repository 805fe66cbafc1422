"""More that is new than there is time for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from aperture_tui.collect.budget import Budget
from aperture_tui.collect.processes import Image
from aperture_tui.collect.stack_frames import Raw
from aperture_tui.collect.stacks import Stacks
from aperture_tui.profile.kinds import Flag
from aperture_tui.profile.symbols import Symbols
from aperture_tui.symbolize.address_space import AddressSpace
from aperture_tui.symbolize.resolver import Resolver

STACKS = 1000
EMPTY = np.zeros(0, np.uint64)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("limits", "pause_s", "allowed_s"),
    [
        ({}, 0.0, 0.1),
        ({}, 0.25, 0.1),
        ({}, 1.0, 0.4),
        ({}, 60.0, 0.5),
        ({"part": 0.1}, 1.0, 0.04),
        ({"share": 1.0, "part": 0.1}, 0.1, 0.01),
        ({"share": 1.0, "part": 0.1}, 0.3, 0.03),
        ({"share": 1.0, "part": 0.1}, 60.0, 0.05),
    ],
)
def test_a_drain_may_take_a_share_of_the_time_between_two_within_bounds(
    limits: dict[str, float], pause_s: float, allowed_s: float
) -> None:
    cpu, wall = Clock(), Clock()
    budget = Budget(cpu, wall, **limits)
    budget.begin()
    wall.now += pause_s
    budget.begin()
    cpu.now += allowed_s - 0.001
    assert not budget.is_spent
    cpu.now += 0.002
    assert budget.is_spent


def test_a_drain_that_does_not_get_its_cpu_ends_all_the_same() -> None:
    cpu, wall = Clock(), Clock()
    budget = Budget(cpu, wall)
    budget.begin()
    wall.now += 2.0
    assert not budget.is_spent
    wall.now += 1.0
    assert budget.is_spent


def test_stacks_that_there_is_no_time_for_are_counted_and_named_when_there_is() -> None:
    cpu, wall = Clock(), Clock()
    symbols = Symbols()
    maps = cast("Any", SimpleNamespace(ring=SimpleNamespace(payloads=list)))
    stacks = Stacks(Resolver(symbols), maps, Budget(cpu, wall))
    images = [Image(pid, 0, b"short", AddressSpace(pid, ended_ns=1)) for pid in range(2**22 + 1, 2**22 + 1 + STACKS)]
    hashes = np.arange(1, STACKS + 1, dtype=np.uint64)
    for key in hashes.tolist():
        stacks.put(key, Raw(EMPTY, EMPTY, np.array([0x1000 + key], np.uint64), whole=False))
    wall.now += 1.0
    stacks.update()
    cpu.now += 100.0
    nodes, flags = stacks.nodes(hashes, np.arange(STACKS), images, symbols)
    bare = flags == Flag.NO_STACK
    assert 0 < stacks.unnamed == np.count_nonzero(bare) < STACKS
    assert len(set(nodes[bare].tolist())) == 1, "what is not named has its process all the same"
    wall.now += 1.0
    stacks.update()
    nodes, flags = stacks.nodes(hashes, np.arange(STACKS), images, symbols)
    assert not np.count_nonzero(flags == Flag.NO_STACK)
