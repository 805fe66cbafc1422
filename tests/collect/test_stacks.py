"""Stacks as they are remembered: little room, and what was sent comes back out."""

from __future__ import annotations

import tracemalloc
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.collect import stacks as module
from aperture_tui.collect.budget import Budget
from aperture_tui.collect.stack_frames import Raw
from aperture_tui.collect.stacks import STACK_HEADER, Stacks
from aperture_tui.profile.kinds import Flag
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.symbolize.resolver import Resolver

if TYPE_CHECKING:
    from numpy.typing import NDArray

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


class Naming:
    """In place of StackFrames: a user's word is the number of a frame, in the module `even` or `odd`."""

    def __init__(self) -> None:
        self.python = SimpleNamespace(rebind=lambda: None, opened_late=False)
        self.named: list[int] = []
        self.suffix = ""

    def paths(self, images: list[Any], stacks: list[Raw], symbols: Symbols) -> list[NDArray[np.uint32]]:
        assert len(images) == len(stacks)
        out = []
        for stack in stacks:
            self.named.append(int(stack.user[0]))
            frames = [Frame(f"f{w}{self.suffix}", ("even", "odd")[w % 2]) for w in stack.user.tolist()]
            out.append(np.array([0, *map(symbols.frame, frames)], np.uint32))
        return out


class Renewing:
    """In place of the resolver: what it says of its answers. changed: see Resolver."""

    def __init__(self) -> None:
        self.version = 0
        self.changed: frozenset[str] | None = frozenset()

    def tend(self) -> int:
        return self.version


def asked(stacks: Stacks, symbols: Symbols, keys: list[int], *names: bytes) -> dict[bytes, list[list[str]]]:
    """The functions of these stacks, as each of these processes has them."""
    images = [SimpleNamespace(name=name) for name in names]
    hashes = np.tile(np.array(keys, np.uint64), len(names))
    owner = np.repeat(np.arange(len(names)), len(keys))
    nodes, _flags = stacks.nodes(hashes, owner, cast("Any", images), symbols)
    paths = [[symbols.frame_at(f).function for f in symbols.trie.path(node)] for node in nodes.tolist()]
    return {name: paths[i * len(keys) : (i + 1) * len(keys)] for i, name in enumerate(names)}


def named() -> tuple[Stacks, Naming, Renewing, Symbols]:
    stacks, naming, resolver = known(Maps()), Naming(), Renewing()
    stacks._naming, stacks._resolver = cast("Any", naming), cast("Any", resolver)
    for key in range(10):
        words = [key, key] if key < 8 else [key, key + 1]
        stacks.put(key, Raw(NONE, NONE, np.array(words, np.uint64), whole=True))
    return stacks, naming, resolver, Symbols()


def test_a_stack_is_named_once_whatever_its_processes_are_called() -> None:
    stacks, naming, _resolver, symbols = named()
    both = asked(stacks, symbols, [1, 2], b"sh", b"cat")
    assert both == {name.encode(): [[name, "f1", "f1"], [name, "f2", "f2"]] for name in ("sh", "cat")}
    assert asked(stacks, symbols, [2, 1], b"ls") == {b"ls": [["ls", "f2", "f2"], ["ls", "f1", "f1"]]}
    assert asked(stacks, symbols, [1, 2], b"sh", b"cat") == both
    assert sorted(naming.named) == [1, 2]


def test_only_stacks_through_what_changed_are_named_anew() -> None:
    stacks, naming, resolver, symbols = named()
    before = asked(stacks, symbols, list(range(10)), b"sh", b"cat")
    naming.named, naming.suffix = [], "+inlined"
    resolver.version, resolver.changed = 1, frozenset({"even", "nobody's"})
    stacks.update()
    after = asked(stacks, symbols, list(range(10)), b"sh", b"cat")
    assert sorted(naming.named) == [0, 2, 4, 6, 8, 9], "those with a frame of it, wherever that is"
    assert after[b"cat"][1] == before[b"cat"][1] == ["cat", "f1", "f1"]
    assert after[b"cat"][9] == ["cat", "f9+inlined", "f10+inlined"]
    naming.named = []
    stacks.update()
    assert asked(stacks, symbols, list(range(10)), b"sh", b"cat") == after
    assert naming.named == [], "once"
    resolver.version, resolver.changed = 2, None
    stacks.update()
    asked(stacks, symbols, list(range(10)), b"sh")
    assert sorted(naming.named) == list(range(10))


def test_of_a_named_stack_little_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Budget, "is_spent", False)
    stacks, _naming, _resolver, symbols = named()
    n, deep = 2000, 60
    for key in range(100, 100 + n):
        stacks.put(key, Raw(NONE, NONE, np.array([key % 50, *range(deep)], np.uint64), whole=True))
    keys = list(range(100, 100 + n))
    asked(stacks, symbols, keys[:50], b"sh")  # all that there will be of frames and nodes
    tracemalloc.start()
    try:
        asked(stacks, symbols, keys, b"sh")
        assert tracemalloc.get_traced_memory()[0] < 300 * n
    finally:
        tracemalloc.stop()
