"""Many processes at once that run the same files."""

from __future__ import annotations

import os
import shutil
import signal
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from aperture_tui.profile.symbols import Symbols
from aperture_tui.symbolize import resolver as resolving
from aperture_tui.symbolize.address_space import AddressSpace, Mapping
from aperture_tui.symbolize.images import ImageCache, ImageKey, Opened
from aperture_tui.symbolize.resolver import Resolver
from aperture_tui.symbolize.together import SharedAnswers, located

from .conftest import need, run

Running = Callable[..., tuple[int, dict[str, int]]]

GONE = 2**22 + 1
"""A pid that no process has."""
PROCESSES = 300

EDGES = st.lists(st.integers(0, 2**47) | st.integers(0, 64), min_size=2, max_size=8, unique=True).map(sorted)


class Counting(ImageCache):
    """Counts how often somebody went to a file."""

    asked = 0

    def mapped(self, pid: int, mapping: Mapping) -> Opened | None:
        self.asked += 1
        return super().mapped(pid, mapping)


def space_of(edges: list[int]) -> AddressSpace:
    return AddressSpace(
        GONE, [Mapping(a, b) for a, b in zip(edges[::2], edges[1::2], strict=False)], ended_ns=time.time_ns()
    )


@given(st.lists(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=12), max_size=6))
def test_what_was_found_once_is_not_asked_for_again(requests: list[list[tuple[int, bool]]]) -> None:
    answers, asked = SharedAnswers(), list[tuple[int, bool]]()
    key = ImageKey(1, 2, 3, 4, 5)

    def miss(offsets: NDArray[np.uint64], is_return: NDArray[np.bool_]) -> list[int]:
        pairs = list(zip(offsets.tolist(), is_return.tolist(), strict=True))
        asked.extend(pairs)
        return [1000 + 2 * offset + called for offset, called in pairs]

    for request in requests:
        offsets, called = np.array([o for o, _ in request], np.uint64), np.array([c for _, c in request], bool)
        before = len(asked)
        found, new = answers.through(key, "libc", offsets, called, miss)
        assert found.tolist() == [1000 + 2 * o + c for o, c in request]
        assert len(asked) - before == new
    assert len(set(asked)) == len(asked)
    assert answers.forget(key) == ({"libc"} if asked else set())
    if asked:
        assert answers.through(key, "libc", np.zeros(1, np.uint64), np.zeros(1, bool), miss)[1] == 1


def test_what_was_found_takes_little_room() -> None:
    answers, n = SharedAnswers(), 50_000
    offsets = np.arange(n, dtype=np.uint64)
    tracemalloc.start()
    try:
        answers.through(ImageKey(1, 2, 3, 4, 5), "libc", offsets, np.ones(n, bool), lambda o, _: (o + 7).tolist())
        assert tracemalloc.get_traced_memory()[0] < 20 * n
    finally:
        tracemalloc.stop()


@given(st.lists(EDGES, min_size=1, max_size=5), st.data())
def test_one_search_finds_what_each_space_would(edges: list[list[int]], data: st.DataObject) -> None:
    spaces = [space_of(one) for one in edges]
    near = st.sampled_from([edge for one in edges for edge in one]).flatmap(
        lambda edge: st.integers(max(0, edge - 1), edge + 1)
    )
    address = near | st.integers(0, 2**48 - 1)
    pairs = data.draw(st.lists(st.tuples(st.integers(0, len(spaces) - 1), address), max_size=20))
    owner, addresses = np.array([i for i, _ in pairs], np.intp), np.array([a for _, a in pairs], np.uint64)
    wanted = [int(spaces[i].find(np.array([a], np.uint64))[0]) for i, a in pairs]
    assert located(spaces, owner, addresses).tolist() == wanted


def moved(space: AddressSpace, by: int) -> AddressSpace:
    """The same files elsewhere, in a process that has ended."""
    mappings = [replace(m, start=m.start + by, end=m.end + by) for m in space.mappings if m.has_file]
    return AddressSpace(GONE, mappings, ended_ns=time.time_ns())


def test_hundreds_of_processes_of_one_program_cost_what_one_costs(calls: Path, running: Running) -> None:
    pid, at = running(calls)
    first = AddressSpace.read(pid)
    spaces = [*(moved(first, -(i + 1) * 4096) for i in range(PROCESSES)), first]
    shifts = [*(-(i + 1) * 4096 for i in range(PROCESSES)), 0]
    functions = sorted(name for name in at if name in ("leaf", "middle", "outer")) or sorted(at)[:3]
    addresses = np.array([at[name] + 4 + by for by in shifts for name in functions], np.uint64)
    owner = np.repeat(np.arange(len(spaces)), len(functions))
    images = Counting()
    symbols = Symbols()
    resolver = Resolver(symbols, images=images)
    ids, counts = resolver.expanded_frames(spaces, owner, addresses, np.ones(len(addresses), bool))
    alone = Resolver(symbols).user_frames(first, addresses[-len(functions) :], np.ones(len(functions), bool))
    assert ids.tolist() == alone.tolist() * len(spaces)
    assert counts.tolist() == [1] * len(addresses)
    assert images.asked == 1
    assert resolver.counts.addresses == len(functions)


def test_what_has_ended_is_not_looked_for_in_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = [AddressSpace(GONE + i, ended_ns=time.time_ns()) for i in range(PROCESSES)]
    children = [space.copy(space.pid, ended_ns=time.time_ns()) for space in ended]
    monkeypatch.setattr(AddressSpace, "refresh", lambda space: pytest.fail(f"read {space.pid}"))
    symbols = Symbols()
    resolver = Resolver(symbols)
    spaces = [*ended, *children]
    addresses = np.full(len(spaces), 0x1234, np.uint64)
    ids, _counts = resolver.expanded_frames(spaces, np.arange(len(spaces)), addresses, np.zeros(len(spaces), bool))
    assert {symbols.frame_at(i).function for i in ids.tolist()} == {resolving._UNKNOWN.function}
    assert not resolver._spaces


def test_a_file_that_was_replaced_is_another_file(calls: Path, tmp_path: Path, running: Running) -> None:
    need("strip")
    program = tmp_path / "program"
    shutil.copy(calls, program)
    old, at = running(program)
    os.unlink(program)
    run("strip", "-o", str(program), str(calls))
    new, at_new = running(program)
    name = min(at)
    spaces = [AddressSpace.read(old), AddressSpace.read(new)]
    addresses = np.array([at[name] + 4, at_new[name] + 4], np.uint64)
    symbols = Symbols()
    ids, _counts = Resolver(symbols).expanded_frames(spaces, np.array([0, 1]), addresses, np.zeros(2, bool))
    functions = [symbols.frame_at(i).function for i in ids.tolist()]
    assert functions[0] == name
    assert functions[1].startswith("[program+0x")


@pytest.mark.parametrize("called", ["conftest", "perl"], ids=["shared", "each alone"])
def test_the_next_file_of_the_same_name_and_number_is_another_file(
    calls: Path, tmp_path: Path, running: Running, called: str
) -> None:
    """As the next try of a configure script: who had ended before it was written does not get its names."""
    program = tmp_path / called
    shutil.copy(calls, program)
    pid, at = running(program)
    old = AddressSpace.read(pid)
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    old.ended_ns = time.time_ns()
    addresses = np.array([at[name] + 4 for name in sorted(at)], np.uint64)
    assert named(Resolver(symbols := Symbols()), symbols, [old], addresses) == sorted(at)

    time.sleep(0.02)  # times of files are those of the clock's last tick
    program.write_bytes(calls.read_bytes())
    new_pid, at_new = running(program)
    new = AddressSpace.read(new_pid)
    assert {m.inode for m in old.mappings} == {m.inode for m in new.mappings}
    places = [f"[{called}+{offset:#x}]" for offset in offsets(old, addresses)]
    for spaces in ([old], [old, new], [new, old]):
        resolver = Resolver(symbols := Symbols())
        of = [[at, at_new][space is new] for space in spaces]
        everybody = np.array([where[name] + 4 for where in of for name in sorted(at)], np.uint64)
        found = named(resolver, symbols, spaces, everybody)
        assert found == [name for space in spaces for name in (sorted(at) if space is new else places)]
        assert resolver.counts.unknown_symbol == len(at)


def named(resolver: Resolver, symbols: Symbols, spaces: list[AddressSpace], addresses: NDArray[np.uint64]) -> list[str]:
    """As many addresses of each space -> their functions."""
    owner = np.repeat(np.arange(len(spaces)), len(addresses) // len(spaces))
    ids, _counts = resolver.expanded_frames(spaces, owner, addresses, np.zeros(len(addresses), bool))
    return [symbols.frame_at(i).function for i in ids.tolist()]


def offsets(space: AddressSpace, addresses: NDArray[np.uint64]) -> list[int]:
    """Where in their file they lie."""
    mappings = [space.mapping_at(i) for i in space.find(addresses).tolist()]
    return [a - m.start + m.offset for a, m in zip(addresses.tolist(), mappings, strict=True)]
