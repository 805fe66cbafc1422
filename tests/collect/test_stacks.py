"""Stacks as they are remembered: little room, and what was sent comes back out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.collect import stacks as module
from aperture_tui.collect.stack_frames import Raw
from aperture_tui.collect.stacks import STACK_HEADER, Stacks
from aperture_tui.profile.kinds import Flag
from aperture_tui.profile.symbols import Symbols
from aperture_tui.symbolize.resolver import Resolver

WORDS = st.lists(st.integers(0, 2**64 - 1), max_size=20)
NONE = np.zeros(0, np.uint64)


class Maps:
    """The kernel's side: what waits in the ring, and how often everything was asked for again."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []
        self.asked_again = 0
        self.ring = SimpleNamespace(payloads=self._payloads)

    def _payloads(self) -> list[bytes]:
        out, self.waiting = self.waiting, []
        return out

    def send_again(self) -> None:
        self.asked_again += 1


def known(maps: Maps) -> Stacks:
    return Stacks(Resolver(Symbols()), cast("Any", maps))


def words(raw: Raw | None) -> list[Any]:
    assert raw is not None
    return [*(part.tolist() for part in raw[:3]), raw.whole]


@given(WORDS, WORDS, WORDS, st.booleans())
def test_a_stack_is_what_was_put_or_sent(kernel: list[int], python: list[int], user: list[int], whole: bool) -> None:
    maps = Maps()
    stacks = known(maps)
    parts = [np.array(part, np.uint64) for part in (kernel, python, user)]
    stacks.put(7, Raw(*parts, whole=whole))
    flags = int(Flag.WHOLE if whole else Flag.NONE)
    header = STACK_HEADER.pack(8, 1, 2, len(kernel), len(python), len(user), 0, flags)
    maps.waiting = [header + np.concatenate(parts).tobytes() + bytes(8), b"cut short"]
    stacks.update()
    assert words(stacks.raw(7)) == words(stacks.raw(8)) == [kernel, python, user, whole]
    assert stacks.raw(9) is None


def test_a_stack_that_did_not_come_through_the_ring_is_kept_as_it_was_put_first() -> None:
    stacks = known(Maps())
    stacks.put(7, Raw(NONE, NONE, np.array([1], np.uint64), whole=True))
    stacks.put(7, Raw(NONE, NONE, np.array([2], np.uint64), whole=True))
    assert words(stacks.raw(7)) == [[], [], [1], True]


@pytest.mark.parametrize(("limit", "most"), [("MAX_STACKS", 9), ("MAX_BYTES", 9 * (STACK_HEADER.size + 800))])
def test_past_either_bound_all_are_sent_again(monkeypatch: pytest.MonkeyPatch, limit: str, most: int) -> None:
    monkeypatch.setattr(module, limit, most)
    monkeypatch.setattr(module, "LINGER_S", -1.0)
    maps = Maps()
    stacks = known(maps)
    for key in [*range(9), *range(9)]:
        stacks.put(key, Raw(NONE, NONE, np.full(100, key, np.uint64), whole=True))
    stacks.rotate()
    assert maps.asked_again == 0, "the same ones again take no room"
    stacks.put(9, Raw(NONE, NONE, np.full(100, 9, np.uint64), whole=True))
    stacks.rotate()
    assert maps.asked_again == 1
    assert words(stacks.raw(3))[2] == [3] * 100, "what was counted under the old hashes is still to come"
    stacks.rotate()
    assert stacks.raw(3) is None
