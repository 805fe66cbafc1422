"""Copies of stacks: their layout, their bounds, and what is asked for where tables are missing."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.collect import cpu
from aperture_tui.collect.cpu import SAMPLE
from aperture_tui.collect.stack_frames import Raw
from aperture_tui.collect.unwind import copied
from aperture_tui.collect.unwind.copied import MOST_BYTES, Copied, Copy
from aperture_tui.collect.unwind.kernel_maps import ROWS_APART, KernelMaps
from aperture_tui.collect.unwind.table_walk import EXACT, Code
from aperture_tui.profile.kinds import STOP_SHIFT, Flag, Stop
from aperture_tui.symbolize import unwind_layout as rows_of
from aperture_tui.symbolize.address_space import AddressSpace, Mapping
from aperture_tui.symbolize.images import ImageKey
from tests.collect.c_structures import defines, layout
from tests.collect.collecting import collecting

SECOND = 1_000_000_000
TOO_EARLY = Flag.FRAME_POINTERS | Stop.NO_TABLES << STOP_SHIFT


def test_the_layout_is_that_of_the_c_structure() -> None:
    there, sizes = layout("cpu.bpf.c", "copy"), defines("cpu.bpf.c")
    assert list(there.places) == ["time_ns", "tid", "bytes", "ip", "sp", "bp", "memory"]
    assert there.places["memory"][0] == copied._HEADER.size
    assert sizes["COPY_PAGES"] * sizes["PAGE"] - 8 == MOST_BYTES


@given(st.binary(max_size=40), st.integers(-50, 60))
def test_a_word_of_the_copy_or_none(memory: bytes, at: int) -> None:
    sp = 0x7FFF_0000_1000
    word = Copy(0, sp, 0, memory).word(sp + at)
    assert (word is None) == (at < 0 or at + 8 > len(memory))
    if word is not None:
        assert word.to_bytes(8, "little") == memory[at : at + 8]


@pytest.mark.bpf
@pytest.mark.parametrize("n", [1, ROWS_APART - 1, ROWS_APART, ROWS_APART + 1, 5 * ROWS_APART + 7])
def test_a_row_is_found_by_its_page(n: int) -> None:
    pick = np.random.default_rng(n)
    rows = np.sort(pick.choice(1 << 20, n, replace=False)).astype(np.uint64) << np.uint64(32) | np.uint64(0x1234)
    maps = KernelMaps()
    try:
        maps.write_rows(100, rows)
        every = rows[::ROWS_APART]
        starts = (rows >> np.uint64(32)).tolist()
        asked = {0, starts[0], starts[-1], *(start + by for start in starts[:: n // 7 + 1] for by in (-1, 0, 1))}
        for relative in sorted(one for one in asked if one >= 0):
            before = int(np.searchsorted(rows >> np.uint64(32), relative, "right")) - 1
            assert maps.row(100, n, every, relative) == (int(rows[before]) if before >= 0 else 0)
    finally:
        maps.close()


class Ring:
    size = 0

    def __init__(self, *payloads: bytes) -> None:
        self._payloads = payloads

    def payloads(self) -> tuple[bytes, ...]:
        return self._payloads


class Supply:
    """Nothing is known yet."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def placed(self, _key: object) -> None:
        return None

    def learn(self, _pid: int, mapping: Any) -> None:
        self.asked.append(mapping.path)


class Simple(Supply):
    """All code has frames of one word, the return address."""

    def placed(self, key: object) -> Any:
        return SimpleNamespace(key=key, found=SimpleNamespace(bias=lambda *_: 0))

    def code(self, _placed: object, _relative: int) -> Code:
        return Code(0, 8 << rows_of.CFA_OFFSET_SHIFT | rows_of.CFA_RSP << rows_of.CFA_RULE_SHIFT)


def copies(supply: Supply, *payloads: bytes, stacks: object = None) -> Copied:
    found = Copied.__new__(Copied)
    image = SimpleNamespace(pid=os.getpid(), since_ns=0, space=AddressSpace.read(os.getpid()))
    processes = SimpleNamespace(image=lambda *_: image)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copied, "Ring", lambda *_: Ring(*payloads))
        found.__init__({"copies": 0, "copies_lost": 0}, 0, cast(Any, supply), cast(Any, processes), cast(Any, stacks))  # type: ignore[misc]
    return found


def own_code() -> int:
    """An address in a file of ours."""
    return next(m.start for m in AddressSpace.read(os.getpid()).mappings if m.has_file)


def sample(time_ns: int, tid: int) -> np.ndarray:
    one = np.zeros(1, SAMPLE)
    one["time_ns"], one["tid"], one["pid"], one["stack"], one["flags"] = time_ns, tid, os.getpid(), 7, TOO_EARLY
    return one


def test_a_file_without_a_table_is_asked_for_once() -> None:
    supply = Supply()
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    payload = copied._HEADER.pack(now, 5, 16, own_code(), 0x7FFF_0000_1000, 0) + bytes(16)
    found = copies(supply, payload)
    for _ in range(3):
        found.read(0)
        samples = sample(now, 5)
        found.fill(samples)
        assert samples["flags"][0] == TOO_EARLY, "it stays as it was"
        assert samples["stack"][0] == 7
    assert len(supply.asked) == 1


def test_what_there_is_no_time_for_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aperture_tui.collect.budget.Budget.is_spent", True)
    monkeypatch.setattr("aperture_tui.collect.bpf.counters", lambda *_: [3])
    found = copies(Supply(), copied._HEADER.pack(9, 5, 16, own_code(), 0, 0) + bytes(16))
    found.read(0)
    found.fill(sample(9, 5))
    assert found.counts == {
        "stacks of new processes: ring full": 3,
        "stacks of new processes that there was no time to walk": 1,
    }


def test_of_files_without_rows_no_more_are_remembered_than_of_rows() -> None:
    """A build maps ever new files, and most are met once."""
    found = copies(Supply(), copied._HEADER.pack(9, 5, 16, own_code(), 0, 0) + bytes(16))
    found._rows.update((cast(ImageKey, n), {}) for n in range(copied._MAX_ROWS + 1))
    found.read(0)
    found.fill(sample(9, 5))
    assert len(found._rows) <= 1


def test_copies_wait_for_samples_that_were_not_read_yet_but_not_for_ever() -> None:
    found = copies(Supply(), copied._HEADER.pack(SECOND, 5, 16, own_code(), 0, 0) + bytes(16))
    found.read(SECOND)
    found.fill(sample(1, 1))
    assert list(found._copies) == [(SECOND, 5)]
    found._ring = cast(Any, Ring())
    found.read(SECOND + SECOND // 20)
    assert list(found._copies) == [(SECOND, 5)]
    found.read(SECOND + SECOND // 4)
    assert not found._copies


def test_a_file_that_was_changed_since_is_another_one(tmp_path: Path) -> None:
    """A configure script's tries have the same name, and on many file systems the same number, one after the other."""
    ended = subprocess.Popen(["/bin/true"])
    ended.wait()
    path = tmp_path / "conftest"
    path.write_bytes(b"first")
    facts = path.stat()
    mapping = Mapping(0x1000, 0x2000, 0, str(path), facts.st_dev, facts.st_ino)
    seen_ns = time.time_ns()
    assert copied._key(ended.pid, mapping, seen_ns) == ImageKey.of(facts)
    time.sleep(0.02)  # the clock of file systems stands still for 10 ms at most
    path.write_bytes(b"second")
    assert path.stat().st_ino == mapping.inode
    assert copied._key(ended.pid, mapping, seen_ns) is None
    assert copied._key(ended.pid, mapping, time.time_ns()) is not None


@given(st.lists(st.one_of(st.integers(0, (1 << 64) - 1), st.integers(-2, 2)), max_size=20))
def test_of_a_stacks_memory_only_addresses_of_code_are_kept(words: list[int]) -> None:
    """What else lies there is nobody's business: passwords are on stacks. words: those near 0 are near our code."""
    kept: list[Raw] = []
    stacks = SimpleNamespace(raw=lambda _: None, put=lambda _, raw: kept.append(raw))
    at = own_code()
    memory = b"".join((at + 64 + word if abs(word) <= 2 else word).to_bytes(8, "little") for word in words)
    payload = copied._HEADER.pack(9, 5, len(memory), at, 0x7FFF_0000_1000, 0) + memory
    found = copies(Simple(), payload, stacks=stacks)
    found.read(0)
    found.fill(sample(9, 5))
    assert not found._copies
    of_code = AddressSpace.read(os.getpid()).mappings
    for address in (int(word) & ~EXACT for raw in kept for word in raw.user):
        assert any(m.start <= address <= m.end for m in of_code)


@given(st.lists(st.binary(max_size=80), max_size=5))
def test_a_damaged_copy_harms_nobody(payloads: list[bytes]) -> None:
    found = copies(Supply(), *payloads)
    found.read(0)
    found.fill(sample(1, 1))


@pytest.mark.bpf
def test_copies_that_find_no_room_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "_COPY_RINGS", (1 << 12, 1 << 12))
    with collecting(events=("cpu",), pids=(os.getpid(),)) as kept:  # what copies them is there before the first tables
        for _ in range(100):
            subprocess.run([Path("/bin/sh"), "-c", "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done"], check=True)
    health = kept.health_of("cpu")
    assert health is not None
    assert health.degraded["stacks of new processes: ring full"] > 0
